"""Which routes exist and what a request may hold, by tables: what no table lets through is refused, on every level.

`tables/ENGINE.json` holds every route that an API describes of itself, and every field of what its requests and answers
hold, each with a class and a reason; tests describe the APIs anew and compare.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, partial
from importlib import resources
from typing import Any, cast

from policykit.diagnostics.suggest import did_you_mean
from policykit.serving.errors import FieldRefusal

ENGINES = ("vllm-0.32", "vllm-0.33", "openai")
_WORD = re.compile(r"[A-Za-z0-9_]{1,64}")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SYNTAX = frozenset(".[]{}")
"""What paths are written with: no name of a field holds it."""
MAX_REFUSALS = 16
"""Fields that are named in one error; the rest are as wrong."""


class Class(StrEnum):
    """What is done with a route or a field."""

    ALLOWED = "allowed"  # harmless: carries no text and steers nothing
    FORCED = "forced"  # a client may say something, and what holds is the guard's
    REFUSED = "refused"  # an error; of an answer: goes nowhere
    ATTACKED = "attacked"  # let through and able to do harm: there are attacks against it


@dataclass(frozen=True, slots=True)
class Entry:
    """One field. ``open``: any JSON may be in it. ``values``: the texts that it may hold; empty: any value.

    ``own``: the guard knows it, the API's description does not."""

    kind: Class
    why: str
    open: bool = False
    values: tuple[str, ...] = ()
    own: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One route. ``request`` and ``response`` are by path: `a.b` a field of a field, `a[]` the entries of a list,
    `a.{}` the values of an object with free names. Of a refused route ``names`` are the fields of its requests."""

    kind: Class
    why: str
    request: Mapping[str, Entry] = field(default_factory=dict[str, Entry])
    response: Mapping[str, Entry] = field(default_factory=dict[str, Entry])
    names: tuple[str, ...] = ()
    own: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """What one version of an API is to the guard. ``routes`` are by method and path."""

    version: str
    headers: Mapping[str, Entry]
    routes: Mapping[str, Route]


@cache
def load_table(engine: str) -> Table:
    """The table of one of ENGINES. Raises ValueError for an engine without one."""
    if engine not in ENGINES:
        raise ValueError(f"no table for `{engine}`; there are " + ", ".join(f"`{name}`" for name in ENGINES))
    text = (resources.files("policykit.serving") / "tables" / f"{engine}.json").read_text(encoding="utf-8")
    found = json.loads(text)
    return Table(
        found["version"],
        {name: _entry(item) for name, item in found["headers"].items()},
        {name: _route(item) for name, item in found["routes"].items()},
    )


def check_fields(
    route: str, body: Mapping[str, object], engine: str = "openai", method: str = "POST"
) -> tuple[FieldRefusal, ...]:
    """Every field of ``body`` that is not let through on ``route``, in order, at most MAX_REFUSALS.

    A null is a field that is left out, unless nobody knows its name; so is an empty list or object of a field that is
    refused. A name is shown where each of its words
    stands in the name of a field that some API has, and as `?` elsewhere: what a client writes there may be what rules
    forbid, whose spaces an underscore may stand for.

    >>> [str(refusal.param) for refusal in check_fields("/v1/completions", {"prompt": "a", "echo": True})]
    ['echo']
    """
    known = load_table(engine).routes.get(f"{method} {route}")
    if known is None or known.kind is Class.REFUSED:
        why = known.why if known else "is not known"
        return (FieldRefusal(route, f"the route is not served: {why}"),)
    found: list[FieldRefusal] = []
    for refusal in _below(known.request, "", "", body):
        found.append(refusal)
        if len(found) == MAX_REFUSALS:
            break
    return tuple(found)


def checker(engine: str) -> Callable[[str, Mapping[str, object]], tuple[FieldRefusal, ...]]:
    """``check_fields`` of one engine. Raises ValueError where there is no table of it."""
    load_table(engine)
    return partial(check_fields, engine=engine)


def _below(known: Mapping[str, Entry], path: str, param: str, value: object) -> Iterator[FieldRefusal]:
    """``path`` is the place in the table, ``param`` the one in the body. Recursion is as deep as the table."""
    if isinstance(value, list):
        for at, item in enumerate(cast(list[object], value)):
            yield from _below(known, f"{path}[]", f"{param}[{at}]", item)
    elif isinstance(value, Mapping):
        for name, item in cast(Mapping[str, object], value).items():
            here = f"{path}.{name}" if path else name
            shown = name if _WORD.fullmatch(name) and _words() >= set(_words_of(name)) else "?"
            where = f"{param}.{shown}" if param else shown
            entry = None if _SYNTAX & set(name) else known.get(here)
            if entry is None and (free := known.get(f"{path}.{{}}")) is not None:
                here, entry = f"{path}.{{}}", free
            yield from _field(known, here, where, item, entry)


def _field(
    known: Mapping[str, Entry], path: str, param: str, value: object, entry: Entry | None
) -> Iterator[FieldRefusal]:
    if entry is None:
        name = path.rpartition(".")[2]
        near = None if param.endswith(name) else did_you_mean(name, _siblings(known, path))
        yield FieldRefusal(param, f"is not known; {near or 'leave it out'}")
    elif value is None or entry.open or (entry.kind is Class.REFUSED and value in ([], {})):
        return
    elif entry.kind is Class.REFUSED:
        yield FieldRefusal(param, entry.why if ";" in entry.why else f"{entry.why}; leave it out")
    elif entry.values and isinstance(value, str) and value not in entry.values:
        names = ", ".join(f"`{name}`" for name in entry.values)
        yield FieldRefusal(param, f"{entry.why}; give {names}")
    else:
        yield from _below(known, path, param, value)


def _siblings(known: Mapping[str, Entry], path: str) -> list[str]:
    """The names that may stand where a name does."""
    above = path.rpartition(".")[0]
    below = [name for name in known if name.rpartition(".")[0] == above]
    return [last for name in below if _WORD.fullmatch(last := name.rpartition(".")[2])]


_OLD = frozenset({"guided", "extra", "body", "provider"})
"""Words of fields that some API had, or that clients of other servers send."""


@cache
def _words() -> frozenset[str]:
    """The words that names of fields are made of, in any table; with what stands for none of a name."""
    routes = [route for engine in ENGINES for route in load_table(engine).routes.values()]
    names = (name for route in routes for name in (*route.request, *route.names))
    return _OLD | {word for name in names for word in _words_of(name)}


def _words_of(name: str) -> list[str]:
    """Of names in any of the ways of writing words as one: `ignore_eos`, `ignoreEos`."""
    return [word.lower() for word in _WORDS.findall(name)]


_NONE: Mapping[str, Mapping[str, Any]] = {}


def _entry(item: Mapping[str, Any]) -> Entry:
    return Entry(Class(item["class"]), item["why"], item.get("open", False), tuple(item.get("values", ())), _own(item))


def _route(item: Mapping[str, Any]) -> Route:
    request: object = item.get("request", ())
    names = tuple(cast(list[str], request)) if isinstance(request, list) else ()
    fields = cast(Mapping[str, Mapping[str, Any]], request) if isinstance(request, dict) else _NONE
    answers = cast(Mapping[str, Mapping[str, Any]], item.get("response", {}))
    return Route(
        Class(item["class"]),
        item["why"],
        {name: _entry(below) for name, below in fields.items()},
        {name: _entry(below) for name, below in answers.items()},
        names,
        _own(item),
    )


def _own(item: Mapping[str, Any]) -> bool:
    return bool(item.get("own", False))
