"""Texts on a view as bytes, one byte for every class of characters that a group of expressions tells apart.

RE2 then reads them at its full speed, and its `\\b` is ours: classes of word characters become bytes that it takes for
word characters, and all others become bytes that it does not.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from policykit.automata.alphabet import NEWLINE, REGEX_WORD, Alphabet, image_ranges, partition
from policykit.ir.regex import Alternation, Assertion, Chars, Concat, Empty, Look, Ranges, Regex, Repeat
from policykit.text import View
from policykit.text.joined import SURROGATE, Joined

LINE_LOOKS = frozenset({Look.LINE_START, Look.LINE_END})
WORD_LOOKS = frozenset({Look.WORD_BOUNDARY, Look.NOT_WORD_BOUNDARY})
_LINE_FEED = 0x0A
_WORD_BYTES = tuple(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")
_OTHER_BYTES = tuple(b for b in range(256) if b not in _WORD_BYTES and b != _LINE_FEED)
_ALL_BYTES = tuple(b for b in range(256) if b != _LINE_FEED)


@dataclass(frozen=True, eq=False)
class Encoding:
    """A byte for every character of the view. The line feed byte is the joint between units, or, where expressions
    look at lines (``lines``), the line feed itself."""

    alphabet: Alphabet
    byte_of: tuple[int, ...]
    lines: bool

    def members(self, ranges: Ranges) -> bytes:
        """The bytes of one of the sets that made the encoding."""
        return bytes(sorted(self.byte_of[c] for c in self.alphabet.members(ranges)))

    def of(self, char: str) -> int:
        return self.byte_of[self.alphabet.of(char)]

    @cached_property
    def _table(self) -> NDArray[np.uint8]:
        table = self.alphabet.spread(np.array(self.byte_of, np.uint8))
        table[ord(SURROGATE)] = _LINE_FEED
        return table

    @cached_property
    def _ascii(self) -> bytes:
        return self.alphabet.spread(np.array(self.byte_of, np.uint8), 256).tobytes()

    def encode(self, text: str) -> bytes:
        """The text of one unit."""
        if text.isascii():
            return text.encode("ascii").translate(self._ascii)
        return self._table[np.frombuffer(text.encode("utf-32-le"), np.dtype("<u4"))].tobytes()

    def encode_joined(self, joined: Joined) -> bytes:
        if joined.points is not None:
            return joined.of_points(self._table).tobytes()
        table = self._ascii
        return joined.ascii.translate(bytes([_LINE_FEED]) + table[1:] if joined.is_jointed else table)


def encoding_for(view: View, regexes: Iterable[Regex]) -> Encoding | None:
    """The encoding with the fewest classes for some expressions, None if there are too many for a byte each."""
    sets: list[Ranges] = []
    looks: set[Look] = set()
    for regex in regexes:
        looks |= looks_of(regex)
        sets += sets_of(view, regex)
    lines, words = bool(looks & LINE_LOOKS), bool(looks & WORD_LOOKS)
    alphabet = partition(view, sets, (NEWLINE if lines else 0) | (REGEX_WORD if words else 0))
    free = {kind: list(reversed(bytes_)) for kind, bytes_ in _bytes(words).items()}
    byte_of: list[int] = []
    for flags in alphabet.flags:
        if flags & NEWLINE:
            byte_of.append(_LINE_FEED)
            continue
        left = free[bool(flags & REGEX_WORD)]
        if not left:
            return None
        byte_of.append(left.pop())
    return Encoding(alphabet, tuple(byte_of), lines)


def _bytes(words: bool) -> dict[bool, tuple[int, ...]]:
    return {True: _WORD_BYTES, False: _OTHER_BYTES} if words else {False: _ALL_BYTES}


def looks_of(regex: Regex) -> frozenset[Look]:
    """The assertions in an expression."""
    match regex:
        case Assertion(look):
            return frozenset({look})
        case Concat(items) | Alternation(items):
            return frozenset[Look]().union(*map(looks_of, items))
        case Repeat(item):
            return looks_of(item)
        case Empty() | Chars():
            return frozenset()


def sets_of(view: View, regex: Regex) -> list[Ranges]:
    """The sets of view characters that an expression asks about."""
    match regex:
        case Chars(literal, on_view):
            singles, longer = image_ranges(view, literal)
            return [on_view, singles, *(((ord(c), ord(c)),) for image in sorted(longer) for c in image)]
        case Concat(items) | Alternation(items):
            return [found for item in items for found in sets_of(view, item)]
        case Repeat(item):
            return sets_of(view, item)
        case Empty() | Assertion():
            return []
