"""What :mod:`policykit.entities.phones` says of one number, of many at once, each of whatever country."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from policykit.entities import phones
from policykit.entities.compact import Compact, Places
from policykit.entities.language import Columns, Rows, Starts, digits
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
    prefix_reach,
    prefix_rule,
    read_over,
    telling,
    telling_reach,
)
from policykit.entities.plain import N_DIGITS

_CODES, _LENGTHS = 1000, 64
"""Country codes are below, and the lengths of what may be a number."""
_KINDS = N_DIGITS + 1
"""Digits, and what is behind the end of a number."""
_REACH, _HEAD = 15, 5
"""Digits that are told apart where prefixes are alike, and where the beginning of a number tells its region."""
_NONE = 127


def read_ahead() -> None:
    """Read the numbering plans of all countries."""
    phones.read_ahead()
    for code in map(int, country_codes()):
        if any(telling(code)):
            _told_by_head(code)


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
    if others and not text.is_ascii:
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
    columns, lengths = digits().columns(rows), lengths.copy()
    out = np.zeros(len(rows), np.bool_)
    left = np.ones(len(rows), np.bool_)
    for own, form in _by_prefix(codes, np.flatnonzero(_may_have_prefix(codes, rows)), lengths, rows, columns):
        if form[3] is not None and not _counts_last(int(codes[own[0]]), form[3]):
            numbers = [rows[i, : lengths[i]].tobytes().decode("ascii") for i in own.tolist()]
            out[own] = [of_country(code, number) for code, number in zip(codes[own].tolist(), numbers, strict=True)]
            left[own] = False
        else:
            columns, lengths[own] = _without(codes[own], lengths[own], columns, own, form)
    asked = np.flatnonzero(left)
    out[asked] = _are_valid(codes[asked], lengths[asked], columns, asked)
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


_Form: TypeAlias = tuple[int, int, int, str | None]
"""Digits of a prefix, the part of them that counts ((-1, -1) for none), and the rule by which a number with that part
is rewritten."""


def _by_prefix(
    codes: Places, own: Places, lengths: Places, rows: Rows, columns: Columns
) -> Iterator[tuple[Places, _Form]]:
    """Which of some numbers have prefixes of the same form. Rules are one country's."""
    first, which = _alike(codes, own, columns)
    width, text = rows.shape[1], rows[first].tobytes().decode("ascii")
    ways = {code: (prefix(code).match, prefix_rule(code), prefix(code).groups) for code in _present(codes[own])}
    forms: dict[_Form, list[int]] = {}
    pairs = zip(codes[first].tolist(), lengths[first].tolist(), strict=True)
    for i, (code, length) in enumerate(pairs):
        match, rule, last = ways[code]
        found = match(text[i * width : i * width + length])
        if found is not None:
            start, end = found.span(last) if rule and last else (-1, -1)
            forms.setdefault((found.end(), start, end, rule if start >= 0 else None), []).append(i)
    number = np.full(len(first), -1)
    for i, numbers in enumerate(forms.values()):
        number[numbers] = i
    of = number[which]
    for i, form in enumerate(forms):
        yield own[of == i], form


def _alike(codes: Places, own: Places, columns: Columns) -> tuple[Places, Places]:
    """Of numbers that are alike as far as a prefix of their country may reach the first, and which each is like."""
    reach = np.zeros(_CODES, np.intp)
    for code in _present(codes[own]):
        reach[code] = prefix_reach(code)
    of_own = reach[codes[own]]
    near = np.flatnonzero(of_own <= _REACH)
    keys, of = codes[own[near]], of_own[near]
    for i in range(min(int(of.max(initial=0)), len(columns))):
        keys = keys * _KINDS + np.where(of > i, columns[i].take(own[near]), 0)
    order = np.argsort(keys)
    is_new = np.append(True, keys[order[1:]] != keys[order[:-1]])[: len(order)]
    first, far = near[order[is_new]], np.flatnonzero(of_own > _REACH)
    which = np.empty(len(own), np.intp)
    which[near[order]], which[far] = np.cumsum(is_new) - 1, len(first) + np.arange(len(far))
    return own[np.concatenate((first, far))], which


@cache
def _counts_last(code: int, rule: str) -> bool:
    """Whether a rule reads the last part of a prefix and no other."""
    return set(re.findall(r"\\(\d)", rule)) == {str(prefix(code).groups)}


