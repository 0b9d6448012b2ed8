"""Where a pattern matches, in time linear in the text: passes of lazily determinised automata, each way.

A match is the body of a pattern from ``i`` to ``j`` with its context on either side. One pass forward marks where the
context before allows a body to begin, one backward where the context after allows it to end, one backward over the
body where a match begins; from there the longest is read forward. What was read in vain is remembered (Reps,
"Maximal-munch tokenization in linear time", TOPLAS 20(2), 1998), so nothing is read in vain twice.
"""

from collections.abc import Iterable, Iterator, Sequence

from policykit.automata.alphabet import EDGE
from policykit.automata.nfa import Gate, Nfa, gate_open

MAX_STATES = 20_000
"""States after which an automaton forgets them all. A row of one has a few hundred bytes."""
_SHORT = 64
"""Characters read in vain that are not worth remembering."""

Span = tuple[int, int]


class Part:
    """The part of an NFA between two of its states, determinised while it runs, forward or backward.

    A state is (NFA states that wait for a character, flags of the character read last). ``rows[q][2 * s + b]`` is
    ``2 * next + hit`` for symbol ``s``, -1 where it is not known yet: ``b`` says whether the part is begun before the
    symbol is read, ``hit`` whether its end is reached there. Symbol ``edge`` is the end of the text, or its start.
    ``alive[q]`` says whether anything is waiting in ``q``.
    """

    def __init__(self, nfa: Nfa, first: int, last: int, *, backward: bool) -> None:
        free, gated, edges = _reversed(nfa) if backward else (nfa.free, nfa.gated, nfa.edges)
        self._first, self._last, self._backward = 1 << first, last, backward
        # What follows the end of the part belongs to another one.
        self._free = tuple(() if state == last else row for state, row in enumerate(free))
        self._gated = tuple(() if state == last else row for state, row in enumerate(gated))
        self._edges = tuple(() if state == last else row for state, row in enumerate(edges))
        self._waiting = sum(1 << s for s in range(len(free)) if self._edges[s] or self._gated[s] or s == last)
        self._flags = (*(flags & nfa.before_flags for flags in nfa.alphabet.flags), EDGE & nfa.before_flags)
        bits = () if backward else [tuple(1 << s for s in gap) for gap in nfa.gaps]
        self._gaps = tuple((sum(gap), gap) for gap in bits)
        self._jumps: dict[tuple[int, int], dict[int, int]] = {}
        self.edge = nfa.alphabet.n
        self.forget()

    def forget(self) -> None:
        """Drop all states; numbers given out before are void."""
        self._numbers: dict[tuple[int, int], int] = {}
        self._keys: list[tuple[int, int]] = []
        self.rows: list[list[int]] = []
        self.alive: list[bool] = []

    def at_edge(self) -> int:
        """The state at the edge of the text, nothing begun."""
        return self._number(0, self._flags[self.edge])

    def begun(self, symbol: int) -> int:
        """The state behind a symbol with the part just begun, and nothing else."""
        return self._number(self._first, self._flags[symbol])

    def kept(self, state: int) -> int:
        """The number of a state after all others are forgotten."""
        key = self._keys[state]
        self.forget()
        return self._number(*key)

    def miss(self, state: int, index: int) -> int:
        """Work out the entry of a row."""
        waiting, before = self._keys[state]
        symbol = index >> 1
        moved = self._moved(waiting | self._first if index & 1 else waiting, before, symbol)
        hit, moved = moved & 1, moved >> 1
        for places, gap in self._gaps:
            open_places = moved & places
            if open_places & (open_places - 1):  # of several places in a gap the one with most room says it all
                moved = moved & ~places | next(bit for bit in gap if open_places & bit)
        found = self.rows[state][index] = self._number(moved & self._waiting, self._flags[symbol]) << 1 | hit
        return found

    def _number(self, waiting: int, flags: int) -> int:
        found = self._numbers.get((waiting, flags))
        if found is None:
            found = self._numbers[waiting, flags] = len(self._keys)
            self._keys.append((waiting, flags))
            self.rows.append([-1] * (2 * (self.edge + 1)))
            self.alive.append(waiting != 0)
        return found

    def _moved(self, active: int, before: int, symbol: int) -> int:
        """The states after the symbol, shifted by one; bit 0 says whether the end was reached before it. Where eight
        states lead is worked out once for every group of eight that occurs."""
        jumps = self._jumps.setdefault((before, symbol), {})
        shift, moved = 0, 0
        while active:
            empty = (active & -active).bit_length() - 1 & ~7  # whole groups below the lowest bit
            active >>= empty
            shift += empty
            group = active & 0xFF
            key = shift << 8 | group
            to = jumps.get(key)
            if to is None:
                to = jumps[key] = self._jump([shift + i for i in range(8) if group >> i & 1], before, symbol)
            moved |= to
            active >>= 8
            shift += 8
        return moved

    def _jump(self, states: list[int], before: int, symbol: int) -> int:
        after = self._flags[symbol]
        ready = self._close(states, (after, before) if self._backward else (before, after))
        moved = self._close([to for s in ready for classes, to in self._edges[s] if symbol in classes], None)
        return sum((2 << s for s in moved), int(self._last in ready))

    def _close(self, states: list[int], between: tuple[int, int] | None) -> set[int]:
        """States reachable without reading; gates are tried where the flags on both sides are known."""
        seen, todo = set(states), list(states)
        while todo:
            at = todo.pop()
            ahead = list(self._free[at])
            if between:
                ahead += [to for gate, to in self._gated[at] if gate_open(gate, *between)]
            for to in ahead:
                if to not in seen:
                    seen.add(to)
                    todo.append(to)
        return seen


