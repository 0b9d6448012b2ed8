"""The letters and digits of ASCII of a text, in capitals: what validators read."""

import re
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policykit.text.joined import BEYOND, Joined

Places = NDArray[np.int64]

_ALNUM = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEPT = bytes(c in _ALNUM for c in range(256))
_DROPPED = bytes(c for c in range(256) if c not in _ALNUM)
_CAPITAL = bytes(range(256)).upper()
_CAPITALS = np.frombuffer(_CAPITAL, np.uint8)


_LARGE = 1 << 31
_IN_A_WORD = 18
"""Digits of a number that fits into 64 bits."""
_NOT_COMPACT = re.compile(r"[^0-9A-Za-z]+")


def compact(text: str) -> str:
    """Letters and digits of ASCII alone, in capitals."""
    return _NOT_COMPACT.sub("", text).upper()


def lengths_of(starts: Places, ends: Places) -> list[int]:
    """The lengths of stretches, each once, in order."""
    return np.flatnonzero(np.bincount(ends - starts)).tolist() if len(starts) else []


@cache
def _others(of: str) -> NDArray[np.int8]:
    """1 for every code point but some."""
    out = np.ones(0x110000, np.int8)
    out[list(map(ord, of))] = 0
    return out


class Counts:
    """How many places with something stand before each place of a text: ``have`` says which have it."""

    def __init__(self, have: NDArray[np.int8], dtype: np.dtype[Any]) -> None:
        self._before = np.zeros(len(have) + 1, dtype)
        np.cumsum(have, out=self._before[1:], dtype=dtype)

    def within(self, starts: Places, ends: Places) -> Places:
        """How many are in stretches."""
        return (self._before.take(ends) - self._before.take(starts)).astype(np.int64)

    def before(self, places: Places) -> Places:
        """How many stand before some places."""
        return self._before.take(places).astype(np.int64)


