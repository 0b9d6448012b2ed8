"""Code points of a text that no automaton of a question tells apart, on whatever view each reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_letters, digits, punctuation
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from policykit.automata import Automaton
from policykit.automata.alphabet import partition
from policykit.compile.symbols import join_symbols
from policykit.text import view

_READABLE = ascii_letters + digits + " " + punctuation + "\n"
"""Characters that examples are written with where they can be, the first ones before the others."""
_TRIED = 512
"""Code points of an interval among which a printable one is looked for."""


@dataclass(frozen=True, eq=False)
class Symbols:
    """Symbols 0..n-1 partition the code points of valid text. ``words_of(automaton)[s]`` is what it reads for symbol s:
    classes of its view, none or more. ``order`` has the symbols that read best first, the ``n_readable`` with ASCII."""

    _words: dict[int, tuple[tuple[int, ...], ...]]
    order: tuple[int, ...]
    n_readable: int
    _lows: NDArray[np.int64]
    _highs: NDArray[np.int64]
    _of_interval: NDArray[np.int64]

    @property
    def n(self) -> int:
        return len(self.order)

    def character(self, symbol: int) -> str:
        """A character of the symbol, one that can be read if there is one."""
        intervals = np.flatnonzero(self._of_interval == symbol).tolist()
        spans = [(int(self._lows[i]), int(self._highs[i])) for i in intervals]
        for char in _READABLE:
            if any(low <= ord(char) <= high for low, high in spans):
                return char
        some = (chr(c) for low, high in spans for c in range(low, min(high, low + _TRIED) + 1))
        printable = [char for char in some if char.isprintable()]
        plain = (char for char in printable if normalize("NFKC", char) == char)  # 用 rather than ⽤, a form of it
        return next(plain, printable[0] if printable else chr(spans[0][0]))

    def words_of(self, automaton: Automaton) -> tuple[tuple[int, ...], ...]:
        return self._words[id(automaton)]


def symbols_of(automata: Sequence[Automaton]) -> Symbols:
    """The coarsest symbols that tell apart what the automata tell apart."""
    joint = join_symbols([partition(view("raw"), (), 0)], [frozenset({0})], automata)
    words = {id(automaton): tuple(word[i] for word in joint.words) for i, automaton in enumerate(automata)}
    points = np.array([ord(char) for char in _READABLE], np.int64)
    first: list[int] = joint.symbols[np.searchsorted(joint.lows, points, "right") - 1].tolist()
    order = tuple(dict.fromkeys([*first, *range(joint.n)]))
    return Symbols(words, order, len(set(first)), joint.lows, joint.highs, joint.symbols)
