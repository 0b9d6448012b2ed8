"""Search automata that are determinised while they run.

They answer "has a match been completed?" after every character class. State 0 means *found*; every other state is
interned on first use, so only states that a text (or a vocabulary) visits are ever built.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Protocol, cast

from policykit.automata.alphabet import EDGE, Alphabet
from policykit.automata.interned import Interned
from policykit.automata.nfa import Gate, Nfa, close

FOUND = 0
FAR = 1 << 30
"""More characters than any text has."""


class Automaton(Protocol):
    """A deterministic search automaton over the classes of ``alphabet`` plus ``n_extra`` framing symbols.

    ``reference(q)`` is the state with the same boundary context and no progress: whatever it finds, ``q`` finds too.
    ``hot(q)`` are the symbols on which ``q`` can differ from its reference (None: any). ``culprits(q, s)`` are the
    patterns that symbol ``s`` (None: the end) completes; ``pass_over`` steps as if such a match
    were none. ``key`` and ``intern`` carry a state to a fresh copy.
    """

    alphabet: Alphabet

    @property
    def n_symbols(self) -> int: ...
    @property
    def n_states(self) -> int: ...
    @property
    def start(self) -> int: ...
    def step(self, state: int, symbol: int) -> int: ...
    def end_found(self, state: int) -> bool: ...
    def reference(self, state: int) -> int: ...
    def hot(self, state: int) -> Iterable[int] | None: ...
    def culprits(self, state: int, symbol: int | None) -> tuple[int, ...]: ...
    def pass_over(self, state: int, symbol: int) -> int: ...
    def key(self, state: int) -> object: ...
    def intern(self, key: object) -> int: ...


MAX_KEPT_STATES = 200_000
"""Interned states after which a long-lived search forgets them all (see :meth:`RegexAutomaton.forget`)."""


class RegexAutomaton:
    """Finds one pattern. A state is (NFA states that wait for a character, flags of the previous character).

    Sets of NFA states are integers, one bit each. Where a bit leads on a symbol is worked out once, and once more for
    every group of eight bits that occurs, so that a step costs a few dictionary look-ups.
    """

    def __init__(self, nfa: Nfa) -> None:
        self.nfa = nfa
        self.alphabet = nfa.alphabet
        self._final = 1 << nfa.final
        self._start_bit = 1 << nfa.start
        self._waiting = sum(1 << s for s in range(len(nfa.free)) if nfa.edges[s] or nfa.gated[s])
        bits = [tuple(1 << s for s in gap) for gap in nfa.gaps]
        self._gaps = tuple((sum(gap), gap) for gap in bits)
        self._jumps: dict[tuple[int, int], dict[int, int]] = {}
        self._ends: dict[int, int] = {}
        self.forget()

    def forget(self) -> None:
        """Drop all states; numbers given out before are void."""
        self._states = Interned[tuple[int, int]]()
        self.start = self._states.number((0, EDGE & self.nfa.before_flags))

    @property
    def n_symbols(self) -> int:
        return self.alphabet.n

    @property
    def n_states(self) -> int:
        return len(self._states)

    def key(self, state: int) -> object:
        return self._states.key(state) if state else None

    def intern(self, key: object) -> int:
        return FOUND if key is None else self._states.number(cast(tuple[int, int], key))

    def step(self, state: int, symbol: int) -> int:
        memo = self._states.memo[state]
        found = memo.get(symbol)
        if found is None:
            found = memo[symbol] = self._step(state, symbol) if state else FOUND
        return found

    def _step(self, state: int, symbol: int) -> int:
        moved = self._moved(state, symbol)
        return FOUND if moved & self._final else self._after(moved, symbol)

    def pass_over(self, state: int, symbol: int) -> int:
        """The step of :meth:`step`, but a match that it completes is let go and the others go on."""
        return self._after(self._moved(state, symbol), symbol)

    def _after(self, moved: int, symbol: int) -> int:
        for gap in self._gaps:
            open_places = moved & gap[0]
            if open_places & (open_places - 1):  # of several places in a gap the one with most room says it all
                moved = moved & ~gap[0] | next(bit for bit in gap[1] if open_places & bit)
        return self._states.number((moved & self._waiting, self.alphabet.flags[symbol] & self.nfa.before_flags))

    def _moved(self, state: int, symbol: int) -> int:
        active, before = self._states.key(state)
        jumps = self._jumps.setdefault((before, symbol), {})
        rest, shift, moved = active | self._start_bit, 0, 0
        while rest:
            empty = (rest & -rest).bit_length() - 1 & ~7  # whole groups below the lowest bit
            rest >>= empty
            shift += empty
            group = rest & 0xFF
            key = shift << 8 | group
            to = jumps.get(key)
            if to is None:
                to = jumps[key] = self._jump(group, shift, before, symbol)
            moved |= to
            rest >>= 8
            shift += 8
        return moved

    def _jump(self, group: int, shift: int, before: int, symbol: int) -> int:
        """Where eight bits lead on a symbol. The final bit is also set where a gate completes a match before it."""
        nfa = self.nfa
        ready = close(nfa, [shift + i for i in range(8) if group >> i & 1], before, self.alphabet.flags[symbol])
        moved = close(nfa, {to for s in ready for classes, to in nfa.edges[s] if symbol in classes})
        out = self._final if nfa.final in ready else 0
        for s in moved:
            out |= 1 << s
        return out

    def end_found(self, state: int) -> bool:
        if not state:
            return True
        active, before = self._states.key(state)
        ends = self._ends.get(before)
        if ends is None:
            states = range(len(self.nfa.free))
            ends = sum(1 << s for s in states if self.nfa.final in close(self.nfa, [s], before, EDGE))
            self._ends[before] = ends
        return bool((active | self._start_bit) & ends)

    def reference(self, state: int) -> int:
        return self._states.number((0, self._states.key(state)[1])) if state else FOUND

    @cached_property
    def looks_ahead(self) -> bool:
        """Whether what follows a match decides about it, or the end of the text."""
        return bool({gate for row in self.nfa.gated for gate, _ in row} - {Gate.TEXT_START, Gate.LINE_START})

    def room(self, state: int) -> int:
        """No fewer characters than this complete a match that has begun, gates aside; ``FAR`` where nothing has."""
        active = self._states.key(state)[0]
        least = FAR
        while active:
            bit = active & -active
            least = min(least, self._distances[bit.bit_length() - 1])
            active ^= bit
        return least

    @cached_property
    def _distances(self) -> list[int]:
        """For every NFA state the fewest characters from it to the end, gates taken as open."""
        nfa = self.nfa
        into: list[list[tuple[int, int]]] = [[] for _ in nfa.free]
        for state, edges in enumerate(nfa.edges):
            for to in (*nfa.free[state], *(to for _, to in nfa.gated[state])):
                into[to].append((state, 0))
            for _, to in edges:
                into[to].append((state, 1))
        out = [FAR] * len(into)
        out[nfa.final] = 0
        todo = deque([nfa.final])
        while todo:  # Dial's algorithm with weights 0 and 1
            at = todo.popleft()
            for state, weight in into[at]:
                if out[at] + weight < out[state]:
                    out[state] = out[at] + weight
                    (todo.append if weight else todo.appendleft)(state)
        return out

    def is_open(self, state: int) -> bool:
        """Whether something has begun that is not yet completed; with an anchored pattern nothing else begins."""
        return bool(state) and bool(self._states.key(state)[0])

    def hot(self, state: int) -> None:
        return None

    def culprits(self, state: int, symbol: int | None) -> tuple[int, ...]:
        return (0,)


def run(automaton: Automaton, state: int, symbols: Sequence[int]) -> int:
    """The state after all symbols; FOUND is absorbing."""
    for symbol in symbols:
        if not state:
            return FOUND
        state = automaton.step(state, symbol)
    return state
