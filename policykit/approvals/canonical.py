"""Canonical JSON by RFC 8785 (JCS), and the digests that approvals are bound to.

Departures from RFC 8785, so that two different values never have one spelling: whole numbers keep all their digits
(JCS rounds beyond 2**53), and fractions of that size are written with an exponent.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, cast

from policykit.diagnostics import PolicyError

_EXACT = 2.0**53
_FORMAT = "policykit/approval/1"


def canonical(value: object) -> str:
    """The one spelling of a JSON value; tuples count as arrays. Raises PolicyError (PK080) for what is no JSON."""
    try:
        text = _spelled(value)
        text.encode("utf-8")
    except RecursionError:
        raise _refused("the value is nested too deep") from None
    except UnicodeEncodeError:
        raise _refused("a text has half of a surrogate pair") from None
    return text


def args_digest(tool: str, args: Mapping[str, object], *, tenant: str | None, rule: str, bundle_digest: str) -> str:
    """The digest of exactly this call under exactly this rule. Raises PolicyError (PK080)."""
    return _digest({"tool": tool, "args": args, "tenant": tenant, "rule": rule, "bundle": bundle_digest})


def text_digest(text: str, *, tenant: str | None, rule: str, bundle_digest: str) -> str:
    """The digest of exactly this text under exactly this rule. Raises PolicyError (PK080)."""
    return _digest({"text": text, "tenant": tenant, "rule": rule, "bundle": bundle_digest})


def _digest(content: Mapping[str, object]) -> str:
    text = canonical({"format": _FORMAT, **content})
    return f"sha256:{hashlib.sha256(text.encode('utf-8')).hexdigest()}"


def _spelled(value: object) -> str:
    match value:
        case None | bool() | str():
            return json.dumps(value, ensure_ascii=False)
        case int():
            return str(int(value))
        case float():
            return _number(float(value))
        case Mapping():
            return _object(cast(Mapping[Any, object], value))
        case list() | tuple():
            return f"[{','.join(_spelled(item) for item in cast(list[object], value))}]"
        case _:
            raise _refused(f"a value of type `{type(value).__name__}` is no JSON")


def _object(value: Mapping[Any, object]) -> str:
    """Members in the order of their names' UTF-16 code units (RFC 8785, section 3.2.3)."""
    for name in value:
        if not isinstance(name, str):
            raise _refused(f"the name `{name}` is not text")
    names = sorted(cast(Mapping[str, object], value), key=lambda name: name.encode("utf-16-be"))
    return f"{{{','.join(f'{_spelled(name)}:{_spelled(value[name])}' for name in names)}}}"


def _number(value: float) -> str:
    """A fraction as ECMAScript writes it (ECMA-262, Number::toString), which the shortest digits that read back are."""
    if not math.isfinite(value):
        raise _refused(f"`{value}` is no JSON number")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, exponent = f"{abs(value)!r}", 0
    if "e" in mantissa:
        mantissa, _, power = mantissa.partition("e")
        exponent = int(power)
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + exponent - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    return sign + _placed(digits, point, abs(value) < _EXACT)


def _placed(digits: str, point: int, plain: bool) -> str:
    """Digits with the decimal point after the first ``point`` of them."""
    if plain and len(digits) <= point:
        return digits + "0" * (point - len(digits))
    if plain and point > 0:
        return f"{digits[:point]}.{digits[point:]}"
    if plain and point > -6:
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"


def _refused(why: str) -> PolicyError:
    return PolicyError.of("PK080", f"the arguments have no digest: {why}", help="give values that JSON has")
