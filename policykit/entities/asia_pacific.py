"""Identity, tax and health numbers of Asia, Africa and the Pacific."""

from datetime import date

import numpy as np

from policykit.entities.check_digits import Codes, Flags, is_day, number, values_of, weighted
from policykit.entities.checks import either, plain, stdnum
from policykit.entities.entity import NUMBER, EntityType, digits
from policykit.entities.forms import Form


def _is_medicare(number: str) -> bool:
    """Weights 1, 3, 7, 9, 1, 3, 7, 9 over the first eight digits (Services Australia); an issue number, perhaps an
    individual reference number."""
    total = sum(int(digit) * weight for digit, weight in zip(number, (1, 3, 7, 9, 1, 3, 7, 9), strict=False))
    return number[0] in "23456" and total % 10 == int(number[8])


def _are_medicare(codes: Codes) -> Flags:
    v = values_of(codes)
    return (v[0] >= 2) & (v[0] <= 6) & (weighted(v, 1, 3, 7, 9, 1, 3, 7, 9) % 10 == v[8])


def _is_resident_id(number: str) -> bool:
    """A day of the calendar and the check character of GB 11643-1999. The county is not looked at: who was born before
    it was one has its code all the same."""
    try:
        date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * pow(2, 17 - i, 11) for i, digit in enumerate(number[:17]))
    return "10X98765432"[total % 11] == number[17]


def _are_resident_ids(codes: Codes) -> Flags:
    v = values_of(codes)
    total = weighted(v, *(pow(2, 17 - i, 11) for i in range(17)))
    check = np.frombuffer(b"10X98765432", np.uint8)[total % 11]
    return is_day(number(v[6:10]), number(v[10:12]), number(v[12:14])) & (check == codes[17])


_RESIDENT_ID = "[1-9][0-9]{5}[12][0-9]{10}[0-9X]"
_RANDOM_SINCE = date(2020, 10, 1)


def _is_new_rrn(number: str) -> bool:
    """Numbers that are given since October 2020 end in any six digits, without a check digit."""
    try:
        return number[6] in "3478" and date(2000 + int(number[:2]), int(number[2:4]), int(number[4:6])) >= _RANDOM_SINCE
    except ValueError:
        return False


def _are_new_rrns(codes: Codes) -> Flags:
    v = values_of(codes)
    year, month, day = 2000 + number(v[:2]), number(v[2:4]), number(v[4:6])
    since = (_RANDOM_SINCE.year * 100 + _RANDOM_SINCE.month) * 100 + _RANDOM_SINCE.day
    is_new = (year * 100 + month) * 100 + day >= since
    return np.isin(v[6], (3, 4, 7, 8)) & is_day(year, month, day) & is_new


TYPES = (
    EntityType(
        name="in_aadhaar",
        about="Indian identity number (Aadhaar)",
        body=digits("[2-9][0-9]{3}", 4, 4),
        guard=NUMBER,
        check=stdnum("in_.aadhaar"),
        words=("aadhaar", "aadhar", "uidai", "uid"),
        regions=("IN",),
    ),
    EntityType(
        name="in_pan",
        about="Indian permanent account number (PAN)",
        body="[a-z]{3}[abcfghjlpt][a-z][0-9]{4}[a-z]",
        check=stdnum("in_.pan"),
        words=("pan", "permanent account"),
        regions=("IN",),
    ),
    EntityType(
        name="jp_my_number",
        about="Japanese individual number (My Number)",
        body=digits(4, 4, 4),
        guard=NUMBER,
        check=stdnum("jp.in_"),
        words=("my number", "individual number", "マイナンバー", "個人番号"),
        regions=("JP",),
    ),
    EntityType(
        name="cn_resident_id",
        about="Chinese resident identity number",
        body="[1-9][0-9]{5}(?:19|20)[0-9]{9}[0-9x]",
        guard=NUMBER,
        check=plain("MOD 11-2, a day; 1", _is_resident_id, decide=Form((_RESIDENT_ID,), _are_resident_ids).decide),
        words=("resident", "identity", "身份证"),
        regions=("CN",),
    ),
    EntityType(
        name="kr_rrn",
        about="Korean resident registration number",
        body=digits(6, 7),
        guard=NUMBER,
        check=either(
            stdnum("kr.rrn"),
            plain("a day from October 2020 on; 1", _is_new_rrn, decide=Form(("[0-9]{13}",), _are_new_rrns).decide),
        ),
        words=("rrn", "resident registration", "주민등록번호"),
        regions=("KR",),
    ),
    EntityType(
        name="au_tfn",
        about="Australian tax file number, near a word for it",
        body=f"{digits(3, 3, 3)}|{digits(3, 3, 2)}",
        guard=NUMBER,
        check=stdnum("au.tfn"),
        words=("tfn", "tax file", "tax file number"),
        needs_context=True,
        regions=("AU",),
    ),
    EntityType(
        name="au_medicare",
        about="Australian Medicare card number",
        body=digits("[2-6][0-9]{3}", 5, "[0-9]{1,2}"),
        guard=NUMBER,
        check=plain("Medicare weights; 1", _is_medicare, decide=Form(("[0-9]{10}", "[0-9]{11}"), _are_medicare).decide),
        words=("medicare",),
        regions=("AU",),
    ),
    EntityType(
        name="za_id",
        about="South African identity number",
        body=digits(6, 4, 3),
        guard=NUMBER,
        check=stdnum("za.idnr"),
        words=("id number", "identity", "rsa id"),
        regions=("ZA",),
    ),
)
