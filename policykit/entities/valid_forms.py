"""The forms of national numbers: what modules of python-stdnum say of each number, said of many."""

from collections.abc import Callable
from datetime import date
from functools import cache
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from policykit.entities.check_digits import (
    Codes,
    Flags,
    Values,
    is_day,
    luhn,
    luhn_of_letters,
    mod_11_10,
    mod_97,
    number,
    values_of,
    verhoeff,
    weighted,
)
from policykit.entities.forms import PAIRS, Form, accepted, accepted_pairs, pair

_YEAR_DIGITS = 100
"""Years that two digits tell apart."""


def _day_of(v: Values) -> tuple[Values, Values, Values]:
    """Three numbers of two digits."""
    return number(v[:2]), number(v[2:4]), number(v[4:6])


def _mod_11(v: Values, *weights: int) -> Values:
    return weighted(v, *weights) % 11


# -- finance ------------------------------------------------------------------------------------------------------


def _bic(codes: Codes) -> Flags:
    countries = accepted("bic", tuple(f"AAAA{two}22" for two in PAIRS))
    return countries[pair(codes[4:6])]


def _lei(codes: Codes) -> Flags:
    return mod_97(values_of(codes)) == 1


def _isin(codes: Codes) -> Flags:
    countries = accepted_pairs("isin", "{}000000000{}", luhn_of_letters)
    return countries[pair(codes)] & luhn_of_letters(values_of(codes))


def _us_rtn(codes: Codes) -> Flags:
    v = values_of(codes)
    return weighted(v, 7, 3, 9, 7, 3, 9, 7, 3) % 10 == v[8]


# -- the Americas -------------------------------------------------------------------------------------------------


def _us_itin(codes: Codes) -> Flags:
    groups = accepted("us.itin", tuple(f"900{group:02d}0000" for group in range(100)))
    return groups[number(values_of(codes[3:5]))]


def _us_ein(codes: Codes) -> Flags:
    areas = accepted("us.ein", tuple(f"{area:02d}0000000" for area in range(100)))
    return areas[number(values_of(codes[:2]))]


def _ca_sin(codes: Codes) -> Flags:
    v = values_of(codes)
    return (v[0] != 0) & (v[0] != 8) & luhn(v)


def _br_cpf(codes: Codes) -> Flags:
    v = values_of(codes)
    first = -weighted(v, *range(10, 1, -1)) % 11 % 10
    second = -(weighted(v[:9], *range(11, 2, -1)) + 2 * first) % 11 % 10
    return (first == v[9]) & (second == v[10]) & v.any(0)


def _br_cnpj(codes: Codes) -> Flags:
    v = codes.astype(np.int64) - ord("0")
    first = -weighted(v, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2) % 11 % 10
    second = -(weighted(v[:12], 6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3) + 2 * first) % 11 % 10
    return (first == v[12]) & (second == v[13]) & v[:12].any(0)


_N = 23
"""What N counts; behind it stands Ñ."""


def _has_curp_digit(v: Values) -> Flags:
    counted = v[:17] + (v[:17] > _N)
    return -weighted(counted, *range(18, 1, -1)) % 10 == v[17]


@cache
def _words_of_curp() -> NDArray[np.int64]:
    """Names that are never given, as numbers to the base 36."""
    listed: set[str] = getattr(import_module("stdnum.mx.curp"), "_name_blacklist", set[str]())
    return np.array(sorted(int(name, 36) for name in listed), np.int64)


def _mx_curp(codes: Codes) -> Flags:
    v = values_of(codes)
    states = accepted_pairs("mx.curp", "AAAA000101H{}AAAA{}", _has_curp_digit)
    year, month, day = _day_of(v[4:10])
    is_given = ~np.isin(weighted(v[:4], 36**3, 36**2, 36, 1), _words_of_curp())
    is_born = is_day(year + np.where(v[16] < 10, 1900, 2000), month, day)
    return is_given & is_born & (codes[10] != ord("X")) & states[pair(codes[11:13])] & _has_curp_digit(v)


# -- Europe -------------------------------------------------------------------------------------------------------


def _gb_nhs(codes: Codes) -> Flags:
    return _mod_11(values_of(codes), *range(10, 0, -1)) == 0


def _gb_utr(codes: Codes) -> Flags:
    v = values_of(codes)
    return np.array([2, 1, 9, 8, 7, 6, 5, 4, 3, 2, 1])[_mod_11(v[1:], 6, 7, 8, 9, 10, 5, 4, 3, 2)] == v[0]


def _de_idnr(codes: Codes) -> Flags:
    v = values_of(codes)
    counts = np.stack([(v[:10] == digit).sum(0) for digit in range(10)])
    most = counts.max(0)
    return ((counts > 1).sum(0) == 1) & (most <= 3) & (v[0] != 0) & mod_11_10(v)


def _fr_nir(codes: Codes) -> Flags:
    v = values_of(codes)
    is_a, is_b = codes[6] == ord("A"), codes[6] == ord("B")
    is_corsican = is_a | is_b
    department = np.where(is_a, 19, np.where(is_b, 18, 10 * v[5] + v[6]))
    whole = number(v[:5]) * 10**8 + department * 10**6 + number(v[7:13])
    return (~is_corsican | (v[5] == 2)) & (97 - whole % 97 == number(v[13:15]))


