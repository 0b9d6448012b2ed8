"""Packed rows against plain sets."""

import numpy as np
from hypothesis import given, strategies as st

from policykit.constraint.rows import set_bits


@given(st.sets(st.integers(0, 299)), st.integers(10, 12))
def test_rows_are_sets(ids: set[int], words: int) -> None:
    row = np.zeros(words, np.int32)
    for i in ids:
        row[i >> 5] |= np.uint32(1 << (i & 31)).view(np.int32)
    assert set_bits(row).tolist() == sorted(ids)
