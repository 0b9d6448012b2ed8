"""A vocabulary as bytes, and where its tokens stand in a mask row."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from policykit.grammar import engine

WORD_BITS = 32
MAX_SPELLED: Final = 4096
BEGUN: Final = 4
"""Bytes of a text by which it is looked up how long a token may be that it begins with."""


def place_of(token_id: int) -> tuple[int, int]:
    """A token's word in a mask row, and its bit there."""
    return token_id // WORD_BITS, 1 << (token_id % WORD_BITS)


def _words(token_ids: Iterable[int]) -> tuple[tuple[int, int], ...]:
    found: dict[int, int] = {}
    for token_id in token_ids:
        word, bit = place_of(token_id)
        found[word] = found.get(word, 0) | bit
    return tuple(sorted(found.items()))


def ids_at(word: int, bits: int) -> list[int]:
    """The tokens that bits of a word of a mask row stand for."""
    return [word * WORD_BITS + at for at in range(WORD_BITS) if bits >> at & 1]


@dataclass(frozen=True, slots=True)
class Spelled:
    """The tokens that a text begins with, whole: for each its word in a mask row, and its bit there. And the tokens
    that begin with the text and go on."""

    beginnings: tuple[tuple[int, int], ...]
    longer: tuple[int, ...]


@dataclass(frozen=True)
class TokenTable:
    """A vocabulary as bytes. ``tokens[i]`` is what token ``i`` writes (its name, for a special token).

    Special tokens write nothing: a grammar admits them only where it names them. An ordinary token without bytes is
    never admitted. (Not slotted: the engine's view of it is built once and kept.)

    Raises:
        ValueError: no end of text, or an id outside the vocabulary.
    """

    tokens: tuple[bytes, ...]
    special_ids: frozenset[int]
    eos_ids: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.eos_ids:
            raise ValueError("a vocabulary needs an end of text")
        if any(not 0 <= i < len(self.tokens) for i in (*self.eos_ids, *self.special_ids)):
            raise ValueError("a token id is outside the vocabulary")

    @cached_property
    def row_words(self) -> int:
        """The length of a mask row: ceil(V / 32)."""
        return -(-len(self.tokens) // WORD_BITS)

    @cached_property
    def compiler(self) -> engine.Compiler:
        """The engine's view; end-of-text tokens are special whether listed or not."""
        special = self.special_ids | frozenset(self.eos_ids)
        _ = self._longest, self.spells_bytes  # found out together, before a text waits for it
        return engine.Compiler(engine.vocabulary(self.tokens, special, self.eos_ids))

    @cached_property
    def _by_text(self) -> tuple[list[bytes], list[int]]:
        """Ordinary tokens in the order of their bytes, and their ids."""
        special = self.special_ids | frozenset(self.eos_ids)
        ids = sorted((i for i, t in enumerate(self.tokens) if t and i not in special), key=self.tokens.__getitem__)
        return [self.tokens[i] for i in ids], ids

    @cached_property
    def _places(self) -> dict[bytes, int]:
        """Where the first token of these bytes stands in that order."""
        texts, _ = self._by_text
        return {texts[k]: k for k in range(len(texts) - 1, -1, -1)}

    @cached_property
    def _longest(self) -> dict[bytes, int]:
        """How long tokens are that begin with these few bytes (or are no longer), at most."""
        found: dict[bytes, int] = {}
        for text in self._places:
            begun = text[:BEGUN]
            if len(text) > found.get(begun, 0):
                found[begun] = len(text)
        return found

    @cached_property
    def spells_bytes(self) -> bool:
        """Whether every byte has a token."""
        return all(bytes([byte]) in self._places for byte in range(256))

    @cached_property
    def _spelled(self) -> dict[bytes, Spelled]:
        """What :meth:`spelled` has found, for a few thousand texts."""
        return {}

    def spelled(self, text: bytes) -> Spelled:
        """The tokens that ``text`` begins with, and those that begin with it."""
        known = self._spelled.get(text)
        if known is None:
            if len(self._spelled) >= MAX_SPELLED:
                self._spelled.clear()
            known = Spelled(tuple(map(place_of, self._beginnings(text))), tuple(self._longer(text)))
            self._spelled[text] = known
        return known

    def _beginnings(self, text: bytes) -> list[int]:
        texts, ids = self._by_text
        found: list[int] = []
        for length in range(1, min(len(text), max(BEGUN - 1, self._longest.get(text[:BEGUN], 0))) + 1):
            head = text[:length]
            at = self._places.get(head, len(texts))
            while at < len(texts) and texts[at] == head:
                found.append(ids[at])
                at += 1
        return found

    def _longer(self, text: bytes) -> list[int]:
        """The tokens that begin with ``text`` and go on."""
        texts, ids = self._by_text
        found: list[int] = []
        at = bisect_right(texts, text)
        while at < len(texts) and texts[at].startswith(text):
            found.append(ids[at])
            at += 1
        return found

    @cached_property
    def eos_words(self) -> tuple[tuple[int, int], ...]:
        """The words of a mask row that have bits for ends of text, each with these bits."""
        return _words(self.eos_ids)

    @cached_property
    def special_words(self) -> tuple[tuple[int, int], ...]:
        """The same for the special tokens that end no text."""
        return _words(self.special_ids.difference(self.eos_ids))

    @cached_property
    def unused_words(self) -> tuple[tuple[int, int], ...]:
        """The same for ids that no token has."""
        named = self.special_ids.union(self.eos_ids)
        return _words(i for i, token in enumerate(self.tokens) if not token and i not in named)

    @cached_property
    def eos_bits(self) -> NDArray[np.int32]:
        """The mask row ``[ceil(V/32)]`` that allows the ends of text and nothing else."""
        row = np.zeros(self.row_words, dtype=np.uint32)
        for i in self.eos_ids:
            row[i // WORD_BITS] |= np.uint32(1 << (i % WORD_BITS))
        return row.view(np.int32)


BYTES = TokenTable((*(bytes([i]) for i in range(256)), b"<end>"), frozenset({256}), (256,))
"""One token for each byte and one end of text."""
