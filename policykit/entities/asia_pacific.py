"""Identity, tax and health numbers of Asia, Africa and the Pacific."""

from datetime import date

from policykit.entities.checks import either, plain, stdnum
from policykit.entities.entity import NUMBER, EntityType, digits


def _is_medicare(number: str) -> bool:
    """Weights 1, 3, 7, 9, 1, 3, 7, 9 over the first eight digits (Services Australia); an issue number, perhaps an
    individual reference number."""
    total = sum(int(digit) * weight for digit, weight in zip(number, (1, 3, 7, 9, 1, 3, 7, 9), strict=False))
    return number[0] in "23456" and total % 10 == int(number[8])


def _is_resident_id(number: str) -> bool:
    """A day of the calendar and the check character of GB 11643-1999. The county is not looked at: who was born before
    it was one has its code all the same."""
    try:
        date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * pow(2, 17 - i, 11) for i, digit in enumerate(number[:17]))
    return "10X98765432"[total % 11] == number[17]


_RANDOM_SINCE = date(2020, 10, 1)


def _is_new_rrn(number: str) -> bool:
    """Numbers that are given since October 2020 end in any six digits, without a check digit."""
    try:
        return number[6] in "3478" and date(2000 + int(number[:2]), int(number[2:4]), int(number[4:6])) >= _RANDOM_SINCE
    except ValueError:
        return False


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
        check=plain("MOD 11-2, a day; 1", _is_resident_id),
        words=("resident", "identity", "身份证"),
        regions=("CN",),
    ),
    EntityType(
        name="kr_rrn",
        about="Korean resident registration number",
        body=digits(6, 7),
        guard=NUMBER,
        check=either(stdnum("kr.rrn"), plain("a day from October 2020 on; 1", _is_new_rrn)),
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
        check=plain("Medicare weights; 1", _is_medicare),
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
