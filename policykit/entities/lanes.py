"""All matches of a body in a text: its automaton reads from many places at once, one character of each per step.

Where places are few or a match is long, they are read one by one, and what was read is remembered.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from policykit.automata.anchored import DEAD, AnchoredAutomaton
from policykit.automata.nfa import Nfa
from policykit.entities.compact import Places
from policykit.entities.guards import Ends
from policykit.text.joined import SURROGATE, Joined, join

Symbols: TypeAlias = "memoryview[int] | Sequence[int]"
MayEnd: TypeAlias = Callable[[int], bool]
Keeps: TypeAlias = Callable[[Places, Places], NDArray[np.bool_]]
"""Which of some matches are kept: by the number of the place that each begins at, and its end."""
_UNKNOWN = -1
_NOWHERE = np.empty(0, np.int64)
_ENDERS = b""
FEW = 24
"""Places that are cheaper one by one."""
_AHEAD = 400
"""States of an automaton that is worked out ahead."""
STEPS, LEAPS = 64, 32
"""Steps before runs of characters that keep a state are leapt over, and such leaps."""
PAYS = 200
"""Characters that are read in a leap, and for each state in it, for leaps to be worth more than to read one by one."""
_REMEMBER_EVERY = 16
"""Characters between two of which it is remembered what is read from there."""
TRIED, TRIED_STATES = 16, 6
"""Parts that are tried to find the state that is begun in most often, and states that are."""
PART, SOME, GUESSES = 64, 16, 4
"""Characters of a part of a text; the part of a text that is read one by one before parts are read at once, and how
often that is done."""


@dataclass(slots=True)
class _Reading:
    """Lanes that have read ``n`` characters, each from its ``base`` on, and the states that they are in."""

    symbols: NDArray[Any]
    lanes: Places
    base: Places
    states: NDArray[np.intp]
    n: int = 0


class Lanes:
    """The body of one type on one view. Grows its automaton while it runs: not for two threads at once."""

    def __init__(self, nfa: Nfa) -> None:
        self._automaton = AnchoredAutomaton(nfa)
        self._end = self._automaton.alphabet.n
        """The symbol of joints and of the end of the text, behind which nothing goes on."""
        self._width = self._end + 1
        self._table = np.empty(0, np.intp)
        """The state that each symbol leads to from each; a state is where its symbols stand here."""
        self._accepts = np.empty(0, np.bool_)
        self._is_worked_out = False
        self._tables: dict[bool, NDArray[Any]] = {}
        self._reserve(64)

    def _symbol_of(self, is_jointed_ascii: bool) -> NDArray[Any]:
        found = self._tables.get(is_jointed_ascii)
        if found is None:
            narrow = np.uint8 if self._width <= 256 else np.uint16
            found = self._automaton.alphabet.class_of.astype(narrow)
            found[0 if is_jointed_ascii else ord(SURROGATE)] = self._end
            self._tables[is_jointed_ascii] = found
        return found

    def symbols(self, joined: Joined) -> NDArray[Any]:
        """The symbols of a text, and one more for its end."""
        table = self._symbol_of(joined.points is None and joined.is_jointed)
        if joined.points is None and table.itemsize == 1:
            found = joined.ascii.translate(table[:256].tobytes()) + bytes([self._end])
            return np.frombuffer(found, np.uint8)
        found = table[joined.codes] if joined.points is None else joined.of_points(table)
        return np.append(found, table.dtype.type(self._end))

    def of_ascii(self, text: str) -> Sequence[int]:
        """The symbols of one text in ASCII, and one more for its end."""
        if self._ascii is None:
            return self.symbols(join([text])).tolist()
        return text.encode("ascii").translate(self._ascii) + self._after

    @cached_property
    def _ascii(self) -> bytes | None:
        table = self._symbol_of(False)
        return table[:256].tobytes() if table.itemsize == 1 else None

    @cached_property
    def _after(self) -> bytes:
        return bytes([self._end])

    @cached_property
    def shortest(self) -> int:
        """Characters of the shortest match."""
        return self._automaton.shortest()

    def firsts(self, symbols: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of some symbols a match may begin with."""
        is_first = np.zeros(self._width, np.bool_)
        is_first[list(self._automaton.first)] = True
        return _of(is_first, symbols)

    def _reserve(self, states: int) -> None:
        table = np.full(states * self._width, _UNKNOWN, np.intp)
        table[: self._width] = DEAD
        table[self._end :: self._width] = DEAD
        accepts = np.zeros(len(table), np.bool_)
        table[: len(self._table)] = self._table
        accepts[: len(self._accepts)] = self._accepts
        self._table, self._accepts = table, accepts

    def _learn(self, index: int) -> None:
        to = self._automaton.step(*divmod(index, self._width)) * self._width
        while to >= len(self._table):
            self._reserve(2 * len(self._table) // self._width)
        self._table[index] = to
        self._accepts[to] = self._automaton.accepts(to // self._width)

    def _step(self, states: NDArray[np.intp], symbols: NDArray[Any]) -> NDArray[np.intp]:
        index = states + symbols
        found = self._table.take(index, mode="clip")
        while not self._is_worked_out and found.size and found.min() < 0:
            for unknown in np.flatnonzero(np.bincount(index[found < 0])).tolist():
                self._learn(unknown)
            found = self._table.take(index, mode="clip")
        return found

    def work_out(self) -> None:
        """Take all steps ahead, if they are few."""
        todo, seen = [self._automaton.start], {DEAD, self._automaton.start}
        while todo and len(seen) <= _AHEAD:
            state = todo.pop()
            for symbol in range(self._end):
                self._learn(state * self._width + symbol)
                to = self._automaton.step(state, symbol)
                if to not in seen:
                    seen.add(to)
                    todo.append(to)
        self._is_worked_out = not todo

    def longest(self, symbols: NDArray[Any], starts: Places, may_end: Ends) -> tuple[Places, Places]:
        """The longest match from each place from which some match ends where one may. Linear."""
        best = np.full(len(starts), -1, np.int64)
        reading = self._begun(symbols, starts)
        while len(reading.lanes) > FEW and reading.n < STEPS:
            own, ends = self._read_on(reading, may_end)
            best[own] = ends
        alive = reading.states != DEAD
        lanes, at, states = reading.lanes[alive], reading.base[alive] + reading.n, reading.states[alive]
        runs: dict[bytes, Places] = {}
        n_leaps = n_read = spent = 0
        while len(lanes) > FEW and (n_leaps < LEAPS or n_read > spent):
            n_leaps += 1
            spent += PAYS * (1 + len(set(states.tolist())))
            n_read += len(lanes) + self._leap(symbols, may_end, runs, (lanes, at, states), best)
            states = self._step(states, symbols[at])
            at += 1
            ends_here = self._accepts[states] & may_end.at(at)
            best[lanes[ends_here]] = at[ends_here]
            alive = states != DEAD
            lanes, at, states = lanes[alive], at[alive], states[alive]
        known: dict[int, int] = {}
        one_by_one, ends_at, parts = symbols.data, may_end.one, Parts(self._step_parts(symbols, may_end), len(symbols))
        for lane, place, state in zip(lanes.tolist(), at.tolist(), states.tolist(), strict=True):
            end = self._last(one_by_one, place, state // self._width, ends_at, known, parts)
            best[lane] = max(end, int(best[lane]))
        found = best >= 0
        return starts[found], best[found]

    def every(
        self, symbols: NDArray[Any], starts: Places, may_end: Ends, keeps: Keeps | None = None
    ) -> tuple[Places, Places]:
        """All matches from these places that end where one may and that ``keeps`` lets pass: what ends later comes
        first.

        Linear in the sum of their longest, which is linear in the text where the body is bounded.
        """
        found: list[tuple[Places, Places]] = []

        def note(own: Places, ends: Places) -> None:
            if keeps is not None and len(own):
                kept = keeps(own, ends)
                own, ends = own[kept], ends[kept]
            if len(own):
                found.append((starts[own], ends))

        reading = self._begun(symbols, starts)
        while len(reading.lanes) > FEW:
            note(*self._read_on(reading, may_end))
        one_by_one, at = symbols.data, (reading.base + reading.n).tolist()
        by_end: dict[int, list[int]] = {}
        for lane, place, state in zip(reading.lanes.tolist(), at, reading.states.tolist(), strict=True):
            for end in self._ends(one_by_one, place, state // self._width, may_end.one):
                by_end.setdefault(end, []).append(lane)
        for end in sorted(by_end):
            note(np.array(by_end[end]), np.full(len(by_end[end]), end))
        if not found:
            return starts[:0], starts[:0]
        begins, stops = zip(*found[::-1], strict=True)
        return np.concatenate(begins), np.concatenate(stops)

    def longest_from(self, symbols: Symbols, start: int, may_end: MayEnd, known: dict[int, int]) -> int:
        """The end of the longest match from one place, -1 for none. What was read in vain is remembered in ``known``,
        for the same text."""
        return self._last(symbols, start, self._automaton.start, may_end, known)

    def every_from(self, symbols: Symbols, start: int, may_end: MayEnd) -> list[int]:
        """The ends of all matches from one place, the longest first."""
        return self._ends(symbols, start, self._automaton.start, may_end)[::-1]

    def is_first(self, symbol: int) -> bool:
        """Whether a match may begin with the symbol."""
        return symbol in self._automaton.first

    def is_first_of(self, char: str) -> bool:
        """Whether a match may begin with a character of the view."""
        return self._automaton.alphabet.of(char) in self._automaton.first

    def _begun(self, symbols: NDArray[Any], starts: Places) -> "_Reading":
        start = self._automaton.start * self._width
        return _Reading(symbols, np.arange(len(starts)), starts, np.full(len(starts), start, np.intp))

    def _read_on(self, reading: "_Reading", may_end: Ends) -> tuple[Places, Places]:
        """Read a character of every lane: which lanes a match ends in now, and where. Leaves the dead ones out, once
        they are many."""
        base, n = reading.base, reading.n
        states = self._step(reading.states, reading.symbols[n:].take(base, mode="clip"))  # only dead lanes are clipped
        n = reading.n = n + 1
        own = ends = _NOWHERE
        if n >= self.shortest:
            here = np.flatnonzero(self._accepts.take(states, mode="clip"))
            ends = base[here] + n
            may = may_end.at(ends)
            own, ends = reading.lanes[here[may]], ends[may]
        reading.states = states
        left = int(np.count_nonzero(states))
        if left < 0.7 * len(states) or left <= FEW:
            alive = np.flatnonzero(states)
            reading.lanes, reading.base, reading.states = reading.lanes[alive], base[alive], states[alive]
        return own, ends

    def _leap(
        self,
        symbols: NDArray[Any],
        may_end: Ends,
        runs: dict[bytes, Places],
        moving: tuple[Places, Places, NDArray[np.intp]],
        best: Places,
    ) -> int:
        """Move every lane to the end of the run of characters that keep its state: how far all of them were. ``runs``
        are the ends of runs by what they consist of."""
        lanes, at, states = moving
        moved = 0
        for state in set(states.tolist()):
            stays = self._step(np.full(self._width, state, np.intp), np.arange(self._width)) == state
            if not stays.any():
                continue
            key = stays.tobytes()
            if key not in runs:
                runs[key] = np.flatnonzero(_of(~stays, symbols))  # the end of the text is one
            here = np.flatnonzero(states == state)
            to = runs[key][np.searchsorted(runs[key], at[here])]
            if self._accepts[state]:
                if _ENDERS not in runs:
                    runs[_ENDERS] = may_end.everywhere
                enders = runs[_ENDERS]
                last = enders[np.maximum(np.searchsorted(enders, to, "right") - 1, 0)] if len(enders) else to
                inside = (last > at[here]) & (last <= to) & bool(len(enders))
                best[lanes[here[inside]]] = last[inside]
            moved += int((to - at[here]).sum())
            at[here] = to
        return moved

    def _last(
        self,
        symbols: Symbols,
        at: int,
        state: int,
        may_end: MayEnd,
        known: dict[int, int],
        parts: "Parts | None" = None,
    ) -> int:
        """The end of the longest match that goes on here, -1 for none; what was read before is not read again."""
        automaton, end, best = self._automaton, self._end, -1
        passed: list[tuple[int, int]] = []
        while state:
            if not at % _REMEMBER_EVERY:
                key = state * len(symbols) + at
                if key in known:
                    best = max(best, known[key])
                    break
                passed.append((key, at))
                if parts is not None and not at % PART and (over := parts.over(at, state, passed)):
                    state, ended = over
                    best, at = max(best, ended), at + PART
                    continue
            until = at + _REMEMBER_EVERY - at % _REMEMBER_EVERY
            at, state, ends = automaton.run(symbols, at, until, state, end)
            best = next(filter(may_end, reversed(ends)), best)
        for key, place in passed:
            known[key] = best if best > place else -1
        return best

    def _step_parts(self, symbols: NDArray[Any], may_end: Ends) -> "StepParts":
        def step(usual: int, parts: range) -> tuple[list[int], list[int], list[int]]:
            first = PART * np.arange(parts.start, parts.stop)
            states = np.full(len(first), usual * self._width, np.intp)
            for i in range(-PART, 0):
                states = self._step(states, symbols[first + i])
            begun, ended = states, np.full(len(first), -1, np.int64)
            for i in range(PART):
                states = self._step(states, symbols[first + i])
                here = np.flatnonzero(self._accepts.take(states))
                ends = first[here] + i + 1
                may = may_end.at(ends)
                ended[here[may]] = ends[may]
            return (begun // self._width).tolist(), (states // self._width).tolist(), ended.tolist()

        return step

    def _ends(self, symbols: Symbols, at: int, state: int, may_end: MayEnd) -> list[int]:
        return [end for end in self._automaton.reached(symbols, at, state, self._end) if may_end(end)]


StepParts: TypeAlias = Callable[[int, range], tuple[list[int], list[int], list[int]]]
"""For some parts of a text, none the first: the state that the part is begun in, if the one before is in a given state,
the state that it leads to, and where a match ends in it last, -1 for nowhere."""


class Parts:
    """Parts of a text that are read all at once, where long matches are many characters: a part begins in the state
    that the usual one leads to over the part before. Whoever comes to it in that state is over it at once."""

    def __init__(self, step: StepParts, n: int) -> None:
        self._step, self._n = step, n
        self._known: list[dict[int, tuple[int, int, int]]] = []
        self._left = n // SOME

    def over(self, at: int, state: int, passed: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
        """What a reading in a state comes to over the part that begins at a place, and where a match ends in it last;
        None where that is not known. ``passed`` are places where the reading was, by number of state and place."""
        for known in self._known:
            if (found := known.get(at)) and found[0] == state:
                return found[1:]
        self._left -= PART
        if self._left < 0 and len(self._known) < GUESSES:
            every = range(1, self._n // PART)
            usual = self._usual(passed, every[at // PART :][:TRIED])
            columns = self._step(usual, every) if usual else ((), (), ())
            self._known.append(dict(zip((PART * part for part in every), zip(*columns, strict=True), strict=False)))
            self._left = self._n // SOME
        return None

    def _usual(self, passed: Sequence[tuple[int, int]], tried: range) -> int:
        """Of the states that were met often the one from which most parts go on where the one before them ends; dead
        where few do."""

        def fits(state: int) -> int:
            begun, to, _ = self._step(state, tried)
            return sum(before == behind > 0 for before, behind in zip(to[:-1], begun[1:], strict=True))

        met = [state for state, _ in Counter(key // self._n for key, _ in passed).most_common(TRIED_STATES)]
        found = {state: fits(state) for state in met}
        usual = max(met, key=found.__getitem__)
        return usual if 4 * found[usual] >= len(tried) - 1 else DEAD


def _of(by_symbol: NDArray[np.bool_], symbols: NDArray[Any]) -> NDArray[np.bool_]:
    """What holds of each symbol."""
    if symbols.dtype != np.uint8:
        return by_symbol[symbols]
    table = np.zeros(256, np.bool_)
    table[: len(by_symbol)] = by_symbol[:256]
    return np.frombuffer(symbols.tobytes().translate(table.tobytes()), np.bool_)