def _without(codes: Places, lengths: Places, columns: Columns, own: Places, form: _Form) -> tuple[Columns, Places]:
    """The columns, and the lengths of some of them, without what stands before a number in this form, where that is a
    prefix."""
    end, start, stop, rule = form
    some = columns[:, own]
    rest, left = some[end:], lengths - end
    if rule:
        rest = np.concatenate((*_rewritten(rule, some[start:stop]), rest))
        left = left + (len(rest) - (len(columns) - end))
    has = np.zeros(_CODES * _LENGTHS, np.bool_)
    forms = np.zeros(_CODES, np.intp)
    for code in _present(codes):
        forms[code] = general(code)
    keys = codes * _LENGTHS + left
    for key in _present(keys):
        has[key] = has_length(*divmod(key, _LENGTHS))
    forms, goes = forms[codes], has[keys]
    asked = np.flatnonzero(goes)
    asked = asked[digits().has_of(forms[asked], some, asked)]
    goes[asked] = digits().has_of(forms[asked], rest, asked)
    more = max(len(rest) - len(columns), 0)
    columns = np.concatenate((columns, np.full((more, columns.shape[1]), N_DIGITS, np.uint8)))
    columns[len(rest) :, own[goes]] = N_DIGITS
    columns[: len(rest), own[goes]] = rest[:, goes]
    return columns, np.where(goes, left, lengths)


def _rewritten(rule: str, counts: Columns) -> list[Columns]:
    """What a rule makes of the part that counts."""
    return [
        counts if part.startswith("\\") else np.full((1, counts.shape[1]), int(part), np.uint8)
        for part in re.findall(r"\\\d|\d", rule)
    ]


def _are_valid(codes: Places, lengths: Places, columns: Columns, own: Places) -> NDArray[np.bool_]:
    """Whether each national number is in the plan of the region that it belongs to, which its beginning may tell."""
    out = np.zeros(len(own), np.bool_)
    left = np.flatnonzero((lengths >= 2) & (lengths <= LONGEST))
    plans, of = _plans_of(codes[left] * _LENGTHS + lengths[left])
    told = _told(codes[left], columns, own[left])

    def ask(some: Places, region: Places | int) -> None:
        for languages in (plans.of_all, plans.of_kinds):
            of_each = languages[region if isinstance(region, int) else region[some], of[some]]
            some = some[digits().has_of(of_each, columns, own[left[some]])]
        out[left[some]] = True

    for n, is_asked in enumerate(plans.are_asked):
        if is_asked.any():
            ask(np.flatnonzero(is_asked[of] & (n < told) & ~out[left]), n)
    ask(np.flatnonzero((told < _NONE) & ~out[left]), told)
    return out


def _told(codes: Places, columns: Columns, own: Places) -> Places:
    """Which region of its country the beginning of each number tells first, :data:`_NONE` for none."""
    out = np.full(len(codes), _NONE)
    for code in _present(codes):
        if any(telling(code)):
            numbers = np.flatnonzero(codes == code)
            by_head = _told_by_head(code)
            if by_head is None:
                out[numbers] = _first_told(code, columns[:, own[numbers]])
            else:
                out[numbers] = by_head.take(_heads(columns, own[numbers], telling_reach(code)))
    return out


def _first_told(code: int, columns: Columns) -> NDArray[np.int8]:
    n = int(columns.shape[1])
    out = np.full(n, _NONE, np.int8)
    for i, language in reversed(list(enumerate(telling(code)))):
        if language:
            out[digits().begins_of(np.full(n, language), columns, np.arange(n))] = i
    return out


@cache
def _told_by_head(code: int) -> NDArray[np.int8] | None:
    """The same by the first digits of a number, as :func:`_heads` counts them; None where it takes more of them."""
    reach = telling_reach(code)
    if reach > _HEAD:
        return None
    heads = np.arange(int(_KINDS**reach))
    return _first_told(code, np.stack([heads // _KINDS**i % _KINDS for i in reversed(range(reach))]).astype(np.uint8))


def _heads(columns: Columns, own: Places, n: int) -> Places:
    """The first digits of numbers as numbers, what is behind their ends counting as a digit."""
    heads = np.zeros(len(own), np.intp)
    for i in range(n):
        heads = heads * _KINDS + (columns[i].take(own) if i < len(columns) else N_DIGITS)
    return heads


@dataclass(frozen=True, slots=True)
class _Plans:
    """By region of its country and plan (country and length): the languages of what all numbers look like and of what
    those of each kind do; and whether that is asked of numbers whose beginning does not tell where they belong."""

    of_all: Starts
    of_kinds: Starts
    are_asked: NDArray[np.bool_]


def _plans_of(keys: Places) -> tuple[_Plans, Places]:
    """The plans of some countries and lengths, and which is whose."""
    present = _present(keys)
    number = np.zeros(max(present, default=0) + 1, np.intp)
    number[present] = np.arange(len(present))
    regions = [by_region(*divmod(key, _LENGTHS)) for key in present]
    shape = max(map(len, regions), default=0), len(present)
    of_all, of_kinds, are_asked = np.zeros(shape, np.intp), np.zeros(shape, np.intp), np.zeros(shape, np.bool_)
    for plan, found in enumerate(regions):
        for n, (tells, of_all[n, plan], of_kinds[n, plan]) in enumerate(found):
            are_asked[n, plan] = not tells or len(found) == 1
    return _Plans(of_all, of_kinds, are_asked), number[keys]
