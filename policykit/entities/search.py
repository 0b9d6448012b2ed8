"""Where valid entities stand in texts: every one of them, also behind or inside a longer candidate that is not valid.

An occurrence is a stretch of the type's language with nothing beside it that the type's guard forbids, which the
validator passes and near which a context word stands where one is needed. Of occurrences of which one contains the
other only the longer is reported; so whoever removes what is reported removes every valid occurrence.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from policykit.automata import Found, Matches, Stretches
from policykit.automata.columns import joined, not_contained, reached, stretches as columns
from policykit.automata.nfa import Pattern, build
from policykit.entities.compact import Compact, Places, compact
from policykit.entities.context import Words
from policykit.entities.entity import ASK, MOST, NO, YES
from policykit.entities.guards import Beside, is_near
from policykit.entities.lanes import Keeps, Lanes, Symbols
from policykit.entities.patterns import body_of, needs_context
from policykit.entities.registry import entity_type
from policykit.ir.document import Entities, Entity
from policykit.text import View
from policykit.text.joined import Joined, join

_BESIDE_NOTHING = "0"
"""Stands for a continuation: no guard lets a digit stand behind the point or colon that is beside a match."""
FEW, FOR_ONE = 64, 500
"""Places that are looked at one by one rather than all at once, and characters of the text for one more of them."""
LONG = 4_096
"""Characters of a text in which a match may be long."""
MANY = 500
"""Stretches that are worth being screened together."""


@dataclass(frozen=True, eq=False)
class Read:
    """Texts on a view that are read together, and what stands before each (``leads``), which is context only."""

    texts: Sequence[str]
    leads: Callable[[int], str]
    joined: Joined

    @cached_property
    def beside(self) -> Beside:
        return Beside(self.joined)

    @cached_property
    def compact(self) -> Compact:
        return Compact(self.joined)

    def at(self, start: int) -> tuple[int, int]:
        """The number of the text that has a character, and where that text begins."""
        if not self.joined.is_jointed:
            return 0, 0
        number = bisect_right(self.joined.starts, start) - 1
        return number, self.joined.starts[number]


class EntityFinder:
    """A leaf on one view. Finders grow their automata while they run."""

    def __init__(self, leaf: Entities, view: View) -> None:
        self._types = [_Candidates(entity, view) for entity in leaf.entities]

    def findall(self, view_text: str, lead: str = "") -> list[Found]:
        """All maximal valid occurrences, in order; ``index`` is the leaf's entity. ``lead`` stands before the text and
        is context only.

        Raises whatever a validator raises: what could not be validated is not valid and not invalid.
        """
        return list(self.find(_alone(view_text, lead), dict.fromkeys(range(len(self._types)))).found())

    def find(self, read: Read, may_be: Mapping[int, Stretches | None]) -> Matches:
        """The same in the joined texts, for those of the leaf's entities that may occur. Every occurrence begins in one
        of its stretches, or directly behind; None where that is not known. Raises as :meth:`findall`."""
        parts: list[Matches] = []
        for index, stretches in may_be.items():
            starts, ends = self._types[index].valid(read, stretches)
            if len(starts):
                parts.append(Matches(starts, ends, np.full(len(starts), index)))
        return not_contained(joined(parts))

    def warm(self) -> None:
        """Do now what the first candidates would wait for."""
        for one in self._types:
            one.warm()

    def arrived(self, index: int, view_text: str, first: int, *, lead: str = "", is_end: bool) -> list[tuple[int, int]]:
        """Valid occurrences of one entity from ``first`` on that none of the others contains, and that are so whatever
        follows the text; ``is_end`` says that nothing follows. Raises what a validator raises."""
        return list(self._types[index].arrived(view_text, lead, first, is_end))


def _alone(text: str, lead: str) -> Read:
    return Read((text,), lambda _: lead, join([text]))


CANDIDATES = "card 4929 0000 0000 0000, AB12 3456 7890 1234, +1 212 555 0100, 123-45-6789, name X1234567, a@b.example; "
"""Text that is nearly what many types are."""


_Begun: TypeAlias = tuple[int, int, str, str]
"""Where a match may begin, where the text that it is in does, that text, and what stands before it."""


class _Candidates:
    """One entity on one view."""

    def __init__(self, entity: Entity, view: View) -> None:
        kind = entity_type(entity.type)
        self._entity, self._view = entity, view
        self._check = kind.check
        # What is known of lengths is about the body alone, not about how numbers are dialled in a region.
        self._lengths = kind.check.lengths if kind.check and entity.region is None else None
        self._as_seen = kind.as_seen
        self._guard, self._is_near = kind.guard, is_near(kind.guard)
        self._is_exact = kind.check is None and not needs_context(entity)
        self._behind, self._ahead = re.compile(kind.guard.behind), re.compile(kind.guard.ahead)
        self._decide = kind.check.decide if kind.check and entity.region is None else None
        self._words = Words(kind, view) if needs_context(entity) else None

    @cached_property
    def _lanes(self) -> Lanes:
        return Lanes(build(self._view, Pattern(body_of(self._entity))))

    def warm(self) -> None:
        """Work out the automaton, load what the validator reads, and look at candidates, few and many."""
        self._lanes.work_out()
        _ = self._begins
        if self._words:
            self._words.read_ahead()
        with suppress(Exception):  # what fails here fails in verdicts, and is named there
            if self._check and self._check.read_ahead:
                self._check.read_ahead()
            for candidates in (CANDIDATES, CANDIDATES * MANY):
                self.valid(_alone(candidates, ""), None)
                tuple(self.arrived(candidates[:200], "", 0, is_end=False))

    def valid(self, read: Read, stretches: Stretches | None) -> tuple[Places, Places]:
        """For every start the longest valid occurrence, unless an earlier one contains it."""
        symbols = self._lanes.symbols(read.joined)
        if not self._is_near:
            return columns(list(self._one_by_one(read, symbols, range(len(symbols) - 1))))
        if stretches is not None:
            starts = _within(stretches, len(symbols) - 1)
            # What has no validator may be long, and is read one by one only where the text is short.
            if len(starts) < FEW + len(symbols) // FOR_ONE and not (self._is_exact and len(symbols) > LONG):
                return columns(list(self._one_by_one(read, symbols, starts.tolist())))
            starts = starts[self._lanes.firsts(symbols[starts])]
        else:
            starts = np.flatnonzero(self._lanes.firsts(symbols))
        starts = starts[read.beside.begins_at(self._guard, starts)]
        if not len(starts):
            return starts, starts
        may_end = read.beside.ends(self._guard)
        if self._is_exact:
            return _not_contained(*self._lanes.longest(symbols, starts, may_end))
        keeps = None
        if self._lengths and len(starts) >= MANY:
            lengths = self._lengths(read.compact, starts)
            starts, lengths = starts[lengths != 0], lengths[lengths != 0]
            keeps = self._of_length(read.compact, starts, lengths)
        return self._longest_valid(read, *self._screened(read, *self._lanes.every(symbols, starts, may_end, keeps)))

    def _of_length(self, text: Compact, starts: Places, lengths: Places) -> Keeps:
        """Which matches have one of the lengths that are named for their start."""
        first = text.place(starts)

        def keeps(own: Places, ends: Places) -> NDArray[np.bool_]:
            return (lengths[own] >> np.minimum(text.place(ends) - first[own], MOST)) & 1 == 1

        return keeps

    def arrived(self, text: str, lead: str, first: int, is_end: bool) -> Iterator[tuple[int, int]]:
        """The same in one text from a place on. Where the text may go on, what holds however it does."""
        if text.isascii():
            symbols: Symbols = self._lanes.of_ascii(text)
            places: Iterable[int] = (found.start() for found in self._begins.finditer(text, first))
        else:
            symbols = self._lanes.symbols(join([text])).data
            firsts = (start for start in range(first, len(text)) if self._lanes.is_first(symbols[start]))
            places = (start for start in firsts if self._behind.match(text, start))
        return self._from_each(symbols, ((start, 0, text, lead) for start in places), is_end)

    @cached_property
    def _begins(self) -> re.Pattern[str]:
        """Where a match may begin in ASCII: behind what the guard allows, with what the body begins with."""
        firsts = "".join(re.escape(chr(c)) for c in range(128) if self._lanes.is_first_of(chr(c)))
        return re.compile(f"{self._behind.pattern}[{firsts}]" if firsts else "(?!)")

    def _one_by_one(self, read: Read, symbols: NDArray[Any], starts: Iterable[int]) -> Iterator[tuple[int, int]]:
        return self._from_each(symbols.data, self._beginning(read, symbols.data, starts))

    def _beginning(self, read: Read, symbols: Symbols, starts: Iterable[int]) -> Iterator[_Begun]:
        """Those of some places where a match may begin."""
        for start in starts:
            if self._lanes.is_first(symbols[start]):
                number, begin = read.at(start)
                text = read.texts[number]
                if self._behind.match(text, start - begin):
                    yield start, begin, text, read.leads(number)

    def _from_each(self, symbols: Symbols, begins: Iterable[_Begun], is_end: bool = True) -> Iterator[tuple[int, int]]:
        known, reach = dict[int, int](), -1
        last = len(symbols) - 1 - (not is_end and bool(self._guard.right))
        shortest = self._lanes.shortest
        for start, begin, text, lead in begins:
            if start + shortest > last:
                break
            beside = text if is_end else text + _BESIDE_NOTHING

            def may_end(end: int, beside: str = beside, begin: int = begin) -> bool:
                return end <= last and bool(self._ahead.match(beside, end - begin))

            if self._is_exact:
                ends = [self._lanes.longest_from(symbols, start, may_end, known)]
            else:
                ends = self._lanes.every_from(symbols, start, may_end)
            for end in ends:
                if end <= reach:
                    break
                if self._is_exact or self._is_valid(text, lead, start - begin, end - begin, is_end):
                    reach = end
                    yield start, end
                    break

    def _screened(self, read: Read, starts: Places, ends: Places) -> tuple[Places, Places, NDArray[np.int8]]:
        """The stretches without those that are not valid as far as many at once can tell, and what is known of each: by
        start, else as they come."""
        if len(starts) < MANY:
            order = np.argsort(starts, kind="stable")
            return starts[order], ends[order], np.full(len(starts), ASK, np.int8)
        known = np.full(len(starts), ASK if self._check else YES, np.int8)
        if self._decide:
            known = self._decide(read.compact, starts, ends)
        if self._words:
            near = np.full(len(starts), ASK, np.int8)
            if not read.joined.is_jointed and not read.leads(0):
                near = self._words.near_many(read.texts[0], read.joined, starts, ends)
            known = np.where((known == NO) | (near == NO), NO, np.minimum(known, near))
        kept = np.flatnonzero(known != NO)
        kept = kept[np.argsort(starts[kept], kind="stable")]
        return starts[kept], ends[kept], known[kept]

    def _longest_valid(
        self, read: Read, starts: Places, ends: Places, known: NDArray[np.int8]
    ) -> tuple[Places, Places]:
        """Of stretches by start, the longest first, the first valid one of every start that no earlier one contains."""
        if (known == YES).all():
            first = np.append(True, starts[1:] != starts[:-1])[: len(starts)]
            return _not_contained(starts[first], ends[first])
        return columns(list(self._chosen(read, starts, ends, known)))

    def _chosen(self, read: Read, starts: Places, ends: Places, known: NDArray[np.int8]) -> Iterator[tuple[int, int]]:
        reach, done = -1, -1
        for start, end, is_known in zip(starts.tolist(), ends.tolist(), known.tolist(), strict=True):
            if start == done or end <= reach:
                continue
            if is_known == ASK:
                number, begin = read.at(start)
                if not self._is_valid(read.texts[number], read.leads(number), start - begin, end - begin):
                    continue
            reach, done = end, start
            yield start, end

    def _is_valid(self, text: str, lead: str, start: int, end: int, is_end: bool = True) -> bool:
        if self._check:
            stretch = text[start:end]
            if not self._check.run(stretch if self._as_seen else compact(stretch), self._entity):
                return False
        return self._words is None or self._words.near(text, start, end, lead, is_end)


def _within(stretches: Stretches, n: int) -> Places:
    """The places in some ascending stretches and those directly behind them, each once."""
    starts, ends = stretches
    behind = ends + 1
    first = np.maximum(starts, reached(behind))
    sizes = np.maximum(np.minimum(behind, n) - first, 0)
    return np.repeat(first - (np.cumsum(sizes) - sizes), sizes) + np.arange(int(sizes.sum()))


def _not_contained(starts: Places, ends: Places) -> tuple[Places, Places]:
    """Stretches with ascending starts without those that an earlier one contains."""
    if not len(starts):
        return starts, ends
    kept = ends > reached(ends)
    return starts[kept], ends[kept]
