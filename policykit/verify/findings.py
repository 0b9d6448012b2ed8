"""What matchers find in a text, as columns with a way to each finding: a text may be full of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from policykit.automata import Matches, Places
from policykit.automata.columns import longest_first, one_by_one, places
from policykit.verify.units import Seen, Span


class Finding(NamedTuple):
    """A match. ``pieces`` are its spans in the original text, one per JSON string that it runs through; ``content`` is
    the matched text as read (escapes decoded), ``in_json`` whether it was read inside JSON strings, ``is_whole``
    whether it is all that the view shows of the text, ``is_place`` whether it says where something stands and not only
    that it does, ``is_number`` whether it is a JSON number. ``label`` is an entity's name in masks."""

    pieces: tuple[Span, ...]
    content: str
    view: str
    matched: str
    in_json: bool
    is_whole: bool = False
    is_place: bool = True
    is_number: bool = False
    label: str | None = None

    @property
    def start(self) -> int:
        return self.pieces[0][0]

    @property
    def end(self) -> int:
        return self.pieces[-1][1]


class Part(Protocol):
    """Findings of one leaf on one view: from where to where each reaches in the original, and the rest on demand."""

    @property
    def starts(self) -> Places: ...

    @property
    def ends(self) -> Places: ...

    @property
    def is_place(self) -> bool: ...

    def has_whole(self) -> bool:
        """Whether one of them is all that the view shows of the text."""
        ...

    def finding(self, i: int) -> Finding: ...

    def place_of(self, i: int) -> tuple[int, int, str, str]:
        """Start, end, view and name of one of them."""
        ...

    def only(self, kept: NDArray[np.bool_]) -> "Part": ...


@dataclass(frozen=True, eq=False, slots=True)
class Listed:
    """Findings that were made one by one."""

    findings: tuple[Finding, ...]

    @property
    def starts(self) -> Places:
        return places([finding.start for finding in self.findings])

    @property
    def ends(self) -> Places:
        return places([finding.end for finding in self.findings])

    @property
    def is_place(self) -> bool:
        return all(finding.is_place for finding in self.findings)

    def has_whole(self) -> bool:
        return any(finding.is_whole for finding in self.findings)

    def finding(self, i: int) -> Finding:
        return self.findings[i]

    def place_of(self, i: int) -> tuple[int, int, str, str]:
        found = self.findings[i]
        return found.start, found.end, found.view, found.matched

    def only(self, kept: NDArray[np.bool_]) -> "Listed":
        return Listed(tuple(finding for finding, keep in zip(self.findings, kept.tolist(), strict=True) if keep))


@dataclass(frozen=True, eq=False, slots=True)
class OnText:
    """Matches in a text that is one unit and stands in the original as it is read. ``labels`` are the names of
    entities in masks, by the leaf's index."""

    seen: Seen
    matches: Matches
    starts: Places
    ends: Places
    view: str
    names: Sequence[str]
    labels: Sequence[str | None]

    @property
    def is_place(self) -> bool:
        return True

    def has_whole(self) -> bool:
        n = len(self.seen.units[0].text)
        return bool(((self.matches.starts == 0) & (self.matches.ends == n)).any())

    def finding(self, i: int) -> Finding:
        start, end, view, matched = self.place_of(i)
        unit = self.seen.units[0]
        is_whole = self.matches.starts[i] == 0 and self.matches.ends[i] == len(unit.text)
        content, label = unit.unit.text[start:end], self.labels[int(self.matches.which[i])]
        return Finding(((start, end),), content, view, matched, False, bool(is_whole), True, False, label)

    def place_of(self, i: int) -> tuple[int, int, str, str]:
        return int(self.starts[i]), int(self.ends[i]), self.view, self.names[int(self.matches.which[i])]

    def only(self, kept: NDArray[np.bool_]) -> "OnText":
        m = self.matches
        left = Matches(m.starts[kept], m.ends[kept], m.which[kept])
        return OnText(self.seen, left, self.starts[kept], self.ends[kept], self.view, self.names, self.labels)


