"""Regular expressions as a closed algebra over code points.

A literal is written for the text and is carried through a view when compiling (`A` becomes `a` under `compat`);
a category or a negation speaks about the view's own characters. :class:`Chars` keeps the two apart.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

MAX_CODE_POINT = 0x10FFFF

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""Sorted, disjoint, non-adjacent inclusive ranges of code points."""


class Look(StrEnum):
    """A zero-width assertion between two characters (or at an end of the text)."""

    TEXT_START = "text_start"
    TEXT_END = "text_end"
    LINE_START = "line_start"
    LINE_END = "line_end"
    WORD_BOUNDARY = "word_boundary"
    NOT_WORD_BOUNDARY = "not_word_boundary"


@dataclass(frozen=True, slots=True)
class Empty:
    """The empty string."""


@dataclass(frozen=True, slots=True)
class Chars:
    """One character: of ``literal`` (mapped through the view) or of ``on_view`` (read on the view)."""

    literal: Ranges = ()
    on_view: Ranges = ()


@dataclass(frozen=True, slots=True)
class Concat:
    items: "tuple[Regex, ...]"


@dataclass(frozen=True, slots=True)
class Alternation:
    items: "tuple[Regex, ...]"


@dataclass(frozen=True, slots=True)
class Repeat:
    """``least`` to ``most`` copies; ``most`` None is unbounded. Greedy or lazy makes no difference to a language."""

    item: "Regex"
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Assertion:
    look: Look


Regex: TypeAlias = Empty | Chars | Concat | Alternation | Repeat | Assertion


def ranges_of(pairs: "list[tuple[int, int]]") -> Ranges:
    """Normalised ranges of any inclusive pairs."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(pairs):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def complement(ranges: Ranges) -> Ranges:
    """Every other code point."""
    out: list[tuple[int, int]] = []
    start = 0
    for low, high in ranges:
        if low > start:
            out.append((start, low - 1))
        start = high + 1
    if start <= MAX_CODE_POINT:
        out.append((start, MAX_CODE_POINT))
    return tuple(out)


def literal_text(text: str) -> Regex:
    """The expression that matches exactly ``text``."""
    return Concat(tuple(Chars(literal=((ord(c), ord(c)),)) for c in text)) if text else Empty()
