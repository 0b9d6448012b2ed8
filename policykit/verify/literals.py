"""All phrases of a view in one Aho–Corasick pass (Aho and Corasick, CACM 18(6), 1975), exact.

The text becomes one symbol per class of characters, and a run of separators one symbol. A phrase is then a string of
symbols; what is left to check of a hit are its boundaries.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import ahocorasick_rs
import numpy as np
from numpy.typing import NDArray

from policykit.automata import Matches, Places, separate
from policykit.automata.alphabet import PHRASE_WORD, SEPARATOR_RANGES, partition
from policykit.ir.document import Phrases
from policykit.text import View
from policykit.text.joined import SURROGATE, Joined

_MAX_BYTES = 256
_JOINT, _FIRST = 0, 1
"""The symbols of what joins units, which no phrase has, and of the first class."""

Symbols = NDArray[Any]
"""Unsigned integers of one byte, or of two where there are many classes."""
Spelled = tuple[str, ...]
"""A phrase as its pieces between separators."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A phrase in ``pieces``, and which phrases of which leaves (leaf, phrase) it is."""

    pieces: Spelled
    left_boundary: bool
    right_boundary: bool
    owners: tuple[tuple[int, int], ...]


def literals(view: View, leaves: Iterable[tuple[int, Phrases]]) -> list[Literal]:
    """The distinct phrases of numbered leaves, which are all exact or none of them is. Empty images are left out."""
    found: dict[Spelled, Literal] = {}
    owners: dict[Spelled, dict[int, int]] = {}
    for number, leaf in leaves:
        for index, phrase in enumerate(leaf.phrases):
            separated = separate(view, phrase.text, leaf.exact)
            if separated.pieces:
                found[separated.pieces] = Literal(
                    separated.pieces, separated.left_boundary, separated.right_boundary, ()
                )
                owners.setdefault(separated.pieces, {}).setdefault(number, index)
    return [Literal(p, one.left_boundary, one.right_boundary, tuple(owners[p].items())) for p, one in found.items()]


