"""Whether digits behind a plus are a number of some country's plan: what phonenumbers says, without its many steps.

It parses a number anew for every question; text that is full of what may be one asks very often. Here the same
metadata is read once per country and length, and what it says of prefixes is done as there.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from policykit.entities.compact import Compact, Places
from policykit.entities.entity import ASK
from policykit.entities.language import Language, Rows, language
from policykit.entities.numbers import MOST_DIGITS, Decided, by_length, digits_of, distinct, unknown
from policykit.entities.plain import DEAD, NotPlain, PlainAutomaton

_TYPES = ("premium_rate", "toll_free", "shared_cost", "voip", "personal_number", "pager", "uan", "voicemail",
          "fixed_line", "mobile")  # fmt: skip
"""The kinds of numbers of which a valid one is one, as `is_valid_number` asks for them."""
_LONGEST = 17
"""Digits of a national number (`_MAX_LENGTH_FOR_NSN`)."""
_WORTH = 100
"""Numbers of a country for which it pays to read its plan as automata."""
_NEVER = "(?!)"
_PLAIN = re.compile(r"\+[0-9 ()./\-]*[0-9]")
_NOT_DIGITS = re.compile(r"[^0-9]+")


def decided(text: str, *, has_region: bool = False) -> bool | None:
    """Whether a number in international form is valid; None for what is not plainly one: phonenumbers has to say so.

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


def _of_country(code: int, number: str) -> bool:
    found = _prefix(code).match(number)
    return _is_valid(code, number if found is None else _without(code, number, found))


def _without(code: int, number: str, found: re.Match[str]) -> str:
    """A number without what is dialled before it within the country, or as the plan rewrites it; the number itself
    where that is none (`_maybe_strip_national_prefix_carrier_code` and what `parse` makes of it)."""
    plan, rule = _plans(code)[0], _rule(code)
    rest = number[found.end() :]
    if rule and found.re.groups and found[found.re.groups] is not None:
        rest = found.expand(rule) + rest
    if not _has_length(code, len(rest)):
        return number
    pattern = (plan.general_desc.national_number_pattern,)
    return number if _fits(pattern, number) and not _fits(pattern, rest) else rest


@cache
def _has_length(code: int, length: int) -> bool:
    """Whether a number that is left over is kept: what `_test_number_length` says of it."""
    general = _plans(code)[0].general_desc
    possible = general.possible_length
    if length in general.possible_length_local_only or not possible or length < possible[0]:
        return False
    return length > possible[-1] or length in possible


@cache
def _prefix(code: int) -> re.Pattern[str]:
    """What may be dialled before a number within the country."""
    main = next(iter(_plans(code)), None)
    return re.compile((main and main.national_prefix_for_parsing) or _NEVER)


@cache
def _rule(code: int) -> str | None:
    """What a number is rewritten to where something of the prefix counts."""
    return _plans(code)[0].national_prefix_transform_rule or None


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
        if language(leading).begins_one(number) if leading else _holds(region, number):
            return _holds(region, number)
    return False


_Region: TypeAlias = tuple[str | None, tuple[str, ...], tuple[str, ...]]
"""What its numbers begin with where that tells it, what all of them look like, and what those of each kind do."""


def _holds(region: _Region, number: str) -> bool:
    _, general, kinds = region
    return _fits(general, number) and _fits(kinds, number)


def _fits(patterns: tuple[str, ...], number: str) -> bool:
    return bool(patterns) and _language(patterns).has_one(number)


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
    beginnings, which = distinct(key)
    lengths = np.array([_lengths(f"{beginning:04d}") for beginning in beginnings.tolist()], np.int64)
    return (lengths[which] >> np.minimum(ends - starts, 62)) & 1 == 1


def decide(text: Compact, starts: Places, ends: Places) -> Decided:
    """:func:`decided` for stretches that are `+` or `00` and at least seven digits, without a region."""
    first, last = text.places(starts, ends)
    first = first + 2 * (text.at(starts) == ord("0"))
    out = unknown(starts)
    plain = np.flatnonzero(text.consist(b"+0123456789 ()./-", starts, ends))
    for length, own in by_length(first[plain], last[plain]):
        if length <= MOST_DIGITS:  # no number is longer: then each has to be looked at
            each, which = distinct(text.numbers(first[plain[own]], length))
            out[plain[own]] = _decide_each(each, length)[which]
    return out


