"""Whether digits behind a plus are a number of some country's plan: what phonenumbers says, without its many steps.

It parses a number anew for every question; text that is full of what may be one asks very often. Here the same
metadata is read once per country and length. What depends on rules that rewrite a number is not decided here.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from policykit.entities.compact import Compact, Places
from policykit.entities.entity import ASK
from policykit.entities.language import Language, Rows, language
from policykit.entities.numbers import Decided, by_length, unknown

_TYPES = ("premium_rate", "toll_free", "shared_cost", "voip", "personal_number", "pager", "uan", "voicemail",
          "fixed_line", "mobile")  # fmt: skip
"""The kinds of numbers of which a valid one is one, as `is_valid_number` asks for them."""
_LONGEST = 17
"""Digits of a national number (`_MAX_LENGTH_FOR_NSN`)."""
_WORTH = 1_000
"""Numbers with one beginning for which it pays to read the country's plan as an automaton."""
_PLAIN = re.compile(r"\+[0-9 ()./\-]*[0-9]")
_NOT_DIGITS = re.compile(r"[^0-9]+")


def decided(text: str, *, has_region: bool = False) -> bool | None:
    """Whether a number in international form is valid; None where phonenumbers has to say so.

    ``has_region``: an unknown country code may then be the beginning of a number as it is dialled there.
    """
    if not _PLAIN.fullmatch(text):
        return None
    digits = _NOT_DIGITS.sub("", text)
    for width in (1, 2, 3):
        code = digits[:width]
        if code in _country_codes():
            return _of_country(int(code), digits[width:])
    return None if has_region else False


@cache
def _country_codes() -> frozenset[str]:
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    return frozenset(str(code) for code in COUNTRY_CODE_TO_REGION_CODE)


def _of_country(code: int, number: str) -> bool | None:
    prefix, rewrites = _prefix(code)
    at = prefix.match(number)
    if at is None:
        return _is_valid(code, number)
    if rewrites:
        return None
    # Whether the prefix is taken off depends on more; where both readings agree there is nothing to find out.
    as_it_is, without = _is_valid(code, number), _is_valid(code, number[at.end() :])
    return as_it_is if as_it_is == without else None


@cache
def _prefix(code: int) -> tuple[re.Pattern[str], bool]:
    """What may be dialled before a number within the country, and whether it is rewritten rather than left out."""
    main = next(iter(_plans(code)), None)
    prefix = main.national_prefix_for_parsing if main else None
    return re.compile(prefix or "(?!)"), bool(main and main.national_prefix_transform_rule)


