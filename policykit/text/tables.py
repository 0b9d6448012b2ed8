"""The shipped Unicode tables, read once and never written to."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policykit.ir.regex import MAX_CODE_POINT

N_POINTS = MAX_CODE_POINT + 1


@cache
def tables(file_name: str = "unicode") -> Mapping[str, NDArray[Any]]:
    """Every array of ``unicode.npz`` by name, or of ``look_alikes.npz``; what they hold is said by their builders."""
    with files("policykit.text").joinpath(f"{file_name}.npz").open("rb") as file, np.load(file) as archive:
        read = {name: archive[name] for name in sorted(archive.files)}
    for array in read.values():
        array.setflags(write=False)
    return MappingProxyType(read)


def spread(name: str, of: Sequence[bool]) -> NDArray[np.bool_]:
    """What ``of`` says of the value of a run-length encoded property, at every code point, ``[0x110000]``."""
    starts, values = tables()[f"{name}_starts"], tables()[f"{name}_values"]
    return np.repeat(np.array(of, np.bool_)[values], np.diff(starts.astype(np.int64), append=N_POINTS))
