"""Where one string of a JSON Schema may be under two restrictions at once.

What is shown of each restricted string by itself says nothing of a string that two subschemas restrict: its language is
what they have in common. Such places are looked for, so that nothing is claimed of them. What is found is a superset:
patterns of names are taken to overlap with each other and with
names, and alternatives are told apart.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, combinations, islice, product
from typing import Final, TypeAlias

from policykit.grammar.schema_document import SchemaDocument
from policykit.grammar.values import unescape

Layer: TypeAlias = tuple[str, Mapping[str, str]]
"""A subschema that bears on a value, by pointer, and the alternatives that it is in: of each choice the one taken."""
_SAME_VALUE: Final = frozenset({"allOf", "anyOf", "oneOf", "$ref"})
MAX_LAYERS: Final = 60
"""Subschemas on one value, beyond which restrictions are taken to meet."""


def meeting_place(document: SchemaDocument, restricted: Collection[str], named: Collection[str]) -> str | None:
    """The pointer of a subschema whose value may hold a string under two restrictions; None where there is none.

    ``restricted`` are the pointers of subschemas that restrict strings, ``named`` those that restrict names.
    """
    if len(restricted) + len(named) < 2:
        return None
    search = _Search(document, frozenset(restricted), frozenset(named))
    return next((pointer for pointer in document.reachable() if search.meet(pointer)), None)


@dataclass(slots=True)
class _Parts:
    """What a subschema says of what is inside its value: pointers of subschemas, those of properties by name."""

    named: dict[str, str] = field(default_factory=dict[str, str])
    patterns: list[str] = field(default_factory=list[str])
    others: list[str] = field(default_factory=list[str])
    items: list[str] = field(default_factory=list[str])

    def across(self, other: "_Parts") -> Iterator[tuple[str, str]]:
        """Pairs of an own part that is not told by its name and one of another subschema on the same value."""
        own, its = (*self.patterns, *self.others), (*other.named.values(), *other.patterns, *other.others)
        return chain(product(own, its), product(self.items, other.items))


class _Search:
    def __init__(self, document: SchemaDocument, restricted: frozenset[str], named: frozenset[str]) -> None:
        self._document = document
        self._restricted = restricted
        self._named = named
        self._inside: dict[str, bool] = {}

    def meet(self, pointer: str) -> bool:
        layers = list(islice(self._layers(pointer, {}, frozenset()), MAX_LAYERS + 1))
        if len(layers) > MAX_LAYERS:
            return True
        if self._names_meet(pointer):
            return True
        return any(
            self._layers_meet(one, other)
            for (one, in_one), (other, in_other) in combinations(layers, 2)
            if all(in_other.get(choice, taken) == taken for choice, taken in in_one.items())
        )

    def _layers(self, pointer: str, taken: Mapping[str, str], seen: frozenset[str]) -> Iterator[Layer]:
        """The subschemas that bear on the same value."""
        if pointer in seen:
            return
        yield pointer, taken
        for keyword, target, _ in self._document.edges(pointer, self._document.at(pointer)):
            if keyword in _SAME_VALUE:
                choice = {f"{pointer}/{keyword}": target} if keyword in ("anyOf", "oneOf") else {}
                yield from self._layers(target, {**taken, **choice}, seen | {pointer})

    def _layers_meet(self, one: str, other: str) -> bool:
        if one == other:
            return False
        if (one in self._restricted and other in self._restricted) or (one in self._named and other in self._named):
            return True
        mine, its = self._parts(one), self._parts(other)
        same = [(at, its.named[name]) for name, at in mine.named.items() if name in its.named]
        return any(
            self._holds(at) and self._holds(there) for at, there in (*same, *mine.across(its), *its.across(mine))
        )

    def _names_meet(self, pointer: str) -> bool:
        """Whether in one object a value may be under two of its subschemas."""
        parts = self._parts(pointer)
        pairs = (*combinations(parts.patterns, 2), *product(parts.patterns, parts.named.values()))
        return any(self._holds(at) and self._holds(there) for at, there in pairs)

    def _parts(self, pointer: str) -> "_Parts":
        found = _Parts()
        for keyword, target, _ in self._document.edges(pointer, self._document.at(pointer)):
            match keyword:
                case "properties":
                    found.named[unescape(target.rpartition("/")[2])] = target
                case "patternProperties":
                    found.patterns.append(target)
                case "additionalProperties":
                    found.others.append(target)
                case _ if keyword not in _SAME_VALUE:
                    found.items.append(target)
                case _:
                    pass
        return found

    def _holds(self, pointer: str) -> bool:
        """Whether something in a subschema restricts strings or names."""
        known = self._inside.get(pointer)
        if known is None:
            reached = self._document.reachable(pointer).keys()
            known = not (self._restricted.isdisjoint(reached) and self._named.isdisjoint(reached))
            self._inside[pointer] = known
        return known
