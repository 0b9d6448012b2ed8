"""Regular languages of ASCII, asked about many stretches of one length at once."""

from functools import cache
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from policykit.automata import Pattern, parse_regex
from policykit.automata.anchored import DEAD, AnchoredAutomaton
from policykit.automata.nfa import build
from policykit.diagnostics import Place
from policykit.entities.plain import CHARS, NotPlain, PlainAutomaton
from policykit.text import view

Rows = NDArray[np.uint8]
"""ASCII codes, one stretch per row: ``[n, length]``."""
_STATES = 64
_AHEAD = 400
"""States of an automaton that is worked out ahead."""


class Language:
    """RE2 source without assertions. Grows its automaton while it runs; may be shared between threads."""

    def __init__(self, source: str) -> None:
        self._automaton, self._symbol_of = _automaton(source)
        self._symbols = self._symbol_of.astype(np.uint8).tobytes()
        self._width = int(self._symbol_of.max()) + 1
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

    def has_one(self, text: str) -> bool:
        """:meth:`has` for one stretch."""
        with self._lock:
            state = self._automaton.start
            for code in text.encode("ascii"):
                index = state * self._width + self._symbols[code]
                state = self._table.item(index)
                if state < 0:
                    self._learn(index)
                    state = self._table.item(index)
                if state == DEAD:
                    return False
            return bool(self._accepts[state])

    def begins_one(self, text: str) -> bool:
        """:meth:`begins` for one stretch."""
        return any(self.has_one(text[:n]) for n in range(len(text) + 1))

    def work_out(self) -> None:
        """Take all steps ahead, if they are few."""
        with self._lock:
            automaton, rows = self._automaton, list[list[int]]()
            n_states = automaton.start + 1
            while len(rows) < min(n_states, _AHEAD):
                state = len(rows)
                steps = [automaton.step(state, s) if state >= automaton.start else DEAD for s in range(self._width)]
                rows.append(steps)
                n_states = max(n_states, *(to + 1 for to in steps))
            while len(self._accepts) < n_states:
                self._grow()
            table = np.array(rows, np.int32).ravel()
            self._table[: len(table)] = table
            self._accepts[:n_states] = [automaton.accepts(state) for state in range(n_states)]

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
            for unknown in np.flatnonzero(np.bincount(index[to < 0])).tolist():
                self._learn(unknown)
            to = self._table.take(index)
        return to

    def _learn(self, index: int) -> None:
        to = self._automaton.step(*divmod(index, self._width))
        while to >= len(self._accepts):
            self._grow()
        self._table[index] = to
        self._accepts[to] = self._automaton.accepts(to)

    def _grow(self) -> None:
        self._table = np.concatenate((self._table, np.full(len(self._table), -1, np.int32)))
        self._accepts = np.concatenate((self._accepts, np.zeros(len(self._accepts), np.bool_)))


def _automaton(source: str) -> tuple[AnchoredAutomaton | PlainAutomaton, NDArray[np.int32]]:
    """The automaton, and the symbol of every character of ASCII."""
    try:
        plain = PlainAutomaton(source)
        symbols = np.full(128, plain.n, np.int32)
        symbols[np.frombuffer(CHARS[: plain.n].encode(), np.uint8)] = np.arange(plain.n)
        return plain, symbols
    except NotPlain:
        automaton = AnchoredAutomaton(build(view("raw"), Pattern(parse_regex(source, Place("entities")))))
        alphabet = automaton.alphabet
        return automaton, alphabet.spread(np.arange(alphabet.n, dtype=np.int32), 128)


@cache
def language(source: str) -> Language:
    """The language of some source, always the same object."""
    return Language(source)
