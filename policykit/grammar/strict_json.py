"""JSON read strictly: RFC 8259 syntax, and the I-JSON profile (RFC 7493) where implementations would disagree."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal
from itertools import accumulate
from typing import Final, TypeAlias, cast, overload

from policykit.grammar.values import Json

MAX_DEPTH: Final = 256
MAX_MAGNITUDE: Final = 308  # decimal exponent of the largest double (RFC 7493, section 2.2)
_UNTRAPPED: Final = Context(traps=[])  # an exponent that no decimal holds reads as NaN, whatever the caller's context

Exact: TypeAlias = "bool | int | Decimal | str | list[Exact] | dict[str, Exact] | None"
"""A JSON value whose fractions are decimals, as written."""


@dataclass(frozen=True, slots=True)
class JsonFault:
    """Why a text is not one JSON value. ``line`` and ``column`` count from 1, where they are known."""

    keyword: str  # `syntax` | `unique keys` | `number` | `depth` | `unicode`
    message: str
    line: int = 1
    column: int = 1


_BESIDE_BRACKETS: Final = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\Z)|[^][{}"]+', re.DOTALL)
"""Strings, the last of which may be open, and what stands between brackets and strings."""
_SURROGATE_ESCAPE: Final = re.compile(r"\\u[dD][89a-fA-F]")


class _Faulty(Exception):
    """Carries the first fault out of the parser."""


@overload
def parse(text: str) -> "Exact | JsonFault": ...
@overload
def parse(text: str, fraction: Callable[[str], Json]) -> "Json | JsonFault": ...
def parse(text: str, fraction: Callable[[str], object] | None = None) -> object:
    """The one JSON value that ``text`` is, or what is wrong with it. ``fraction`` reads a number that is not written as
    an integer, instead of :func:`exact`.

    Repeated names, NaN and infinities, numbers beyond a double's magnitude, unpaired surrogates and nesting beyond
    256 levels are faults: other readers of the same text would see something else.
    """
    if _depth(text) > MAX_DEPTH:
        return JsonFault("depth", f"nested deeper than {MAX_DEPTH} levels")
    try:
        read = fraction or exact
        value = cast(
            Exact,
            json.loads(text, object_pairs_hook=_unique, parse_float=read, parse_int=_integer, parse_constant=_constant),
        )
    except json.JSONDecodeError as error:
        return JsonFault("syntax", error.msg[:1].lower() + error.msg[1:], error.lineno, error.colno)
    except _Faulty as faulty:
        keyword, message = faulty.args
        return JsonFault(keyword, message)
    if (("\\u" in text and _SURROGATE_ESCAPE.search(text)) or not _is_unicode(text)) and _has_surrogate(value):
        return JsonFault("unicode", "an unpaired surrogate is not a character")
    return value


def plain(value: Exact) -> Json:
    """The value with its fractions as floats."""
    match value:
        case Decimal():
            return float(value)
        case list():
            return [plain(item) for item in value]
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case _:
            return value


def _unique(pairs: list[tuple[str, Exact]]) -> dict[str, Exact]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise _Faulty("unique keys", f"the name `{twice}` occurs twice in one object")
    return found


def _constant(name: str) -> None:
    raise _Faulty("number", f"`{name}` is not a JSON number")


def exact(source: str) -> Decimal:
    """A number as it is written."""
    if not source.lower().partition("e")[0].strip("-0."):
        return Decimal(0)  # 0e999999999 is zero, and costs nothing to compare
    number = Decimal(source, _UNTRAPPED)
    if not number.is_finite() or abs(number.adjusted()) > MAX_MAGNITUDE:
        raise _Faulty("number", f"`{source[:40]}` is beyond the range of a double")
    return number


def _integer(source: str) -> int:
    if len(source.lstrip("-")) > MAX_MAGNITUDE + 1:
        raise _Faulty("number", f"`{source[:40]}…` is beyond the range of a double")
    return int(source)


def _depth(text: str) -> int:
    """The deepest nesting of brackets outside strings; 0 where there are few."""
    if _has_few_brackets(text) or _has_few_brackets(brackets := _BESIDE_BRACKETS.sub("", text)):
        return 0
    return max(accumulate(1 if bracket in "[{" else -1 for bracket in brackets), default=0)


def _has_few_brackets(text: str) -> bool:
    """Whether not even all of them together nest too deep."""
    n_arrays, n_objects = max(text.count("["), text.count("]")), max(text.count("{"), text.count("}"))
    return n_arrays + n_objects <= MAX_DEPTH


def _is_unicode(text: str) -> bool:
    """Whether no character is half of a pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _has_surrogate(value: Exact) -> bool:
    match value:
        case str():
            return any("\ud800" <= character <= "\udfff" for character in value)
        case list():
            return any(map(_has_surrogate, value))
        case dict():
            return any(map(_has_surrogate, value)) or any(map(_has_surrogate, value.values()))
        case _:
            return False
