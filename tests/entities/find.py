"""Finds in one line, for tests."""

from functools import cache

from policykit.diagnostics import Place
from policykit.entities import EntityFinder
from policykit.ir.document import Entities, Entity, Reading, RegexSource, Within
from policykit.text import view

PLACE = Place("test.policy.yaml")
COMPAT = view("compat")


def entities(
    *names: str, within: Within = Within.AUTO, views: tuple[str, ...] = ("compat",), **options: object
) -> Entities:
    pattern = options.get("pattern")
    assert pattern is None or isinstance(pattern, RegexSource)
    items = tuple(Entity(name, PLACE, **options) for name in names)  # type: ignore[arg-type]
    return Entities(items, Reading(views, within), PLACE)


@cache
def _finder(leaf: Entities) -> EntityFinder:
    return EntityFinder(leaf, COMPAT)


def found(text: str, *names: str, lead: str = "", **options: object) -> list[tuple[int, int, str]]:
    """(start, end, type) on the view `compat` of a text that is already on it."""
    finds = _finder(entities(*names, **options)).findall(text, lead)
    return [(find.start, find.end, names[find.index]) for find in finds]


def texts(text: str, *names: str, lead: str = "", **options: object) -> list[str]:
    """What is found, as it stands on the view."""
    on_view = COMPAT.apply(text)
    return [on_view[start:end] for start, end, _ in found(on_view, *names, lead=COMPAT.apply(lead), **options)]