def _fr_siren(codes: Codes) -> Flags:
    return luhn(values_of(codes))


_LA_POSTE, _ITS_SEAT = 356_000_000, 35_600_000_000_048


def _fr_siret(codes: Codes) -> Flags:
    v = values_of(codes)
    is_la_poste = (number(v[:9]) == _LA_POSTE) & (number(v) != _ITS_SEAT)
    return np.where(is_la_poste, v.sum(0) % 5 == 0, luhn(v)) & luhn(v[:9])


_DNI = np.frombuffer(b"TRWAGMYFPDXBNJZSQVHLCKE", np.uint8)


def _es_dni(codes: Codes) -> Flags:
    return _DNI[number(values_of(codes[:8])) % 23] == codes[8]


def _es_nie(codes: Codes) -> Flags:
    first = codes[0].astype(np.int64) - ord("X")
    return _DNI[(first * 10**7 + number(values_of(codes[1:8]))) % 23] == codes[8]


_ODD = np.array([1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23])
_OF_DIGIT = np.zeros(256, np.int64)
"""Digits, and the letters that stand for them in an Italian code."""
_OF_DIGIT[list(b"0123456789")] = _OF_DIGIT[list(b"LMNPQRSTUV")] = np.arange(10)
_MONTH = np.zeros(256, np.int64)
_MONTH[list(b"ABCDEHLMPRST")] = np.arange(1, 13)
_SINCE = 20
"""The first year of the last century of which two digits are a year of."""


def _it_codicefiscale(codes: Codes) -> Flags:
    v = values_of(codes)
    v = np.where(v > 9, v - 10, v)
    check = (_ODD[v[:15:2]].sum(0) + v[1:15:2].sum(0)) % 26
    digit = _OF_DIGIT[codes]
    year, day = 10 * digit[6] + digit[7], (10 * digit[9] + digit[10]) % 40
    return (check == v[15]) & is_day(year + np.where(year < _SINCE, 2000, 1900), _MONTH[codes[8]], day)


def _nl_bsn(codes: Codes) -> Flags:
    v = values_of(codes)
    return (_mod_11(v, 9, 8, 7, 6, 5, 4, 3, 2, -1) == 0) & v.any(0)


def _be_nn(codes: Codes) -> Flags:
    v = values_of(codes)
    rest, check = number(v[:9]), number(v[9:])
    may_be_new = number(v[:2]) + 2000 <= date.today().year
    has_check = (97 - rest % 97 == check) | (may_be_new & (97 - (rest + 2 * 10**9) % 97 == check))
    return has_check & (number(v[2:4]) <= 12)


_CENTURIES = np.array([1900, 2000, 2100, 2200, 1800])


