"""Symbol classes: characters of a view that no matcher tells apart share one small integer.

An automaton over 20–60 classes is enough for texts over 1.1 million code points, and a token of a vocabulary
becomes a short class string. The view's map is applied before, so a class is a set of *view* characters.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policykit.ir.regex import MAX_CODE_POINT, Ranges, ranges_of
from policykit.text import (
    View,
    is_dot,
    is_letter,
    is_regex_word,
    is_separator,
    is_tight,
    is_word,
    ranges_from_mask,
    white_space_ranges,
)

PHRASE_WORD, REGEX_WORD, NEWLINE, EDGE = 1, 2, 4, 8
"""Flags of a character for boundary tests; EDGE stands for the start or end of the text."""


WORD_RANGES: Ranges = ranges_from_mask(is_word)
REGEX_WORD_RANGES: Ranges = ranges_from_mask(is_regex_word)
SEPARATOR_RANGES: Ranges = ranges_from_mask(is_separator)
UNSPACED_RANGES: Ranges = ranges_from_mask(is_letter & ~is_word)
LETTER_RANGES: Ranges = ranges_from_mask(is_letter)
NOT_LETTER_RANGES: Ranges = ranges_from_mask(~is_letter)
WHITE_RANGES: Ranges = white_space_ranges
TIGHT_RANGES: Ranges = ranges_from_mask(is_tight)
DOT_RANGES: Ranges = ranges_from_mask(is_dot)
NEWLINE_RANGES: Ranges = ((10, 10),)
_MOST = 1 << 62
_FLAG_SETS = ((PHRASE_WORD, WORD_RANGES), (REGEX_WORD, REGEX_WORD_RANGES), (NEWLINE, NEWLINE_RANGES))


@dataclass(frozen=True, eq=False)
class Alphabet:
    """A partition of the view's characters into ``n`` classes.

    ``starts[i]`` begins the i-th interval of code points, all of which have class ``classes[i]``;
    ``flags[c]`` holds the boundary flags of class ``c``.
    """

    view: View
    starts: NDArray[np.int64]
    classes: NDArray[np.int32]
    flags: tuple[int, ...]

    @property
    def n(self) -> int:
        return len(self.flags)

    @cached_property
    def class_of(self) -> NDArray[np.int32]:
        """Class of every code point, ``[0x110000]``."""
        return self.spread(np.arange(self.n, dtype=np.int32))

    def spread(self, values: NDArray[Any], stop: int = MAX_CODE_POINT + 1) -> NDArray[Any]:
        """``values[c]`` of every code point's class ``c``, ``[stop]``: the code points below ``stop``."""
        n = int(np.searchsorted(self.starts, stop))
        return np.repeat(values[self.classes[:n]], np.diff(np.append(self.starts[:n], stop)))

    @cached_property
    def representatives(self) -> NDArray[np.int64]:
        """One code point of every class, ``[n]``."""
        out = np.zeros(self.n, np.int64)
        out[self.classes[::-1]] = self.starts[::-1]
        return out

    def of(self, char: str) -> int:
        return int(self.classes[int(np.searchsorted(self.starts, ord(char), "right")) - 1])

    def members(self, ranges: Ranges) -> frozenset[int]:
        """Classes inside ``ranges``, which must be one of the sets that made the partition (or a union of such)."""
        return frozenset(self.classes[_contains(ranges, self.starts)].tolist())

    def encode(self, view_text: str) -> list[int]:
        """Classes of a text that is already on the view."""
        points = np.frombuffer(view_text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)
        found: list[int] = self.classes[np.searchsorted(self.starts, points, "right") - 1].tolist()
        return found


def _contains(ranges: Ranges, points: NDArray[np.int64]) -> NDArray[np.bool_]:
    if not ranges:
        return np.zeros(len(points), bool)
    low, high = _columns(ranges)
    at = np.searchsorted(low, points, "right") - 1
    return (at >= 0) & (points <= high[at])


