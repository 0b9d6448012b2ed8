"""All matches of many expressions in a text that is full of them, in one reading of it.

RE2 reads a text once for every expression, and is entered anew for every match. Where that is much, one automaton for
all expressions reads from every place where one of them may begin, a character of each place at a time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from policykit.automata import Places, Stretches
from policykit.automata.alphabet import NEWLINE, REGEX_WORD, partition
from policykit.automata.columns import one_by_one, places
from policykit.automata.nfa import Nfa, Pattern, build
from policykit.automata.spans import Part
from policykit.ir.regex import Look, Regex
from policykit.text import View
from policykit.text.joined import SURROGATE, Joined
from policykit.verify.encoded import LINE_LOOKS, WORD_LOOKS, looks_of, sets_of

STEPS, READ, FEW, ALONE = 512, 4, 48, 40_000
"""Characters of a match that are read from all places at once, how often each character of the text may be read so,
places that are cheaper one by one, and characters that are read so."""
SAMPLE, LONG = 16, 100_000
"""The part of the places in a long text that tells whether all of them take too long, and characters of a long one."""
STATES, LEARNED = 8_000, 12_000
"""States that are kept, and steps that one text may make known."""

_State: TypeAlias = tuple[tuple[int, int], ...]
"""The expressions that are being read, by number, and the state of each."""


@dataclass(slots=True)
class _Lanes:
    """Places (``base``) from which ``n`` characters were read, by number, and the states that they are in."""

    own: Places
    base: Places
    states: NDArray[np.intp]
    n: int = 0


@dataclass(frozen=True, slots=True)
class _Begins:
    """How some expressions begin: the state behind each symbol; behind which kinds of symbols each may stand first, as
    bits; of which kind each is; and the length of the shortest match."""

    states: NDArray[np.intp]
    after: NDArray[np.uint8]
    kind: NDArray[np.uint8]
    shortest: int


class Together:
    """Numbered expressions without context that match no empty text. May be shared between threads."""

    def __init__(self, view: View, regexes: Mapping[int, Regex]) -> None:
        looks = frozenset[Look]().union(*map(looks_of, regexes.values()))
        flags = (NEWLINE if looks & LINE_LOOKS else 0) | (REGEX_WORD if looks & WORD_LOOKS else 0)
        sets = [one for regex in regexes.values() for one in sets_of(view, regex)]
        self._view, self._regexes = view, regexes
        self._alphabet = partition(view, sets, flags)
        self._edge = self._alphabet.n
        self._width = self._edge + 1
        self._symbol_type = np.uint8 if self._width <= 256 else np.uint16
        self._parts: dict[int, tuple[Part, int]] = {}
        self._lock = Lock()
        self._forget()

    def find(self, joined: Joined, at: Mapping[int, int]) -> dict[int, Stretches | None]:
        """Successive leftmost-longest matches in the joined texts of some of the expressions, of each those from a
        place on; None for those that would take too long."""
        numbers = tuple(sorted(at))
        with self._lock:
            if len(self._keys) > STATES:
                self._forget()
            begins = self._begins(numbers)
            symbols = self._symbols(joined)
            starts, states = self._starts(symbols, begins, min(at.values()))
            read, self._left_to_learn = _Read(self._sets), LEARNED
            some = len(starts) // SAMPLE if len(symbols) > LONG else 0
            self._read(symbols, _lanes(starts, states, 0, some), begins.shortest, read, len(symbols) // SAMPLE)
            if not read.given_up:
                self._read(symbols, _lanes(starts, states, some, len(starts)), begins.shortest, read, len(symbols))
                some = 0
        if some:  # what would be given up is given up after a part, and the others are read without it
            others = {number: place for number, place in at.items() if number not in read.given_up}
            return {**dict.fromkeys(read.given_up), **(self.find(joined, others) if others else {})}
        out: dict[int, Stretches | None] = {}
        for number in numbers:
            if number in read.given_up:
                out[number] = None
                continue
            begin, end = read.of(number, starts)
            first = int(np.searchsorted(begin, at[number]))
            begin, end = begin[first:], end[first:]
            chosen = one_by_one(begin, end)
            out[number] = begin[chosen], end[chosen]
        return out

    def _forget(self) -> None:
        self._keys: list[_State] = [()]
        self._numbers: dict[_State, int] = {(): 0}
        self._known: dict[tuple[int, ...], _Begins] = {}
        self._sets: list[tuple[int, ...]] = [()]
        self._set_numbers: dict[tuple[int, ...], int] = {(): 0}
        self._table = np.empty(0, np.intp)
        """The state that each symbol leads to from each; a state is where its symbols stand here, 0 where nothing is
        begun."""
        self._hits = np.empty(0, np.int32)
        """Of which expressions a match ends before the symbol, as the number of their set."""
        self._reserve(256)
        self._table[: self._width] = 0

    def _part(self, number: int) -> tuple[Part, int]:
        """The automaton of one expression, and the length of its shortest match."""
        found = self._parts.get(number)
        if found is None:
            nfa = build(self._view, Pattern(self._regexes[number]), self._alphabet)
            part = Part(nfa, nfa.body_start, nfa.body_end, backward=False)
            found = self._parts[number] = part, _shortest(nfa)
        return found

    @cached_property
    def _wide(self) -> NDArray[Any]:
        table = self._alphabet.spread(np.arange(self._width, dtype=self._symbol_type))
        table[ord(SURROGATE)] = self._edge
        return table

    @cached_property
    def _narrow(self) -> NDArray[Any]:
        return self._alphabet.spread(np.arange(self._width, dtype=self._symbol_type), 256)

    def _symbols(self, joined: Joined) -> NDArray[Any]:
        """The symbols of the texts, of the joints between them, and one more for the end."""
        if joined.points is not None:
            return np.append(joined.of_points(self._wide), self._symbol_type(self._edge))
        table = self._narrow
        if joined.is_jointed:
            table = table.copy()
            table[0] = self._edge
        if table.itemsize > 1:
            return np.append(table[joined.codes], self._symbol_type(self._edge))
        return np.frombuffer(joined.ascii.translate(table.tobytes()) + bytes([self._edge]), np.uint8)

    def _starts(self, symbols: NDArray[Any], begins: "_Begins", behind: int) -> tuple[Places, NDArray[np.intp]]:
        """Where something may begin from a place on, and the states in which it does. The edge of a text is on both
        sides of it."""
        after = _of(begins.after, symbols)
        before = np.empty_like(after)
        before[0], before[1:] = begins.kind[self._edge], _of(begins.kind, symbols[:-1])
        before &= after
        before[:behind] = 0
        first = np.flatnonzero(before > 0)
        return first, begins.states.take(symbols.take(first - 1, mode="wrap"))

    def _read(self, symbols: NDArray[Any], lanes: _Lanes, shortest: int, found: "_Read", n: int) -> None:
        """What ends where, read from some places on that stand in ``n`` characters of the text."""
        left = READ * n
        while len(lanes.own) > FEW:
            left -= len(lanes.own)
            if left < 0 or lanes.n >= STEPS:
                break
            index = symbols[lanes.n :].take(lanes.base, mode="clip") + lanes.states  # only what is done is clipped
            states = self._step(index)
            if states is None:
                break
            if lanes.n >= shortest:
                hits = self._hits.take(index)
                own = np.flatnonzero(hits > 0)
                found.note(lanes.own[own], lanes.base[own] + lanes.n, hits[own])
            lanes.states = states
            lanes.n += 1
            n_alive = int(np.count_nonzero(states))
            if n_alive < 0.75 * len(states) or n_alive <= FEW:
                alive = np.flatnonzero(states > 0)
                lanes.own, lanes.base, lanes.states = lanes.own[alive], lanes.base[alive], states[alive]
        self._read_alone(symbols, lanes, found)

    def _read_alone(self, symbols: NDArray[Any], lanes: _Lanes, found: "_Read") -> None:
        """Read on from a few places, one by one; what is not read to its end is given up."""
        left = ALONE if len(lanes.own) <= FEW else 0
        own_of, ends, hits = list[int](), list[int](), list[int]()
        columns: tuple[list[int], list[int], list[int]]
        columns = lanes.own.tolist(), lanes.base.tolist(), lanes.states.tolist()
        if not left:
            found.give_up(number for state in set(columns[2]) for number, _ in self._keys[state // self._width])
            return
        at_once = symbols.data
        for own, base, state in zip(*columns, strict=True):
            at = base + lanes.n
            while state:
                index = state + at_once[at]
                state = self._step_one(index)
                if hit := self._hits.item(index):
                    own_of.append(own)
                    ends.append(at)
                    hits.append(hit)
                at += 1
                left -= 1
                if left < 0 and state:
                    found.give_up(number for number, _ in self._keys[state // self._width])
                    break
        found.note(places(own_of), places(ends), np.array(hits, np.int32))

    def _begins(self, numbers: tuple[int, ...]) -> "_Begins":
        """How some expressions begin."""
        found = self._known.get(numbers)
        if found is None:
            parts = [(number, *self._part(number)) for number in numbers]
            begun = [self._number(tuple((n, part.begun(s)) for n, part, _ in parts)) for s in range(self._width)]
            after, kind = np.zeros(self._width, np.uint8), np.zeros(self._width, np.uint8)
            for i, state in enumerate(dict.fromkeys(begun)):
                for symbol in range(self._edge):
                    if self._step_one(state * self._width + symbol):
                        after[symbol] |= 1 << i
                kind[[symbol for symbol in range(self._width) if begun[symbol] == state]] = 1 << i
            states = np.array(begun, np.intp) * self._width
            shortest = min(shortest for _, _, shortest in parts)
            found = self._known[numbers] = _Begins(states, after, kind, shortest)
        return found

    def _step_one(self, index: int) -> int:
        if self._table[index] < 0:
            self._learn(index)
        return self._table.item(index)

    def _step(self, index: NDArray[np.intp]) -> NDArray[np.intp] | None:
        """Where the steps lead, None where they are too many that nobody has taken yet."""
        states = self._table.take(index)
        while states.size and states.min() < 0:
            unknown = np.flatnonzero(np.bincount(index[states < 0])).tolist()
            self._left_to_learn -= len(unknown)
            if self._left_to_learn < 0:
                return None
            for one in unknown:
                self._learn(one)
            states = self._table.take(index)
        return states

    def _learn(self, index: int) -> None:
        state, symbol = divmod(index, self._width)
        to: list[tuple[int, int]] = []
        hits: list[int] = []
        for number, own in self._keys[state]:
            part, _ = self._parts[number]
            value = part.rows[own][2 * symbol]
            if value < 0:
                value = part.miss(own, 2 * symbol)
            if value & 1:
                hits.append(number)
            if part.alive[value >> 1]:
                to.append((number, value >> 1))
        # Nothing goes on behind the edge.
        self._table[index] = self._number(tuple(to)) * self._width if to and symbol != self._edge else 0
        if hits:
            self._hits[index] = self._set_numbers.setdefault(tuple(hits), len(self._sets))
            if len(self._set_numbers) > len(self._sets):
                self._sets.append(tuple(hits))

    def _number(self, key: _State) -> int:
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = len(self._keys)
            self._keys.append(key)
            if len(self._keys) * self._width > len(self._table):
                self._reserve(2 * len(self._keys))
        return found

    def _reserve(self, states: int) -> None:
        table, hits = np.full(states * self._width, -1, np.intp), np.zeros(states * self._width, np.int32)
        table[: len(self._table)], hits[: len(self._hits)] = self._table, self._hits
        self._table, self._hits = table, hits


def _lanes(starts: Places, states: NDArray[np.intp], first: int, last: int) -> _Lanes:
    """Those from ``first`` to ``last``."""
    return _Lanes(np.arange(first, last), starts[first:last], states[first:last])


class _Read:
    """Ends of matches by the number of the place where they begin, those of one place in order, and the expressions
    that were given up."""

    def __init__(self, sets: Sequence[tuple[int, ...]]) -> None:
        self._sets = sets
        self._noted: list[tuple[Places, Places, NDArray[np.int32]]] = []
        self._by_number: dict[int, list[tuple[Places, Places]]] | None = None
        self.given_up: set[int] = set()

    def give_up(self, numbers: Iterable[int]) -> None:
        self.given_up.update(numbers)

    def note(self, own: Places, ends: Places, hits: NDArray[np.int32]) -> None:
        if len(own):
            self._noted.append((own, ends, hits))

    def of(self, number: int, starts: Places) -> Stretches:
        """The longest match of an expression from each place where it has one."""
        if self._by_number is None:
            self._by_number = self._sorted()
        parts = self._by_number.get(number)
        if not parts:
            return places([]), places([])
        own, ends = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort((own << 32) + ends)
        own, ends = own[order], ends[order]
        longest = np.append(own[1:] != own[:-1], True)
        return starts[own[longest]], ends[longest]

    def _sorted(self) -> dict[int, list[tuple[Places, Places]]]:
        if not self._noted:
            return {}
        own, ends, hits = (np.concatenate(column) for column in zip(*self._noted, strict=True))
        order = np.argsort(hits, kind="stable")
        own, ends, hits = own[order], ends[order], hits[order]
        cuts = np.flatnonzero(np.diff(hits)) + 1
        found: dict[int, list[tuple[Places, Places]]] = {}
        kinds: list[int] = hits[np.append(0, cuts)].tolist()
        for own_part, ends_part, one in zip(np.split(own, cuts), np.split(ends, cuts), kinds, strict=True):
            for number in self._sets[one]:
                found.setdefault(number, []).append((own_part, ends_part))
        return found


def _shortest(nfa: Nfa) -> int:
    """Characters of the shortest match, or fewer."""
    seen, reached, n = set[int](), {nfa.body_start}, 0
    while reached:
        todo = list(reached)
        while todo:
            at = todo.pop()
            seen.add(at)
            for to in (*nfa.free[at], *(to for _, to in nfa.gated[at])):
                if to not in reached:
                    reached.add(to)
                    todo.append(to)
        if nfa.body_end in reached:
            return n
        reached = {to for at in reached for _, to in nfa.edges[at]} - seen
        n += 1
    return n


def _of(by_symbol: NDArray[np.uint8], symbols: NDArray[Any]) -> NDArray[np.uint8]:
    """What is known of each symbol."""
    if symbols.dtype != np.uint8:
        return by_symbol[symbols]
    return np.frombuffer(symbols.tobytes().translate(by_symbol.tobytes().ljust(256)), np.uint8)