def _decide_each(numbers: Places, length: int) -> Decided:
    """The same for ascending numbers of as many digits, country code included."""
    codes = _code_of()[numbers // 10 ** (length - 3)]
    known = np.zeros(len(numbers), np.int8)
    bounds = np.flatnonzero(np.diff(codes, prepend=-1, append=-1)).tolist()
    for low, high in pairwise(bounds):
        code = int(codes[low])
        if not code:
            continue
        if high - low >= _WORTH:
            known[low:high] = _decide_plan(code, digits_of(numbers[low:high], length)[:, len(str(code)) :])
        else:
            said = [decided(f"+{number:0{length}d}") for number in numbers[low:high].tolist()]
            known[low:high] = [ASK if is_valid is None else is_valid for is_valid in said]
    return known


@cache
def _code_of() -> NDArray[np.int64]:
    """The country code that three digits begin with, 0 where there is none."""
    codes = _country_codes()
    heads = [[key[:width] for width in (1, 2, 3) if key[:width] in codes] for key in (f"{i:03d}" for i in range(1000))]
    return np.array([int(head[0]) if head else 0 for head in heads])


def _decide_plan(code: int, rows: Rows) -> NDArray[np.bool_]:
    """The same for national numbers of one length and country code."""
    out = np.zeros(len(rows), np.bool_)
    if _rule(code) and set(re.findall(r"\\(\d)", _rule(code) or "")) != {str(_prefix(code).groups)}:
        return np.array([_of_country(code, row.tobytes().decode("ascii")) for row in rows], np.bool_)
    may_have = _may_have_prefix(code, rows)
    out[~may_have] = _are_valid(code, rows[~may_have])
    for own, taken, kept in _by_prefix(code, np.flatnonzero(may_have), rows):
        out[own] = _are_valid(code, rows[own]) if taken is None else _are_valid_without(code, rows[own], taken, kept)
    return out


def _may_have_prefix(code: int, rows: Rows) -> NDArray[np.bool_]:
    """Which numbers begin with a digit that what is dialled before a number may begin with."""
    return np.isin(rows[:, 0], np.array(sorted(map(ord, _prefix_digits(code))), np.uint8))


_Taken: TypeAlias = tuple[int, int, int] | None
"""Digits of a prefix, and the part of them that counts; (-1, -1) for none. None where there is no prefix."""


def _by_prefix(code: int, own: Places, rows: Rows) -> Iterator[tuple[Places, _Taken, str | None]]:
    """Which of some numbers have prefixes of the same form, the form, and the rule by which they are rewritten."""
    match, rule, length = _prefix(code).match, _rule(code), rows.shape[1]
    last = _prefix(code).groups if rule else 0
    text = rows[own].tobytes().decode("ascii")
    forms: dict[_Taken, list[int]] = {}
    for i, number in enumerate(own.tolist()):
        found = match(text[i * length : (i + 1) * length])
        form = None if found is None else (found.end(), *(found.span(last) if last else (-1, -1)))
        forms.setdefault(form, []).append(number)
    for form, numbers in forms.items():
        yield np.array(numbers), form, rule if form and form[1] >= 0 else None


def _are_valid_without(code: int, rows: Rows, taken: tuple[int, int, int], rule: str | None) -> NDArray[np.bool_]:
    """:func:`_of_country` for numbers of one length whose prefixes have one form."""
    rest = rows[:, taken[0] :]
    if rule:
        rest = np.concatenate((_rewritten(rule, rows, taken), rest), axis=1)
    if not _has_length(code, rest.shape[1]):
        return _are_valid(code, rows)
    general = language(_plans(code)[0].general_desc.national_number_pattern)
    out = _are_valid(code, rest)
    stays = general.has(rows) & ~general.has(rest)
    out[stays] = _are_valid(code, rows[stays])
    return out


def _rewritten(rule: str, rows: Rows, taken: tuple[int, int, int]) -> Rows:
    """What a rule makes of the part that counts."""
    parts = [
        rows[:, taken[1] : taken[2]] if part.startswith("\\") else np.full((len(rows), 1), ord(part), np.uint8)
        for part in re.findall(r"\\\d|\d", rule)
    ]
    return np.concatenate(parts, axis=1)


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
    try:
        automaton = PlainAutomaton(_prefix(code).pattern.replace("$", "")) if _prefix(code).pattern != _NEVER else None
    except NotPlain:
        return frozenset("0123456789")
    return frozenset(str(d) for d in range(10) if automaton and automaton.step(automaton.start, d) != DEAD)


def read_ahead() -> None:
    """Read the numbering plans of all countries."""
    for code in sorted(map(int, _country_codes())):
        for length in range(2, _LONGEST + 1):
            for leading, general, kinds in _by_region(code, length):
                for patterns in filter(None, (general, kinds)):
                    _language(patterns).work_out()
                if leading:
                    language(leading).work_out()
