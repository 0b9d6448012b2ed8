"""Numbers of one form at once: what may stand at each of their places, and what holds of those that are valid.

Where a form says what a module of python-stdnum says, the module is asked first about numbers that are drawn from the
form, valid and not: if it says otherwise about one of them, it is asked about all.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from string import ascii_uppercase

import numpy as np
from numpy.typing import NDArray

from policykit.entities.check_digits import Codes, Flags, Values, values_of
from policykit.entities.compact import Compact, Places
from policykit.entities.entity import ASK
from policykit.entities.numbers import Decided, by_length, unknown

_DRAWN, _ASKED, _LEAST = 50_000, 40, 5
"""Numbers that are drawn, as many of the valid ones and of the others that the package is asked about, and as many
valid ones as there have to be."""
_PLACE = re.compile(r"(\[[^\]]+\]|.)(?:\{([0-9]+)\})?")


@dataclass(frozen=True)
class Form:
    """``shapes``: what may stand at each place, as sets of ASCII, a shape for each length. ``holds`` gets the numbers
    that have one of these. ``path`` is a module of python-stdnum, and ``drawn`` a shape in which more are valid.
    ``as_seen``: of what stands in the text, in capitals.
    """

    shapes: tuple[str, ...]
    holds: Callable[[Codes], Flags]
    path: str = ""
    drawn: str = ""
    as_seen: bool = False

    def decide(self, text: Compact, starts: Places, ends: Places) -> Decided:
        """What is said of each stretch of a text: ASK of those that have no shape."""
        out = unknown(starts)
        if not self.is_known:
            return out
        first, last = (starts, ends) if self.as_seen else text.places(starts, ends)
        read = text.capital if self.as_seen else text.kept
        for length, own in by_length(first, last):
            if length in self._may_be:
                codes = np.stack([read(first[own] + i) for i in range(length)])
                out[own] = np.where(self._fit(codes), self.holds(codes), ASK)
        return out

    def _fit(self, codes: Codes) -> Flags:
        fits = [may_be[codes[place]] for place, may_be in enumerate(self._may_be[codes.shape[0]])]
        return np.logical_and.reduce(fits)

    @cached_property
    def _may_be(self) -> dict[int, list[Flags]]:
        """By length which characters may stand at each place."""
        return {len(sets): sets for sets in map(_places, self.shapes)}

    @cached_property
    def is_known(self) -> bool:
        """Whether the package says what is said here. Raises ImportError where it is missing."""
        return not self.path or all(self._agrees(_places(shape)) for shape in (*self.shapes, self.drawn) if shape)

    def _agrees(self, sets: list[Flags]) -> bool:
        is_valid: Callable[[str], bool] = import_module(f"stdnum.{self.path}").is_valid
        rng = np.random.default_rng(len(sets))
        codes = np.stack([rng.choice(np.flatnonzero(chars), _DRAWN) for chars in sets]).astype(np.uint8)
        holds = self.holds(codes)
        asked = np.concatenate([np.flatnonzero(holds)[:_ASKED], np.flatnonzero(~holds)[:_ASKED]])
        is_enough = len(self.drawn) > 0 or np.count_nonzero(holds) >= _LEAST
        said = [is_valid(codes[:, i].tobytes().decode("ascii")) for i in asked.tolist()]
        return bool(is_enough and said == holds[asked].tolist())

    def read_ahead(self) -> None:
        """Ask the package."""
        _ = self.is_known


def _places(shape: str) -> list[Flags]:
    return [_among(found[1]) for found in _PLACE.finditer(shape) for _ in range(int(found[2] or 1))]


@cache
def _among(chars: str) -> Flags:
    return np.array([code < 128 and bool(re.fullmatch(chars, chr(code))) for code in range(256)])


@cache
def accepted(path: str, texts: tuple[str, ...]) -> Flags:
    """Which of some numbers a module of python-stdnum accepts."""
    is_valid: Callable[[str], bool] = import_module(f"stdnum.{path}").is_valid
    return np.array(list(map(is_valid, texts)))


PAIRS = tuple(a + b for a in ascii_uppercase for b in ascii_uppercase)


def pair(codes: Codes) -> NDArray[np.intp]:
    """The place in :data:`PAIRS` of two letters."""
    return (codes[0].astype(np.intp) - ord("A")) * len(ascii_uppercase) + codes[1] - ord("A")


@cache
def accepted_pairs(path: str, shape: str, has_check_digit: Callable[[Values], Flags]) -> Flags:
    """Which of :data:`PAIRS` a module accepts in the first gap of a shape; its second is for the check digit."""
    every = [shape.format(two, digit) for two in PAIRS for digit in range(10)]
    codes = np.array([list(text.encode("ascii")) for text in every], np.uint8).T
    right = np.flatnonzero(has_check_digit(values_of(codes))).tolist()
    out = np.zeros(len(PAIRS), np.bool_)
    out[[i // 10 for i in right]] = accepted(path, tuple(every[i] for i in right))
    return out
