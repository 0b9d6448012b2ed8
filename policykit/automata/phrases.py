"""Many phrases as one automaton: a trie over symbol classes whose active nodes are the state.

The trie has two roots: phrases may start anywhere from node 0, and only at a word boundary from node 1. Nothing
is determinised ahead, so ten thousand phrases build as fast as their characters are read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from policykit.automata.alphabet import PHRASE_WORD, SEPARATOR_RANGES, Alphabet, partition
from policykit.automata.interned import Interned
from policykit.automata.lazy import FOUND
from policykit.automata.nfa import Separated
from policykit.text import View, is_separator, is_word

ANYWHERE, AT_BOUNDARY = 0, 1
OPEN, ENDS, ENDS_AT_BOUNDARY = 0, 1, 2


@dataclass(frozen=True, eq=False)
class PhraseTrie:
    """``final[node]`` says whether a phrase ends there (and needs a boundary); nodes in ``loops`` were reached over a
    separator and stay on more of them; ``owners`` are the indices of the phrases that end at a node. ``also[node]``
    are further moves, where phrases branch on one symbol or pass over some; empty for most tries."""

    alphabet: Alphabet
    children: tuple[dict[int, int], ...]
    final: tuple[int, ...]
    loops: frozenset[int]
    owners: dict[int, tuple[int, ...]]
    separator: int
    also: tuple[dict[int, tuple[int, ...]], ...] = ()

    def moves(self, nodes: Iterable[int], symbol: int) -> set[int]:
        """Where the nodes lead on a symbol."""
        children = self.children
        ahead = {children[a].get(symbol, -1) for a in nodes} - {-1}
        if symbol == self.separator:
            ahead |= self.loops.intersection(nodes)
        if self.also:
            ahead.update(to for a in nodes for to in self.also[a].get(symbol, ()))
        return ahead

    def read_by(self, nodes: Iterable[int]) -> set[int]:
        """The symbols that one of the nodes reads."""
        symbols: set[int] = set()
        for node in nodes:
            symbols.update(self.children[node])
            if node in self.loops:
                symbols.add(self.separator)
            if self.also:
                symbols.update(self.also[node])
        return symbols

    @cached_property
    def symbols(self) -> frozenset[int]:
        """Every symbol that some node reads."""
        return frozenset(self.read_by(range(len(self.children))))

    @cached_property
    def completing(self) -> frozenset[int]:
        """The symbols that complete a phrase by themselves, without a boundary after them."""
        moves = [(s, to) for row in self.children for s, to in row.items()]
        moves += [(s, to) for row in self.also for s, targets in row.items() for to in targets]
        return frozenset(s for s, to in moves if self.final[to] == ENDS)


def separate(view: View, text: str, exact: bool) -> Separated:
    """A phrase on the view, cut at its separators; boundaries are wanted where it begins or ends with a word character.

    An empty image gives no pieces.
    """
    image = view.apply(text)
    if exact:
        pieces = [image] if image else []
    else:
        marked = "".join("\0" if is_separator[ord(c)] else c for c in image)
        pieces = [piece for piece in marked.split("\0") if piece]
    if not pieces:
        return Separated((), False, False)
    return Separated(tuple(pieces), bool(is_word[ord(pieces[0][0])]), bool(is_word[ord(pieces[-1][-1])]))


def build_trie(view: View, phrases: Sequence[Separated]) -> PhraseTrie:
    """The trie of all phrases over the coarsest alphabet that spells them."""
    chars = sorted({ord(c) for phrase in phrases for piece in phrase.pieces for c in piece})
    loops_wanted = any(len(phrase.pieces) > 1 for phrase in phrases)
    sets = [((c, c),) for c in chars] + ([SEPARATOR_RANGES] if loops_wanted else [])
    alphabet = partition(view, sets, PHRASE_WORD)
    symbol = {c: alphabet.of(chr(c)) for c in chars}
    separator = next(iter(alphabet.members(SEPARATOR_RANGES))) if loops_wanted else -1
    children: list[dict[int, int]] = [{}, {}]
    final = [OPEN, OPEN]
    loops: set[int] = set()
    owners: dict[int, list[int]] = {}

    def grow(node: int, at: int) -> int:
        found = children[node].get(at)
        if found is None:
            found = children[node][at] = len(children)
            children.append({})
            final.append(OPEN)
        return found

    for index, phrase in enumerate(phrases):
        node = AT_BOUNDARY if phrase.left_boundary else ANYWHERE
        for i, piece in enumerate(phrase.pieces):
            if i:
                node = grow(node, separator)
                loops.add(node)
            for char in piece:
                node = grow(node, symbol[ord(char)])
        if not phrase.right_boundary:
            final[node] = ENDS
        elif final[node] == OPEN:
            final[node] = ENDS_AT_BOUNDARY
        owners.setdefault(node, []).append(index)
    return PhraseTrie(
        alphabet, tuple(children), tuple(final), frozenset(loops), {n: tuple(v) for n, v in owners.items()}, separator
    )


State = tuple[frozenset[int], bool]


class PhraseAutomaton:
    """Finds any phrase of a trie. A state is (active nodes, whether the previous character was a word character)."""

    def __init__(self, trie: PhraseTrie) -> None:
        self.trie = trie
        self.alphabet = trie.alphabet
        self._is_word = tuple(bool(f & PHRASE_WORD) for f in trie.alphabet.flags)
        self.forget()

    def forget(self) -> None:
        """Drop all states; numbers given out before are void."""
        self._states = Interned[State]()
        self.start = self._states.number((frozenset[int](), False))
        self._after_word = self._states.number((frozenset[int](), True))

    @property
    def n_symbols(self) -> int:
        return self.alphabet.n

    @property
    def n_states(self) -> int:
        return len(self._states)

    def key(self, state: int) -> object:
        return self._states.key(state) if state else None

    def intern(self, key: object) -> int:
        return FOUND if key is None else self._states.number(cast(State, key))

    def step(self, state: int, symbol: int) -> int:
        memo = self._states.memo[state]
        found = memo.get(symbol)
        if found is None:
            found = memo[symbol] = self._step(state, symbol) if state else FOUND
        return found

    def _step(self, state: int, symbol: int) -> int:
        active, was_word = self._states.key(state)
        final, word = self.trie.final, self._is_word[symbol]
        if word != was_word and any(final[a] == ENDS_AT_BOUNDARY for a in active):
            return FOUND
        ahead = self._ahead(active, was_word, symbol)
        if any(final[a] == ENDS for a in ahead):
            return FOUND
        return self._states.number((ahead, word))

    def _ahead(self, active: frozenset[int], was_word: bool, symbol: int) -> frozenset[int]:
        """The nodes that are active after the symbol."""
        roots = (ANYWHERE, AT_BOUNDARY) if self._is_word[symbol] != was_word else (ANYWHERE,)
        return frozenset(self.trie.moves((*active, *roots), symbol))

    def pass_over(self, state: int, symbol: int) -> int:
        """The step of :meth:`step`, but a match that it completes is let go and the others go on."""
        active, was_word = self._states.key(state)
        ahead = self._ahead(active, was_word, symbol)
        open_nodes = frozenset(a for a in ahead if self.trie.final[a] != ENDS or self.trie.read_by((a,)))
        return self._states.number((open_nodes, self._is_word[symbol]))

    def end_found(self, state: int) -> bool:
        if not state:
            return True
        active, was_word = self._states.key(state)
        return was_word and any(self.trie.final[a] == ENDS_AT_BOUNDARY for a in active)

    def reference(self, state: int) -> int:
        if not state:
            return FOUND
        return self._after_word if self._states.key(state)[1] else self.start

    def hot(self, state: int) -> Iterable[int] | None:
        """Symbols that an active node reads; on every other the state moves as its reference does."""
        active, _ = self._states.key(state)
        trie = self.trie
        if any(trie.final[a] == ENDS_AT_BOUNDARY for a in active):
            return None
        return trie.read_by(active)

    def culprits(self, state: int, symbol: int | None) -> tuple[int, ...]:
        """Phrases that the symbol (None: the end of the text) completes."""
        active, was_word = self._states.key(state)
        trie = self.trie
        word = symbol is not None and self._is_word[symbol]
        ended = [a for a in active if word != was_word and trie.final[a] == ENDS_AT_BOUNDARY]
        if symbol is not None:
            ended += [a for a in self._ahead(active, was_word, symbol) if trie.final[a] == ENDS]
        return tuple(i for a in sorted(ended) for i in trie.owners[a])
