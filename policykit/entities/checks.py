"""Validators: those of python-stdnum and phonenumbers by name, and check digits that neither has.

The packages are imported when a validator first runs. One that is missing, or that fails, raises: the rule errs and
fails closed.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from policykit.entities import many_phones, numbers, phones
from policykit.entities.compact import Compact, Places
from policykit.entities.entity import YES, Check
from policykit.entities.valid_forms import FORMS
from policykit.ir.document import Entity


@cache
def is_valid(path: str) -> Callable[..., bool]:
    """The validator of a module of python-stdnum. Raises ImportError where the package is missing."""
    return import_module(f"stdnum.{path}").is_valid


Screen = Callable[[Compact, Places, Places], NDArray[np.bool_]]
Decide = Callable[[Compact, Places, Places], numbers.Decided]
Lengths = Callable[[Compact, Places], Places]


def stdnum(*paths: str, decide: Decide | None = None) -> Check:
    """Valid in one of these modules of python-stdnum (https://arthurdejong.org/python-stdnum/)."""
    form = FORMS.get(paths[0]) if len(paths) == 1 else None

    def run(text: str, entity: Entity) -> bool:
        return any(is_valid(path)(text) for path in paths)

    decide = decide or (form.decide if form else None)
    read_ahead = form.read_ahead if form else None
    return Check(f"stdnum {'|'.join(paths)}", run, "python-stdnum", decide=decide, read_ahead=read_ahead)


def iban(checksum: Screen) -> Check:
    """The country's length and form and the check digits of ISO 13616, by python-stdnum.

    Its checks of national account numbers are left out: some want a bank code of a list, which ends some day, and an
    account that is missing in the list is to be masked all the same.
    """

    def run(text: str, entity: Entity) -> bool:
        return is_valid("iban")(text, check_country=False)

    def decide(text: Compact, starts: Places, ends: Places) -> numbers.Decided:
        return numbers.iban(text, starts, ends, checksum)

    name = "stdnum iban, international part"
    return Check(name, run, "python-stdnum", numbers.account_lengths, decide, numbers.read_account_forms)


def plain(
    name: str, holds: Callable[[str], bool], lengths: Lengths | None = None, decide: Decide | None = None
) -> Check:
    """A validator of our own; the name changes with what it says."""
    return Check(name, lambda text, entity: holds(text), lengths=lengths, decide=decide)


def either(one: Check, other: Check) -> Check:
    """Valid by one of two."""

    def run(text: str, entity: Entity) -> bool:
        return one.run(text, entity) or other.run(text, entity)

    of_one, of_other = one.decide, other.decide

    def decide(text: Compact, starts: Places, ends: Places) -> numbers.Decided:
        assert of_one is not None, "only where both are known"
        assert of_other is not None, "only where both are known"
        known, also = of_one(text, starts, ends), of_other(text, starts, ends)
        return np.where((known == YES) | (also == YES), np.int8(YES), np.minimum(known, also))

    return Check(
        f"{one.name} or {other.name}",
        run,
        one.package or other.package,
        decide=decide if of_one and of_other else None,
        read_ahead=one.read_ahead or other.read_ahead,
    )


def luhn_screen(text: Compact, starts: Places, ends: Places) -> NDArray[np.bool_]:
    """:func:`luhn` on many stretches of digits."""
    return text.luhn(starts, ends)


def iban_screen(text: Compact, starts: Places, ends: Places) -> NDArray[np.bool_]:
    """ISO 13616: two letters and two digits, read behind the rest, leave 1 modulo 97."""
    ahead, rest = text.mod_97(starts, starts + 4), text.mod_97(starts + 4, ends)
    return (rest * (10**6 % 97) + ahead) % 97 == 1


def luhn(text: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for i, digit in enumerate(reversed(text)):
        value = int(digit)
        total += value if i % 2 == 0 else (2 * value - 9 if value > 4 else 2 * value)
    return total % 10 == 0


def icao_digit(text: str) -> int:
    """The check digit of ICAO Doc 9303-3, section 4.9: weights 7, 3, 1; letters count from 10, `<` is 0."""
    return sum((0 if c == "<" else int(c, 36)) * (7, 3, 1)[i % 3] for i, c in enumerate(text)) % 10


def phone_number(text: str, entity: Entity) -> bool:
    """A number that is assigned in some country's plan: in international form, or as dialled in the entry's region."""
    from phonenumbers import NumberParseException, is_valid_number, parse

    region = entity.region
    if text.startswith("00") and region is None:
        text = f"+{text[2:]}"
    is_valid = phones.decided(text, has_region=region is not None)
    if is_valid is not None:
        return is_valid
    try:
        return is_valid_number(parse(text, region))
    except NumberParseException:
        return False


PHONE = Check(
    "phonenumbers is_valid_number",
    phone_number,
    "phonenumbers",
    many_phones.lengths,
    many_phones.decide,
    many_phones.read_ahead,
)


def phone_regions() -> frozenset[str]:
    """The regions (ISO 3166-1) whose numbering plans are known."""
    from phonenumbers import SUPPORTED_REGIONS

    return frozenset(SUPPORTED_REGIONS)
