"""Compiled leaves, kept for every plan and test run that needs them again."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from policykit.automata import Finder, Found, compile_finder
from policykit.compile.resolve import leaves
from policykit.entities import EntityFinder
from policykit.ir.document import Entities, Searched
from policykit.ir.plan import ResolvedRule
from policykit.text import View, view
from policykit.verify.prefilter import Prefilter, compile_prefilter, entities_prefilter
from policykit.verify.scan import Scan, takes
from policykit.verify.units import Seen, SeenUnit

Leaf = Searched
Hit = tuple[SeenUnit, Found]
"""A match in a unit. Those of one unit are leftmost-longest, do not overlap, and stand in order."""


class Search(Protocol):
    """A leaf on one view, for texts that are already on the view. Both ways find the same."""

    def find(self, seen: Seen) -> Iterable[Hit]:
        """What the leaf finds in every unit, the fast way."""
        ...

    def find_by_automata(self, seen: Seen) -> Iterable[Hit]:
        """What the leaf finds in every unit, by the automata that also make the masks, and by nothing else."""
        ...


class EntitySearch(Protocol):
    """Entities on one view, for texts that are already on the view."""

    def may_find(self, view_text: str) -> bool:
        """False only where :meth:`findall` is empty for every part of the text."""
        ...

    def findall(self, view_text: str, lead: str) -> list[Found]:
        """All valid occurrences that no other contains, in order. Raises what a validator raises."""
        ...


class Searches(Protocol):
    """Where a verifier gets its searches from."""

    def get(self, leaf: Leaf, view: View) -> Search: ...

    def entities(self, leaf: Entities, view: View) -> EntitySearch: ...


@dataclass(frozen=True, slots=True)
class LeafSearch:
    """A finder behind its prefilter. Finders grow their automata while they run, hence the lock."""

    finder: Finder
    prefilter: Prefilter
    lock: Lock = field(default_factory=Lock)

    def find(self, seen: Seen) -> Iterable[Hit]:
        return self.find_by_automata(seen) if self.prefilter.may_find(seen.whole) else ()

    def find_by_automata(self, seen: Seen) -> Iterable[Hit]:
        with self.lock:
            return [(unit, found) for unit in seen.units for found in self.finder.findall(unit.text)]


@dataclass(frozen=True, slots=True)
class EntityLeafSearch:
    """An entity finder behind its prefilter."""

    finder: EntityFinder
    prefilter: Prefilter
    lock: Lock = field(default_factory=Lock)

    def may_find(self, view_text: str) -> bool:
        return self.prefilter.may_find(view_text)

    def findall(self, view_text: str, lead: str) -> list[Found]:
        with self.lock:
            return self.finder.findall(view_text, lead)


@dataclass(frozen=True, slots=True)
class ScannedSearch:
    """A leaf that is searched for together with others: the ``number``-th of a scan."""

    scan: Scan
    number: int
    by_automata: "CompiledSearches"
    leaf: Leaf
    on: View

    def find(self, seen: Seen) -> Iterable[Hit]:
        found = seen.once(self.scan.find).get(self.number)
        return _by_unit(seen, found) if found else ()

    def find_by_automata(self, seen: Seen) -> Iterable[Hit]:
        return self.by_automata.by_automata(self.leaf, self.on).find_by_automata(seen)


def _by_unit(seen: Seen, found: Iterable[Found]) -> Iterator[Hit]:
    """The units of what was found in the joined units; no match lies across a joint."""
    units, starts = seen.units, seen.joined.starts
    if len(units) == 1:
        for match in found:
            yield units[0], match
        return
    at = 0
    for match in found:
        while at + 1 < len(units) and starts[at + 1] <= match.start:
            at += 1
        yield units[at], Found(match.start - starts[at], match.end - starts[at], match.index)


class CompiledSearches:
    """Compiles each (leaf, view) once, by itself."""

    def __init__(self) -> None:
        self._known: dict[tuple[Leaf, str], Search] = {}
        self._automata: dict[tuple[Leaf, str], LeafSearch] = {}
        self._entities: dict[tuple[Entities, str], EntityLeafSearch] = {}

    def entities(self, leaf: Entities, view: View) -> EntityLeafSearch:
        found = self._entities.get((leaf, view.name))
        if found is None:
            found = EntityLeafSearch(EntityFinder(leaf, view), entities_prefilter(leaf, view))
            self._entities[leaf, view.name] = found
        return found

    def get(self, leaf: Leaf, view: View) -> Search:
        found = self._known.get((leaf, view.name))
        if found is None:
            alone = ScannedSearch(Scan(view, [leaf]), 0, self, leaf, view) if takes(leaf) else None
            found = self._known[leaf, view.name] = alone or self.by_automata(leaf, view)
        return found

    def by_automata(self, leaf: Leaf, view: View) -> LeafSearch:
        """The search that needs no scan."""
        found = self._automata.get((leaf, view.name))
        if found is None:
            found = LeafSearch(compile_finder(leaf, view), compile_prefilter(leaf, view))
            self._automata[leaf, view.name] = found
        return found


@dataclass(frozen=True, slots=True)
class JointSearches:
    """Searches that share their passes over a text."""

    together: Mapping[tuple[Leaf, str], ScannedSearch]
    others: CompiledSearches

    def get(self, leaf: Leaf, view: View) -> Search:
        return self.together.get((leaf, view.name)) or self.others.get(leaf, view)

    def entities(self, leaf: Entities, view: View) -> EntitySearch:
        return self.others.entities(leaf, view)


def joint_searches(rules: Iterable[ResolvedRule]) -> JointSearches:
    """Searches for all leaves of some rules, those on one view together."""
    others = CompiledSearches()
    together: dict[tuple[Leaf, str], ScannedSearch] = {}
    for name, on_view in _by_view(rules).items():
        scan = Scan(view(name), on_view)
        for number, leaf in enumerate(on_view):
            together[leaf, name] = ScannedSearch(scan, number, others, leaf, view(name))
    return JointSearches(together, others)


def _by_view(rules: Iterable[ResolvedRule]) -> dict[str, Sequence[Leaf]]:
    found: dict[str, dict[Leaf, None]] = {}
    todo = list(rules)
    while todo:
        rule = todo.pop()
        todo += rule.admits or ()
        for leaf in leaves(rule.matcher):
            if not isinstance(leaf, Entities) and takes(leaf):
                for name in leaf.reading.views:
                    found.setdefault(name, {})[leaf] = None
    return {name: tuple(on_view) for name, on_view in found.items()}
