"""All automata that read one text on one view: a shared alphabet, shared token images and a trie per lexer mode."""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from policykit.automata import Automaton, PhraseAutomaton, class_strings, common
from policykit.automata.frames import InJoinedArrays, InStrings
from policykit.constraint.images import N_MARKS, Images, Lexer, cut, images
from policykit.constraint.trie import Ints, TokenTrie, build, reduce
from policykit.constraint.unit import Tails, Unit, tails_of
from policykit.constraint.vocabulary import Vocabulary
from policykit.text import View, utf8
from policykit.text.json_strings import FIRST_MARK, Mark

ClassString = tuple[int, ...]


class Group:
    """Shared symbols are the classes of the common alphabet, then the lexer's marks, then the vocabulary's tails."""

    def __init__(
        self, vocabulary: Vocabulary, lexer: Lexer, view: View, automata: Sequence[Automaton], escape: str = ""
    ) -> None:
        self._escape = escape
        self.vocabulary = vocabulary
        self.lexer = lexer
        self.view = view
        self.alphabet, self._class_maps = common(view, [a.alphabet for a in automata])
        self.n_symbols = self.alphabet.n + N_MARKS + len(cut(vocabulary).tails) + len(lexer.unfinished)
        self._tries: dict[str, tuple[TokenTrie, Images, Ints]] = {}
        self._specs = [self._bind(a, m) for a, m in zip(automata, self._class_maps, strict=True)]

    def unit(self, i: int, automaton: Automaton) -> Unit:
        """The i-th automaton bound to the vocabulary. ``automaton`` is a fresh copy of the one it was made with."""
        symbols, tails = self._specs[i]
        special = self.vocabulary.special_ids.difference(self.vocabulary.eos_ids)
        escape = automaton.alphabet.encode(self.view.apply(self._escape))
        return Unit(automaton, symbols, tails, self.vocabulary.size, sorted(special), escape)

    def unit_symbols(self, i: int) -> Ints:
        """The i-th automaton's symbol of every shared symbol (-1: erased)."""
        return self._specs[i][0]

    def prepare(self, unit: Unit, mode: str) -> None:
        """Make the unit's masks of a lexer mode available."""
        if not unit.has_mode(mode):
            trie, listed, _ = self.trie(mode)
            n = unit.automaton.n_symbols + len(unit.tails.strings)
            unit.add_mode(mode, reduce(trie, unit.symbols, n, listed.token_ids), listed.token_ids)

    def trie(self, mode: str) -> tuple[TokenTrie, Images, Ints]:
        """All tokens that the lexer admits in this mode, their images, and these in shared symbols."""
        known = self._tries.get(mode)
        if known is None:
            listed = images(self.vocabulary, self.lexer, mode, self.view)
            symbols = self.shared(listed.symbols)
            known = (build(symbols, listed.offsets, listed.token_ids, self.n_symbols), listed, symbols)
            self._tries[mode] = known
        return known

    def shared(self, points: Ints) -> Ints:
        """Shared symbols of code points of the view, marks and tails."""
        n = self.alphabet.n
        classes = self.alphabet.class_of[np.minimum(points, FIRST_MARK - 1)]
        marks = n + points - FIRST_MARK
        return np.where(points < FIRST_MARK, classes, marks).astype(np.int32)

    def symbols_of(self, point: int) -> tuple[int, ...]:
        """Shared symbols of one character of the text (or of a mark)."""
        if point >= FIRST_MARK:
            return (self.alphabet.n + point - FIRST_MARK,)
        return self.strings[int(self.string_ids[point])]

    def token_symbols(self, mode: str, token_id: int) -> list[int] | None:
        """A token's shared symbols, its tail left out; None if the lexer does not admit it in this mode."""
        _, listed, symbols = self.trie(mode)
        row = int(listed.row_of_token[token_id])
        if row < 0:
            return None
        a, b = int(listed.offsets[row]), int(listed.offsets[row + 1])
        found: list[int] = symbols[a : b - int(listed.tail_of[row] >= 0)].tolist()
        return found

    def mode_after(self, mode: str, token_id: int) -> str:
        return self.trie(mode)[1].mode_after.get(token_id, mode)

    def _bind(self, automaton: Automaton, class_map: Ints) -> tuple[Ints, Tails]:
        """Shared symbol to the automaton's symbol, and the tails as the automaton sees them."""
        completions = [
            sorted({tuple(int(class_map[c]) for c in self.strings[i]) for i in ids}) for ids in self._completions
        ]
        tails = tails_of(completions, _harmless(automaton))
        marks = np.full(N_MARKS, -1, np.int32)
        n = automaton.alphabet.n
        if isinstance(automaton, InJoinedArrays):
            marks = n + np.arange(N_MARKS)
        elif isinstance(automaton, InStrings):
            marks[[Mark.OPEN - FIRST_MARK, Mark.CLOSE - FIRST_MARK]] = [n, n + 1]
        columns = np.where(tails.column >= 0, automaton.n_symbols + tails.column, -1)
        return np.concatenate([class_map, marks, columns]).astype(np.int32), tails

    @cached_property
    def _string_ids(self) -> tuple[Ints, list[ClassString]]:
        """For every code point, which class string its image is; and the distinct class strings."""
        return class_strings(self.alphabet)

    @property
    def string_ids(self) -> Ints:
        return self._string_ids[0]

    @property
    def strings(self) -> list[ClassString]:
        return self._string_ids[1]

    @cached_property
    def _completions(self) -> list[list[int]]:
        """For every tail of the vocabulary and every unfinished mode, the class strings that it may become."""
        out: list[list[int]] = []
        for tail in cut(self.vocabulary).tails:
            low, high = utf8.completions(tail)
            out.append(np.flatnonzero(np.bincount(self.string_ids[low:high])).tolist())
        for mode in self.lexer.unfinished:
            out.append(np.unique(self.string_ids[[c for _, c in self.lexer.completions(mode)]]).tolist())
        return out


def _harmless(automaton: Automaton) -> Callable[[frozenset[ClassString]], bool]:
    """For phrases: a tail that may become a word character or another one survives everywhere, where neither completes
    a phrase by itself: what is left to complete is a boundary, and one of the two makes none."""
    inner = automaton.inner if isinstance(automaton, InStrings | InJoinedArrays) else automaton
    if not isinstance(inner, PhraseAutomaton):
        return lambda possible: False
    safe: dict[int, set[ClassString]] = {}
    for symbol, flags in enumerate(inner.alphabet.flags):
        if symbol not in inner.trie.completing:
            safe.setdefault(flags, set()).add((symbol,))
    return lambda possible: len(safe) == 2 and all(not possible.isdisjoint(kind) for kind in safe.values())