@lru_cache(maxsize=512)
def _columns(ranges: Ranges) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last code points. Remembered: the same large sets are in most automata."""
    low, high = np.array(ranges, np.int64).T
    return low, high


def partition(view: View, sets: Iterable[Ranges], flags: int) -> Alphabet:
    """The coarsest alphabet that keeps every set, and every character class named in ``flags``, a union of classes.

    Characters in none of the sets keep one class per combination of flags: these are the fresh classes that
    let any text leave a matcher.
    """
    distinct = [s for s in dict.fromkeys(sets) if s]
    flag_sets = [(bit, s) for bit, s in _FLAG_SETS if bit & flags]
    everything = distinct + [s for _, s in flag_sets]
    columns = [_columns(s) for s in everything]
    points = [np.zeros(1, np.int64), *(low for low, _ in columns), *(high + 1 for _, high in columns)]
    starts = np.unique(np.concatenate(points))
    starts = starts[starts <= MAX_CODE_POINT]
    if everything:
        signature = np.stack([_contains(s, starts) for s in everything], 1)
    else:
        signature = np.zeros((len(starts), 1), bool)
    kinds, classes = _distinct(signature, [2] * signature.shape[1])
    bits = np.zeros(len(kinds), np.int64)
    for i, (bit, _) in enumerate(flag_sets):
        bits |= np.where(kinds[:, len(distinct) + i], bit, 0)
    return Alphabet(view, starts, classes, tuple(bits.tolist()))


def common(view: View, alphabets: Sequence[Alphabet]) -> tuple[Alphabet, list[NDArray[np.int32]]]:
    """The coarsest alphabet that refines all of them, and for each the class of every common class."""
    starts = np.unique(np.concatenate([a.starts for a in alphabets]))
    rows = np.stack([a.classes[np.searchsorted(a.starts, starts, "right") - 1] for a in alphabets], 1)
    kinds, classes = _distinct(rows, [a.n for a in alphabets])
    joint = Alphabet(view, starts, classes, (0,) * len(kinds))
    return joint, [kinds[:, i].astype(np.int32) for i in range(len(alphabets))]


def _distinct(rows: NDArray[Any], sizes: Sequence[int]) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """The distinct rows in their order, and which of them each row is; column i is below ``sizes[i]``.

    Sorted as numbers, a few columns in each: rows as such take ten times as long to compare.
    """
    order, room = np.zeros(len(rows), np.int64), 1
    for column, size in zip(rows.T, sizes, strict=True):
        if room * size > _MOST:
            found, order = np.unique(order, return_inverse=True)
            room = len(found)
        order, room = order * size + column, room * size
    _, first, classes = np.unique(order, return_index=True, return_inverse=True)
    return rows[first], classes.astype(np.int32)


def class_strings(alphabet: Alphabet) -> tuple[NDArray[np.int32], list[tuple[int, ...]]]:
    """For every code point, which class string its image on the alphabet's view is; and the distinct class strings,
    of which the first ``n`` are the single classes."""
    class_of = alphabet.class_of
    ids = class_of.astype(np.int32)
    strings: list[tuple[int, ...]] = [(c,) for c in range(alphabet.n)]
    known = {string: i for i, string in enumerate(strings)}
    points, to, longer = _moved(alphabet.view)
    ids[points] = class_of[to]
    chars = sorted({char for _, image in longer for char in image})
    of = dict(zip(chars, class_of[[ord(char) for char in chars]].tolist() if chars else (), strict=True))
    for point, image in longer:
        string = tuple([of[char] for char in image])
        if string not in known:
            known[string] = len(strings)
            strings.append(string)
        ids[point] = known[string]
    return ids, strings


@cache
def _moved(view: View) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[tuple[int, str], ...]]:
    """Code points whose image is one other character, that character, and those with a longer or an empty image."""
    single = [(point, ord(image)) for point, image in view.images.items() if len(image) == 1]
    points, to = np.array(single, np.int64).reshape(-1, 2).T
    return points, to, tuple((point, image) for point, image in view.images.items() if len(image) != 1)


@lru_cache(maxsize=4096)
def image_ranges(view: View, literal: Ranges) -> tuple[Ranges, frozenset[str]]:
    """The images of a literal set under the view: single characters as ranges, and the longer (or empty) strings."""
    images = view.images
    moved: list[tuple[int, int]] = []
    longer: set[str] = set()
    size = sum(high - low + 1 for low, high in literal)
    inside = (c for c in images if any(low <= c <= high for low, high in literal))
    if size < len(images):
        inside = (c for low, high in literal for c in range(low, high + 1) if c in images)
    changed = sorted(inside)
    for c in changed:
        image = images[c]
        if len(image) == 1:
            moved.append((ord(image), ord(image)))
        else:
            longer.add(image)
    kept = _without(literal, changed)
    return ranges_of([*kept, *moved]), frozenset(longer)


def _without(ranges: Ranges, points: Sequence[int]) -> list[tuple[int, int]]:
    """``ranges`` minus sorted single points."""
    out: list[tuple[int, int]] = []
    at = 0
    for low, high in ranges:
        while at < len(points) and points[at] < low:
            at += 1
        start, i = low, at
        while i < len(points) and points[i] <= high:
            if points[i] > start:
                out.append((start, points[i] - 1))
            start = points[i] + 1
            i += 1
        if start <= high:
            out.append((start, high))
    return out
