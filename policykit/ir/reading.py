"""How matchers read a text, and the smallest things that they look for."""

from dataclasses import dataclass
from enum import StrEnum

from policykit.diagnostics import Place
from policykit.ir.regex import Regex


class Within(StrEnum):
    """Which text a matcher reads. ``auto`` is the whole text where no JSON is read, else the JSON strings, and for
    entities the scalars: strings and numbers."""

    AUTO = "auto"
    TEXT = "text"
    JSON_STRINGS = "json.strings"
    JSON_SCALARS = "json.scalars"

    @property
    def is_json(self) -> bool:
        return self in (Within.JSON_STRINGS, Within.JSON_SCALARS)


class Join(StrEnum):
    """Whether a match may run across the string elements of one JSON array, as if joined by a space."""

    NONE = "none"
    ARRAY = "array"


@dataclass(frozen=True, slots=True)
class Phrase:
    """``data`` is what a list says about it, by column: findings carry it, and it decides nothing."""

    text: str
    place: Place
    data: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RegexSource:
    source: str
    regex: Regex
    place: Place


@dataclass(frozen=True, slots=True)
class Context:
    """Text that must stand directly beside a match, at most ``within`` characters of the view away."""

    regex: Regex
    source: str
    within: int
    place: Place


@dataclass(frozen=True, slots=True)
class Reading:
    """How a matcher looks at text: the views (any of them may match), the part of the text, joined arrays.

    ``unescape``: kinds of escapes; the text with those of one kind decoded may match too, on each view.
    """

    views: tuple[str, ...] = ("compat",)
    within: Within = Within.AUTO
    join: Join = Join.NONE
    unescape: tuple[str, ...] = ()
