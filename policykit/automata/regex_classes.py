r"""Character sets of RE2's syntax: case folding, named classes and escapes.

Named classes are Unicode's and equal RE2's on ASCII text: `\d` is Nd, `\w` is L, M, N and `_`, `\s` is White_Space
without U+000B. Bracket classes (`[:alpha:]`) are ASCII, as in RE2. `(?i)` closes a set under simple case folding
(CaseFolding.txt, status C and S), as RE2 does.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from functools import cache

import numpy as np
from numpy.typing import NDArray

from policykit.ir.regex import MAX_CODE_POINT, Ranges, complement, ranges_of
from policykit.text import category_ranges, is_regex_word, simple_folding, white_space_ranges

ANY: Ranges = ((0, MAX_CODE_POINT),)
_VERTICAL_TAB = 0x0B

_POSIX = {
    "alnum": ((0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A)),
    "alpha": ((0x41, 0x5A), (0x61, 0x7A)),
    "ascii": ((0x00, 0x7F),),
    "blank": ((0x09, 0x09), (0x20, 0x20)),
    "cntrl": ((0x00, 0x1F), (0x7F, 0x7F)),
    "digit": ((0x30, 0x39),),
    "graph": ((0x21, 0x7E),),
    "lower": ((0x61, 0x7A),),
    "print": ((0x20, 0x7E),),
    "punct": ((0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)),
    "space": ((0x09, 0x0D), (0x20, 0x20)),
    "upper": ((0x41, 0x5A),),
    "word": ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)),
    "xdigit": ((0x30, 0x39), (0x41, 0x46), (0x61, 0x66)),
}
POSIX_NAMES = tuple(_POSIX)


def posix_class(name: str) -> Ranges | None:
    """The ASCII characters of a bracket class, None if there is no such class."""
    return _POSIX.get(name)


def unicode_class(name: str) -> Ranges | None:
    r"""The characters of `\p{name}`: `Any`, a general category or a script; None if there is none."""
    return ANY if name == "Any" else category_ranges(name)


@cache
def perl_class(letter: str) -> Ranges | None:
    r"""The characters of `\d`, `\w`, `\s` (upper case: of the complement), None for any other letter."""
    match letter:
        case "d":
            return category_ranges("Nd")
        case "w":
            return ranges_where(is_regex_word)
        case "s":
            return intersection(white_space_ranges, complement(((_VERTICAL_TAB, _VERTICAL_TAB),)))
        case "D" | "W" | "S":
            inner = perl_class(letter.lower())
            return None if inner is None else complement(inner)
        case _:
            return None


def ranges_where(flags: NDArray[np.bool_]) -> Ranges:
    """The ranges of the indices at which ``flags`` is true."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return tuple((int(low), int(high) - 1) for low, high in zip(edges[::2], edges[1::2], strict=True))


def intersection(a: Ranges, b: Ranges) -> Ranges:
    """The code points in both."""
    return complement(ranges_of([*complement(a), *complement(b)]))


@cache
def orbits() -> dict[int, tuple[int, ...]]:
    """For every cased code point all code points that equal it under simple case folding, itself included."""
    groups: defaultdict[int, set[int]] = defaultdict(set)
    for code_point, to in simple_folding().items():
        groups[to] |= {code_point, to}
    return {member: tuple(sorted(group)) for group in groups.values() for member in group}


@cache
def _cased() -> list[int]:
    return sorted(orbits())


def folded(ranges: Ranges) -> Ranges:
    """``ranges`` closed under simple case folding."""
    table, cased = orbits(), _cased()
    more: list[tuple[int, int]] = []
    for low, high in ranges:
        for code_point in cased[bisect_left(cased, low) : bisect_right(cased, high)]:
            more += [(other, other) for other in table[code_point]]
    return ranges_of([*ranges, *more]) if more else ranges
