"""Many texts one behind the other, for searches that read them all at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

SURROGATE = "\ud800"
"""Joins texts for searches that read them all at once: no valid text has it, and it is no word character."""
_NUL = "\0"
BEYOND = 128
"""Stands for all characters beyond ASCII, where these are not told apart."""
_LONG = 4_096
"""Characters of a text whose kinds are worth numbering."""
_FEW = 8
"""One character beyond ASCII of so many is asked alone, and the others are translated."""


@dataclass(frozen=True, eq=False)
class Joined:
    """Texts one behind the other with a joint between two: a text in ASCII, or code points.

    In ``ascii`` the joint is NUL, which is in no text then (``is_jointed``: there are joints); in ``points`` it is
    :data:`SURROGATE`. ``starts`` says where each text begins.
    """

    ascii: bytes
    points: NDArray[np.uint32] | None
    starts: tuple[int, ...]

    @property
    def is_jointed(self) -> bool:
        return len(self.starts) > 1

    @property
    def codes(self) -> NDArray[Any]:
        """The code points, of one byte each where all are ASCII."""
        return np.frombuffer(self.ascii, np.uint8) if self.points is None else self.points

    @cached_property
    def narrow(self) -> NDArray[np.uint8]:
        """The code points, :data:`BEYOND` for all beyond ASCII."""
        return self.codes if self.points is None else np.minimum(self.points, BEYOND).astype(np.uint8)

    def of_points(self, table: NDArray[Any]) -> NDArray[Any]:
        """What a table (``[0x110000]``) says of every code point where not all are ASCII. Not to be written to."""
        if table.itemsize == 1 and self._palette is not None:
            numbers, chars = self._palette
            return np.frombuffer(numbers.translate(table[chars].tobytes().ljust(256)), table.dtype)
        if table.itemsize == 1 and self._scattered is not None:
            places, points = self._scattered
            found = np.frombuffer(bytearray(self._bytes.translate(table[:256].tobytes())), table.dtype)
            found[places] = table.take(points)
            return found
        return table.take(self._indices, mode="clip")  # nothing is beyond: it is faster than to raise

    @cached_property
    def _palette(self) -> tuple[bytes, NDArray[np.intp]] | None:
        """A number of a byte for every character, and the code points that the numbers stand for: bytes are translated
        faster than a table of all code points is asked. None where there are more, or few characters."""
        assert self.points is not None, "ASCII is translated"
        if len(self.points) < _LONG:
            return None
        beyond = np.flatnonzero(self.points >= BEYOND)
        own = self.points[beyond].astype(np.intp)
        kinds = np.flatnonzero(np.bincount(own))
        if len(kinds) > 256 - BEYOND:
            return None
        number = np.zeros(int(kinds.max(initial=0)) + 1, np.uint8)
        number[kinds] = BEYOND + np.arange(len(kinds))
        numbers = self.narrow.copy()
        numbers[beyond] = number.take(own)
        return numbers.tobytes(), np.concatenate((np.arange(BEYOND), kinds))

    @cached_property
    def _scattered(self) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
        """Where the characters beyond ASCII stand, and what they are. None where they are many, or characters few."""
        assert self.points is not None, "ASCII is translated"
        places = np.flatnonzero(self.points >= BEYOND)
        if len(self.points) < max(_LONG, _FEW * len(places)):
            return None
        return places, self.points[places].astype(np.intp)

    @cached_property
    def _bytes(self) -> bytes:
        return self.narrow.tobytes()

    @cached_property
    def _indices(self) -> NDArray[np.intp]:
        assert self.points is not None, "ASCII is translated"
        return self.points.astype(np.intp)

    @property
    def joint(self) -> int:
        """The code point that is a joint and nothing else, -1 where there is none."""
        if not self.is_jointed:
            return -1
        return 0 if self.points is None else ord(SURROGATE)


def join(texts: Sequence[str]) -> Joined:
    """The texts as one. Linear."""
    starts = (0, *accumulate(len(text) + 1 for text in texts[:-1]))
    whole = _NUL.join(texts)
    if whole.isascii() and (len(texts) <= 1 or whole.count(_NUL) == len(texts) - 1):
        return Joined(whole.encode("ascii"), None, starts)
    whole = SURROGATE.join(texts)
    return Joined(b"", np.frombuffer(whole.encode("utf-32-le", "surrogatepass"), np.dtype("<u4")), starts)