def _reversed(
    nfa: Nfa,
) -> tuple[
    tuple[tuple[int, ...], ...],
    tuple[tuple[tuple[Gate, int], ...], ...],
    tuple[tuple[tuple[frozenset[int], int], ...], ...],
]:
    n = len(nfa.free)
    free: list[list[int]] = [[] for _ in range(n)]
    gated: list[list[tuple[Gate, int]]] = [[] for _ in range(n)]
    edges: list[list[tuple[frozenset[int], int]]] = [[] for _ in range(n)]
    for state in range(n):
        for to in nfa.free[state]:
            free[to].append(state)
        for gate, to in nfa.gated[state]:
            gated[to].append((gate, state))
        for classes, to in nfa.edges[state]:
            edges[to].append((classes, state))
    return tuple(map(tuple, free)), tuple(map(tuple, gated)), tuple(map(tuple, edges))


class Spans:
    """The spans of one pattern. Grows its automata while it runs: not for two threads at once."""

    def __init__(self, nfa: Nfa) -> None:
        self._nfa = nfa
        self._before = Part(nfa, nfa.start, nfa.body_start, backward=False)
        self._after = Part(nfa, nfa.final, nfa.body_end, backward=True)
        self._begins = Part(nfa, nfa.body_end, nfa.body_start, backward=True)
        self._longest = Part(nfa, nfa.body_start, nfa.body_end, backward=False)

    def find(self, view_text: str) -> list[Span]:
        """Successive matches: of those behind the one before, the first to begin, and of these the longest."""
        nfa = self._nfa
        symbols = [*nfa.alphabet.encode(view_text), nfa.alphabet.n]
        ends = self._ends(symbols) if self._has_after else b"\1" * len(symbols)
        begins = _backward(self._begins, symbols, ends)
        if self._has_before:
            allowed = self._allowed(symbols)
            begins = bytes(a & b for a, b in zip(begins, allowed, strict=True))
        return list(self._chosen(symbols, begins, ends))

    @property
    def _has_before(self) -> bool:
        return self._nfa.free[self._nfa.start] != (self._nfa.body_start,)

    @property
    def _has_after(self) -> bool:
        return self._nfa.free[self._nfa.body_end] != (self._nfa.final,)

    def _allowed(self, symbols: Sequence[int]) -> bytes:
        """Where the context before lets a body begin."""
        return _run(self._before, symbols, range(len(symbols)), b"\1" * len(symbols))

    def _ends(self, symbols: Sequence[int]) -> bytes:
        """Where the context after lets a body end."""
        return _backward(self._after, symbols, b"\1" * len(symbols))

    def _chosen(self, symbols: Sequence[int], begins: bytes, ends: bytes) -> Iterator[Span]:
        known: set[tuple[int, int]] = set()
        at = begins.find(1)
        while at >= 0:
            end = self._end(symbols, at, ends, known)
            assert end >= at, "a match begins here"
            yield at, end
            at = begins.find(1, max(end, at + 1))

    def _end(self, symbols: Sequence[int], start: int, ends: bytes, known: set[tuple[int, int]]) -> int:
        """The end of the longest match that begins at ``start``; from (position, state) in ``known`` none ends."""
        part, last = self._longest, len(symbols) - 1
        state = part.begun(symbols[start - 1])  # the last symbol is the edge, which is also before the first
        best, at = -1, start
        vain: list[tuple[int, int]] = []
        while True:
            index = symbols[at] << 1
            value = part.rows[state][index]
            if value < 0:
                value = part.miss(state, index)
            if value & 1 and ends[at]:
                best = at
                vain.clear()
            state = value >> 1
            if at == last or not part.alive[state] or (at, state) in known:
                break
            if len(part.rows) > MAX_STATES:
                state = part.kept(state)
                vain.clear()
                known.clear()
            vain.append((at, state))
            at += 1
        if len(vain) > _SHORT:
            known.update(vain)
        return best


def _backward(part: Part, symbols: Sequence[int], begins: bytes) -> bytes:
    """Run a part from the end of the text to its start."""
    n = len(symbols) - 1
    return _run(part, [symbols[n], *symbols[:n]], range(n, -1, -1), begins)


def _run(part: Part, ahead: Sequence[int], order: Iterable[int], begins: bytes) -> bytes:
    """The positions at which the part's end is reached, when positions are passed in this order; at position p the
    part is begun if ``begins[p]``, and ``ahead[p]`` is read."""
    out = bytearray(len(begins))
    rows, state = part.rows, part.at_edge()
    for at in order:
        index = ahead[at] << 1 | begins[at]
        value = rows[state][index]
        if value < 0:
            value = part.miss(state, index)
            if len(rows) > MAX_STATES:
                value = part.kept(value >> 1) << 1 | value & 1
                rows = part.rows
        if value & 1:
            out[at] = 1
        state = value >> 1
    return bytes(out)
