"""Which `multipleOf` the engine can count: it keeps a remainder for each value of the divisor, written without its
point, and multiplies divisors that meet in 32 bits, without a word where that overflows. To it, `integer` is a divisor
of 1."""

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from itertools import chain, combinations
from math import lcm
from typing import Final

from policykit.grammar.schema_document import SchemaDocument
from policykit.grammar.values import Json

MAX_REMAINDERS: Final = 100_000
"""A second and 140 MB. The engine takes 5 s for 12,345,000, 8 s for 99999.9, and all memory for 9,999,991."""
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
    nodes = {p: s for p, s in document.reachable().items() if isinstance(s, dict) and not document.ignores_siblings(s)}
    found = {p: divisor for p, s in nodes.items() if (divisor := _exactly(s.get("multipleOf"))) is not None}
    is_fractional = any(divisor.denominator > 1 for divisor in found.values())  # of others 1 says nothing more
    whole = {pointer for pointer, schema in nodes.items() if is_fractional and _names_integers(schema.get("type"))}
    if not document.may_have(_MEETING):
        beside = {pointer: {_WHOLE: None} if pointer in whole else {} for pointer in found}
        return [p for p, divisor in found.items() if not _can_count({**beside[p], divisor: None}, set())]
    times = Counter(found.values())
    comes_again = {divisor for divisor in times if times[divisor] > 1 or document.referring}
    counted: dict[Fraction, None] = {_WHOLE: None} if whole else {}
    for divisor in sorted(times, reverse=True):  # what says more comes first
        if _can_count({**counted, divisor: None}, comes_again):
            counted[divisor] = None
    return [pointer for pointer, divisor in found.items() if divisor not in counted]


_MULTIPLE: Final = frozenset({"multipleOf"})
_WHOLE: Final = Fraction(1)


def _names_integers(types: Json) -> bool:
    return types == "integer" or (isinstance(types, list) and "integer" in types)


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
    if coefficient <= MAX_REMAINDERS:
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