def part_of(
    seen: Seen, found: Matches, view: str, names: Sequence[str], labels: Sequence[str | None], in_json: bool
) -> Part:
    """What was found in the joined units of a reading."""
    only = seen.units[0]
    if len(seen.units) > 1 or in_json or only.unit.starts is not None:
        return Listed(tuple(_in_units(seen, found, view, names, labels, in_json)))
    return OnText(seen, found, *only.all_in_unit(found.starts, found.ends), view, names, labels)


def _in_units(
    seen: Seen, found: Matches, view: str, names: Sequence[str], labels: Sequence[str | None], in_json: bool
) -> Iterator[Finding]:
    """Where a unit's characters stand anywhere in the original, each match has its own way there."""
    begins = seen.joined.starts
    numbers: list[int] = (np.searchsorted(places(begins), found.starts, "right") - 1).tolist()
    for number, one in zip(numbers, found.found(), strict=True):
        on_view, at = seen.units[number], begins[number]
        unit, start, end = on_view.unit, one.start - at, one.end - at
        i, j = on_view.in_unit(start, end)
        is_whole = not in_json and start == 0 and end == len(on_view.text)
        content = unit.text if unit.is_number else unit.text[i:j]
        yield Finding(
            unit.pieces(i, j), content, view, names[one.index], in_json, is_whole, True, unit.is_number,
            labels[one.index],
        )  # fmt: skip


class Findings(Sequence[Finding]):
    """All that a matcher found, part by part; each finding is made when it is asked for."""

    def __init__(self, parts: Iterable[Part] = ()) -> None:
        self.parts = tuple(part for part in parts if len(part.starts))
        self._n = sum(len(part.starts) for part in self.parts)

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[Finding]:
        return chain.from_iterable(map(part.finding, range(len(part.starts))) for part in self.parts)

    # A finding at a time: nobody asks for slices, which Sequence promises too.
    def __getitem__(self, at: int) -> Finding:  # type: ignore[override]
        at = range(self._n)[at]
        for part in self.parts:
            if at < len(part.starts):
                return part.finding(at)
            at -= len(part.starts)
        raise IndexError(at)

    @property
    def are_places(self) -> bool:
        """Whether all of them say where something stands."""
        return all(part.is_place for part in self.parts)

    @property
    def has_whole(self) -> bool:
        """Whether one of them is all that its view shows of the text."""
        return any(part.has_whole() for part in self.parts)


NO_FINDINGS = Findings()


@dataclass(frozen=True, eq=False, slots=True)
class Separate:
    """Findings without overlaps: which of which part, in the order of the text; ``[n]`` each."""

    parts: tuple[Part, ...]
    part: Places
    index: Places
    starts: Places
    ends: Places

    def __len__(self) -> int:
        return len(self.index)

    def place_of(self, i: int) -> tuple[int, int, str, str]:
        """Start, end, view and name of one of them."""
        return self.parts[int(self.part[i])].place_of(int(self.index[i]))


def separated(findings: Findings) -> Separate:
    """The findings without overlaps: earliest start, then longest, then the first view and leaf. One stretch of text
    is one violation, however many views and alternatives see it."""
    parts = findings.parts
    sizes = [len(part.starts) for part in parts]
    part = np.repeat(np.arange(len(parts)), sizes)
    index = np.concatenate([np.arange(0), *map(np.arange, sizes)])
    starts = np.concatenate([places([]), *(part.starts for part in parts)])
    ends = np.concatenate([places([]), *(part.ends for part in parts)])
    order = longest_first(starts, ends)
    chosen = order[one_by_one(starts[order], ends[order])]
    return Separate(parts, part[chosen], index[chosen], starts[chosen], ends[chosen])


def separate_findings(findings: Iterable[Finding]) -> list[Finding]:
    """The same of findings that were made one by one."""
    ordered = list(findings)
    if len(ordered) < 2:
        return ordered
    ordered.sort(key=_longest_first)
    chosen: list[Finding] = []
    free_from = -1
    for finding in ordered:
        pieces = finding.pieces
        start = pieces[0][0]
        if start >= free_from:
            chosen.append(finding)
            free_from = max(pieces[-1][1], start + 1)
    return chosen


def _longest_first(finding: Finding) -> int:
    """By start, then the longest: as one number, which is made and compared faster than two."""
    pieces = finding.pieces
    return (pieces[0][0] << 32) - pieces[-1][1]
