"""Compiled leaves, kept for every plan and test run that needs them again."""

from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from policykit.automata import Finder, Found, compile_finder
from policykit.entities import EntityFinder
from policykit.ir.document import Entities, Phrases, Regexes
from policykit.text import View
from policykit.verify.prefilter import Prefilter, compile_prefilter, entities_prefilter


class Search(Protocol):
    """A leaf on one view, for texts that are already on the view."""

    def may_find(self, view_text: str) -> bool:
        """False only where :meth:`findall` is empty for every part of the text."""
        ...

    def findall(self, view_text: str) -> list[Found]:
        """Leftmost-longest matches that do not overlap, in order."""
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

    def get(self, leaf: Phrases | Regexes, view: View) -> Search: ...

    def entities(self, leaf: Entities, view: View) -> EntitySearch: ...


@dataclass(frozen=True, slots=True)
class LeafSearch:
    """A finder behind its prefilter. Finders grow their automata while they run, hence the lock."""

    finder: Finder
    prefilter: Prefilter
    lock: Lock = field(default_factory=Lock)

    def may_find(self, view_text: str) -> bool:
        return self.prefilter.may_find(view_text)

    def findall(self, view_text: str) -> list[Found]:
        with self.lock:
            return self.finder.findall(view_text)


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


class CompiledSearches:
    """Compiles each (leaf, view) once."""

    def __init__(self) -> None:
        self._known: dict[tuple[Phrases | Regexes, str], LeafSearch] = {}
        self._entities: dict[tuple[Entities, str], EntityLeafSearch] = {}

    def entities(self, leaf: Entities, view: View) -> EntityLeafSearch:
        found = self._entities.get((leaf, view.name))
        if found is None:
            found = EntityLeafSearch(EntityFinder(leaf, view), entities_prefilter(leaf, view))
            self._entities[leaf, view.name] = found
        return found

    def get(self, leaf: Phrases | Regexes, view: View) -> LeafSearch:
        found = self._known.get((leaf, view.name))
        if found is None:
            found = LeafSearch(compile_finder(leaf, view), compile_prefilter(leaf, view))
            self._known[leaf, view.name] = found
        return found