def _pl_pesel(codes: Codes) -> Flags:
    v = values_of(codes)
    year, month, day = _day_of(v)
    is_born = is_day(year + _CENTURIES[month // 20], month % 20, day)
    return (-weighted(v, 1, 3, 7, 9, 1, 3, 7, 9, 1, 3) % 10 == v[10]) & is_born


def _ch_ssn(codes: Codes) -> Flags:
    v = values_of(codes)
    return -weighted(v[:12], 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3) % 10 == v[12]


_HETU = np.frombuffer(b"0123456789ABCDEFHJKLMNPRSTUVWXY", np.uint8)


def _fi_hetu(codes: Codes) -> Flags:
    v = values_of(codes)
    day, month, year = _day_of(v)
    is_last = np.isin(codes[6], list(b"-YXWVU"))
    century = np.where(codes[6] == ord("+"), 1800, np.where(is_last, 1900, 2000))
    own = number(v[7:10])
    check = _HETU[(number(v[:6]) * 1000 + own) % 31]
    return is_day(century + year, month, day) & (own >= 2) & (own < 900) & (check == codes[10])


def _no_fodselsnummer(codes: Codes) -> Flags:
    v = values_of(codes)
    first = -_mod_11(v, 3, 7, 6, 1, 8, 9, 4, 5, 2) % 11
    second = -_mod_11(v, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2) % 11
    day, month, year = _day_of(v)
    own, has_day = number(v[6:9]), day < 80
    day, month = day - 40 * (day > 40), month - 40 * (month > 40)
    century = np.select(
        [own < 500, (own < 750) & (year >= 54), year < 40, own >= 900],
        [1900, 1800, 2000, 1900],
        0,
    )
    year = year + century
    today = date.today()
    is_born = (year * 100 + month) * 100 + day <= (today.year * 100 + today.month) * 100 + today.day
    return (first == v[9]) & (second == v[10]) & has_day & (century > 0) & is_day(year, month, day) & is_born


# -- Asia, Africa and the Pacific ---------------------------------------------------------------------------------


def _in_aadhaar(codes: Codes) -> Flags:
    return verhoeff(values_of(codes)) & (codes != codes[::-1]).any(0)


def _in_pan(codes: Codes) -> Flags:
    holders = accepted("in_.pan", tuple(f"AAA{chr(ord('A') + i)}A0001A" for i in range(26)))
    return holders[codes[3].astype(np.intp) - ord("A")] & values_of(codes[5:9]).any(0)


def _jp_in(codes: Codes) -> Flags:
    v = values_of(codes)
    return -_mod_11(v, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2) % 11 % 10 == v[11]


def _kr_rrn(codes: Codes) -> Flags:
    v = values_of(codes)
    year, month, day = _day_of(v)
    century = np.array([1800, 1900, 1900, 2000, 2000, 1900, 1900, 2000, 2000, 1800])[v[6]]
    check = (11 - _mod_11(v, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 10
    return is_day(century + year, month, day) & (number(v[7:9]) <= 96) & (check == v[12])


def _au_tfn(codes: Codes) -> Flags:
    return _mod_11(values_of(codes), 1, 4, 3, 7, 5, 8, 6, 9, 10) == 0


def _za_idnr(codes: Codes) -> Flags:
    v = values_of(codes)
    year, month, day = _day_of(v)
    this = date.today().year
    year = year + _YEAR_DIGITS * (this // _YEAR_DIGITS)
    year = year - _YEAR_DIGITS * (year > this)
    return is_day(year, month, day) & (v[10] <= 1) & luhn(v)


def _form(path: str, holds: Callable[[Codes], Flags], *shapes: str, drawn: str = "", as_seen: bool = False) -> Form:
    return Form(shapes, holds, path, drawn, as_seen)


_D = "[0-9]"
_CF = "[0-9LMNPQRSTUV]"
FORMS: dict[str, Form] = {
    form.path: form
    for form in (
        _form("bic", _bic, "[A-Z]{6}[0-9A-Z]{2}", "[A-Z]{6}[0-9A-Z]{5}"),
        _form("lei", _lei, f"[0-9A-Z]{{18}}{_D}{{2}}"),
        _form("isin", _isin, f"[A-Z]{{2}}[0-9A-Z]{{9}}{_D}"),
        _form("us.rtn", _us_rtn, f"{_D}{{9}}"),
        _form("us.itin", _us_itin, f"9{_D}{{8}}"),
        _form("us.ein", _us_ein, f"{_D}{{9}}"),
        _form("ca.sin", _ca_sin, f"{_D}{{9}}"),
        _form("br.cpf", _br_cpf, f"{_D}{{11}}"),
        _form("br.cnpj", _br_cnpj, f"[0-9A-Z]{{12}}{_D}{{2}}"),
        _form(
            "mx.curp",
            _mx_curp,
            f"[A-Z]{{4}}{_D}{{6}}[HMX][A-Z]{{5}}[0-9A-Z]{_D}",
            drawn=f"[A-Z]{{4}}{_D}{{2}}0{_D}[0-2]{_D}[HMX][A-Z]{{5}}[0-9A-Z]{_D}",
        ),
        _form("gb.nhs", _gb_nhs, f"{_D}{{10}}"),
        _form("gb.utr", _gb_utr, f"{_D}{{10}}"),
        _form("de.idnr", _de_idnr, f"{_D}{{11}}"),
        _form("fr.nir", _fr_nir, f"{_D}{{6}}[0-9AB]{_D}{{8}}"),
        _form("fr.siren", _fr_siren, f"{_D}{{9}}"),
        _form("fr.siret", _fr_siret, f"{_D}{{14}}"),
        _form("es.dni", _es_dni, f"{_D}{{8}}[A-Z]"),
        _form("es.nie", _es_nie, f"[XYZ]{_D}{{7}}[A-Z]"),
        _form(
            "it.codicefiscale",
            _it_codicefiscale,
            f"[A-Z]{{6}}{_CF}{{2}}[ABCDEHLMPRST]{_CF}{{2}}[A-Z]{_CF}{{3}}[A-Z]",
        ),
        _form("nl.bsn", _nl_bsn, f"{_D}{{9}}"),
        _form("be.nn", _be_nn, f"{_D}{{11}}"),
        _form("pl.pesel", _pl_pesel, f"{_D}{{11}}"),
        _form("ch.ssn", _ch_ssn, f"756{_D}{{10}}"),
        _form("fi.hetu", _fi_hetu, rf"{_D}{{6}}[-+ABCDEFYXWVU]{_D}{{3}}[0-9A-Y]", as_seen=True),
        _form("no.fodselsnummer", _no_fodselsnummer, f"{_D}{{11}}", drawn=f"[0-3]{_D}0{_D}{{8}}"),
        _form("in_.aadhaar", _in_aadhaar, f"[2-9]{_D}{{11}}"),
        _form("in_.pan", _in_pan, f"[A-Z]{{5}}{_D}{{4}}[A-Z]"),
        _form("jp.in_", _jp_in, f"{_D}{{12}}"),
        _form("kr.rrn", _kr_rrn, f"{_D}{{13}}"),
        _form("au.tfn", _au_tfn, f"{_D}{{8}}", f"{_D}{{9}}"),
        _form("za.idnr", _za_idnr, f"{_D}{{13}}"),
    )
}
"""By the module that says the same."""
