"""Accounts, cards, banks and companies that are not one country's."""

import re
from functools import cache

import numpy as np

from policykit.entities.checks import iban, iban_screen, luhn, plain, stdnum
from policykit.entities.compact import Compact, Places
from policykit.entities.entity import DIGITS, GAP, MARKED, EntityType
from policykit.entities.numbers import Decided, in_language

# Issuer ranges of ISO/IEC 7812-1 with the lengths that their networks use.
_ISSUED = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|(?:30[0-59]\d|3[689]\d\d)\d{10,15}"  # Diners Club
    r"|(?:6011|64[4-9]\d|65\d\d)\d{12,15}"  # Discover
    r"|35(?:2[89]|[3-8]\d)\d{12,15}"  # JCB
    r"|62\d{14,17}"  # UnionPay
    r"|220[0-4]\d{12,15}"  # Mir
    r"|(?:60|8[12]|508\d|353|356)\d{12,14}"  # RuPay; the length is looked at below
    r"|(?:50[12]\d|5038|5893|6304|6759|676[1-3])\d{8,15}"  # Maestro
)


_RUPAY_DIGITS = 16


def _is_card(number: str) -> bool:
    if not _ISSUED.fullmatch(number) or (number[:2] in ("60", "81", "82") and len(number) < _RUPAY_DIGITS):
        return False
    return luhn(number)


def _are_cards(text: Compact, starts: Places, ends: Places) -> Decided:
    """:func:`_is_card` of many."""
    first, last = text.places(starts, ends)
    out = text.luhn(first, last)
    left = np.flatnonzero(out)
    first, last = first[left], last[left]
    is_rupay = np.isin(text.rows(first, 2) @ np.array([10, 1]) - 11 * ord("0"), (60, 81, 82))
    out[left] = in_language(_ISSUED.pattern, text, first, last) & (~is_rupay | (last - first >= _RUPAY_DIGITS))
    return out.astype(np.int8)


@cache
def _card_lengths() -> Places:
    """By its first four digits, the set of lengths that a card number may have: issuers look at no more."""
    heads = np.arange(10_000)
    out = np.zeros(len(heads), np.int64)
    for length in range(12, 20):
        numbers = [f"{head:04d}".ljust(length, "0") for head in heads.tolist()]
        out |= np.array([bool(_ISSUED.fullmatch(number)) for number in numbers]).astype(np.int64) << length
    return out


_DENSE = 8
"""One place in so many letters and digits, from which on the check digits of all are looked at before anything else."""


def _lengths(text: Compact, starts: Places) -> Places:
    lengths = _card_lengths()[text.head(starts, 4)]
    if _DENSE * len(starts) < len(text.chars):
        return lengths
    first, out = text.place(starts), np.zeros(len(starts), np.int64)
    for length in range(12, 20):
        own = np.flatnonzero((lengths >> length & 1 == 1) & (first + length <= len(text.chars)))
        own = own[text.luhn(first[own], first[own] + length)]
        out[own] |= 1 << length
    return out


_FOUR = "[0-9]{4}"
_EU = "AT|BE|BG|CY|CZ|DE|DK|EE|EL|ES|FI|FR|GB|HR|HU|IE|IT|LT|LU|LV|MT|NL|PL|PT|RO|SE|SI|SK|XI"

TYPES = (
    EntityType(
        name="payment_card",
        about="payment card number (PAN)",
        body=(
            rf"[0-9]{{12,19}}|{_FOUR}{MARKED}{_FOUR}{MARKED}{_FOUR}{MARKED}[0-9]{{1,7}}(?:{MARKED}[0-9]{{1,3}})?"
            rf"|{_FOUR}{MARKED}[0-9]{{6}}{MARKED}[0-9]{{4,5}}|[0-9](?: [0-9]){{11,18}}"
        ),
        guard=DIGITS,
        check=plain("issuer range, length, Luhn; 1", _is_card, _lengths, _are_cards),
        words=("card", "pan", "credit", "debit", "visa", "mastercard", "amex", "karte", "carte", "tarjeta"),
        label="CARD",
    ),
    EntityType(
        name="iban",
        about="international bank account number (ISO 13616)",
        body=rf"[a-z]{{2}}[0-9]{{2}}(?:{GAP}?[0-9a-z]{{4}}){{2,7}}(?:{GAP}?[0-9a-z]{{1,3}})?",
        check=iban(iban_screen),
        words=("iban", "account", "konto", "compte", "cuenta", "conto", "rekening"),
    ),
    EntityType(
        name="bic",
        about="bank identifier code (ISO 9362)",
        body="[a-z]{6}[0-9a-z]{2}(?:[0-9a-z]{3})?",
        check=stdnum("bic"),
        words=("bic", "swift", "swift code", "bic code"),
        needs_context=True,
    ),
    EntityType(
        name="lei",
        about="legal entity identifier (ISO 17442)",
        body="[0-9a-z]{18}[0-9]{2}",
        check=stdnum("lei"),
        words=("lei", "legal entity"),
    ),
    EntityType(
        name="isin",
        about="international securities identification number (ISO 6166)",
        body="[a-z]{2}[0-9a-z]{9}[0-9]",
        check=stdnum("isin"),
        words=("isin", "security", "securities"),
    ),
    EntityType(
        name="vat",
        about="VAT identification number of the EU, Northern Ireland or the United Kingdom",
        body=rf"(?:{_EU}){GAP}?[0-9a-z]{{0,2}}(?:{MARKED}?[0-9]){{6,12}}[0-9a-z]{{0,3}}",
        check=stdnum("eu.vat", "gb.vat"),
        words=("vat", "ust-id", "ustid", "tva", "iva", "btw"),
        regions=tuple(_EU.replace("EL", "GR").split("|")),
    ),
    EntityType(
        name="us_routing",
        about="ABA routing transit number, in one run of digits",
        body="[0-9]{9}",
        check=stdnum("us.rtn"),
        words=("routing", "aba", "rtn"),
        regions=("US",),
    ),
)
