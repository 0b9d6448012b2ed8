"""What :mod:`policykit.entities.phones` says of one number, of many at once, each of whatever country."""

import re
from collections.abc import Iterator
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from policykit.entities.compact import Compact, Places
from policykit.entities.language import Rows, Starts, digits
from policykit.entities.numbers import Decided, unknown
from policykit.entities.phones import (
    LONGEST,
    by_region,
    country_codes,
    general,
    has_length,
    lengths_behind,
    of_country,
    prefix,
    prefix_digits,
    prefix_rule,
    read_over,
)

_CODES, _LENGTHS = 1000, 64
"""Country codes are below, and the lengths of what may be a number."""


def lengths(text: Compact, starts: Places) -> Places:
    """For places with `+` or `00`: the sets of lengths of numbers that some country may know. At least those that
    :func:`phones.decided` or phonenumbers finds valid without a region."""
    zeros = 2 * (text.at(starts) == ord("0"))
    heads = text.head(starts, 6)
    heads = np.where(zeros > 0, heads % 10_000, heads // 100)
    known = np.zeros(10_000, np.int64)
    for head in np.flatnonzero(np.bincount(heads)).tolist():
        known[head] = lengths_behind(f"{head:04d}")
    return known[heads] << zeros


def decide(text: Compact, starts: Places, ends: Places) -> Decided:
    """:func:`phones.decided` for stretches that are `+` or `00` and at least seven digits, without a region."""
    first, last = text.places(starts, ends)
    first = first + 2 * (text.at(starts) == ord("0"))
    out = unknown(starts)
    taken, others = read_over()
    plain = text.consist("+0123456789" + taken + others, starts, ends)
    if others:
        out[plain] = 0
        plain &= text.consist("+0123456789" + taken, starts, ends)
    of = np.flatnonzero(plain)
    codes = _code_of()[text.numbers(first[of], 3)]
    out[of] = 0
    of, codes = of[codes > 0], codes[codes > 0]
    first, last = first[of] + 1 + (codes > 9) + (codes > 99), last[of]
    out[of] = _of_countries(codes, last - first, text.padded(first, last))
    return out


@cache
def _code_of() -> Places:
    """The country code that three digits begin with, 0 where there is none."""
    codes = country_codes()
    heads = [[key[:width] for width in (1, 2, 3) if key[:width] in codes] for key in (f"{i:03d}" for i in range(1000))]
    return np.array([int(head[0]) if head else 0 for head in heads])


def _of_countries(codes: Places, lengths: Places, rows: Rows) -> NDArray[np.bool_]:
    """:func:`phones.of_country` for numbers of some lengths."""
    out = np.zeros(len(rows), np.bool_)
    may_have = _may_have_prefix(codes, rows)
    plain = np.flatnonzero(~may_have)
    out[plain] = _are_valid(codes[plain], lengths[plain], rows[plain])
    for own, form in _by_prefix(codes, np.flatnonzero(may_have), lengths, rows):
        if form is None:
            out[own] = _are_valid(codes[own], lengths[own], rows[own])
        elif form[3] is not None and not _counts_last(int(codes[own[0]]), form[3]):
            numbers = [rows[i, : lengths[i]].tobytes().decode("ascii") for i in own.tolist()]
            out[own] = [of_country(code, number) for code, number in zip(codes[own].tolist(), numbers, strict=True)]
        else:
            out[own] = _are_valid_without(codes[own], lengths[own], rows[own], form)
    return out


def _may_have_prefix(codes: Places, rows: Rows) -> NDArray[np.bool_]:
    """Which numbers begin with a digit that what is dialled before a number may begin with."""
    if not rows.shape[1]:
        return np.zeros(len(rows), np.bool_)
    begins = np.zeros((_CODES, 256), np.bool_)
    for code in _present(codes):
        begins[code, list(map(ord, prefix_digits(code)))] = True
    return begins[codes, rows[:, 0]]


def _present(codes: Places) -> list[int]:
    return np.flatnonzero(np.bincount(codes)).tolist() if len(codes) else []


_Form: TypeAlias = tuple[int, int, int, str | None] | None
"""Digits of a prefix, the part of them that counts ((-1, -1) for none), and the rule by which a number with that part
is rewritten. None where there is no prefix."""


def _by_prefix(codes: Places, own: Places, lengths: Places, rows: Rows) -> Iterator[tuple[Places, _Form]]:
    """Which of some numbers have prefixes of the same form. Rules are one country's."""
    width, text = rows.shape[1], rows[own].tobytes().decode("ascii")
    ways = {code: (prefix(code).match, prefix_rule(code), prefix(code).groups) for code in _present(codes[own])}
    forms: dict[_Form, list[int]] = {}
    columns = own.tolist(), codes[own].tolist(), lengths[own].tolist()
    for i, (number, code, length) in enumerate(zip(*columns, strict=True)):
        match, rule, last = ways[code]
        found = match(text[i * width : i * width + length])
        form: _Form = None
        if found is not None:
            start, end = found.span(last) if rule and last else (-1, -1)
            form = found.end(), start, end, rule if start >= 0 else None
        forms.setdefault(form, []).append(number)
    for form, numbers in forms.items():
        yield np.array(numbers), form


@cache
def _counts_last(code: int, rule: str) -> bool:
    """Whether a rule reads the last part of a prefix and no other."""
    return set(re.findall(r"\\(\d)", rule)) == {str(prefix(code).groups)}


def _are_valid_without(
    codes: Places, lengths: Places, rows: Rows, form: tuple[int, int, int, str | None]
) -> NDArray[np.bool_]:
    """:func:`_of_countries` for numbers whose prefixes have one form."""
    end, start, stop, rule = form
    rest, left = rows[:, end:], lengths - end
    if rule:
        rest = np.concatenate((*_rewritten(rule, rows[:, start:stop]), rest), axis=1)
        left = left + (rest.shape[1] - (rows.shape[1] - end))
    has = np.zeros(_CODES * _LENGTHS, np.bool_)
    forms = np.zeros(_CODES, np.intp)
    for code in _present(codes):
        forms[code] = general(code)
    keys = codes * _LENGTHS + left
    for key in _present(keys):
        has[key] = has_length(*divmod(key, _LENGTHS))
    of, taken = forms[codes], has[keys]
    stays = ~taken
    stays[taken] = digits().has(of[taken], rows[taken]) & ~digits().has(of[taken], rest[taken])
    out = np.zeros(len(rows), np.bool_)
    out[stays] = _are_valid(codes[stays], lengths[stays], rows[stays])
    out[~stays] = _are_valid(codes[~stays], left[~stays], rest[~stays])
    return out


def _rewritten(rule: str, counts: Rows) -> list[Rows]:
    """What a rule makes of the part that counts."""
    return [
        counts if part.startswith("\\") else np.full((len(counts), 1), ord(part), np.uint8)
        for part in re.findall(r"\\\d|\d", rule)
    ]


def _are_valid(codes: Places, lengths: Places, rows: Rows) -> NDArray[np.bool_]:
    """Whether each national number is in the plan of the region that it belongs to, which its beginning may tell."""
    out = np.zeros(len(rows), np.bool_)
    left = np.flatnonzero((lengths >= 2) & (lengths <= LONGEST))
    keys = codes * _LENGTHS + lengths
    for tells, leading, of_all, of_kinds, goes_on in _rounds(keys[left]):
        of = keys[left]
        is_own = np.zeros(len(left), np.bool_)
        by_leading = tells[of]
        told = np.flatnonzero(by_leading)
        is_own[told] = digits().begins(leading[of[told]], rows[left[told]])
        asked = np.flatnonzero(is_own | ~by_leading)
        asked = asked[digits().has(of_all[of[asked]], rows[left[asked]])]
        asked = asked[digits().has(of_kinds[of[asked]], rows[left[asked]])]
        out[left[asked]] = True
        is_own[asked] = True
        left = left[~is_own & goes_on[of]]
    return out


_Round: TypeAlias = tuple[NDArray[np.bool_], Starts, Starts, Starts, NDArray[np.bool_]]
"""By country code and length, of one of its regions: whether the beginning of a number tells that it belongs there, by
which language, what all numbers look like, what those of each kind do; and whether there is a further region."""


def _rounds(keys: Places) -> Iterator[_Round]:
    regions = {key: by_region(*divmod(key, _LENGTHS)) for key in _present(keys)}
    size = max(regions, default=0) + 1
    for n in range(max(map(len, regions.values()), default=0)):
        tells, goes_on = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
        languages = np.zeros((3, size), np.intp)
        for key, found in regions.items():
            if n < len(found):
                languages[:, key] = found[n]
                tells[key] = found[n][0] > 0 and len(found) > 1
                goes_on[key] = n + 1 < len(found)
        yield tells, languages[0], languages[1], languages[2], goes_on
