"""Matches as columns: a text may be full of them, and an object for each costs more than finding it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policykit.automata.finder import Found

_AT_ONCE = 16
"""Stretches of a row of overlapping ones that are chosen in all such rows at once, before they are one by one."""
Places = NDArray[np.int64]
"""Places in a text, ``[n]``."""
Stretches = tuple[Places, Places]
"""Where stretches begin and where they end."""


@dataclass(frozen=True, eq=False, slots=True)
class Matches:
    """Matches one behind the other, as :class:`Found` says them one by one; ``[n]`` each."""

    starts: Places
    ends: Places
    which: Places

    def __len__(self) -> int:
        return len(self.starts)

    def found(self) -> Iterator[Found]:
        """One by one."""
        columns = self.starts.tolist(), self.ends.tolist(), self.which.tolist()
        return map(Found, *columns)


def places(of: Sequence[int]) -> Places:
    return np.array(of, np.int64)


def stretches(of: Sequence[tuple[int, int]]) -> Stretches:
    """Pairs as columns."""
    both = np.fromiter((at for pair in of for at in pair), np.int64, 2 * len(of))
    return both[::2], both[1::2]


def matches(of: Iterable[Found]) -> Matches:
    """What was found one by one, in the same order."""
    found = list(of)
    if not found:
        return NO_MATCHES
    return Matches(
        places([one.start for one in found]), places([one.end for one in found]), places([one.index for one in found])
    )


def joined(parts: Sequence[Matches]) -> Matches:
    """The parts one behind the other."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return NO_MATCHES
    columns = zip(*((part.starts, part.ends, part.which) for part in parts), strict=True)
    return Matches(*map(np.concatenate, columns))


def longest_first(starts: Places, ends: Places) -> Places:
    """The order by start, of equal ones the longest, else as they stand: ``[n]`` indices. Ends are below 2^31."""
    if (starts[1:] > starts[:-1]).all():
        return np.arange(len(starts))
    return np.argsort((starts << 32) - ends, kind="stable")


def one_by_one(starts: Places, ends: Places) -> Places:
    """Of stretches in such an order those that are chosen: each the next that begins where the one before ends, or
    later, and behind its start. ``[m]`` indices."""
    free = np.maximum(ends, starts + 1)
    if (starts[1:] >= free[:-1]).all():
        return np.arange(len(starts))
    after = np.searchsorted(starts, free)
    # What begins where all before has ended is chosen, so that the choice goes on from all of these at once.
    chosen = np.append(True, starts[1:] >= np.maximum.accumulate(free)[:-1])
    is_first, at = chosen.copy(), np.flatnonzero(chosen)
    for _ in range(_AT_ONCE):
        at = after[at]
        at = at[at < len(starts)]
        at = at[~is_first[at]]
        if not len(at):
            return np.flatnonzero(chosen)
        chosen[at] = True
    to, ends_at = after.tolist(), [*is_first.tolist(), True]
    rest: list[int] = []
    for place in at.tolist():
        place = to[place]
        while not ends_at[place]:
            rest.append(place)
            place = to[place]
    chosen[rest] = True
    return np.flatnonzero(chosen)


def leftmost_longest_of(found: Matches) -> Matches:
    """The selection of :func:`policykit.automata.finder.leftmost_longest`, on columns."""
    if len(found) < 2:
        return found
    by_pattern = np.argsort(found.which, kind="stable") if found.which.min() != found.which.max() else None
    starts, ends, which = found.starts, found.ends, found.which
    if by_pattern is not None:
        starts, ends, which = starts[by_pattern], ends[by_pattern], which[by_pattern]
    order = longest_first(starts, ends)
    starts, ends, which = starts[order], ends[order], which[order]
    chosen = one_by_one(starts, ends)
    return Matches(starts[chosen], ends[chosen], which[chosen])


def not_contained(found: Matches) -> Matches:
    """Those that no other contains; of equal stretches that with the least index. In order."""
    if len(found) < 2:
        return found
    order = np.lexsort((found.which, -found.ends, found.starts))
    starts, ends, which = found.starts[order], found.ends[order], found.which[order]
    kept = ends > reached(ends)
    return Matches(starts[kept], ends[kept], which[kept])


def reached(ends: Places) -> Places:
    """How far the stretches before each one reach: -1 before the first."""
    return np.maximum.accumulate(np.concatenate((places([-1]), ends[:-1])))


def inside(spans: Sequence[tuple[int, int]], starts: Places, ends: Places) -> NDArray[np.bool_]:
    """Which stretches are inside the characters that some spans cover together."""
    if not spans:
        return np.zeros(len(starts), np.bool_)
    begins, stops = stretches(sorted(spans))
    apart = begins > reached(stops)
    begins, stops = begins[apart], np.maximum.accumulate(stops)[np.append(apart[1:], True)]
    at = np.searchsorted(begins, starts, "right") - 1
    return (at >= 0) & (ends <= stops[at])


NO_MATCHES = Matches(places([]), places([]), places([]))
