"""Words near a match, where a type wants one: asked about one match, or about many at once."""

import re
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policykit.automata import Places, Stretches
from policykit.automata.columns import reached, stretches
from policykit.entities.entity import AFTER, ASK, BEFORE, NO, YES, EntityType
from policykit.entities.patterns import words_near
from policykit.text import View
from policykit.text.joined import Joined

SEAM = "\x1f"
"""Stands between a JSON key and its value where the key is read as context. No body of a type can read it."""
_GOES_ON = "a"
"""Stands for a continuation of a context word."""


class Words:
    """The context words of a type on a view."""

    def __init__(self, kind: EntityType, view: View) -> None:
        self._seen = [view.apply(word) for word in kind.words]
        self._words = words_near(kind, view)
        gaps = [2 * word.count(" ") for word in kind.words]
        self._longest = max((len(seen) + gap for seen, gap in zip(self._seen, gaps, strict=True)), default=0)

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
        """:meth:`near` for stretches of one text without a lead, which does not go on; ASK where words overlap, and
        where a stretch begins inside what may be one: there it matters from where they are read."""
        codes = joined.codes
        begins, stops = self._all(text, joined)
        out = np.full(len(starts), ASK, np.int8)
        is_inside = _is_letter(codes, starts) & _is_letter(codes, starts - 1)
        out[~(_near(begins, np.maximum.accumulate(stops), starts, ends) | is_inside)] = NO
        alone = (reached(stops) <= begins) & np.append(stops[:-1] <= begins[1:], True)[: len(begins)]
        begins, stops = begins[alone], stops[alone]
        before = np.append(-BEFORE - 1, stops)[np.searchsorted(stops, starts, "right")]
        behind = np.append(begins, len(text) + AFTER + 1)[np.searchsorted(begins, ends)]
        out[(starts - before <= BEFORE) | (behind - ends <= AFTER)] = YES
        return out

    def _all(self, text: str, joined: Joined) -> Stretches:
        """Every place where a word begins, and where the one that is found there ends."""
        first, second = self._beginnings
        is_first = _among(joined, first)
        if second.any():
            is_first = np.append(is_first[:-1] & _among(joined, second)[1:], is_first[-1:])
        may_begin = np.flatnonzero(is_first)
        if all(word[0].isascii() and word[0].isalpha() for word in self._seen):
            may_begin = may_begin[~_is_ascii_letter(joined.codes, may_begin - 1)]
        match = self._words.match
        return stretches([found.span() for at in may_begin.tolist() if (found := match(text, at))])

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


def _spelled(chars: set[str]) -> NDArray[np.bool_]:
    """Which characters are one of some where case does not matter, ``[0x110000]``."""
    every = _every() + "".join(char for char in sorted(chars) if char not in _every())
    found = re.findall("|".join(map(re.escape, sorted(chars))), every, re.IGNORECASE) if chars else []
    out = np.zeros(0x110000, np.bool_)
    out[list(map(ord, found))] = True
    return out


def _near(begins: Places, reach: Places, starts: Places, ends: Places) -> NDArray[np.bool_]:
    """Near which stretches something of words stands, where these begin and how far they and those before reach."""
    before = np.append(-BEFORE - 1, reach)[np.searchsorted(begins, starts)]
    behind = np.searchsorted(begins, ends) < np.searchsorted(begins, ends + AFTER, "right")
    return (starts - before <= BEFORE) | behind


def _among(joined: Joined, chars: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if joined.points is not None:
        return joined.of_points(chars)
    return np.frombuffer(joined.ascii.translate(chars[:256].tobytes()), np.bool_)


def _is_ascii_letter(codes: NDArray[Any], places: Places) -> NDArray[np.bool_]:
    """Whether there is a letter of ASCII at some places; none is before the text."""
    at = codes[np.maximum(places, 0)] | 0x20
    return (places >= 0) & (at >= ord("a")) & (at <= ord("z"))


def _is_letter(codes: NDArray[Any], places: Places) -> NDArray[np.bool_]:
    """The same, or any character beyond ASCII."""
    return _is_ascii_letter(codes, places) | ((places >= 0) & (codes[np.maximum(places, 0)] >= 0x80))
