"""Searches that share what versions of a rule have in common.

A leaf of many expressions or chains is as many automata, whose finds are then selected from: a version in which one
of them is changed needs that one alone. What is found is the same, by :meth:`policykit.automata.Finder.findall`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from policykit.automata import Matches
from policykit.automata.columns import joined, leftmost_longest_of
from policykit.ir.document import Chains, Entities, Phrases, Regexes, Searched
from policykit.text import View
from policykit.verify import CompiledSearches, LeafSearch, Search
from policykit.verify.scan import takes
from policykit.verify.units import Seen


class Apart:
    """Compiles each expression and chain that is looked for by automata once, whatever leaves it is in."""

    def __init__(self) -> None:
        self._whole = CompiledSearches()
        self._united: dict[tuple[Searched, str], _United] = {}

    def entities(self, leaf: Entities, view: View) -> Search:
        return self._whole.entities(leaf, view)

    def get(self, leaf: Searched, view: View) -> Search:
        if takes(leaf) or (isinstance(leaf, Phrases) and not leaf.before and not leaf.after):
            return self._whole.get(leaf, view)  # a scan, or one automaton of all phrases
        found = self._united.get((leaf, view.name))
        if found is None:
            parts = tuple(self._whole.by_automata(part, view) for part in _parts(leaf))
            found = self._united[leaf, view.name] = _United(parts)
        return found


@dataclass(frozen=True, slots=True)
class _United:
    """The searches of a leaf's parts, in their order, as the search of the leaf."""

    parts: tuple[LeafSearch, ...]

    def find(self, seen: Seen) -> Matches:
        return _selected([part.find(seen) for part in self.parts])

    def find_by_automata(self, seen: Seen) -> Matches:
        return _selected([part.find_by_automata(seen) for part in self.parts])


def _selected(found: list[Matches]) -> Matches:
    """What is selected from the finds of several parts, each find with its part's number."""
    numbered = (
        Matches(one.starts, one.ends, np.full(len(one), number)) for number, one in enumerate(found) if len(one)
    )
    return leftmost_longest_of(joined(list(numbered)))


def _parts(leaf: Searched) -> Iterator[Searched]:
    match leaf:
        case Chains(chains=chains):
            yield from (replace(leaf, chains=(chain,)) for chain in chains)
        case Phrases(phrases=phrases):
            yield from (replace(leaf, phrases=(phrase,)) for phrase in phrases)
        case Regexes(regexes=regexes):
            yield from (replace(leaf, regexes=(regex,)) for regex in regexes)
