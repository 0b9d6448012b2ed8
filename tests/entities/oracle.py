"""What is valid, said once more: by brute force over all stretches of a text, with check digits by hand.

Nothing here uses policykit, python-stdnum or phonenumbers.
"""

import re
from collections.abc import Callable, Iterable

Span = tuple[int, int]


def luhn(number: str) -> bool:
    doubled = [int(digit) * (2 if i % 2 else 1) for i, digit in enumerate(reversed(number))]
    return sum(sum(map(int, str(value))) for value in doubled) % 10 == 0


def is_card(stretch: str) -> bool:
    """Sixteen digits of Visa or Mastercard, in one run or in fours between single spaces or hyphens."""
    if not re.fullmatch(r"(\d{16}|\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{4})", stretch, re.ASCII):
        return False
    number = re.sub("[ -]", "", stretch)
    issued = number[0] == "4" or 51 <= int(number[:2]) <= 55 or 2221 <= int(number[:4]) <= 2720
    return issued and luhn(number)


def mod97(number: str) -> int:
    return int("".join(str(int(char, 36)) for char in number)) % 97


IBAN_LENGTHS = {"GB": 22, "DE": 22, "NL": 18, "BE": 16, "FR": 27, "CH": 21, "AT": 20}


def is_iban(stretch: str) -> bool:
    """Of a country without further check digits that matter here; in one run or in fours between single spaces."""
    number = stretch.replace(" ", "").upper()
    grouped = " ".join(number[i : i + 4] for i in range(0, len(number), 4))
    if stretch.upper() not in (number, grouped) or not re.fullmatch("[A-Z]{2}[0-9]{2}[A-Z0-9]+", number):
        return False
    return len(number) == IBAN_LENGTHS.get(number[:2]) and mod97(number[4:] + number[:4]) == 1


def occurrences(text: str, is_valid: Callable[[str], bool], forbidden_beside: str, longest: int) -> list[Span]:
    """Every valid stretch with none of the forbidden characters directly beside it, without those inside another."""
    found = [
        (i, j)
        for i in range(len(text))
        for j in range(i + 1, min(len(text), i + longest) + 1)
        if not any(char in forbidden_beside for char in (*text[max(i - 1, 0) : i], *text[j : j + 1]))
        if is_valid(text[i:j])
    ]
    return [span for span in found if not any(contains(other, span) for other in found)]


def contains(outer: Span, inner: Span) -> bool:
    return outer != inner and outer[0] <= inner[0] and inner[1] <= outer[1]


def covered(spans: Iterable[Span]) -> set[int]:
    return {at for start, end in spans for at in range(start, end)}
