"""Which `multipleOf` the engine can count: it keeps a remainder for each value of the divisor, and multiplies divisors
that meet in 32 bits, without a word where that overflows."""

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from itertools import chain, combinations
from math import lcm
from typing import Final

from policykit.grammar.schema_document import SchemaDocument
from policykit.grammar.values import Json

MAX_REMAINDERS: Final = 100_000
"""Below a second and 100 MB. The engine takes 5 s for 12,345,000, and all memory for 9,999,991."""
MAX_PLAIN: Final = 1_000
"""Divisors up to this one stay cheap with zeros behind them."""
MAX_MET: Final = 6
"""So many different divisors are looked at in every combination."""
_OVERFLOWS: Final = 1 << 32
_MEETING: Final = frozenset({"allOf", "anyOf", "oneOf", "$ref", "patternProperties"})


def uncounted(document: SchemaDocument) -> list[str]:
    """The pointers of the subschemas whose `multipleOf` the engine cannot count, by itself or where it meets those
    that it can."""
    if not document.may_have(_MULTIPLE):
        return []
    found = {
        pointer: divisor
        for pointer, schema in document.reachable().items()
        if isinstance(schema, dict) and not document.ignores_siblings(schema)
        if (divisor := _exactly(schema.get("multipleOf"))) is not None
    }
    times = Counter(found.values())
    comes_again = {divisor for divisor in times if times[divisor] > 1 or document.referring}
    meet = document.may_have(_MEETING)
    counted: dict[Fraction, None] = {}
    for divisor in sorted(times, reverse=True):  # what says more comes first
        beside = counted if meet else dict[Fraction, None]()
        if divisor in counted or _can_count({**beside, divisor: None}, comes_again if meet else set()):
            counted[divisor] = None
    return [pointer for pointer, divisor in found.items() if divisor not in counted]


_MULTIPLE: Final = frozenset({"multipleOf"})


def _exactly(value: Json) -> Fraction | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return None
    return Fraction(repr(value))


def _can_count(divisors: Mapping[Fraction, None], comes_again: set[Fraction]) -> bool:
    """Whether all that follows from some of them is counted."""
    if len(divisors) > MAX_MET:
        return False
    for some in chain.from_iterable(combinations(divisors, n) for n in range(1, len(divisors) + 1)):
        together = _together(some)
        if not _is_small(together):
            return False
        others = [one for one in divisors if one not in some or one in comes_again]
        if any(_product(together, one) >= _OVERFLOWS for one in others):
            return False
    return True


def _together(divisors: tuple[Fraction, ...]) -> Fraction:
    scale = lcm(*(divisor.denominator for divisor in divisors))
    return Fraction(lcm(*(int(divisor * scale) for divisor in divisors)), scale)


def _is_small(divisor: Fraction) -> bool:
    coefficient = int(divisor * 10 ** _decimals(divisor))
    if coefficient >= _OVERFLOWS:
        return False
    if divisor <= MAX_REMAINDERS:
        return True
    while coefficient % 10 == 0:
        coefficient //= 10
    return coefficient <= MAX_PLAIN


def _product(a: Fraction, b: Fraction) -> int:
    """What the engine multiplies: both without a point, with as many decimals as the longer one has."""
    scale = 10 ** max(_decimals(a), _decimals(b))
    return int(a * scale) * int(b * scale)


def _decimals(divisor: Fraction) -> int:
    found = 0
    while divisor.denominator > 1:
        divisor *= 10
        found += 1
    return found
