"""What a fact can be, cut into cells that no comparison with the constants at hand tells apart.

Between two neighbouring constants every number, and every string, compares alike; so a value from each gap and the
constants themselves stand for all values. Numbers are ordered by value, strings by code points.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import jsonschema_rs

from policykit.conditions.syntax import MAX_INT, MIN_INT
from policykit.conditions.values import is_number

KINDS = ("null", "boolean", "number", "string", "array", "object")
"""JSON's types, of which `integer` is a part of `number`."""

TOO_LARGE = MAX_INT + 1
"""Stands for all integers of more than 64 bits, which are no values of conditions."""

_T = TypeVar("_T", float, str)
_BEYOND = 2**1000


@dataclass(frozen=True, slots=True)
class Cell:
    """Values that comparisons with the constants do not tell apart, and one of them. ``is_one``: no other operation
    does either."""

    value: object
    is_one: bool


def cells_of_schema(schema: Mapping[str, object], constants: Sequence[object]) -> tuple[tuple[Cell, ...], bool]:
    """The cells of what a schema of facts admits, and whether a value of each cell is sure to be admitted."""
    said = schema.get("type")
    kinds = KINDS if said is None else (said,) if isinstance(said, str) else tuple(cast("Sequence[str]", said))
    listed = [*cast("Sequence[object]", schema.get("enum", ())), *([schema["const"]] if "const" in schema else [])]
    bounds = [schema[name] for name in ("minimum", "maximum") if name in schema]
    is_listed = "enum" in schema or "const" in schema
    validator = jsonschema_rs.validator_for(dict(schema))
    found = [
        cell
        for cell in cells(kinds, [*constants, *listed, *bounds])
        if (validator.is_valid(cell.value) if _whole(cell) else not is_listed)
    ]
    found += [Cell(value, False) for value in listed if not _is_scalar(value) and validator.is_valid(value)]
    if not is_listed and {"number", "integer"} & set(kinds) and _admits_too_large(schema):
        found.append(Cell(TOO_LARGE, False))
    is_sure = is_listed or not {"pattern", "minLength", "maxLength", "format"} & schema.keys()
    return tuple(found), is_sure


def _admits_too_large(schema: Mapping[str, object]) -> bool:
    low, high = (cast("float | None", schema.get(name)) for name in ("minimum", "maximum"))
    return low is None or low < MIN_INT or high is None or high > MAX_INT


def cells_of_result(function: str | None, constants: Sequence[object]) -> tuple[Cell, ...]:
    """The cells of what a function may give, or an operation (None). Arithmetic gives NaN as well."""
    match function:
        case "size":
            counted = cells(("integer",), [*constants, 0])
            return tuple(cell for cell in counted if cast(int, cell.value) >= 0)
        case "int":
            return cells(("integer",), constants)
        case "string":
            return cells(("string",), constants)
        case "double":
            return (*cells(("number",), constants), Cell(math.nan, False))
        case _:
            return (*cells(KINDS, constants), Cell(math.nan, False))


def cells(kinds: Collection[str], constants: Sequence[object]) -> tuple[Cell, ...]:
    """The cells of all values of these kinds."""
    numbers = sorted({value for value in map(_number, constants) if value is not None})
    texts = sorted({value for value in constants if isinstance(value, str)})
    out: list[Cell] = []
    if "null" in kinds:
        out.append(Cell(None, True))
    if "boolean" in kinds:
        out += [Cell(True, True), Cell(False, True)]
    if "number" in kinds or "integer" in kinds:
        between = _number_between if "number" in kinds else _integer_between
        out += _lined(numbers, between, is_one=False)
    if "string" in kinds:
        out += _lined(texts, _text_between, is_one=True)
    if "array" in kinds:
        out.append(Cell([], False))
    if "object" in kinds:
        out.append(Cell({}, False))
    if "number" not in kinds:
        out = [cell for cell in out if not is_number(cell.value) or _is_integer(cast(float, cell.value))]
    return tuple(out)


def _lined(points: Sequence[_T], between: Callable[[_T | None, _T | None], _T | None], is_one: bool) -> list[Cell]:
    """The points and what is between them. A number is never alone: 3 and 3.0 divide differently."""
    out: list[Cell] = []
    for low, high in zip([None, *points], [*points, None], strict=True):
        out += [Cell(low, is_one)] if low is not None else []
        found = between(low, high)
        out += [Cell(found, False)] if found is not None else []
    return out


def _integer_between(low: float | None, high: float | None) -> float | None:
    """An integer of 64 bits strictly between; None where there is none."""
    near = [0, *(math.floor(low) + 1 for low in _finite(low)), *(math.ceil(high) - 1 for high in _finite(high))]
    return next((x for x in near if _lies(x, low, high)), None)


def _number_between(low: float | None, high: float | None) -> float | None:
    """An integer of 64 bits, or a double, strictly between; None where there is none."""
    above = [x for bound in _finite(low) for x in (float(bound), math.nextafter(bound, math.inf))]
    below = [x for bound in _finite(high) for x in (float(bound), math.nextafter(bound, -math.inf))]
    return next(
        (x for x in (_integer_between(low, high), *above, *below) if x is not None and _lies(x, low, high)), None
    )


def _finite(bound: float | None) -> tuple[float, ...]:
    return () if bound is None or math.isinf(bound) else (bound,)


def _lies(x: float, low: float | None, high: float | None) -> bool:
    is_value = isinstance(x, float) or MIN_INT <= x <= MAX_INT
    return is_value and (low is None or low < x) and (high is None or x < high)


def _text_between(low: str | None, high: str | None) -> str | None:
    """A string strictly between in the order of code points; None where there is none."""
    found = "" if low is None else low + "\0"
    return found if high is None or found < high else None


def _number(value: object) -> float | None:
    """A number that a comparison can tell from others: not NaN, and no integer beyond all doubles."""
    if not is_number(value) or math.isnan(number := cast(float, value)):
        return None
    return number if isinstance(number, float) or abs(number) < _BEYOND else None


def _is_integer(value: float) -> bool:
    return isinstance(value, int) or value.is_integer()


def _whole(cell: Cell) -> bool:
    """Whether a schema admits all of the cell or nothing, once its bounds and lists are among the constants."""
    return _is_scalar(cell.value) and (cell.is_one or not isinstance(cell.value, str))


def _is_scalar(value: object) -> bool:
    return not isinstance(value, list | dict)
