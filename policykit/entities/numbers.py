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

import numpy as np
from numpy.typing import NDArray

from policykit.entities.compact import Compact, Places, lengths_of
from policykit.entities.entity import ASK, NO
from policykit.entities.language import Rows, language

Decided = NDArray[np.int8]
_SSN_DIGITS = 9


def by_length(starts: Places, ends: Places) -> Iterator[tuple[int, Places]]:
    """The lengths of stretches, and which have each."""
    lengths = ends - starts
    for length in lengths_of(starts, ends):
        yield length, np.flatnonzero(lengths == length)


MOST_DIGITS = 18
"""Digits of a number that :func:`distinct` can read."""


def distinct(numbers: Places) -> tuple[Places, Places]:
    """Some numbers each once, ascending, and which of them each is."""
    order = np.argsort(numbers, kind="stable")
    ahead = numbers[order]
    is_new = np.append(True, ahead[1:] != ahead[:-1])[: len(ahead)]
    which = np.empty(len(numbers), np.int64)
    which[order] = np.cumsum(is_new) - 1
    return ahead[is_new], which


def digits_of(numbers: Places, length: int) -> Rows:
    """The digits of numbers of one length, ``[n, length]``."""
    tens = 10 ** np.arange(length - 1, -1, -1, dtype=np.int64)
    return (numbers[:, None] // tens % 10 + ord("0")).astype(np.uint8)


def in_language(source: str, text: Compact, starts: Places, ends: Places) -> NDArray[np.bool_]:
    """Which stretches of ``text.chars`` are in a language."""
    out = np.zeros(len(starts), np.bool_)
    for length, own in by_length(starts, ends):
        out[own] = language(source).has(text.rows(starts[own], length))
    return out


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
    countries = text.chars[first].astype(np.int64) * 256 + text.chars[first + 1]
    named = {int(key): _account_form(chr(key >> 8) + chr(key & 255)) for key in np.flatnonzero(np.bincount(countries))}
    lengths = np.zeros(1 << 16, np.int64)
    for key, form in named.items():
        lengths[key] = _ANY if form is None else 4 + form[1] if form else 0
    wanted = lengths[countries]
    out = np.where(wanted == _ANY, ASK, NO).astype(np.int8)
    left = np.flatnonzero(wanted == last - first)
    left = left[checksum(text, first[left], last[left])]
    for key, form in named.items():
        own = left[countries[left] == key]
        if form and len(own):
            out[own] = in_language(form[0], text, first[own] + 4, last[own])
    return out


_ANY = -1
_FIELD = re.compile("([1-9][0-9]*)!([nac])")
_OF_FIELD = {"n": "[0-9]", "a": "[A-Z]", "c": "[0-9A-Z]"}


@cache
def _account_form(country: str) -> tuple[str, int] | tuple[()] | None:
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
        form = _account_form(first + second)
        if form:
            language(form[0])
