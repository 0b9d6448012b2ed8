"""Joint symbols: code points of the raw text that no terminal and no policy automaton tells apart.

A code point is told apart by its class in every terminal and by the class string of its image on every policy view;
an image may be empty (the automaton does not move) or several characters long.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from policykit.automata import Alphabet, Automaton, common
from policykit.ir.regex import MAX_CODE_POINT, Ranges, ranges_of
from policykit.text import view

DEAD = 0
STEPS_PER_STATE = 100
"""Moves that may be made per state of a budget: free text reads hundreds of symbols in every state."""
_SURROGATES = np.array((0xD800, 0xE000), np.int64)


class OverBudget(Exception):
    """More states than the analysis may create."""


@dataclass(slots=True)
class Budget:
    """How many product states may be created, and how many were."""

    limit: int
    spent: int = 0

    def spend(self) -> None:
        """Raises OverBudget."""
        self.spent += 1
        if self.spent > self.limit:
            raise OverBudget


@dataclass(frozen=True, eq=False)
class JointSymbols:
    """Symbols 0..n-1, the code points that some terminal reads.

    Interval i of code points, ``lows[i]`` to ``highs[i]`` inclusive, has symbol ``symbols[i]``. ``classes[t][a]`` is
    the class of symbol a in the alphabet of terminal t, ``words[a]`` holds a class string per automaton.
    """

    lows: NDArray[np.int64]
    highs: NDArray[np.int64]
    symbols: NDArray[np.int64]
    classes: tuple[tuple[int, ...], ...]
    words: tuple[tuple[tuple[int, ...], ...], ...]

    @property
    def n(self) -> int:
        return len(self.words)

    def ranges(self, symbols: Iterable[int]) -> Ranges:
        """The code points of a set of symbols."""
        wanted = np.isin(self.symbols, np.array(sorted(symbols), np.int64))
        return ranges_of(list(zip(self.lows[wanted].tolist(), self.highs[wanted].tolist(), strict=True)))


def join_symbols(
    terminals: Sequence[Alphabet], read: Sequence[frozenset[int]], automata: Sequence[Automaton]
) -> JointSymbols:
    """The coarsest such alphabet. ``read[t]`` are the classes on which some edge of terminal t is labelled."""
    if not terminals:
        nothing = np.zeros(0, np.int64)
        return JointSymbols(nothing, nothing, nothing, (), ())
    raw, of_terminal = common(view("raw"), terminals)
    is_read = np.zeros(raw.n, np.bool_)
    for classes, wanted in zip(of_terminal, read, strict=True):
        is_read |= np.isin(classes, np.array(sorted(wanted), np.int32))
    views = [_Reader(name, automata) for name in dict.fromkeys(a.alphabet.view.name for a in automata)]
    changes = [v.cuts[is_read[_at(raw, v.cuts)]] for v in views]
    cuts = np.unique(np.concatenate([raw.starts, _SURROGATES, *(v.starts for v in views), *changes]))
    raw_classes = _at(raw, cuts)
    used = is_read[raw_classes] & ((cuts < _SURROGATES[0]) | (cuts >= _SURROGATES[1]))
    lows, highs = cuts[used], np.append(cuts[1:] - 1, MAX_CODE_POINT)[used]
    key = raw_classes[used]
    columns = [v.numbers(lows) for v in views]
    for v, column in zip(views, columns, strict=True):
        key = key * len(v.words) + column
    _, first, symbols = np.unique(key, return_index=True, return_inverse=True)
    classes = tuple(tuple(of[raw_classes[used][first]].tolist()) for of in of_terminal)
    joined: list[list[tuple[int, ...]]] = [[()] * len(automata) for _ in first]
    for v, column in zip(views, columns, strict=True):
        numbers: list[int] = column[first].tolist()
        for row, number in zip(joined, numbers, strict=True):
            for i, word in zip(v.members, v.words[number], strict=True):
                row[i] = word
    return JointSymbols(lows, highs, symbols.reshape(-1).astype(np.int64), classes, tuple(map(tuple, joined)))


def _at(alphabet: Alphabet, points: NDArray[np.int64]) -> NDArray[np.int64]:
    """The class of each code point; meaningless for a negative one."""
    return alphabet.classes[np.searchsorted(alphabet.starts, points, "right") - 1].astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Changed:
    """What a view changes: its code points in order with the first character of their images (-1: not exactly one),
    and where runs of unchanged code points are cut. Image i is ``pool[slice(*bounds[i])]``."""

    points: NDArray[np.int64]
    images: NDArray[np.int64]
    cuts: NDArray[np.int64]
    pool: NDArray[np.int64]
    bounds: tuple[tuple[int, int], ...]


@cache
def _changed(name: str) -> _Changed:
    images = sorted(view(name).images.items())
    points = np.array([point for point, _ in images], np.int64)
    single = np.array([ord(image) if len(image) == 1 else -1 for _, image in images], np.int64)
    cuts = np.union1d(points, points + 1)
    pool = np.array([ord(char) for _, image in images for char in image], np.int64)
    ends = list(accumulate(len(image) for _, image in images))
    bounds = tuple(zip([0, *ends], ends, strict=False))
    return _Changed(points, single, cuts[cuts <= MAX_CODE_POINT], pool, bounds)


class _Reader:
    """The automata of one view: a number for what they read for a code point, and the class strings it stands for.

    ``words[number]`` has a class string for each of ``members``, the automata's positions.
    """

    def __init__(self, name: str, automata: Sequence[Automaton]) -> None:
        self._view = view(name)
        self._changed = _changed(name)
        self.members = [i for i, automaton in enumerate(automata) if automaton.alphabet.view.name == name]
        self._joint, self._of = common(self._view, [automata[i].alphabet for i in self.members])
        self.starts, self.cuts = self._joint.starts, self._changed.cuts
        self.words: list[tuple[tuple[int, ...], ...]] = [self._spelled((c,)) for c in range(self._joint.n)]

    def _spelled(self, word: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(int(of[c]) for c in word) for of in self._of)

    def numbers(self, points: NDArray[np.int64]) -> NDArray[np.int64]:
        """The number of each code point. New numbers are given to images that are not one character."""
        changed = self._changed
        images = points.copy()
        at = np.searchsorted(changed.points, points)
        moves = np.flatnonzero((at < len(changed.points)) & (np.append(changed.points, -1)[at] == points))
        images[moves] = changed.images[at[moves]]
        found = _at(self._joint, images)
        known: dict[bytes, int] = {}
        spelled = _at(self._joint, changed.pool).astype("<u4").tobytes()
        for i in np.flatnonzero(images < 0).tolist():
            begin, end = changed.bounds[int(at[i])]
            word = spelled[4 * begin : 4 * end]
            if word not in known:
                known[word] = len(self.words)
                self.words.append(self._spelled(tuple(np.frombuffer(word, "<u4").tolist())))
            found[i] = known[word]
        return found


class PolicyStates:
    """The policy automata side by side over joint symbols, built while they run. State 0: something was found."""

    def __init__(self, automata: Sequence[Automaton], symbols: JointSymbols, budget: Budget) -> None:
        self._automata = tuple(automata)
        self._words = symbols.words
        self._budget = budget
        self._steps = Budget(STEPS_PER_STATE * budget.limit)
        self._keys: list[tuple[int, ...]] = [()]
        self._ids: dict[tuple[int, ...], int] = {}
        self._next: list[dict[int, int]] = [{}]
        self.start = self._intern(tuple(automaton.start for automaton in automata))

    def _intern(self, key: tuple[int, ...]) -> int:
        state = self._ids.get(key)
        if state is None:
            self._budget.spend()
            state = self._ids[key] = len(self._keys)
            self._keys.append(key)
            self._next.append({})
        return state

    def step(self, state: int, symbol: int) -> int:
        """The state after a joint symbol. Raises OverBudget."""
        known = self._next[state]
        found = known.get(symbol)
        if found is None:
            found = known[symbol] = self._step(state, symbol)
        return found

    def _step(self, state: int, symbol: int) -> int:
        self._steps.spend()
        after: list[int] = []
        for automaton, at, word in zip(self._automata, self._keys[state], self._words[symbol], strict=True):
            for character in word:
                at = automaton.step(at, character)
                if not at:
                    return DEAD
            after.append(at)
        return self._intern(tuple(after)) if state else DEAD

    def may_end(self, state: int) -> bool:
        """Whether no automaton finds anything in a text that ends here."""
        pairs = zip(self._automata, self._keys[state], strict=True)
        return state != DEAD and not any(automaton.end_found(at) for automaton, at in pairs)
