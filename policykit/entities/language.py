"""Regular languages of ASCII, asked about many stretches of one length at once."""

from functools import cache
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from policykit.automata import Pattern, parse_regex
from policykit.automata.anchored import DEAD, AnchoredAutomaton
from policykit.automata.nfa import build
from policykit.diagnostics import Place
from policykit.text import view

Rows = NDArray[np.uint8]
"""ASCII codes, one stretch per row: ``[n, length]``."""
_STATES = 64


class Language:
    """RE2 source without assertions. Grows its automaton while it runs; may be shared between threads."""

    def __init__(self, source: str) -> None:
        self._automaton = AnchoredAutomaton(build(view("raw"), Pattern(parse_regex(source, Place("entities")))))
        self._symbol_of = self._automaton.alphabet.class_of[:128].astype(np.int32)
        self._width = self._automaton.alphabet.n
        self._table = np.full(_STATES * self._width, -1, np.int32)
        self._table[: self._width] = DEAD
        self._accepts = np.zeros(_STATES, np.bool_)
        self._accepts[self._automaton.start] = self._automaton.accepts(self._automaton.start)
        self._lock = Lock()

    def has(self, rows: Rows) -> NDArray[np.bool_]:
        """Which stretches are in the language."""
        with self._lock:
            return self._read(rows, begins=False)

    def begins(self, rows: Rows) -> NDArray[np.bool_]:
        """Which stretches begin with something of the language."""
        with self._lock:
            return self._read(rows, begins=True)

    def _read(self, rows: Rows, begins: bool) -> NDArray[np.bool_]:
        found = np.full(len(rows), begins and bool(self._accepts[self._automaton.start]))
        lanes = np.arange(len(rows))
        states = np.full(len(rows), self._automaton.start, np.int32)
        for column in rows.T:
            states = self._step(states, self._symbol_of[column[lanes]])
            if begins:
                found[lanes[self._accepts[states]]] = True
            alive = states != DEAD
            if np.count_nonzero(alive) < 0.7 * len(lanes):
                lanes, states = lanes[alive], states[alive]
        if not begins:
            found[lanes] = self._accepts[states]
        return found

    def _step(self, states: NDArray[np.int32], symbols: NDArray[np.int32]) -> NDArray[np.int32]:
        index = states * self._width + symbols
        to = self._table.take(index)
        while to.size and to.min() < 0:
            for unknown in set(index[to < 0].tolist()):
                self._learn(unknown)
            to = self._table.take(index)
        return to

    def _learn(self, index: int) -> None:
        to = self._automaton.step(*divmod(index, self._width))
        while to >= len(self._accepts):
            self._table = np.concatenate((self._table, np.full(len(self._table), -1, np.int32)))
            self._accepts = np.concatenate((self._accepts, np.zeros(len(self._accepts), np.bool_)))
        self._table[index] = to
        self._accepts[to] = self._automaton.accepts(to)


@cache
def language(source: str) -> Language:
    """The language of some source, always the same object."""
    return Language(source)
