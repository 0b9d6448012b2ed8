"""Grouping the rows of a matrix that is given by its columns."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def distinct_rows(columns: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The distinct rows of a matrix given by columns: one row number of each, and for every row which one it is.

    Rows are sorted by a hash; should two rows ever share one, the columns are ranked one after the other instead.
    """
    key = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        key = (key ^ column.astype(np.uint64)) * _FACTOR
    _, first, index = np.unique(key, return_index=True, return_inverse=True)
    if all(np.array_equal(column[first][index], column) for column in columns):
        return first, index
    rank = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        rank = np.unique(rank * (int(column.max()) + 1) + column, return_inverse=True)[1]
    _, first, index = np.unique(rank, return_index=True, return_inverse=True)
    return first, index
