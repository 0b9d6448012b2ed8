"""Check digits and days of many numbers at once: they are columns, ``[length, n]``, and a row is one place of all."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Codes: TypeAlias = NDArray[np.uint8]
"""Numbers as ASCII codes, letters in capitals, ``[length, n]``."""
Values: TypeAlias = NDArray[np.int64]
"""The same with `0` to `9` as 0 to 9, `A` to `Z` as 10 to 35; or a value of each number, ``[n]``."""
Flags: TypeAlias = NDArray[np.bool_]

_VALUES = np.array([c - 48 if 48 <= c < 58 else c - 55 if 65 <= c < 91 else 0 for c in range(256)], np.int64)
_DOUBLED = np.array([0, 2, 4, 6, 8, 1, 3, 5, 7, 9])
# The dihedral group of a pentagon, and a permutation that its powers are taken of (J. Verhoeff, "Error Detecting
# Decimal Codes", 1969).
_TURNED = np.array([[(a + b if a < 5 else a - b) % 5 + 5 * ((a < 5) != (b < 5)) for b in range(10)] for a in range(10)])
_PERMUTED = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_MONTHS = 12


def values_of(codes: Codes) -> Values:
    """What characters count; what is neither a digit nor a letter counts nothing."""
    return _VALUES.take(codes)


def number(digits: Values) -> Values:
    """Some digits as one number."""
    return weighted(digits, *(10**i for i in reversed(range(len(digits)))))


def weighted(values: Values, *weights: int) -> Values:
    """The sum of the first values, each times its weight."""
    total = np.zeros(values.shape[1], np.int64)
    for value, weight in zip(values, weights, strict=False):
        total += value * weight
    return total


def luhn(digits: Values) -> Flags:
    """ISO/IEC 7812-1, annex B."""
    return (digits[::-2].sum(0) + _DOUBLED[digits[-2::-2]].sum(0)) % 10 == 0


def luhn_of_letters(values: Values) -> Flags:
    """The same, where a letter counts as two digits (ISO 6166)."""
    total, is_doubled = np.zeros(values.shape[1], np.int64), np.zeros(values.shape[1], np.intp)
    for value in values[::-1]:
        total += _OF_LETTERS[is_doubled, value]
        is_doubled ^= value < 10
    return total % 10 == 0


def _counted(digit: int, is_doubled: int) -> int:
    return int(_DOUBLED[digit]) if is_doubled else digit


_OF_LETTERS = np.array(
    [
        [_counted(v, p) if v < 10 else _counted(v % 10, p) + _counted(v // 10, 1 - p) for v in range(36)]
        for p in range(2)
    ]
)


def verhoeff(digits: Values) -> Flags:
    check, permuted = np.zeros(digits.shape[1], np.int64), np.arange(10)
    for value in digits[::-1]:
        check = _TURNED[check, permuted[value]]
        permuted = np.array(_PERMUTED)[permuted]
    return check == 0


def mod_11_10(digits: Values) -> Flags:
    """ISO/IEC 7064, MOD 11,10."""
    check = np.full(digits.shape[1], 5)
    for value in digits:
        check = (np.where(check == 0, 10, check) * 2 % 11 + value) % 10
    return check == 1


def mod_97(values: Values) -> Values:
    """A number modulo 97, in which letters count from 10."""
    rest = np.zeros(values.shape[1], np.int64)
    for value in values:
        rest = (rest * np.where(value > 9, 100, 10) + value) % 97
    return rest


def is_day(year: Values, month: Values, day: Values) -> Flags:
    """Whether a day is in the calendar; years from 1 on."""
    is_leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    days = _DAYS[np.where(month > _MONTHS, 0, month)] + (is_leap & (month == 2))
    return (day > 0) & (day <= days)


def is_short_day(year: Values, month: Values, day: Values) -> Flags:
    """Whether a day with a year of two digits is in the calendar of this century or the last one."""
    return is_day(1900 + year, month, day) | is_day(2000 + year, month, day)
