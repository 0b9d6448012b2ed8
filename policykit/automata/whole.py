"""Languages of whole texts: an automaton that finds what is *not* the beginning of an admitted text.

Seen by a mask this is one more search automaton: it has *found* something once no continuation is admitted, and at the
end of a text that is not admitted. Both are exact, since only states from which an admitted text can be reached are
kept, and only characters that some text has on the view are followed.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policykit.automata.alphabet import Alphabet, common
from policykit.automata.lazy import FOUND, Automaton, RegexAutomaton
from policykit.automata.nfa import Body, build_whole
from policykit.text import View

MAX_STATES = 50_000
_SURROGATES = (0xD800, 0xDFFF)


class Dfa:
    """A complete automaton as a table ``[states, symbols]``; state 0 is *found*, state 1 the start.

    ``accepting`` are the states in which the text may end. A state has no reference but itself. What is found belongs
    to all of ``n_patterns``.
    """

    def __init__(
        self, alphabet: Alphabet, table: NDArray[np.int32], accepting: frozenset[int], n_patterns: int = 1
    ) -> None:
        self.alphabet = alphabet
        self.start = 1
        self._table: list[list[int]] = table.tolist()
        self._accepting = accepting
        self._patterns = tuple(range(n_patterns))

    @property
    def n_symbols(self) -> int:
        return self.alphabet.n

    @property
    def n_states(self) -> int:
        return len(self._table)

    def step(self, state: int, symbol: int) -> int:
        return self._table[state][symbol]

    def end_found(self, state: int) -> bool:
        return state not in self._accepting

    def reference(self, state: int) -> int:
        return state

    def hot(self, state: int) -> None:
        return None

    def culprits(self, state: int, symbol: int | None) -> tuple[int, ...]:
        return self._patterns

    def pass_over(self, state: int, symbol: int) -> int:
        """A text that has left the language does not come back to it."""
        return FOUND

    def key(self, state: int) -> object:
        return state

    def intern(self, key: object) -> int:
        assert isinstance(key, int), "keys are states"
        return key


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The product has more than ``limit`` states."""

    limit: int


@dataclass(frozen=True, slots=True)
class NothingLeft:
    """No text is admitted."""


def admitting(view: View, bodies: Sequence[Body], forbidding: Sequence[Automaton]) -> Dfa | TooLarge | NothingLeft:
    """The texts that match one of ``bodies`` as a whole, and in which no automaton of ``forbidding`` (all of them on
    the same view) finds anything: product, then only what leads to an end (Hopcroft and Ullman, 1979, section 3.3)."""
    whole = RegexAutomaton(build_whole(view, bodies))
    automata = (whole, *forbidding)
    alphabet, maps = common(view, [automaton.alphabet for automaton in automata])
    symbols = [int(s) for s in _written(view, alphabet)]
    columns = [[int(own[s]) for s in range(alphabet.n)] for own in maps]
    start = tuple(automaton.start for automaton in automata)
    numbers = {start: 1}
    edges: list[list[tuple[int, int]]] = [[], []]
    todo = deque([start])
    while todo:
        at = todo.popleft()
        out = edges[numbers[at]]
        for symbol in symbols:
            to = _step(automata, columns, whole, at, symbol)
            if to is None:
                continue
            if to not in numbers:
                if len(numbers) == MAX_STATES:
                    return TooLarge(MAX_STATES)
                numbers[to] = len(edges)
                edges.append([])
                todo.append(to)
            out.append((symbol, numbers[to]))
    ends = {n for at, n in numbers.items() if whole.end_found(at[0]) and not _any_found(forbidding, at[1:])}
    return _trimmed(alphabet, edges, ends)


def _written(view: View, alphabet: Alphabet) -> NDArray[np.int32]:
    """The classes that a text can have on the view: of its fixed points, since a view is idempotent."""
    stays = np.ones(len(alphabet.class_of), bool)
    stays[list(view.images)] = False
    stays[_SURROGATES[0] : _SURROGATES[1] + 1] = False
    return np.unique(alphabet.class_of[stays])


def _step(
    automata: Sequence[Automaton],
    columns: Sequence[Sequence[int]],
    whole: RegexAutomaton,
    at: Sequence[int],
    symbol: int,
) -> tuple[int, ...] | None:
    """Where all automata go, or None where one has found something or the whole text cannot match any more."""
    first = whole.step(at[0], columns[0][symbol])
    if not whole.is_open(first):
        return None
    rest = [a.step(s, own[symbol]) for a, s, own in zip(automata[1:], at[1:], columns[1:], strict=True)]
    return None if FOUND in rest else (first, *rest)


def _any_found(automata: Sequence[Automaton], states: Sequence[int]) -> bool:
    return any(automaton.end_found(state) for automaton, state in zip(automata, states, strict=True))


def _trimmed(alphabet: Alphabet, edges: Sequence[Sequence[tuple[int, int]]], ends: set[int]) -> Dfa | NothingLeft:
    """Only the states from which an end can be reached."""
    into: list[list[int]] = [[] for _ in edges]
    for source, out in enumerate(edges):
        for _, to in out:
            into[to].append(source)
    alive, todo = set(ends), list(ends)
    while todo:
        for source in into[todo.pop()]:
            if source not in alive:
                alive.add(source)
                todo.append(source)
    if 1 not in alive:
        return NothingLeft()
    number = {old: new for new, old in enumerate(sorted(alive), 1)}
    table = np.zeros((len(number) + 1, alphabet.n), np.int32)
    for old, new in number.items():
        for symbol, to in edges[old]:
            table[new, symbol] = number.get(to, FOUND)
    return Dfa(alphabet, table, frozenset(number[old] for old in ends))
