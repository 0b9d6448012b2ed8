"""Compiled leaves, kept for every plan and test run that needs them again."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from policykit.automata import NO_MATCHES, Finder, Found, Matches, Stretches, compile_finder
from policykit.automata.columns import joined, matches
from policykit.compile.resolve import leaves
from policykit.entities import EntityFinder
from policykit.ir.document import Entities, Searched
from policykit.ir.plan import ResolvedRule
from policykit.text import View, view
from policykit.verify.entity_scan import EntityScan, read_of
from policykit.verify.prefilter import Prefilter, compile_prefilter
from policykit.verify.scan import Scan, takes
from policykit.verify.units import Seen

Leaf = Searched


class Search(Protocol):
    """A leaf on one view, for texts that are already on the view: matches in the joined units, in order; those of one
    unit are leftmost-longest and do not overlap. Both ways find the same, and of entities all valid occurrences that no
    other contains; these raise what a validator raises."""

    def find(self, seen: Seen) -> Matches:
        """What the leaf finds in every unit, the fast way."""
        ...

    def find_by_automata(self, seen: Seen) -> Matches:
        """What the leaf finds in every unit, by the automata that also make the masks, and by nothing else."""
        ...


class Searches(Protocol):
    """Where a verifier gets its searches from."""

    def get(self, leaf: Leaf, view: View) -> Search: ...

    def entities(self, leaf: Entities, view: View) -> Search: ...


@dataclass(slots=True, eq=False)
class LeafSearch:
    """A finder behind its prefilter. Finders grow their automata while they run, hence the lock."""

    leaf: Leaf
    on: View
    prefilter: Prefilter
    finder: Finder
    lock: Lock = field(default_factory=Lock)
    _is_warm: bool = False

    @classmethod
    def of(cls, leaf: Leaf, on: View) -> "LeafSearch":
        return cls(leaf, on, compile_prefilter(leaf, on), compile_finder(leaf, on))

    def warm(self, read: Iterable[Seen]) -> None:
        """Have a finder read texts, and then search with it. It is another one until then: a reading takes long, and
        verdicts would wait for the lock."""
        if self._is_warm:
            return
        ahead = compile_finder(self.leaf, self.on)
        for seen in read:
            if self.prefilter.may_find(seen.whole):
                unit_by_unit(seen, ahead.findall)
        with self.lock:
            self.finder, self._is_warm = ahead, True

    def find(self, seen: Seen) -> Matches:
        return self.find_by_automata(seen) if self.prefilter.may_find(seen.whole) else NO_MATCHES

    def find_by_automata(self, seen: Seen) -> Matches:
        with self.lock:
            return unit_by_unit(seen, self.finder.findall)


@dataclass(slots=True, eq=False)
class EntityLeafSearch:
    """Entities, each one of a scan (``numbers``), which tells where the finder need not look."""

    leaf: Entities
    on: View
    scan: EntityScan
    numbers: tuple[int, ...]
    finder: EntityFinder
    lock: Lock = field(default_factory=Lock)
    _is_warm: bool = False

    @classmethod
    def of(cls, leaf: Entities, on: View, scan: EntityScan, numbers: tuple[int, ...]) -> "EntityLeafSearch":
        return cls(leaf, on, scan, numbers, EntityFinder(leaf, on))

    def find(self, seen: Seen) -> Matches:
        may_be = self._may_be(seen)
        return self._find(seen, may_be) if may_be else NO_MATCHES

    def _may_be(self, seen: Seen) -> Mapping[int, Stretches | None]:
        where = seen.once(self.scan.find)
        return {index: where[number] for index, number in enumerate(self.numbers) if number in where}

    def find_by_automata(self, seen: Seen) -> Matches:
        return self._find(seen, dict.fromkeys(range(len(self.numbers))))

    def warm(self, read: Iterable[Seen]) -> None:
        """Do now what the first candidates would wait for, and read texts: with another finder, as
        :meth:`LeafSearch.warm` does."""
        if self._is_warm:
            return
        ahead = EntityFinder(self.leaf, self.on)
        ahead.warm()
        for seen in read:
            ahead.find(seen.once(read_of), self._may_be(seen))
        with self.lock:
            self.finder, self._is_warm = ahead, True

    def _find(self, seen: Seen, may_be: Mapping[int, Stretches | None]) -> Matches:
        with self.lock:
            return self.finder.find(seen.once(read_of), may_be)


@dataclass(frozen=True, slots=True)
class ScannedSearch:
    """A leaf that is searched for together with others: the ``number``-th of a scan."""

    scan: Scan
    number: int
    by_automata: "CompiledSearches"
    leaf: Leaf
    on: View

    def find(self, seen: Seen) -> Matches:
        return seen.once(self.scan.find).get(self.number, NO_MATCHES)

    def find_by_automata(self, seen: Seen) -> Matches:
        return self.by_automata.by_automata(self.leaf, self.on).find_by_automata(seen)


def unit_by_unit(seen: Seen, find: Callable[[str], Iterable[Found]]) -> Matches:
    """What is found in each unit by itself, as matches in the joined units."""
    parts: list[Matches] = []
    for unit, at in zip(seen.units, seen.joined.starts, strict=False):
        found = matches(find(unit.text))
        if len(found):
            parts.append(Matches(found.starts + at, found.ends + at, found.which))
    return joined(parts)


class CompiledSearches:
    """Compiles each (leaf, view) once, by itself."""

    def __init__(self) -> None:
        self._known: dict[tuple[Leaf, str], Search] = {}
        self._automata: dict[tuple[Leaf, str], LeafSearch] = {}
        self._entities: dict[tuple[Entities, str], EntityLeafSearch] = {}

    def entities(self, leaf: Entities, view: View) -> EntityLeafSearch:
        found = self._entities.get((leaf, view.name))
        if found is None:
            scan = EntityScan(view, leaf.entities)
            found = EntityLeafSearch.of(leaf, view, scan, tuple(range(len(leaf.entities))))
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
            found = LeafSearch.of(leaf, view)
            self._automata[leaf, view.name] = found
        return found


@dataclass(frozen=True, slots=True)
class JointSearches:
    """Searches that share their passes over a text."""

    together: Mapping[tuple[Leaf, str], ScannedSearch]
    entities_together: Mapping[tuple[Entities, str], EntityLeafSearch]
    others: CompiledSearches

    def get(self, leaf: Leaf, view: View) -> Search:
        return self.together.get((leaf, view.name)) or self.others.get(leaf, view)

    def entities(self, leaf: Entities, view: View) -> Search:
        return self.entities_together.get((leaf, view.name)) or self.others.entities(leaf, view)


def joint_searches(rules: Iterable[ResolvedRule]) -> JointSearches:
    """Searches for all leaves of some rules, those on one view together."""
    others = CompiledSearches()
    together: dict[tuple[Leaf, str], ScannedSearch] = {}
    entities: dict[tuple[Entities, str], EntityLeafSearch] = {}
    for name, on_view in _by_view(rules).items():
        on = view(name)
        taken = [leaf for leaf in on_view if not isinstance(leaf, Entities)]
        scan = Scan(on, taken)
        together |= {(leaf, name): ScannedSearch(scan, number, others, leaf, on) for number, leaf in enumerate(taken)}
        with_entities = [leaf for leaf in on_view if isinstance(leaf, Entities)]
        numbers = {one: i for i, one in enumerate(dict.fromkeys(e for leaf in with_entities for e in leaf.entities))}
        joint = EntityScan(on, list(numbers))
        for leaf in with_entities:
            of_leaf = tuple(numbers[entity] for entity in leaf.entities)
            entities[leaf, name] = EntityLeafSearch.of(leaf, on, joint, of_leaf)
    return JointSearches(together, entities, others)


def _by_view(rules: Iterable[ResolvedRule]) -> dict[str, Sequence[Leaf | Entities]]:
    found: dict[str, dict[Leaf | Entities, None]] = {}
    todo = list(rules)
    while todo:
        rule = todo.pop()
        todo += rule.admits or ()
        for leaf in leaves(rule.matcher):
            if isinstance(leaf, Entities) or takes(leaf):
                for name in leaf.reading.views:
                    found.setdefault(name, {})[leaf] = None
    return {name: tuple(on_view) for name, on_view in found.items()}
