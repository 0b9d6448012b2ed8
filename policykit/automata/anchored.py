"""A language without assertions as a lazily determinised automaton that reads from one place on."""

from collections.abc import Sequence

from policykit.automata.nfa import Nfa, close

DEAD = 0


class AnchoredAutomaton:
    """Reads a match from its first character. State 0 is dead: nothing that begins so is in the language.

    Raises ValueError where the language has assertions.
    """

    def __init__(self, nfa: Nfa) -> None:
        if any(nfa.gated):
            raise ValueError("assertions look beside a match")
        self._nfa = nfa
        self.alphabet = nfa.alphabet
        self._live = self._can_finish()
        self._ids: dict[frozenset[int], int] = {frozenset(): DEAD}
        self._keys: list[frozenset[int]] = [frozenset()]
        self._accepts: list[bool] = [False]
        self._rows: list[dict[int, int]] = [{}]
        self.start = self._number(close(nfa, [nfa.start]))
        self.first = frozenset(symbol for symbol in range(self.alphabet.n) if self.step(self.start, symbol))

    def _can_finish(self) -> frozenset[int]:
        """The states from which the end is reachable: others only blur what is dead."""
        into: dict[int, list[int]] = {}
        for state, edges in enumerate(self._nfa.edges):
            for to in (*self._nfa.free[state], *(to for _, to in edges)):
                into.setdefault(to, []).append(state)
        alive, todo = {self._nfa.final}, [self._nfa.final]
        while todo:
            for state in into.get(todo.pop(), ()):
                if state not in alive:
                    alive.add(state)
                    todo.append(state)
        return frozenset(alive)

    def _number(self, states: set[int]) -> int:
        key = frozenset(states & self._live)
        known = self._ids.get(key)
        if known is None:
            known = self._ids[key] = len(self._keys)
            self._keys.append(key)
            self._accepts.append(self._nfa.final in key)
            self._rows.append({})
        return known

    def step(self, state: int, symbol: int) -> int:
        row = self._rows[state]
        to = row.get(symbol)
        if to is None:
            moved = {to for s in self._keys[state] for classes, to in self._nfa.edges[s] if symbol in classes}
            to = row[symbol] = self._number(close(self._nfa, moved))
        return to

    def reached(self, symbols: Sequence[int], at: int, state: int, stop: int) -> list[int]:
        """Where matches can end that are in ``state`` at a place, shortest first; nothing reads over ``stop``."""
        rows, accepts, out = self._rows, self._accepts, list[int]()
        while True:
            try:
                while state:
                    state = rows[state][symbols[at]]
                    at += 1
                    if accepts[state]:
                        out.append(at)
                return out
            except KeyError:
                if symbols[at] == stop:
                    return out
                self.step(state, symbols[at])

    def run(self, symbols: Sequence[int], at: int, until: int, state: int, stop: int) -> tuple[int, int, list[int]]:
        """Read on in ``state`` up to a place: the place and state there, and where matches can end on the way, shortest
        first. Before ``stop`` the state is dead."""
        rows, accepts, out = self._rows, self._accepts, list[int]()
        while state and at < until:
            symbol = symbols[at]
            if symbol == stop:
                return at, DEAD, out
            row = rows[state]
            state = row[symbol] if symbol in row else self.step(state, symbol)
            at += 1
            if accepts[state]:
                out.append(at)
        return at, state, out

    def shortest(self) -> int:
        """Characters of the shortest match, 0 where there is none."""
        todo, seen, n = {self.start}, {self.start}, 0
        while todo and not any(self._accepts[state] for state in todo):
            todo = {self.step(state, symbol) for state in todo for symbol in range(self.alphabet.n)} - seen - {DEAD}
            seen |= todo
            n += 1
        return n if todo else 0

    def accepts(self, state: int) -> bool:
        """Whether a match can end in the state."""
        return self._accepts[state]

    def ends(self, symbols: list[int], at: int) -> list[int]:
        """Where matches that begin at ``at`` can end, shortest first. Linear in the longest."""
        out: list[int] = []
        state = self.start
        for end in range(at, len(symbols)):
            state = self.step(state, symbols[end])
            if not state:
                break
            if self._accepts[state]:
                out.append(end + 1)
        return out