@cache
def _plans(code: int) -> Sequence[Any]:
    """The metadata of the regions that share a country code, the main one first."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

    load = cast(Any, PhoneMetadata).metadata_for_region_or_calling_code
    return tuple(load(code, region) for region in COUNTRY_CODE_TO_REGION_CODE[code])


def _is_valid(code: int, number: str) -> bool:
    """Whether a national number is in the plan of the region that it belongs to, which its beginning may tell."""
    if not 2 <= len(number) <= _LONGEST:
        return False
    regions = _by_region(code, len(number))
    if len(regions) == 1:
        return _holds(regions[0], number)
    if not any(_holds(region, number) for region in regions):
        return False
    for region in regions:
        leading = region[0]
        if _compiled(leading).match(number) if leading else _holds(region, number):
            return _holds(region, number)
    return False


_Region: TypeAlias = tuple[str | None, tuple[str, ...], tuple[str, ...]]
"""What its numbers begin with where that tells it, what all of them look like, and what those of each kind do."""


def _holds(region: _Region, number: str) -> bool:
    _, general, kinds = region
    return _fits(general, number) and _fits(kinds, number)


def _fits(patterns: tuple[str, ...], number: str) -> bool:
    return any(_compiled(pattern).fullmatch(number) for pattern in patterns)


_compiled = cache(re.compile)


@cache
def _by_region(code: int, length: int) -> tuple[_Region, ...]:
    """For numbers of one length."""
    return tuple(
        (
            plan.leading_digits or None,
            _patterns([plan.general_desc], length),
            _patterns((getattr(plan, name) for name in _TYPES), length),
        )
        for plan in _plans(code)
    )


def _patterns(descriptions: Iterable[Any], length: int) -> tuple[str, ...]:
    return tuple(
        one.national_number_pattern
        for one in descriptions
        if one and one.national_number_pattern and (not one.possible_length or length in one.possible_length)
    )


def screen(text: Compact, starts: Places, ends: Places) -> NDArray[np.bool_]:
    """Which stretches, all of them `+` or `00` and at least seven digits, have a number of digits that their country
    knows. Lets pass all that :func:`decided` or phonenumbers may find valid without a region."""
    digits = np.concatenate((text.chars, np.zeros(8, np.uint8))).astype(np.int64) - ord("0")
    starts = starts + 2 * ((digits[starts] == 0) & (digits[starts + 1] == 0))
    key = digits[starts] * 1000 + digits[starts + 1] * 100 + digits[starts + 2] * 10 + digits[starts + 3]
    known, which = np.unique(key, return_inverse=True)
    lengths = np.array([_lengths(f"{beginning:04d}") for beginning in known.tolist()], np.int64)
    return (lengths[which] >> np.minimum(ends - starts, 62)) & 1 == 1


def decide(text: Compact, starts: Places, ends: Places) -> Decided:
    """:func:`decided` for stretches that are `+` or `00` and at least seven digits, without a region."""
    first, last = text.places(starts, ends)
    first = first + 2 * (text.at(starts) == ord("0"))
    out = unknown(starts)
    plain = np.flatnonzero(text.consist(b"+0123456789 ()./-", starts, ends))
    for length, own in by_length(first[plain], last[plain]):
        rows = text.rows(first[plain[own]], length)
        keys = rows[:, :3].astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
        beginnings, counts = np.unique(keys, return_counts=True)
        for key in beginnings[counts >= _WORTH].tolist():
            of_key = np.flatnonzero(keys == key)
            out[plain[own[of_key]]] = _decide_plan(chr(key >> 16) + chr(key >> 8 & 255) + chr(key & 255), rows[of_key])
    return out


def _decide_plan(beginning: str, rows: Rows) -> Decided:
    """The same for numbers of one length whose first three digits are known."""
    width = next((width for width in (1, 2, 3) if beginning[:width] in _country_codes()), None)
    out = np.zeros(len(rows), np.int8)
    if width is None:
        return out
    code, numbers = int(beginning[:width]), rows[:, width:]
    is_open = np.isin(numbers[:, 0], np.array(sorted(map(ord, _prefix_digits(code))), np.uint8))
    out[is_open] = ASK
    out[~is_open] = _are_valid(code, numbers[~is_open])
    return out


def _are_valid(code: int, rows: Rows) -> NDArray[np.bool_]:
    """:func:`_is_valid` for many national numbers of one length."""
    out = np.zeros(len(rows), np.bool_)
    if not 2 <= rows.shape[1] <= _LONGEST:
        return out
    regions = _by_region(code, rows.shape[1])
    left = np.arange(len(rows))
    for leading, general, some in regions:
        if leading and len(regions) > 1:
            own = language(leading).begins(rows[left])
            out[left[own]] = _all_hold(general, some, rows[left[own]])
        else:
            own = _all_hold(general, some, rows[left])
            out[left[own]] = True
        left = left[~own]
    return out


def _all_hold(general: tuple[str, ...], kinds: tuple[str, ...], rows: Rows) -> NDArray[np.bool_]:
    if not len(rows) or not general or not kinds:
        return np.zeros(len(rows), np.bool_)
    return _language(general).has(rows) & _language(kinds).has(rows)


def _language(patterns: tuple[str, ...]) -> Language:
    return language("|".join(f"(?:{pattern})" for pattern in patterns))


_ALL = (1 << 62) - 1


@cache
def _lengths(beginning: str) -> int:
    """How many digits a number with these first four may have behind the plus: the n-th bit is set for n."""
    width = next((width for width in (1, 2, 3) if beginning[:width] in _country_codes()), None)
    if width is None:
        return 0
    code = int(beginning[:width])
    if beginning[width] in _prefix_digits(code):
        return _ALL
    found = [plan.general_desc.possible_length for plan in _plans(code)]
    if not all(found):
        return _ALL
    return sum(1 << (width + length) for length in {length for of_plan in found for length in of_plan} if length > 0)


@cache
def _prefix_digits(code: int) -> frozenset[str]:
    """The digits that what is dialled before a number may begin with; all of them where that is not plain."""
    prefix = _prefix(code)[0].pattern
    heads = re.findall(r"(?:^|\|)([0-9])", prefix)
    plain = re.fullmatch(r"[0-9]+(?:\|[0-9]+)*|\(\?!\)", prefix)
    return frozenset(heads) if plain else frozenset("0123456789")
