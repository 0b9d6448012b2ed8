"""Whether digits behind a plus are a number of some country's plan: what phonenumbers says, without its many steps.

It parses a number anew for every question; text that is full of what may be one asks very often. Here the same
metadata is read once per country and length, and what it says of prefixes is done as there.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, TypeAlias, assert_never, cast

from policykit.automata import parse_regex
from policykit.diagnostics import Place, PolicyError
from policykit.entities.entity import ANY_LENGTH
from policykit.entities.language import digits
from policykit.entities.plain import DEAD, NotPlain, PlainAutomaton
from policykit.ir.regex import Alternation, Assertion, Chars, Concat, Empty, Regex, Repeat

_TYPES = ("premium_rate", "toll_free", "shared_cost", "voip", "personal_number", "pager", "uan", "voicemail",
          "fixed_line", "mobile")  # fmt: skip
"""The kinds of numbers of which a valid one is one, as `is_valid_number` asks for them."""
LONGEST = 17
"""Digits of a national number (`_MAX_LENGTH_FOR_NSN`)."""
_NEVER = "(?!)"
_ALL = 1 << 16
"""More digits than a number has."""
_BETWEEN = "\u00a0\u2007\u2009\u202f\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
"""What may stand between digits beyond ASCII."""
_NOT_DIGITS = re.compile(r"[^0-9]+")


def decided(text: str, *, has_region: bool = False) -> bool | None:
    """Whether a number in international form is valid; None for what is not plainly one: phonenumbers has to say so.

    ``has_region``: an unknown country code may then be the beginning of a number as it is dialled there.
    """
    if not _plain().fullmatch(text):
        return None
    if any(char in text for char in read_over()[1]):
        return False
    number = _NOT_DIGITS.sub("", text)
    for width in (1, 2, 3):
        code = number[:width]
        if code in country_codes():
            return of_country(int(code), number[width:])
    return None if has_region else False


@cache
def _plain() -> re.Pattern[str]:
    taken, others = read_over()
    between = re.escape(taken + others)
    return re.compile(rf"\+[0-9{between}]*[0-9]")


@cache
def read_over() -> tuple[str, str]:
    """What phonenumbers reads over between digits, and what it does not: a number with any of these is none."""
    from phonenumbers import NumberParseException, is_valid_number, parse

    def is_read_over(char: str) -> bool:
        try:
            return is_valid_number(parse(f"+49{char}170{char}1234567"))
        except NumberParseException:
            return False

    taken = "".join(filter(is_read_over, _BETWEEN))
    return " ()./-" + taken, "".join(char for char in _BETWEEN if char not in taken)


@cache
def country_codes() -> frozenset[str]:
    """All of them, as digits."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    return frozenset(str(code) for code in COUNTRY_CODE_TO_REGION_CODE)


def of_country(code: int, number: str) -> bool:
    """Whether the digits behind a country code are a number there, as they are dialled from abroad or within."""
    found = prefix(code).match(number)
    return _is_valid(code, number if found is None else _without(code, number, found))


def _without(code: int, number: str, found: re.Match[str]) -> str:
    """A number without what is dialled before it within the country, or as the plan rewrites it; the number itself
    where that is none (`_maybe_strip_national_prefix_carrier_code` and what `parse` makes of it)."""
    rule = prefix_rule(code)
    rest = number[found.end() :]
    if rule and found.re.groups and found[found.re.groups] is not None:
        rest = found.expand(rule) + rest
    if not has_length(code, len(rest)):
        return number
    fits = digits().has_one
    return number if fits(general(code), number) and not fits(general(code), rest) else rest


@cache
def has_length(code: int, length: int) -> bool:
    """Whether a number that is left over is kept: what `_test_number_length` says of it."""
    general = _plans(code)[0].general_desc
    possible = general.possible_length
    if length in general.possible_length_local_only or not possible or length < possible[0]:
        return False
    return length > possible[-1] or length in possible


@cache
def prefix(code: int) -> re.Pattern[str]:
    """What may be dialled before a number within the country."""
    main = next(iter(_plans(code)), None)
    return re.compile((main and main.national_prefix_for_parsing) or _NEVER)