class Compact:
    """All of a text at once: ``chars`` are what is kept of it, as ASCII codes."""

    def __init__(self, joined: Joined) -> None:
        codes = joined.narrow
        self._points = joined.points
        self._codes = codes
        self._counts: dict[str, Counts] = {}
        seen = self._codes.tobytes()
        self.chars: NDArray[np.uint8] = np.frombuffer(seen.translate(_CAPITAL, _DROPPED), np.uint8)
        self._before = np.zeros(len(codes) + 1, np.int32 if len(codes) < _LARGE else np.int64)
        np.cumsum(np.frombuffer(seen.translate(_KEPT), np.int8), out=self._before[1:], dtype=self._before.dtype)

    @cached_property
    def _text(self) -> str:
        return self.chars.tobytes().decode("ascii")

    @property
    def is_ascii(self) -> bool:
        """Whether the text has nothing beyond ASCII."""
        return self._points is None

    def places(self, starts: Places, ends: Places) -> tuple[Places, Places]:
        """Where stretches of the text stand in ``chars``."""
        return self.place(starts), self.place(ends)

    def place(self, at: Places) -> Places:
        """Where places of the text are in ``chars``: the next that is kept."""
        return self._before.take(at).astype(np.int64)

    def head(self, starts: Places, n: int) -> Places:
        """The first ``n`` digits from each place of the text on, as numbers; of what is no digit, any."""
        first, out = self.place(starts), np.zeros(len(starts), np.int64)
        if not len(self.chars):
            return out
        for i in range(n):
            at = first + i
            out = out * 10 + (self.chars.take(at, mode="clip") - np.uint8(ord("0"))) % 10
        return out

    def text(self, start: int, end: int) -> str:
        """What is kept of a stretch of the text."""
        return self._text[self._before[start] : self._before[end]]

    def rows(self, starts: Places, length: int) -> NDArray[np.uint8]:
        """Stretches of one length of ``chars``, ``[n, length]``."""
        return self.chars[starts[:, None] + np.arange(length)]

    def padded(self, starts: Places, ends: Places) -> NDArray[np.uint8]:
        """Stretches of ``chars`` with zeros behind those that are shorter than the longest, ``[n, longest]``."""
        lengths = ends - starts
        at = np.arange(int(lengths.max(initial=0)))
        rows = (
            self.chars.take(starts[:, None] + at, mode="clip")
            if len(self.chars)
            else np.zeros((len(starts), 0), np.uint8)
        )
        return rows * (at < lengths[:, None])

    def numbers(self, starts: Places, length: int) -> Places:
        """Stretches of one length of ``chars``, all digits, as numbers."""
        return (self.rows(starts, length) - np.uint8(ord("0"))) @ (10 ** np.arange(length - 1, -1, -1, dtype=np.int64))

    def consist(self, of: str, starts: Places, ends: Places) -> NDArray[np.bool_]:
        """Which stretches of the text consist of some characters alone."""
        if 4 * int((ends - starts).sum()) < len(self._codes):
            at = starts[:, None] + np.arange(int((ends - starts).max(initial=0)))
            codes = (self._codes if self._points is None else self._points).take(at, mode="clip")
            return np.array(~((_others(of)[codes] > 0) & (at < ends[:, None])).any(1))
        if self._points is None:
            is_other = np.frombuffer(self._codes.tobytes().translate(_others(of)[:256].tobytes()), np.int8)
        else:
            is_other = _others(of).take(self._points, mode="clip")
        others = np.zeros(len(is_other) + 1, self._before.dtype)
        np.cumsum(is_other, out=others[1:], dtype=others.dtype)
        return others[starts] == others[ends]

    def at(self, places: Places) -> NDArray[np.uint8]:
        """What stands at places of the text, 128 for anything beyond ASCII."""
        return self._codes[places]

    def capital(self, places: Places) -> NDArray[np.uint8]:
        """The same, letters in capitals."""
        return _CAPITALS.take(self._codes.take(places))

    def kept(self, places: Places) -> NDArray[np.uint8]:
        """What stands at places of ``chars``."""
        return self.chars.take(places)

    def counts(self, of: str) -> Counts:
        """How many of some characters of ASCII stand before each place of the text."""
        return self._counted(of, self._are(of))

    def pairs(self, of: str) -> Counts:
        """How many pairs of some characters of ASCII do."""
        are = self._are(of)
        return self._counted(of * 2, are & np.append(are[1:], np.int8(0)))

    def _are(self, of: str) -> NDArray[np.int8]:
        table = bytes(code < BEYOND and chr(code) in of for code in range(256))
        return np.frombuffer(self._codes.tobytes().translate(table), np.int8)

    def _counted(self, name: str, have: NDArray[np.int8]) -> Counts:
        if name not in self._counts:
            self._counts[name] = Counts(have, self._before.dtype)
        return self._counts[name]

    @cached_property
    def digit_runs(self) -> tuple[Places, Places]:
        """Where runs of digits of ASCII in the text begin and end."""
        are = np.concatenate(([0], self._are("0123456789"), [0]))
        edges = np.flatnonzero(are[1:] != are[:-1])
        return edges[::2], edges[1::2]

    @cached_property
    def digit_run_numbers(self) -> Places:
        """Their digits as numbers, of the last eighteen of those that have more."""
        starts, ends = self.digit_runs
        out, digits = np.zeros(len(starts), np.int64), self._codes.astype(np.int64) - ord("0")
        for i in range(int(min((ends - starts).max(initial=0), _IN_A_WORD)), 0, -1):
            own = np.flatnonzero(ends - starts >= i)
            out[own] = out[own] * 10 + digits[ends[own] - i]
        return out

    @cached_property
    def _values(self) -> Places:
        """`0` to `9` as 0 to 9, `A` to `Z` as 10 to 35."""
        values = self.chars.astype(np.int64)
        return np.where(values > 64, values - 55, values - 48)

    @cached_property
    def _luhn(self) -> NDArray[Any]:
        """Sums of digits up to each place, those at even places doubled (0), those at odd ones (1)."""
        digits = self.chars.tobytes().translate(_DIGITS)
        sums = np.zeros((2, len(digits) + 1), self._before.dtype)
        for parity in (0, 1):
            own = np.frombuffer(digits, np.uint8).copy()
            own[parity::2] = np.frombuffer(digits[parity::2].translate(_DOUBLED.tobytes().ljust(256)), np.uint8)
            np.cumsum(own, out=sums[parity, 1:], dtype=sums.dtype)
        return sums

    def luhn(self, starts: Places, ends: Places, more: int = 0) -> NDArray[np.bool_]:
        """Which stretches of ``chars``, all digits, have a Luhn sum that is with ``more`` divisible by ten."""
        if self._are_few(starts, ends):
            return self._luhn_each(starts, ends, more)
        which = ends % 2  # the last digit is not doubled, so the places of its parity are not
        return (self._luhn[which, ends] - self._luhn[which, starts] + more) % 10 == 0

    def _are_few(self, starts: Places, ends: Places) -> bool:
        """Whether stretches are read sooner than the whole text."""
        return int((ends - starts).sum()) < len(self.chars)

    def _luhn_each(self, starts: Places, ends: Places, more: int) -> NDArray[np.bool_]:
        out = np.zeros(len(starts), np.bool_)
        for length in lengths_of(starts, ends):
            own = np.flatnonzero(ends - starts == length)
            digits = self.rows(starts[own], length) - np.uint8(ord("0"))
            digits[:, -2::-2] = _DOUBLED[np.minimum(digits[:, -2::-2], 9)]
            out[own] = (digits.sum(1, dtype=np.int32) + more) % 10 == 0
        return out

    def _mod_97_each(self, starts: Places, ends: Places) -> Places:
        out = np.zeros(len(starts), np.int64)
        for length in lengths_of(starts, ends):
            own = np.flatnonzero(ends - starts == length)
            rest = np.zeros(len(own), np.int64)
            for column in range(length):
                value = _VALUES[self.chars[starts[own] + column]]
                rest = (rest * np.where(value > 9, 100, 10) + value) % 97
            out[own] = rest
        return out

    @cached_property
    def _mod_97(self) -> tuple[Places, Places]:
        """Digits before each place, letters counting two; and the number up to there, divided by its power of ten."""
        n_digits = np.zeros(len(self.chars) + 1, np.int64)
        np.cumsum(np.where(self._values > 9, 2, 1), out=n_digits[1:])
        sums = np.zeros(len(self.chars) + 1, np.int64)
        np.cumsum(self._values * _TENTHS[n_digits[1:] % 96] % 97, out=sums[1:])
        return n_digits, sums

    def mod_97(self, starts: Places, ends: Places) -> Places:
        """Stretches of ``chars`` as numbers, letters counting from 10, modulo 97."""
        if self._are_few(starts, ends):
            return self._mod_97_each(starts, ends)
        n_digits, sums = self._mod_97
        return (sums[ends] - sums[starts]) * _TENS[n_digits[ends] % 96] % 97


_DIGITS = bytes(min(max(c - ord("0"), 0), 9) for c in range(256))
_DOUBLED = np.array([0, 2, 4, 6, 8, 1, 3, 5, 7, 9], np.uint8)
_VALUES = np.array([c - 55 if c > 64 else c - 48 for c in range(128)], np.int64)
_TENS = np.array([pow(10, k, 97) for k in range(96)], np.int64)
_TENTHS = np.array([pow(10, -k, 97) for k in range(96)], np.int64)