class LiteralScan:
    """Finds phrases. ``ascii_only``: for texts on the view that are ASCII, where no other phrase can be."""

    def __init__(self, view: View, found: Sequence[Literal], *, exact: bool, ascii_only: bool) -> None:
        self._literals = [one for one in found if not ascii_only or all(piece.isascii() for piece in one.pieces)]
        chars = sorted({ord(c) for one in self._literals for piece in one.pieces for c in piece})
        sets = [((c, c),) for c in chars] + ([] if exact else [SEPARATOR_RANGES])
        self._alphabet = partition(view, sets, PHRASE_WORD)
        self._separator = None if exact else min(self._alphabet.members(SEPARATOR_RANGES)) + _FIRST
        self._is_wide = self._alphabet.n + _FIRST > _MAX_BYTES
        self._is_word = np.array([False] * _FIRST + [bool(f & PHRASE_WORD) for f in self._alphabet.flags])
        self._search = ahocorasick_rs.BytesAhoCorasick(
            [self._spelled(one.pieces) for one in self._literals],
            implementation=ahocorasick_rs.Implementation.DFA if _is_small(self._literals) else None,
        )
        self._left = np.array([one.left_boundary for one in self._literals], np.bool_)
        self._right = np.array([one.right_boundary for one in self._literals], np.bool_)

    @property
    def _type(self) -> "np.dtype[np.uint8] | np.dtype[np.uint16]":
        return np.dtype("<u2") if self._is_wide else np.dtype(np.uint8)

    def _spelled(self, pieces: Spelled) -> bytes:
        symbols: list[int] = []
        for i, piece in enumerate(pieces):
            if i:
                assert self._separator is not None, "an exact phrase is one piece"
                symbols.append(self._separator)
            symbols += [self._alphabet.of(char) + _FIRST for char in piece]
        return np.array(symbols, self._type).tobytes()

    @cached_property
    def _table(self) -> Symbols:
        table = self._alphabet.spread(self._symbol_of)
        table[ord(SURROGATE)] = _JOINT
        return table

    @cached_property
    def _ascii(self) -> Symbols:
        return self._alphabet.spread(self._symbol_of, 256)  # most texts are ASCII, and a whole table is large

    @property
    def _symbol_of(self) -> Symbols:
        return np.arange(_FIRST, self._alphabet.n + _FIRST).astype(self._type)

    def _symbols(self, joined: Joined) -> Symbols:
        if joined.points is not None:
            return joined.of_points(self._table)
        if self._is_wide:
            points = np.frombuffer(joined.ascii, np.uint8)
            symbols = self._ascii[points]
            return np.where(points == 0, self._type.type(_JOINT), symbols) if joined.is_jointed else symbols
        table = self._ascii.tobytes()
        table = bytes([_JOINT]) + table[1:] if joined.is_jointed else table
        return np.frombuffer(joined.ascii.translate(table), np.uint8)

    def find(self, joined: Joined) -> Iterable[tuple[int, Matches]]:
        """All matches by leaf, unordered; of one leaf perhaps in several parts."""
        if not self._literals:
            return ()
        symbols, kept = self._symbols(joined), None
        if self._separator is not None:
            symbols, kept = _runs_as_one(symbols, self._separator)
        hits = self._search.find_matches_as_indexes(symbols.tobytes(), overlapping=True)
        if not hits:
            return ()
        flat = np.fromiter(chain.from_iterable(hits), np.int64, 3 * len(hits))
        return self._of_leaves(*self._checked(symbols, kept, flat.reshape(-1, 3)))

    def _checked(
        self, symbols: Symbols, kept: NDArray[np.bool_] | None, hits: NDArray[np.int64]
    ) -> tuple[Places, Places, Places]:
        """The hits with boundaries where they need them, at their places in the text: literals, starts, ends."""
        which, start, end = hits.T
        if self._is_wide:
            aligned = start % 2 == 0
            which, start, end = which[aligned], start[aligned] // 2, end[aligned] // 2
        passes = ~(self._left[which] & self._word_at(symbols, start - 1))
        passes &= ~(self._right[which] & self._word_at(symbols, end))
        which, start, end = which[passes], start[passes], end[passes]
        if kept is not None and len(which):
            places = np.flatnonzero(kept)
            start, end = places[start], places[end - 1] + 1
        return which, start, end

    def _word_at(self, symbols: Symbols, places: Places) -> NDArray[np.bool_]:
        """Whether there is a word character at some places; beside the text there is none."""
        inside = (places >= 0) & (places < len(symbols))
        return inside & self._is_word[symbols.take(places, mode="clip")]

    @cached_property
    def _owners(self) -> list[tuple[Places, Places]]:
        """The leaf and the phrase of every literal, -1 for none; then those of the literals that have a second one."""
        out: list[tuple[Places, Places]] = []
        for nth in range(max(len(one.owners) for one in self._literals)):
            nths = [one.owners[nth] if nth < len(one.owners) else (-1, -1) for one in self._literals]
            out.append((np.array([leaf for leaf, _ in nths]), np.array([index for _, index in nths])))
        return out

    def _of_leaves(self, which: Places, starts: Places, ends: Places) -> Iterator[tuple[int, Matches]]:
        for leaves, phrases in self._owners:
            of = leaves[which]
            for leaf in np.flatnonzero(np.bincount(of + 1)[1:]).tolist():
                own = of == leaf
                yield leaf, Matches(starts[own], ends[own], phrases[which[own]])


def _is_small(found: Sequence[Literal]) -> bool:
    """Whether the fastest automaton, with a row of transitions per character, stays within some 50 MB."""
    return sum(len(piece) for one in found for piece in one.pieces) < 200_000


def _runs_as_one(symbols: Symbols, separator: int) -> tuple[Symbols, NDArray[np.bool_] | None]:
    """The symbols with every run of separators as one of them, and which were kept (None: all)."""
    is_separator = symbols == separator
    again = is_separator[1:] & is_separator[:-1]
    if not again.any():
        return symbols, None
    kept = np.concatenate(([True], ~again))
    return symbols[kept], kept
