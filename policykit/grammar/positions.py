"""Position automata of terminals (Glushkov, "The abstract theory of automata", 1961), to compare two of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, assert_never

from policykit.ir.regex import Alternation, Assertion, Chars, Concat, Empty, Ranges, Regex, Repeat, ranges_of

MAX_POSITIONS: Final = 2_000


class TooLarge(Exception):
    """An expression with more characters than are compared."""


@dataclass(frozen=True, slots=True)
class Positions:
    """Each position reads one character of ``ranges[p]``; a word walks from ``first`` along ``follow`` to ``last``."""

    ranges: tuple[Ranges, ...]
    nullable: bool
    first: frozenset[int]
    last: frozenset[int]
    follow: tuple[frozenset[int], ...]


@dataclass(slots=True)
class Work:
    """How many pairs of positions, and of expressions, may still be looked at."""

    left: int

    def spend(self, n: int) -> None:
        """Raises TooLarge where there is no more."""
        self.left -= n
        if self.left < 0:
            raise TooLarge


@dataclass(slots=True)
class _Part:
    nullable: bool
    first: frozenset[int]
    last: frozenset[int]


def positions(regex: Regex) -> Positions:
    """The automaton of an expression without assertions.

    Raises:
        TooLarge: more than 2,000 characters once repetitions are written out.
    """
    ranges: list[Ranges] = []
    follow: list[set[int]] = []
    whole = _build(regex, ranges, follow)
    return Positions(tuple(ranges), whole.nullable, whole.first, whole.last, tuple(map(frozenset, follow)))


def _build(regex: Regex, ranges: list[Ranges], follow: list[set[int]]) -> _Part:
    match regex:
        case Empty() | Assertion():
            return _Part(True, frozenset(), frozenset())
        case Chars(literal, on_view):
            if len(ranges) >= MAX_POSITIONS:
                raise TooLarge
            ranges.append(ranges_of([*literal, *on_view]))
            follow.append(set())
            here = frozenset({len(ranges) - 1})
            return _Part(False, here, here)
        case Concat(items):
            return _sequence((_build(item, ranges, follow) for item in items), follow)
        case Alternation(items):
            parts = [_build(item, ranges, follow) for item in items]
            first = frozenset[int]().union(*(part.first for part in parts))
            last = frozenset[int]().union(*(part.last for part in parts))
            return _Part(any(part.nullable for part in parts), first, last)
        case Repeat(item, least, most):
            return _repetition(item, least, most, ranges, follow)
        case _:
            assert_never(regex)


def _sequence(parts: Iterator[_Part], follow: list[set[int]]) -> _Part:
    whole = _Part(True, frozenset(), frozenset())
    for part in parts:
        for p in whole.last:
            follow[p] |= part.first
        first = whole.first | part.first if whole.nullable else whole.first
        last = whole.last | part.last if part.nullable else part.last
        whole = _Part(whole.nullable and part.nullable, first, last)
    return whole


def _repetition(item: Regex, least: int, most: int | None, ranges: list[Ranges], follow: list[set[int]]) -> _Part:
    def copies() -> Iterator[_Part]:
        for i in range(max(least, 1) if most is None else most):
            part = _build(item, ranges, follow)
            if most is None and i == max(least, 1) - 1:
                for p in part.last:
                    follow[p] |= part.first
            yield _Part(part.nullable or i >= least, part.first, part.last)

    return _sequence(copies(), follow)


def intersect(a: Ranges, b: Ranges) -> bool:
    """Whether two sets of code points share one."""
    i = j = 0
    while i < len(a) and j < len(b):
        if a[i][0] <= b[j][1] and b[j][0] <= a[i][1]:
            return True
        if a[i][1] < b[j][1]:
            i += 1
        else:
            j += 1
    return False


def common_walks(a: Positions, b: Positions, limit: int, work: Work) -> set[tuple[int, int]]:
    """Every pair of positions that one word reaches in both.

    Raises:
        TooLarge: more than ``limit`` pairs, or than there is ``work`` for.
    """
    pending = [(p, q) for p in a.first for q in b.first if intersect(a.ranges[p], b.ranges[q])]
    found = set(pending)
    while pending:
        p, q = pending.pop()
        for pair in ((x, y) for x in a.follow[p] for y in b.follow[q]):
            if pair not in found and intersect(a.ranges[pair[0]], b.ranges[pair[1]]):
                found.add(pair)
                pending.append(pair)
        if len(found) > limit:
            raise TooLarge
    work.spend(1 + len(found))
    return found
