"""Phrases with their letters set apart: `g u a r a n t e e d`, `g.u.a.r`, `guar-anteed returns`.

Separators are erased on the pattern's side, so both boundaries are judged on the text as it stands. What may stand
between two letters of a phrase:

- inside a word any run of characters that are no letters, marks or digits, or nothing;
- between two words separators (white space, dashes, `_`, `*`, `~`, backticks, invisible format characters), dots and
  slashes that no white space follows, or nothing: `guaranteed. Returns` is the end of a sentence and no spelling;
- where every letter of the whole phrase (with its marks) is set apart, any run of such characters everywhere: `d . r`,
  `d | r`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from policykit.automata.alphabet import (
    DOT_RANGES,
    NOT_LETTER_RANGES,
    PHRASE_WORD,
    TIGHT_RANGES,
    WHITE_RANGES,
    partition,
)
from policykit.automata.nfa import Squeezed
from policykit.automata.phrases import (
    ANYWHERE,
    AT_BOUNDARY,
    ENDS,
    ENDS_AT_BOUNDARY,
    OPEN,
    PhraseTrie,
    separate,
)
from policykit.text import View, is_letter, is_mark


def squeeze(view: View, text: str) -> Squeezed:
    """A phrase on the view, cut at its separators. An empty image gives no words."""
    found = separate(view, text, exact=False)
    return Squeezed(found.pieces, found.left_boundary, found.right_boundary)


def n_letters(phrase: Squeezed) -> int:
    """Letters, marks and digits of the phrase."""
    return sum(bool(is_letter[ord(char)]) for word in phrase.words for char in word)


class _Gap(IntEnum):
    """What follows a letter of a phrase."""

    END = 0
    INSIDE = 1
    BETWEEN = 2
    APART = 3


_Spelling: TypeAlias = list[tuple[str, _Gap]]
"""Letters, each with the gap after it."""


def _spellings(phrase: Squeezed) -> tuple[_Spelling, _Spelling]:
    loose = [(char, _Gap.INSIDE) for word in phrase.words for char in word]
    ends = -1
    for word in phrase.words:
        ends += len(word)
        loose[ends] = (loose[ends][0], _Gap.BETWEEN)
    loose[-1] = (loose[-1][0], _Gap.END)
    marked = [*(bool(is_mark[ord(char)]) for char, _ in loose[1:]), False]
    gaps = [
        (_Gap.INSIDE if mark else _Gap.APART) if gap else _Gap.END for (_, gap), mark in zip(loose, marked, strict=True)
    ]
    return loose, [(char, gap) for (char, _), gap in zip(loose, gaps, strict=True)]


@dataclass(frozen=True, slots=True)
class _Spaces:
    """Symbols by what they are to a gap."""

    other: frozenset[int]
    white: frozenset[int]
    tight: frozenset[int]
    dots: frozenset[int]


class _Trie:
    """Nodes by (letters so far, the gap that follows); letters leave from ``exits`` of a node."""

    def __init__(self, spaces: _Spaces) -> None:
        self._spaces = spaces
        self.edges: list[dict[int, tuple[int, ...]]] = []
        self.final: list[int] = []
        self.exits: list[tuple[int, ...]] = []
        self._known: dict[tuple[int, int, _Gap], int] = {}
        for _ in (ANYWHERE, AT_BOUNDARY):
            root = self._node()
            self.exits[root] = (root,)

    def _node(self) -> int:
        self.edges.append({})
        self.final.append(OPEN)
        self.exits.append(())
        return len(self.edges) - 1

    def _on(self, symbols: frozenset[int], at: int, to: int) -> None:
        for symbol in symbols:
            self.edges[at][symbol] = (*self.edges[at].get(symbol, ()), to)

    def grow(self, at: int, symbol: int, gap: _Gap) -> int:
        key = (at, symbol, gap)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._node()
            for exit in self.exits[at]:
                self._on(frozenset((symbol,)), exit, known)
            self.exits[known] = self._open(known, gap)
        return known

    def _open(self, at: int, gap: _Gap) -> tuple[int, ...]:
        spaces = self._spaces
        if gap is _Gap.INSIDE:
            self._on(spaces.other, at, at)
            return (at,)
        if gap is _Gap.APART:
            apart = self._node()
            self._on(spaces.other, at, apart)
            self._on(spaces.other, apart, apart)
            return (apart,)
        if gap is _Gap.END:
            return ()
        spaced, dotted = self._node(), self._node()
        self._on(spaces.tight, at, at)
        self._on(spaces.white, at, spaced)
        self._on(spaces.white | spaces.tight, spaced, spaced)
        self._on(spaces.dots, at, dotted)
        self._on(spaces.dots | spaces.tight, dotted, dotted)
        return at, spaced, dotted


def build_squeezed_trie(view: View, phrases: Sequence[Squeezed]) -> PhraseTrie:
    """The trie of all phrases and their spellings. Every phrase has a word."""
    chars = sorted({ord(c) for phrase in phrases for word in phrase.words for c in word})
    gaps = (NOT_LETTER_RANGES, WHITE_RANGES, TIGHT_RANGES, DOT_RANGES)
    alphabet = partition(view, [*(((c, c),) for c in chars), *gaps], PHRASE_WORD)
    members = alphabet.members
    spaces = _Spaces(members(NOT_LETTER_RANGES), members(WHITE_RANGES), members(TIGHT_RANGES), members(DOT_RANGES))
    symbol = {c: alphabet.of(chr(c)) for c in chars}
    trie = _Trie(spaces)
    owners: dict[int, list[int]] = {}
    for index, phrase in enumerate(phrases):
        for spelling in _spellings(phrase):
            node = AT_BOUNDARY if phrase.left_boundary else ANYWHERE
            for char, gap in spelling:
                node = trie.grow(node, symbol[ord(char)], gap)
            trie.final[node] = ENDS_AT_BOUNDARY if phrase.right_boundary else ENDS
            owners.setdefault(node, []).append(index)
    found = {node: tuple(dict.fromkeys(indices)) for node, indices in owners.items()}
    return PhraseTrie(
        alphabet,
        children=tuple({} for _ in trie.edges),
        final=tuple(trie.final),
        loops=frozenset(),
        owners=found,
        separator=-1,
        also=tuple(trie.edges),
    )
