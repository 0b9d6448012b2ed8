"""Values of conditions: faults, operators and functions on them.

Integers have 64 bits; an integer and a double compare and compute by value, since JSON does not tell them apart.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from policykit.conditions.syntax import MAX_INT, MIN_INT


@dataclass(frozen=True, slots=True)
class UnknownFact:
    """A fact that is not there, by its path."""

    path: str

    def __str__(self) -> str:
        return f"the fact `{self.path}` is not known"


@dataclass(frozen=True, slots=True)
class ConditionError:
    """Why a condition has no value."""

    message: str

    def __str__(self) -> str:
        return self.message


ConditionResult: TypeAlias = bool | UnknownFact | ConditionError


class Fault(Exception):
    def __init__(self, what: UnknownFact | ConditionError) -> None:
        super().__init__(str(what))
        self.what = what


def fault(message: str) -> Fault:
    """An error with a message, to be raised."""
    return Fault(ConditionError(message))


def apply(operator: str, a: object, b: object, spend: Callable[[int], None]) -> object:
    """An operator on two values."""
    match operator:
        case "==":
            return equal(a, b, spend)
        case "!=":
            return not equal(a, b, spend)
        case "in":
            return _contains(a, b, spend)
        case "<" | "<=" | ">" | ">=":
            return _ordered(operator, a, b)
        case _:
            return _arithmetic(operator, a, b, spend)


def is_number(value: object) -> bool:
    """Whether it is an int or a double."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def equal(a: object, b: object, spend: Callable[[int], None]) -> bool:
    """Equality of JSON values: numbers by value, nothing else across types."""
    spend(1)
    if is_number(a) and is_number(b):
        return a == b
    if isinstance(a, list) and isinstance(b, list):
        ours, theirs = cast(list[object], a), cast(list[object], b)
        return len(ours) == len(theirs) and all(equal(x, y, spend) for x, y in zip(ours, theirs, strict=True))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        left, right = cast(Mapping[str, object], a), cast(Mapping[str, object], b)
        return left.keys() == right.keys() and all(equal(left[key], right[key], spend) for key in left)
    if isinstance(a, str) and isinstance(b, str):
        spend(len(a) // 10)
    return bool(type(cast(object, a)) is type(b) and a == b)


def _contains(item: object, holder: object, spend: Callable[[int], None]) -> bool:
    if isinstance(holder, Mapping):
        return item in cast(Mapping[object, object], holder) if isinstance(item, str) else False
    if isinstance(holder, list):
        return any(equal(item, element, spend) for element in cast(list[object], holder))
    raise fault(f"nothing is in {kind_of(holder)}")


def _ordered(operator: str, a: object, b: object) -> bool:
    if is_number(a) and is_number(b):
        x, y = cast(float, a), cast(float, b)
        if math.isnan(x) or math.isnan(y):
            return False
        sign = (x > y) - (x < y)
    elif isinstance(a, str) and isinstance(b, str):
        sign = (a > b) - (a < b)
    else:
        raise fault(f"{kind_of(a)} and {kind_of(b)} have no order")
    return {"<": sign < 0, "<=": sign <= 0, ">": sign > 0, ">=": sign >= 0}[operator]


def _arithmetic(operator: str, a: object, b: object, spend: Callable[[int], None]) -> object:
    if is_number(a) and is_number(b):
        if isinstance(a, int) and isinstance(b, int):
            return _integers(operator, a, b)
        return _doubles(operator, float(cast(float, a)), float(cast(float, b)))
    if operator == "+" and isinstance(a, str) and isinstance(b, str):
        spend((len(a) + len(b)) // 10)
        return a + b
    if operator == "+" and isinstance(a, list) and isinstance(b, list):
        ours, theirs = cast(list[object], a), cast(list[object], b)
        spend(len(ours) + len(theirs))
        return [*ours, *theirs]
    raise fault(f"`{operator}` does not work on {kind_of(cast(object, a))} and {kind_of(b)}")


def _integers(operator: str, a: int, b: int) -> int:
    if operator in "/%" and b == 0:
        raise fault("division by zero")
    match operator:
        case "+":
            value = a + b
        case "-":
            value = a - b
        case "*":
            value = a * b
        case "/":
            value = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)  # towards zero
        case _:
            value = abs(a) % abs(b) * (-1 if a < 0 else 1)  # the sign of the dividend
    return cast(int, in_range(value))


def _doubles(operator: str, a: float, b: float) -> float:
    match operator:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "/":
            if b:
                return a / b
            return math.nan if not a or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)
        case _:
            raise fault("`%` does not work on doubles")


def in_range(value: float) -> float:
    """The number, if it is one of CEL's."""
    if isinstance(value, int) and not MIN_INT <= value <= MAX_INT:
        raise fault("the integer has more than 64 bits")
    return value


def _size(name: str, values: Sequence[object]) -> object:
    value = values[0]
    if isinstance(value, str | list | Mapping):
        return len(cast(Sequence[object], value))
    raise fault(f"`{name}` does not work on {kind_of(value)}")


def _on_strings(test: Callable[[str, str], bool]) -> Callable[[str, Sequence[object]], object]:
    def run(name: str, values: Sequence[object]) -> object:
        a, b = values
        if isinstance(a, str) and isinstance(b, str):
            return test(a, b)
        raise fault(f"`{name}` does not work on {kind_of(a)} and {kind_of(b)}")

    return run


def _to_int(name: str, values: Sequence[object]) -> object:
    value = values[0]
    try:
        if isinstance(value, str) and len(value) < 30:
            return in_range(int(value))
        if is_number(value) and math.isfinite(cast(float, value)):
            return in_range(int(cast(float, value)))
    except ValueError:
        pass  # a text that is no number: told below
    raise fault(f"`int` does not work on {kind_of(value)}")


def _to_double(name: str, values: Sequence[object]) -> object:
    value = values[0]
    try:
        if (isinstance(value, str) and len(value) < 400) or is_number(value):
            return float(cast(str, value))
    except ValueError:
        pass  # a text that is no number: told below
    raise fault(f"`double` does not work on {kind_of(value)}")


def _to_string(name: str, values: Sequence[object]) -> object:
    value = values[0]
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | float():
            return str(value)
        case _:
            raise fault(f"`string` does not work on {kind_of(value)}")


Function: TypeAlias = Callable[[str, Sequence[object]], object]
FUNCTIONS: dict[str, Callable[[str, Sequence[object]], object]] = {
    "size": _size,
    "startsWith": _on_strings(str.startswith),
    "endsWith": _on_strings(str.endswith),
    "contains": _on_strings(lambda a, b: b in a),
    "int": _to_int,
    "double": _to_double,
    "string": _to_string,
}


def kind_of(value: object) -> str:
    """What a value is, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "a bool"
        case int():
            return "an int"
        case float():
            return "a double"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "a map"
