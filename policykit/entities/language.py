"""Regular languages of digits and capitals in one table: many stretches are read at once, each by a language of its
own."""

from functools import cache
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from policykit.automata import Pattern, parse_regex
from policykit.automata.anchored import AnchoredAutomaton
from policykit.automata.nfa import build
from policykit.diagnostics import Place
from policykit.entities.compact import Places
from policykit.entities.plain import CHARS, DEAD, N_DIGITS, NotPlain, PlainAutomaton
from policykit.text import view

Rows = NDArray[np.uint8]
"""ASCII codes, one stretch per row, with :data:`PAD` behind those that are shorter: ``[n, longest]``."""
PAD = 0
"""Stands behind the end of a stretch."""
Columns = NDArray[np.uint8]
"""The same stretches as symbols of the languages, one per column, ``[longest, n]``."""
Starts = NDArray[np.intp]
"""Languages as :meth:`Languages.start` names them."""
_STATES = 1024
_AHEAD = 400
"""States of an automaton that is worked out ahead."""
_OF_BYTES = bytes(max(CHARS.find(chr(code)), 0) for code in range(256))


class _General:
    """An expression that is not plain, by the general automaton."""

    def __init__(self, source: str) -> None:
        self._automaton = AnchoredAutomaton(build(view("raw"), Pattern(parse_regex(source, Place("entities")))))
        self._symbols = self._automaton.alphabet.encode(CHARS)
        self.start = self._automaton.start

    def step(self, state: int, symbol: int) -> int:
        return self._automaton.step(state, self._symbols[symbol])

    def accepts(self, state: int) -> bool:
        return self._automaton.accepts(state)


class Languages:
    """Languages over the first ``width`` of :data:`CHARS`, named by RE2 source without assertions. A state is the place
    of its first symbol in the table, and a language the state that it begins in; 0 is the language of nothing.

    Grows its automata while it runs; may be shared between threads.
    """

    def __init__(self, width: int) -> None:
        self._end = width
        """The symbol of what is behind the end; from a state that accepts it leads to the one of what has ended."""
        self._width = width + 1
        self._symbols = np.frombuffer(_OF_BYTES, np.uint8).copy()
        self._symbols[PAD] = self._end
        self._ended = self._width
        self._table = np.full(_STATES * self._width, -1, np.intp)
        self._table[: 2 * self._width] = DEAD
        self._table[self._ended + self._end] = self._ended
        self._accepts = np.zeros(_STATES * self._width, np.bool_)
        self._accepts[self._ended] = True
        self._states: list[tuple[PlainAutomaton | _General, dict[int, int], int] | None] = [None, None]
        """Whose each state is, its place here by its number there, and that number."""
        self._starts: dict[str, int] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        """How many have been named."""
        return len(self._starts)

    def start(self, source: str) -> int:
        """The name of a language, always the same."""
        with self._lock:
            found = self._starts.get(source)
            if found is None:
                automaton = _automaton(source)
                found = self._starts[source] = self._place(automaton, {DEAD: 0}, automaton.start)
            return found

    def columns(self, rows: Rows) -> Columns:
        """Stretches as :meth:`has_of` reads them, for those that are read more than once."""
        return self._symbols.take(np.ascontiguousarray(rows.T))

    def has(self, starts: Starts, rows: Rows) -> NDArray[np.bool_]:
        """Which stretches are in the language that is named for each."""
        return self.has_of(starts, self.columns(rows), np.arange(len(rows)))

    def has_of(self, starts: Starts, columns: Columns, own: Places) -> NDArray[np.bool_]:
        """The same for some of the columns."""
        with self._lock:
            return self._read(starts, columns, own, begins=False)

    def begins(self, starts: Starts, rows: Rows) -> NDArray[np.bool_]:
        """Which stretches begin with something of the language."""
        return self.begins_of(starts, self.columns(rows), np.arange(len(rows)))

    def begins_of(self, starts: Starts, columns: Columns, own: Places) -> NDArray[np.bool_]:
        """The same for some of the columns."""
        with self._lock:
            return self._read(starts, columns, own, begins=True)

    def has_one(self, start: int, text: str) -> bool:
        """:meth:`has` for one stretch."""
        return self._last(start, text, begins=False)

    def begins_one(self, start: int, text: str) -> bool:
        """:meth:`begins` for one stretch."""
        return self._last(start, text, begins=True)

    def work_out(self, start: int) -> None:
        """Take all steps of a language ahead, if they are few."""
        with self._lock:
            todo, seen = [start], {DEAD, start}
            while todo and len(seen) <= _AHEAD:
                state = todo.pop()
                for symbol in range(self._end):
                    to = self._step_one(state + symbol)
                    if to not in seen:
                        seen.add(to)
                        todo.append(to)

    def _last(self, state: int, text: str, begins: bool) -> bool:
        with self._lock:
            table, accepts = self._table.data, self._accepts.data
            for symbol in text.encode("ascii").translate(_OF_BYTES):
                if begins and accepts[state]:
                    return True
                at = state + symbol
                state = table[at]
                if state < 0:
                    state = self._step_one(at)
                    table, accepts = self._table.data, self._accepts.data
                if state == DEAD:
                    return False
            return bool(accepts[state])

    def _read(self, starts: Starts, columns: Columns, own: Places, begins: bool) -> NDArray[np.bool_]:
        found = self._accepts.take(starts) & begins
        lanes = np.flatnonzero(starts)
        states, own = starts[lanes], own[lanes]
        for column in columns:
            states = self._step(states + column.take(own))
            if begins:
                found[lanes[self._accepts.take(states)]] = True
            if np.count_nonzero(states) < 0.7 * len(lanes):
                alive = np.flatnonzero(states)
                lanes, states, own = lanes[alive], states[alive], own[alive]
        if not begins:
            found[lanes] = self._accepts.take(states)
        return found

    def _step(self, index: Starts) -> Starts:
        to = self._table.take(index)
        while to.size and to.min() < 0:
            for unknown in np.flatnonzero(np.bincount(index[to < 0])).tolist():
                self._step_one(unknown)
            to = self._table.take(index)
        return to

    def _step_one(self, index: int) -> int:
        known = int(self._table[index])
        if known >= 0:
            return known
        number, symbol = divmod(index, self._width)
        owned = self._states[number]
        assert owned is not None, "nothing is dead without being known"
        automaton, places, own = owned
        to = self._place(automaton, places, automaton.step(own, symbol))
        self._table[index] = to
        return to

    def _place(self, automaton: PlainAutomaton | _General, places: dict[int, int], own: int) -> int:
        found = places.get(own)
        if found is None:
            found = places[own] = len(self._states) * self._width
            self._states.append((automaton, places, own))
            if found >= len(self._table):
                self._table = np.concatenate((self._table, np.full(len(self._table), -1, np.intp)))
                self._accepts = np.concatenate((self._accepts, np.zeros(len(self._accepts), np.bool_)))
            accepts = self._accepts[found] = automaton.accepts(own)
            self._table[found + self._end] = self._ended if accepts else DEAD
        return found


def _automaton(source: str) -> PlainAutomaton | _General:
    try:
        return PlainAutomaton(source)
    except NotPlain:
        return _General(source)


@cache
def digits() -> Languages:
    """Languages of digits, for everybody."""
    return Languages(N_DIGITS)


@cache
def capitals() -> Languages:
    """Languages of digits and capitals, for everybody."""
    return Languages(len(CHARS))
