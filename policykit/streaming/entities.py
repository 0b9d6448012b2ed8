"""Entities in a text that arrives: an automaton says where one may be, and only there is it looked at."""

from dataclasses import dataclass
from threading import Lock

from policykit.automata.nfa import build
from policykit.entities import EntityFinder, arriving_patterns, is_exact
from policykit.ir.document import Entities
from policykit.streaming.bunch import Part
from policykit.streaming.expressions import TaggedExpression
from policykit.streaming.joint import Match
from policykit.streaming.readings import Sight
from policykit.text import View


class Confirms:
    """Tells which candidates of one entity on a view are valid. May be shared between threads."""

    def __init__(self, finder: EntityFinder, lock: Lock, index: int, on: View) -> None:
        self._finder = finder
        self._lock = lock  # finders grow while they run
        self._index = index
        self._view = on

    def matches(self, reading: Sight, match: Match, is_end: bool) -> list[Match]:
        """The valid occurrences that are known with the match's completion and begin with it or later; of those that
        contain each other the longest. Raises what a validator raises."""
        seen = reading.seen(self._view, match.start, match.at)
        with self._lock:
            spans = self._finder.arrived(self._index, seen.text, seen.first, lead=seen.lead, is_end=is_end)
        return [
            Match(match.part, match.pattern, seen.position(start), seen.position(end - 1) + 1, match.at)
            for start, end in spans
        ]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a leaf: ``first`` is the number of its first pattern in the leaf."""

    part: Part
    first: int
    confirms: Confirms | None = None


def entity_pieces(leaf: Entities, on: View) -> tuple[Piece, ...]:
    """The parts of a leaf of entities on a view."""
    finder, lock = EntityFinder(leaf, on), Lock()
    return tuple(
        Piece(
            TaggedExpression(build(on, pattern)),
            index,
            None if is_exact(entity) else Confirms(finder, lock, index, on),
        )
        for index, entity in enumerate(leaf.entities)
        for pattern in arriving_patterns(entity)
    )
