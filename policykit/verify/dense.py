"""All matches of an expression in a text that is full of them: its automaton reads from many places at once.

RE2 is entered anew for every match. Where they stand close to each other, one step for all of them costs less.
"""

from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policykit.automata import Places, Stretches
from policykit.automata.columns import one_by_one
from policykit.automata.nfa import Nfa
from policykit.automata.spans import Part
from policykit.text.joined import SURROGATE, Joined

STEPS, READ = 512, 4
"""Characters of the longest match, and how often each character of the text may be read, before this is given up."""
_STATES = 2_000


class Dense:
    """An expression without context that matches no empty text. May be shared between threads."""

    def __init__(self, nfa: Nfa) -> None:
        self._alphabet = nfa.alphabet
        self._part = Part(nfa, nfa.body_start, nfa.body_end, backward=False)
        self._edge = self._part.edge
        self._width = self._edge + 1
        self._table = np.empty(0, np.intp)
        """The state that each symbol leads to from each; a state is where its symbols stand here, 0 where nothing is
        begun."""
        self._hits = np.empty(0, np.bool_)
        """Whether a match ends before the symbol."""
        self._lock = Lock()
        begun = [self._part.begun(symbol) for symbol in range(self._width)]
        self._begun = (np.array(begun, np.intp) + 1) * self._width
        self._reserve(64 + max(begun))
        self._table[: self._width] = 0
        self._may_begin = self._beginnings()

    def find(self, joined: Joined) -> Stretches | None:
        """Successive leftmost-longest matches in the joined texts; None where reading them so would take too long."""
        with self._lock:
            symbols = self._symbols(joined)
            starts = self._starts(symbols)
            ends = self._longest(symbols, starts)
        if ends is None:
            return None
        found = np.flatnonzero(ends >= 0)
        starts, ends = starts[found], ends[found]
        chosen = one_by_one(starts, ends)
        return starts[chosen], ends[chosen]

    def _symbols(self, joined: Joined) -> NDArray[Any]:
        """The symbols of the texts, of the joints between them, and one more for the end."""
        codes, kind = joined.codes, np.uint8 if self._width <= 256 else np.uint16
        table = self._alphabet.class_of[:256] if joined.points is None else self._alphabet.class_of
        table = table.astype(kind)
        if joined.is_jointed:
            table[0 if joined.points is None else ord(SURROGATE)] = self._edge
        if joined.points is None and kind is np.uint8:
            return np.frombuffer(joined.ascii.translate(table.tobytes()) + bytes([self._edge]), np.uint8)
        out = np.empty(len(codes) + 1, kind)
        table.take(codes, out=out[:-1], mode="clip")
        out[-1] = self._edge
        return out

    def _beginnings(self) -> NDArray[np.bool_]:
        """Between which two symbols something may be begun, ``[before, behind]``."""
        symbols = np.arange(self._width)
        may = self._step((self._begun[:, None] + symbols).ravel()).reshape(self._width, self._width) > 0
        may[:, self._edge] = False
        return may

    def _starts(self, symbols: NDArray[Any]) -> Places:
        """Where something may be begun. The edge of a text is on both sides of it."""
        first = np.flatnonzero(_of(np.array(self._may_begin.any(0)), symbols))
        before = symbols.take(first - 1, mode="wrap")
        return first[self._may_begin.ravel().take(before.astype(np.intp) * self._width + symbols.take(first))]

    def _longest(self, symbols: NDArray[Any], starts: Places) -> Places | None:
        """The end of the longest match from each place, -1 for none."""
        best = np.full(len(starts), -1, np.int64)
        lanes, base, states = np.arange(len(starts)), starts, self._begun.take(symbols.take(starts - 1, mode="wrap"))
        left = READ * len(symbols)
        for n in range(STEPS):
            left -= len(lanes)
            if left < 0 or len(self._part.rows) > _STATES:
                return None
            index = states + symbols[n:].take(base, mode="clip")  # only what is done is clipped
            states = self._step(index)
            hit = np.flatnonzero(self._hits.take(index))
            best[lanes[hit]] = base[hit] + n
            alive = np.flatnonzero(states)
            if not len(alive):
                return best
            if len(alive) < 0.7 * len(states):
                lanes, base, states = lanes[alive], base[alive], states[alive]
        return None

    def _step(self, index: NDArray[np.intp]) -> NDArray[np.intp]:
        states = self._table.take(index)
        while states.size and states.min() < 0:
            for unknown in np.flatnonzero(np.bincount(index[states < 0])).tolist():
                self._learn(unknown)
            states = self._table.take(index)
        return states

    def _learn(self, index: int) -> None:
        state, symbol = divmod(index, self._width)
        value = self._part.rows[state - 1][2 * symbol]
        if value < 0:
            value = self._part.miss(state - 1, 2 * symbol)
        to = value >> 1
        if (to + 1) * self._width >= len(self._table):
            self._reserve(2 * (to + 1))
        self._hits[index] = value & 1
        # Nothing goes on behind the edge.
        self._table[index] = (to + 1) * self._width if self._part.alive[to] and symbol != self._edge else 0

    def _reserve(self, states: int) -> None:
        table, hits = np.full(states * self._width, -1, np.intp), np.zeros(states * self._width, np.bool_)
        table[: len(self._table)], hits[: len(self._hits)] = self._table, self._hits
        self._table, self._hits = table, hits


def _of(by_symbol: NDArray[np.bool_], symbols: NDArray[Any]) -> NDArray[np.bool_]:
    """What holds of each symbol."""
    if symbols.dtype != np.uint8:
        return by_symbol[symbols]
    return np.frombuffer(symbols.tobytes().translate(by_symbol.tobytes().ljust(256)), np.bool_)
