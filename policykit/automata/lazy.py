"""Search automata that are determinised while they run.

They answer "has a match been completed?" after every character class. State 0 means *found*; every other state is
interned on first use, so only states that a text (or a vocabulary) visits are ever built.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from policykit.automata.alphabet import EDGE, Alphabet
from policykit.automata.nfa import Nfa, close

FOUND = 0


class Automaton(Protocol):
    """A deterministic search automaton over the classes of ``alphabet`` plus ``n_extra`` framing symbols.

    ``reference(q)`` is the state with the same boundary context and no progress: whatever it finds, ``q`` finds too.
    ``hot(q)`` are the symbols on which ``q`` can differ from its reference (None: any). ``culprits(q, s)`` are the
    patterns that symbol ``s`` (None: the end) completes. ``key`` and ``intern`` carry a state to a fresh copy.
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
    def key(self, state: int) -> object: ...
    def intern(self, key: object) -> int: ...


class RegexAutomaton:
    """Finds one pattern. A state is (NFA states that wait for a character, flags of the previous character)."""

    def __init__(self, nfa: Nfa) -> None:
        self.nfa = nfa
        self.alphabet = nfa.alphabet
        self._keys: list[object] = [None]
        self._ids: dict[object, int] = {}
        self._memo: list[dict[int, int]] = [{}]
        self._kept = frozenset(s for s in range(len(nfa.free)) if nfa.edges[s] or nfa.gated[s])
        self.start = self.intern((frozenset[int](), EDGE & nfa.before_flags))

    @property
    def n_symbols(self) -> int:
        return self.alphabet.n

    @property
    def n_states(self) -> int:
        return len(self._keys)

    def key(self, state: int) -> object:
        return self._keys[state]

    def intern(self, key: object) -> int:
        if key is None:
            return FOUND
        state = self._ids.get(key)
        if state is None:
            state = self._ids[key] = len(self._keys)
            self._keys.append(key)
            self._memo.append({})
        return state

    def step(self, state: int, symbol: int) -> int:
        memo = self._memo[state]
        found = memo.get(symbol)
        if found is None:
            found = memo[symbol] = self._step(state, symbol) if state else FOUND
        return found

    def _step(self, state: int, symbol: int) -> int:
        nfa = self.nfa
        active, before = self._keys[state]  # type: ignore[misc]  # keys are (frozenset, int) but for state 0
        after = self.alphabet.flags[symbol]
        ready = close(nfa, {*active, nfa.start}, before, after)
        if nfa.final in ready:
            return FOUND
        moved = close(nfa, {to for s in ready for classes, to in nfa.edges[s] if symbol in classes})
        if nfa.final in moved:
            return FOUND
        return self.intern((frozenset(moved & self._kept), after & nfa.before_flags))

    def end_found(self, state: int) -> bool:
        if not state:
            return True
        active, before = self._keys[state]  # type: ignore[misc]
        return self.nfa.final in close(self.nfa, {*active, self.nfa.start}, before, EDGE)

    def reference(self, state: int) -> int:
        return self.intern((frozenset[int](), self._keys[state][1])) if state else FOUND  # type: ignore[index]

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
