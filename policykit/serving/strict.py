"""JSON that has one reading: what two parsers could read differently is refused, so that what is judged is what is
used."""

import json
import math
from typing import NoReturn, cast

MAX_DEPTH = 64


class NotStrict(Exception):
    """The bytes are no JSON with one reading; the message says why."""


def parse(data: bytes, max_depth: int = MAX_DEPTH) -> object:
    """The value. Raises NotStrict: no JSON, no UTF-8, a name twice in an object, a number that is none, an unpaired
    surrogate, nested deeper than ``max_depth``.

    >>> parse(b'{"a": [1]}')
    {'a': [1]}
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotStrict(f"no valid UTF-8 at byte {error.start}") from None
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite)
    except RecursionError:
        raise NotStrict("nested too deep") from None
    except json.JSONDecodeError as error:
        raise NotStrict(f"no JSON: {error}") from None
    except ValueError:  # Python's limit on digits of a whole number
        raise NotStrict("a number has too many digits") from None
    if "\\u" in text or text.count("[") + text.count("{") > max_depth:
        _check(value, max_depth)  # without an escape no surrogate, without brackets no depth
    return cast(object, value)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise NotStrict("a name stands twice in one object")
        found[name] = value
    return found


def _no_constant(name: str) -> NoReturn:
    raise NotStrict(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise NotStrict("a number is too large")
    return number


def _check(value: object, max_depth: int) -> None:
    level: list[object] = [value]
    for _ in range(max_depth + 1):
        below: list[object] = []
        for item in level:
            match item:
                case str():
                    _paired(item)
                case dict():
                    mapping = cast(dict[str, object], item)
                    for name in mapping:
                        _paired(name)
                    below += mapping.values()
                case list():
                    below += cast(list[object], item)
                case _:
                    pass
        if not below:
            return
        level = below
    raise NotStrict(f"nested more than {max_depth} deep")


def _paired(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotStrict(f"a string has an unpaired surrogate at {error.start}") from None
