"""How often a judge comes by one place of a value: how many subschemas it may be asked about there.

Each time that a subschema is applied to a value counts, so that one that is applied in two ways counts twice. Where a
schema refers to itself twice in the same value, each level of nesting has twice as many visits as the one before; where
it does so once, as in a tree, all levels have the same.
"""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

from policykit.grammar.schema_document import Dialect, SchemaDocument, dialect_of
from policykit.grammar.values import Json, split

MAX_VISITS: Final = 256
"""More of them are as good as no bound."""
_IN_PLACE: Final = frozenset({"$ref", "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"})
_AGAIN: Final = frozenset({"unevaluatedItems", "unevaluatedProperties", "$dynamicRef", "$recursiveRef"})
"""What asks others again, or refers to what only the way there tells."""
_OTHER: Final = None
"""The step to a member, or an item, that no schema of its value names."""

Visits: TypeAlias = "Counter[str]"
"""How often each subschema, by its pointer, is applied to one value."""
Step: TypeAlias = "str | int | None"
"""The name of a member, or the index of an item."""


@dataclass(frozen=True, slots=True)
class _Way:
    """To a subschema of members, or of items: of those ``steps``, or of all others."""

    kind: str
    steps: frozenset[Step]
    is_other: bool
    target: str


class _TooMany(Exception):
    """There is no bound that would be one."""


def most_visits(schema: str) -> int | None:
    """The largest number of visits that one place of any value may have by a schema, in JSON; None where that is not
    known to be at most :data:`MAX_VISITS`.

    >>> most_visits('{"items": {"$ref": "#"}}')
    2
    >>> most_visits('{"anyOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}]}') is None
    True
    """
    root = json.loads(schema)
    if not isinstance(root, dict):
        return 1
    root = cast(dict[str, Json], root)
    return most_visits_in(SchemaDocument.of(root, dialect_of(root) or Dialect.DRAFT_2020))


def most_visits_in(document: SchemaDocument) -> int | None:
    """As :func:`most_visits`, of a schema that is read already."""
    if document.may_have(_AGAIN):
        return None
    try:
        return _Walk(document).most()
    except _TooMany:
        return None


class _Walk:
    """Follows all values at once: places that have the same visits are one."""

    def __init__(self, document: SchemaDocument) -> None:
        self._document = document
        self._in_place: dict[str, Visits] = {}
        self._open: set[str] = set()
        self._max_places = 1_000 + 2 * len(document.bases)

    def most(self) -> int:
        """Raises _TooMany."""
        pending, seen, most = [Counter({"": 1})], set[frozenset[tuple[str, int]]](), 0
        while pending:
            entered = pending.pop()
            key = frozenset(entered.items())
            if key in seen:
                continue
            seen.add(key)
            if len(seen) > self._max_places:
                raise _TooMany
            visits = self._all(entered)
            most = max(most, visits.total())
            pending += self._below(visits)
        return most

    def _all(self, entered: Visits) -> Visits:
        """With all that is applied to the same value. Raises _TooMany."""
        found = Counter[str]()
        for pointer, times in entered.items():
            for below, n in self._closed(pointer).items():
                found[below] += n * times
        return _checked(found)

    def _closed(self, pointer: str) -> Visits:
        """A subschema and what it applies to the value that it is applied to itself."""
        known = self._in_place.get(pointer)
        if known is not None:
            return known
        if pointer in self._open or len(self._open) > MAX_VISITS:
            raise _TooMany
        self._open.add(pointer)
        found = Counter({pointer: 1})
        for keyword, target, _ in self._edges(pointer):
            if keyword in _IN_PLACE or keyword == "dependencies":
                found.update(self._closed(target))
        self._open.discard(pointer)
        self._in_place[pointer] = _checked(found)
        return found

    def _below(self, visits: Visits) -> list[Visits]:
        """What is applied to each member and item of a value."""
        led = [(times, way) for pointer, times in visits.items() for way in self._ways(pointer)]
        entered: dict[tuple[str, Step], Visits] = {
            ("member", _OTHER): Counter(),
            ("item", _OTHER): Counter(),
            **{(way.kind, step): Counter() for _, way in led for step in way.steps},
        }
        for times, way in led:
            others = (step for kind, step in entered if kind == way.kind and step not in way.steps)
            for step in others if way.is_other else way.steps:
                entered[way.kind, step][way.target] += times
        return [_checked(found) for found in entered.values() if found]

    def _ways(self, pointer: str) -> list["_Way"]:
        """Where a subschema leads by itself."""
        schema = self._document.at(pointer)
        if not isinstance(schema, dict):
            return []
        edges = self._edges(pointer)
        names = frozenset[Step](_last(target) for keyword, target, _ in edges if keyword == "properties")
        listed = "prefixItems" if "prefixItems" in schema else "items"
        n_listed = len(items) if isinstance(items := schema.get(listed), list) else 0
        found: list[_Way] = []
        for keyword, target, _ in edges:
            match keyword:
                case "properties":
                    found.append(_Way("member", frozenset({_last(target)}), False, target))
                case "additionalProperties":
                    found.append(_Way("member", names, True, target))
                case "patternProperties" | "propertyNames":
                    found.append(_Way("member", frozenset(), True, target))
                case "prefixItems" | "items" if keyword == listed and n_listed:
                    found.append(_Way("item", frozenset({int(_last(target))}), False, target))
                case "items" | "additionalItems":
                    found.append(_Way("item", frozenset[Step](range(n_listed)), True, target))
                case "contains":
                    found.append(_Way("item", frozenset(), True, target))
                case _:
                    pass
        return found

    def _edges(self, pointer: str) -> list[tuple[str, str, Json]]:
        return self._document.edges(pointer, self._document.at(pointer), None)


def _checked(visits: Visits) -> Visits:
    if visits.total() > MAX_VISITS:
        raise _TooMany
    return visits


def _last(pointer: str) -> str:
    return list(split(pointer))[-1]
