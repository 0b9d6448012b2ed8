"""Packed rows: sets of token ids as bits."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Row: TypeAlias = NDArray[np.int32]
"""``int32 [ceil(V/32)]``: bit i % 32 of word i / 32 is the token i."""


def set_bits(row: Row) -> NDArray[np.int64]:
    """The ids whose bits are set, ascending. Takes time by the words that are not empty, not by the vocabulary."""
    words = (row != 0).nonzero()[0]  # several times as fast as asking the words themselves
    at = np.unpackbits(row[words].view(np.uint8), bitorder="little").nonzero()[0]
    return words[at >> 5] * 32 + (at & 31)


def has_bit(row: Row, token_id: int) -> bool:
    """Whether a row holds a token."""
    return bool(int(row[token_id >> 5]) >> (token_id & 31) & 1)


def close(row: Row, token_id: int) -> None:
    """Clear a token's bit."""
    row.view(np.uint32)[token_id >> 5] &= ~np.uint32(1 << (token_id & 31))
