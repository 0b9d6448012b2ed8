"""From completed matches to edits, as soon as both are final.

A match is final when nothing that begins before it can still be completed: then it is known which matches of one
leaf are the leftmost-longest. An edit is final when nothing that begins before its end can be.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from policykit.streaming.joint import Match
from policykit.streaming.program import Slot
from policykit.streaming.readings import Reading, Sight
from policykit.streaming.tags import UNITS
from policykit.verify.findings import Finding
from policykit.verify.transforms import Wanted
from policykit.verify.units import Span


def finding_of(slot: Slot, reading: Reading, match: Match) -> Finding:
    """The match as the verifier reports it."""
    end = reading.true_end(match.end, slot.view)
    pieces, content = reading.pieces(match.start // UNITS, (end - 1) // UNITS + 1)
    matched = slot.names[slot.first + match.pattern]
    return Finding(pieces, content, slot.view.name, matched, slot.in_json, label=slot.label)


class CannotConfirm(Exception):
    """What decides whether a candidate is a match has failed."""

    def __init__(self, rule: str, why: str) -> None:
        self.rule = rule
        super().__init__(why)


def confirmed(slots: Sequence[Slot], reading: Sight, matches: Iterable[Match], is_end: bool) -> Iterator[Match]:
    """The matches that are no mere candidates. Raises CannotConfirm."""
    for match in matches:
        slot = slots[match.part]
        if slot.confirms is None:
            yield match
            continue
        try:
            yield from slot.confirms.matches(reading, match, is_end)
        except Exception as error:
            raise CannotConfirm(slot.check.name, f"{type(error).__name__}: {error}") from error


@dataclass(order=True, slots=True)
class _Candidate:
    start: int
    end: int  # negated, so that the longer one comes first
    pattern: int
    part: int
    finding: Finding | None = field(compare=False)


@dataclass(slots=True)
class Chosen:
    """The leftmost-longest matches of every leaf on every view, of one reading."""

    slots: tuple[Slot, ...]
    waiting: list[_Candidate] = field(default_factory=list[_Candidate])
    ends: dict[int, int] = field(default_factory=dict[int, int])
    last: dict[tuple[int, int], tuple[int, _Candidate]] = field(
        default_factory=dict[tuple[int, int], tuple[int, _Candidate]]
    )

    newest: dict[int, _Candidate] = field(default_factory=dict[int, _Candidate])

    def copy(self) -> "Chosen":
        return Chosen(self.slots, self.waiting.copy(), self.ends.copy(), self.last.copy(), self.newest.copy())

    def add(self, reading: Reading, match: Match) -> None:
        """Of several matches of one pattern that are complete at one place, only the first is looked at."""
        slot = self.slots[match.part]
        if slot.is_entity:
            self._add_entity(slot, reading, match)
            return
        at = reading.true_end(match.at, slot.view)
        end = reading.true_end(match.end, slot.view)
        candidate = _Candidate(match.start, -end, slot.first + match.pattern, match.part, None)
        key = (match.part, match.pattern)
        known = self.last.get(key)
        if known and known[0] == at:
            if known[1] <= candidate:
                return
            if known[1] in self.waiting:
                self.waiting.remove(known[1])
                self.waiting.sort()
        candidate.finding = finding_of(slot, reading, match)
        self.last[key] = (at, candidate)
        heappush(self.waiting, candidate)

    def _add_entity(self, slot: Slot, reading: Reading, match: Match) -> None:
        """A longer one takes the place of the one that it goes on from."""
        end = reading.true_end(match.end, slot.view)
        finding = finding_of(slot, reading, match)
        candidate = _Candidate(match.start, -end, slot.first + match.pattern, match.part, finding)
        known = self.newest.get(match.part)
        if known and known.start == match.start and known in self.waiting:
            if known <= candidate:
                return
            self.waiting.remove(known)
            heapify(self.waiting)
        self.newest[match.part] = candidate
        heappush(self.waiting, candidate)

    def final(self, before: int) -> list[tuple[Slot, Finding]]:
        """The matches that are chosen for good: nothing that begins before ``before`` is still to come."""
        out: list[tuple[Slot, Finding]] = []
        while self.waiting and self.waiting[0].start < before:
            candidate = heappop(self.waiting)
            slot = self.slots[candidate.part]
            end = self.ends.get(slot.selection, -1)
            if (-candidate.end > end) if slot.is_entity else (candidate.start >= end):
                self.ends[slot.selection] = max(-candidate.end, candidate.start + 1)
                assert candidate.finding is not None
                out.append((slot, candidate.finding))
        return out


@dataclass(slots=True)
class Unions:
    """Overlapping stretches that rules want replaced become one."""

    waiting: list[tuple[Span, int, Wanted]] = field(default_factory=list[tuple[Span, int, Wanted]])
    group: list[Wanted] = field(default_factory=list[Wanted])
    span: Span = (0, 0)
    n_seen: int = 0

    def copy(self) -> "Unions":
        return Unions(self.waiting.copy(), self.group.copy(), self.span, self.n_seen)

    def add(self, wanted: Wanted) -> None:
        self.n_seen += 1
        heappush(self.waiting, (wanted.span, self.n_seen, wanted))

    def final(self, before: int) -> list[tuple[Span, list[Wanted]]]:
        """The unions that are final: nothing that begins before ``before`` is still to come."""
        out: list[tuple[Span, list[Wanted]]] = []
        while self.waiting and self.waiting[0][0][0] < before:
            span, _, wanted = heappop(self.waiting)
            if self.group and (span[0] < self.span[1] or span == self.span):
                self.span = (self.span[0], max(self.span[1], span[1]))
                self.group.append(wanted)
                continue
            if self.group:
                out.append((self.span, self.group))
            self.span, self.group = span, [wanted]
        if self.group and self.span[1] <= before:
            out.append((self.span, self.group))
            self.group = []
        return out

    @property
    def open_from(self) -> int | None:
        """Where the first union begins that is not final."""
        if self.group:
            return self.span[0]
        return self.waiting[0][0][0] if self.waiting else None