@cache
def prefix_reach(code: int) -> int:
    """How many digits of a number decide what its prefix is."""
    return _reach(prefix(code).pattern)


def _reach(source: str) -> int:
    """Characters that an expression reads at most; :data:`_ALL` where it looks at what is beside them."""
    try:
        return min(_longest(parse_regex(source, Place("entities"))), _ALL)
    except PolicyError:
        return _ALL


def _longest(regex: Regex) -> int:
    match regex:
        case Empty():
            return 0
        case Assertion():
            return _ALL
        case Chars():
            return 1
        case Concat(items):
            return sum(map(_longest, items))
        case Alternation(items):
            return max(map(_longest, items), default=0)
        case Repeat(item, _, most):
            return _ALL if most is None else most * _longest(item)
        case _:
            assert_never(regex)


@cache
def telling(code: int) -> tuple[int, ...]:
    """For the regions of a country code what their numbers begin with where that tells them from others, as languages;
    0 where it does not."""
    plans = _plans(code)
    starts = [digits().start(plan.leading_digits) if plan.leading_digits else 0 for plan in plans]
    return tuple(starts) if len(plans) > 1 else (0,) * len(plans)


@cache
def telling_reach(code: int) -> int:
    """How many digits of a number tell its region."""
    return max((_reach(plan.leading_digits) for plan in _plans(code) if plan.leading_digits), default=0)


@cache
def prefix_rule(code: int) -> str | None:
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
    if not 2 <= len(number) <= LONGEST:
        return False
    regions = by_region(code, len(number))
    if len(regions) == 1:
        return _holds(regions[0], number)
    if not any(_holds(region, number) for region in regions):
        return False
    for region in regions:
        leading = region[0]
        if digits().begins_one(leading, number) if leading else _holds(region, number):
            return _holds(region, number)
    return False


Region: TypeAlias = tuple[int, int, int]
"""Languages: what a region's numbers begin with where that tells it, what all of them look like, and what those of each
kind do. 0 is none."""


def _holds(region: Region, number: str) -> bool:
    _, general, kinds = region
    return digits().has_one(general, number) and digits().has_one(kinds, number)


@cache
def by_region(code: int, length: int) -> tuple[Region, ...]:
    """For numbers of one length."""
    return tuple(
        (
            digits().start(plan.leading_digits) if plan.leading_digits else 0,
            _language([plan.general_desc], length),
            _language((getattr(plan, name) for name in _TYPES), length),
        )
        for plan in _plans(code)
    )


def _language(descriptions: Iterable[Any], length: int) -> int:
    patterns = [
        f"(?:{one.national_number_pattern})"
        for one in descriptions
        if one and one.national_number_pattern and (not one.possible_length or length in one.possible_length)
    ]
    return digits().start("|".join(patterns)) if patterns else 0


@cache
def general(code: int) -> int:
    """What all numbers of the main region look like."""
    return digits().start(f"(?:{_plans(code)[0].general_desc.national_number_pattern})")


@cache
def lengths_behind(beginning: str) -> int:
    """How many digits a number with these first four may have behind the plus: the n-th bit is set for n."""
    width = next((width for width in (1, 2, 3) if beginning[:width] in country_codes()), None)
    if width is None:
        return 0
    code = int(beginning[:width])
    if beginning[width] in prefix_digits(code):
        return ANY_LENGTH
    found = [plan.general_desc.possible_length for plan in _plans(code)]
    if not all(found):
        return ANY_LENGTH
    return sum(1 << (width + length) for length in {length for of_plan in found for length in of_plan} if length > 0)


@cache
def prefix_digits(code: int) -> frozenset[str]:
    """The digits that what is dialled before a number may begin with; all of them where that is not plain."""
    try:
        automaton = PlainAutomaton(prefix(code).pattern.replace("$", "")) if prefix(code).pattern != _NEVER else None
    except NotPlain:
        return frozenset("0123456789")
    return frozenset(str(d) for d in range(10) if automaton and automaton.step(automaton.start, d) != DEAD)


def read_ahead() -> None:
    """Read the numbering plans of all countries."""
    for code in sorted(map(int, country_codes())):
        for length in range(2, LONGEST + 1):
            for region in by_region(code, length):
                for language in region:
                    digits().work_out(language)
