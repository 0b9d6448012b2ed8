"""Validators over many stretches at once. Each says what the one for a single stretch says, or that it does not know.

Where the rules are a package's, they are read from the package, or a few numbers at their edges are tried first: if
the package says otherwise about one of them, it is asked about all.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from itertools import product
from string import ascii_uppercase
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from policykit.entities.compact import Compact, Places, lengths_of
from policykit.entities.entity import ANY_LENGTH, ASK, NO
from policykit.entities.language import capitals

Decided = NDArray[np.int8]
_Form: TypeAlias = tuple[str, int] | tuple[()] | None
_SSN_DIGITS = 9


def by_length(starts: Places, ends: Places) -> Iterator[tuple[int, Places]]:
    """The lengths of stretches, and which have each."""
    lengths = ends - starts
    for length in lengths_of(starts, ends):
        yield length, np.flatnonzero(lengths == length)


def in_language(source: str, text: Compact, starts: Places, ends: Places) -> NDArray[np.bool_]:
    """Which stretches of ``text.chars`` are in a language."""
    return in_languages(np.full(len(starts), capitals().start(source)), text, starts, ends)


def in_languages(of: NDArray[np.intp], text: Compact, starts: Places, ends: Places) -> NDArray[np.bool_]:
    """The same where a language is named for each stretch."""
    return capitals().has(of, text.padded(starts, ends))


def unknown(starts: Places) -> Decided:
    return np.full(len(starts), ASK, np.int8)


def us_ssn(text: Compact, starts: Places, ends: Places) -> Decided:
    """Areas, groups and serials that are never given out, and numbers that everybody has used."""
    first, last = text.places(starts, ends)
    out = unknown(starts)
    if ssn_is_known():
        for own in (which for length, which in by_length(first, last) if length == _SSN_DIGITS):
            out[own] = are_ssns(text.numbers(first[own], _SSN_DIGITS))
    return out


def are_ssns(numbers: Places) -> NDArray[np.bool_]:
    area, group, serial = numbers // 10**6, numbers // 10**4 % 100, numbers % 10**4
    is_given = (area != 0) & (area != 666) & (area < 900) & (group != 0) & (serial != 0)
    return is_given & ~np.isin(numbers, used_by_all())


@cache
def used_by_all() -> Places:
    listed: set[str] = getattr(import_module("stdnum.us.ssn"), "_ssn_blacklist", set[str]())
    return np.array(sorted(int(number.replace("-", "")) for number in listed), np.int64)


@cache
def ssn_is_known() -> bool:
    """Whether python-stdnum says about numbers at the edges what is said here."""
    is_valid: Callable[[str], bool] = import_module("stdnum.us.ssn").is_valid
    areas = [f"{area:03d}{rest}" for area in (0, 1, 665, 666, 667, 899, 900, 999) for rest in ("121234", "010001")]
    used = [f"{number:09d}" for number in used_by_all().tolist()]
    probes = [*areas, "123000001", "123010000", "123450000", *used]
    return [is_valid(number) for number in probes] == are_ssns(np.array(list(map(int, probes)))).tolist()


def iban(
    text: Compact, starts: Places, ends: Places, checksum: Callable[[Compact, Places, Places], NDArray[np.bool_]]
) -> Decided:
    """The length and form of the country's account numbers, and the check digits."""
    first, last = text.places(starts, ends)
    countries, named = _countries(text, first)
    lengths, forms = np.zeros(1 << 16, np.int64), np.zeros(1 << 16, np.intp)
    for key, form in named.items():
        lengths[key] = _ANY if form is None else 4 + form[1] if form else 0
        forms[key] = capitals().start(form[0]) if form else 0
    wanted = lengths[countries]
    out = np.where(wanted == _ANY, ASK, NO).astype(np.int8)
    left = np.flatnonzero(wanted == last - first)
    left = left[checksum(text, first[left], last[left])]
    out[left] = in_languages(forms[countries[left]], text, first[left] + 4, last[left])
    return out


def account_lengths(text: Compact, starts: Places) -> Places:
    """The lengths of a country's account numbers, as sets of lengths."""
    countries, named = _countries(text, text.place(starts))
    lengths = np.zeros(1 << 16, np.int64)
    for key, form in named.items():
        lengths[key] = ANY_LENGTH if form is None else 1 << 4 + form[1] if form else 0
    return lengths[countries]


def _countries(text: Compact, first: Places) -> tuple[Places, dict[int, _Form]]:
    """The two letters at each place as one number, and the forms of those that occur."""
    chars = np.append(text.chars, np.zeros(2, np.uint8))
    countries = chars[first].astype(np.int64) * 256 + chars[first + 1]
    return countries, {
        int(key): account_form(chr(key >> 8) + chr(key & 255)) for key in np.flatnonzero(np.bincount(countries))
    }


_ANY = -1
_FIELD = re.compile("([1-9][0-9]*)!([nac])")
_OF_FIELD = {"n": "[0-9]", "a": "[A-Z]", "c": "[0-9A-Z]"}


@cache
def account_form(country: str) -> _Form:
    """The account numbers of a country as RE2 source and their length, nothing where there is no such country; None
    where python-stdnum says it in another way than it used to."""
    table = getattr(import_module("stdnum.iban"), "_ibandb", None)  # not part of its interface
    found = table.info(country) if table is not None else None
    if table is None or not found or any(length != 2 for length, *_ in table.prefixes):
        return None
    if not found[0][1]:
        return ()
    form: str = found[0][1].get("bban", "")
    if not form or _FIELD.sub("", form):
        return None
    fields = _FIELD.findall(form)
    return "".join(f"{_OF_FIELD[kind]}{{{count}}}" for count, kind in fields), sum(int(count) for count, _ in fields)


def read_account_forms() -> None:
    """Read the account numbers of all countries."""
    for first, second in product(ascii_uppercase, repeat=2):
        form = account_form(first + second)
        if form:
            capitals().start(form[0])
