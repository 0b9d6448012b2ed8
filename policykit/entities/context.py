"""Words near a match, where a type wants one: asked about one match, or about many at once."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from policykit.automata import Places, Stretches
from policykit.automata.columns import reached, stretches
from policykit.entities.entity import AFTER, ASK, BEFORE, NO, YES, EntityType
from policykit.entities.patterns import BETWEEN_WORDS, words_near
from policykit.text import View
from policykit.text.joined import Joined

SEAM = "\x1f"
"""Stands between a JSON key and its value where the key is read as context. No body of a type can read it."""
_GOES_ON = "a"
"""Stands for a continuation of a context word."""
_IS_GAP, _GAP = 255, 3
"""More letters than are told apart, and characters that may stand between two words."""
MANY = 100
"""Places that are worth being read together."""


class Words:
    """The context words of a type on a view."""

    def __init__(self, kind: EntityType, view: View) -> None:
        self._seen = [view.apply(word) for word in kind.words]
        self._words = words_near(kind, view)
        gaps = [2 * word.count(" ") for word in kind.words]
        self._longest = max((len(seen) + gap for seen, gap in zip(self._seen, gaps, strict=True)), default=0)

    def read_ahead(self) -> None:
        """Work out what many stretches would wait for."""
        _ = self._beginnings, self._spelling

    def near(self, text: str, start: int, end: int, lead: str, is_end: bool) -> bool:
        """Whether one stands near a stretch of a text; ``lead`` stands before the text. Where the text may go on
        (not ``is_end``), whether that is so however it does."""
        low = start - BEFORE - self._longest
        high = end + AFTER + self._longest + 1  # a word ends where the character behind it says so
        # Only as much as is looked at, and a character before it.
        cut = max(0, low - 1)
        window, moved = text[cut:high], -cut
        if lead and not cut:
            lead = lead[-BEFORE - self._longest - 1 :]
            window, moved = f"{lead}{SEAM}{window}", len(lead) + 1
        n = len(window)
        if not is_end and high > len(text):
            window += _GOES_ON
        start, end = start + moved, end + moved
        if any(start - found.end() <= BEFORE for found in self._words.finditer(window, max(0, low + moved), start)):
            return True
        return any(f.start() - end <= AFTER and f.end() <= n for f in self._words.finditer(window, end))

    def near_many(self, text: str, joined: Joined, starts: Places, ends: Places) -> NDArray[np.int8]:
        """:meth:`near` for stretches of one text without a lead, which does not go on; ASK where it matters from where
        words are read: where they overlap far before a stretch, and where that begins inside what may be one."""
        begins, stops = self._all(text, joined)
        out = np.full(len(starts), ASK, np.int8)
        letters = _of(joined, _letters())
        is_inside = letters.take(starts, mode="clip") & letters.take(np.maximum(starts - 1, 0)) & (starts > 0)
        reach = np.maximum.accumulate(stops)
        behind = np.append(begins, len(text) + AFTER + 1)[np.searchsorted(begins, ends)]
        before = np.append(-BEFORE - 1, reach)[np.searchsorted(begins, starts)]
        is_behind = behind - ends <= AFTER  # whatever is read over it begins no further off
        out[~((starts - before <= BEFORE) | is_behind | is_inside)] = NO
        out[is_behind | self._is_before(begins, stops, starts)] = YES
        return out

    def _is_before(self, begins: Places, stops: Places, starts: Places) -> NDArray[np.bool_]:
        """Whether a word is certainly read near before a stretch: one that no other reaches into, or one that begins
        near, since what reaches into it ends nearer."""
        alone = reached(stops) <= begins
        ends = np.append(-BEFORE - 1, stops[alone])
        is_alone = starts - ends[np.searchsorted(ends[1:], starts, "right")] <= BEFORE
        by_stop = np.argsort(stops, kind="stable")
        last = np.append(-BEFORE - 1, np.maximum.accumulate(begins[by_stop]))
        return is_alone | (starts - last[np.searchsorted(stops[by_stop], starts, "right")] <= BEFORE)

    def _all(self, text: str, joined: Joined) -> Stretches:
        """Every place where a word begins, and where the one that is found there ends."""
        first, second = self._beginnings
        is_first = _of(joined, first)
        if second.any():
            is_first = np.append(is_first[:-1] & _of(joined, second)[1:], is_first[-1:])
        may_begin = np.flatnonzero(is_first)
        if all(word[0].isascii() and word[0].isalpha() for word in self._seen):
            may_begin = may_begin[~_is_ascii_letter(joined.codes, may_begin - 1)]
        if len(may_begin) < MANY or self._spelling is None:
            match = self._words.match
            return stretches([found.span() for at in may_begin.tolist() if (found := match(text, at))])
        ends = self._spelling.ends(joined, may_begin)
        found = ends >= 0
        return may_begin[found], ends[found]

    @cached_property
    def _spelling(self) -> "_Spelling | None":
        """The words letter by letter; None where a letter may be one of two, or belong to a gap."""
        words = sorted(self._seen, key=len, reverse=True)  # as in the expression: the first that holds is found
        letters = sorted({char for word in words for char in word} - {" "})
        of = np.zeros(0x110000, np.uint8)
        for number, letter in enumerate(letters, 1):
            points = _points(letter)
            if of[points].any() or number >= _IS_GAP:
                return None
            of[points] = number
        in_gaps = [ord(char) for char in map(chr, range(256)) if re.fullmatch(BETWEEN_WORDS, char)]
        begins = {part[:1] for word in words for part in word.split(" ")[1:]}
        if "" in begins or any(of[gap] == letters.index(char) + 1 for gap in in_gaps for char in begins):
            return None
        is_gap = np.zeros(0x110000, np.bool_)
        is_gap[in_gaps] = True
        number = {letter: i for i, letter in enumerate(letters, 1)}
        spelled_words = [[[number[char] for char in part] for part in word.split(" ")] for word in words]
        bounded = [(_is_letter(word[0]), _is_letter(word[-1])) for word in words]
        return _Spelling(of, is_gap, tuple(zip(spelled_words, bounded, strict=True)))

    @cached_property
    def _beginnings(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """What the first character of a word may be in a text, and the second; none where that may be any."""
        seconds = {word[1:2] for word in self._seen}
        return _spelled({word[:1] for word in self._seen}), _spelled(set() if seconds & {"", " "} else seconds)


@cache
def _every() -> str:
    """All characters below U+20000, above which none has a case; made when first asked for."""
    points = np.arange(0x20000, dtype="<u4")
    return points[(points < 0xD800) | (points > 0xDFFF)].tobytes().decode("utf-32-le")


_Word: TypeAlias = tuple[list[list[int]], tuple[bool, bool]]


@dataclass(frozen=True, slots=True)
class _Spelling:
    """Words as the numbers of their letters, part by part, and whether a letter may not stand on either side: ``of``
    has the number of the letter that a character stands for, ``is_gap`` what may stand between two parts."""

    of: NDArray[np.uint8]
    is_gap: NDArray[np.bool_]
    words: tuple[_Word, ...]

    def ends(self, joined: Joined, places: Places) -> Places:
        """Where the first of the words that is found at each place ends, -1 where none is."""
        edge = np.zeros(1, np.uint8)
        letters = np.concatenate((_of(joined, self.of), edge))
        gaps = np.concatenate((_of(joined, self.is_gap), edge))
        beside = np.concatenate((_of(joined, _letters()), edge))
        out = np.full(len(places), -1, np.int64)
        by_letter = {n: np.flatnonzero(letters[places] == n) for n in {word[0][0][0] for word in self.words}}
        for parts, (left_bound, right_bound) in self.words:
            own = by_letter[parts[0][0]]
            own = own[out[own] < 0]
            at = places[own]
            if left_bound:
                kept = (at == 0) | (beside[at - 1] == 0)
                own, at = own[kept], at[kept]
            for i, part in enumerate(parts):
                if i:
                    at = _over(gaps, at)
                for letter in part:
                    kept = letters.take(at, mode="clip") == letter
                    own, at = own[kept], at[kept] + 1
            if right_bound:
                kept = beside.take(at, mode="clip") == 0
                own, at = own[kept], at[kept]
            out[own] = at
        return out


def _over(gaps: NDArray[Any], at: Places) -> Places:
    """The places behind what may stand between two words."""
    for _ in range(_GAP):
        at = at + (gaps.take(at, mode="clip") > 0)
    return at


def _is_letter(char: str) -> bool:
    return char.isascii() and char.isalpha()


@cache
def _letters() -> NDArray[np.bool_]:
    """What may not stand beside a word that begins or ends with a letter, ``[0x110000]``."""
    out = np.zeros(0x110000, np.bool_)
    out[list(map(ord, re.findall("[A-Za-z]", _every(), re.IGNORECASE)))] = True
    return out


def _spelled(chars: Iterable[str]) -> NDArray[np.bool_]:
    """Which characters are one of some where case does not matter, ``[0x110000]``."""
    out = np.zeros(0x110000, np.bool_)
    for char in chars:
        out[_points(char)] = True
    return out


@cache
def _points(char: str) -> NDArray[np.intp]:
    """The code points of a character where case does not matter."""
    every = _every() if char in _every() else _every() + char
    return np.array(list(map(ord, re.findall(re.escape(char), every, re.IGNORECASE))), np.intp)


def _of(joined: Joined, table: NDArray[Any]) -> NDArray[Any]:
    """What a table (``[0x110000]``) says of every character."""
    if joined.points is not None:
        return joined.of_points(table)
    return np.frombuffer(joined.ascii.translate(table[:256].tobytes()), table.dtype)


def _is_ascii_letter(codes: NDArray[Any], places: Places) -> NDArray[np.bool_]:
    """Whether there is a letter of ASCII at some places; none is before the text."""
    at = codes[np.maximum(places, 0)] | 0x20
    return (places >= 0) & (at >= ord("a")) & (at <= ord("z"))
