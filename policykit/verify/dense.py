"""All matches of an expression in a text that is full of them: its automaton reads from many places at once.

RE2 is entered anew for every match. Where they stand close to each other, one step for all of them costs less.
"""

from threading import Lock

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
        self._table = np.full(64 * self._width, -1, np.int32)
        self._alive = np.zeros(64, np.bool_)
        self._lock = Lock()
        self._begun = np.array([self._part.begun(symbol) for symbol in range(self._width)], np.int32)
        self._may_begin = self._beginnings()

    def find(self, joined: Joined) -> Stretches | None:
        """Successive leftmost-longest matches in the joined texts; None where reading them so would take too long."""
        with self._lock:
            symbols = self._symbols(joined)
            before = np.concatenate((symbols[-1:], symbols[:-1]))  # the edge of a text is on both sides of it
            starts = np.flatnonzero(self._may_begin.take(before.astype(np.intp) * self._width + symbols))
            ends = self._longest(symbols, starts, before[starts])
        if ends is None:
            return None
        found = ends >= 0
        starts, ends = starts[found], ends[found]
        chosen = one_by_one(starts, ends)
        return starts[chosen], ends[chosen]

    def _symbols(self, joined: Joined) -> NDArray[np.uint16]:
        """The symbols of the texts, of the joints between them, and one more for the end."""
        codes = joined.codes
        table = self._alphabet.class_of[:256] if joined.points is None else self._alphabet.class_of
        table = table.astype(np.uint16)
        if joined.is_jointed:
            table[0 if joined.points is None else ord(SURROGATE)] = self._edge
        out = np.empty(len(codes) + 1, np.uint16)
        table.take(codes, out=out[:-1], mode="clip")
        out[-1] = self._edge
        return out

    def _beginnings(self) -> NDArray[np.bool_]:
        """Between which two symbols something may be begun, as one table."""
        symbols = np.arange(self._width)
        values = self._step((self._begun[:, None] * self._width + symbols).ravel())
        may = self._alive[values >> 1].reshape(self._width, self._width)
        may[:, self._edge] = False
        return may.ravel()

    def _longest(self, symbols: NDArray[np.uint16], starts: Places, before: NDArray[np.uint16]) -> Places | None:
        """The end of the longest match from each place, -1 for none."""
        best = np.full(len(starts), -1, np.int64)
        lanes, at, states = np.arange(len(starts)), starts.copy(), self._begun[before]
        left = READ * len(symbols)
        for _ in range(STEPS):
            left -= len(lanes)
            if left < 0 or len(self._part.rows) > _STATES:
                return None
            here = symbols[at]
            values = self._step(states * self._width + here)
            hit = (values & 1).astype(np.bool_)
            best[lanes[hit]] = at[hit]
            states = values >> 1
            alive = np.flatnonzero(self._alive[states] & (here != self._edge))
            if not len(alive):
                return best
            lanes, at, states = lanes[alive], at[alive] + 1, states[alive]
        return None

    def _step(self, index: NDArray[np.int32]) -> NDArray[np.int32]:
        """Twice the next state, and one more where a match ends before the symbol."""
        values = self._table.take(index)
        while values.size and values.min() < 0:
            for unknown in np.flatnonzero(np.bincount(index[values < 0])).tolist():
                self._learn(unknown)
            values = self._table.take(index)
        return values

    def _learn(self, index: int) -> None:
        state, symbol = divmod(index, self._width)
        value = self._part.rows[state][2 * symbol]
        if value < 0:
            value = self._part.miss(state, 2 * symbol)
        while value >> 1 >= len(self._alive):
            self._table = np.concatenate((self._table, np.full(len(self._table), -1, np.int32)))
            self._alive = np.concatenate((self._alive, np.zeros(len(self._alive), np.bool_)))
        self._table[index] = value
        self._alive[value >> 1] = self._part.alive[value >> 1]
