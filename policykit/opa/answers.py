"""OPA's Data API (https://www.openpolicyagent.org/docs/rest-api#get-a-document-with-input), as far as it is used.

Stricter than the documentation where leniency would be a guess: a body is UTF-8, no key stands twice in an object, and
`result` is true or false.
"""

import json
from typing import cast

from policykit.ir.decision import Answer
from policykit.opa.errors import (
    Failed,
    Malformed,
    NotAuthorised,
    NotBoolean,
    OpaError,
    Redirected,
    Unavailable,
    Undefined,
)

_SHOWN = 200
"""Characters of what OPA says that go into an error."""


def read_body(body: bytes) -> dict[str, object]:
    """The JSON object in a body. Raises Malformed."""
    try:
        found: object = json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"OPA's answer is not JSON: {_shortened(str(error))}") from None
    if not isinstance(found, dict):
        raise Malformed("OPA's answer is not a JSON object")
    return cast("dict[str, object]", found)


def read_answer(reference: str, reply: dict[str, object]) -> Answer:
    """The decision in OPA's answer. Raises Malformed, Undefined or NotBoolean."""
    decision_id = reply.get("decision_id")
    if decision_id is not None and not isinstance(decision_id, str):
        raise Malformed("OPA's answer has a `decision_id` that is not text")
    if "result" not in reply:
        raise Undefined(f"`{reference}` is undefined: OPA has no such rule, or it does not hold", decision_id)
    result = reply["result"]
    if not isinstance(result, bool):
        raise NotBoolean(f"`{reference}` is {_kind(result)}, not true or false", decision_id)
    return Answer(result, decision_id)


def check_status(status: int, body: bytes) -> None:
    """Raises the error that a status other than 200 stands for."""
    if status == 200:
        return
    said = _said(body)
    if 300 <= status < 400:
        raise Redirected(f"OPA's address redirects (status {status}), and nothing is sent elsewhere")
    if status in (401, 403):
        raise NotAuthorised(f"OPA does not accept the token (status {status}){said}")
    if status in (429, 502, 503, 504):
        raise Unavailable(f"OPA is not available (status {status}){said}")
    raise Failed(f"OPA failed (status {status}){said}")


def _said(body: bytes) -> str:
    """OPA's own code and message, where the body has them."""
    try:
        error = read_body(body)
    except OpaError:
        return ""
    words = [word for name in ("code", "message") if isinstance(word := error.get(name), str)]
    return f": {_shortened(': '.join(words))}" if words else ""


def _shortened(text: str) -> str:
    printable = "".join(char if char.isprintable() else " " for char in text)
    return printable if len(printable) <= _SHOWN else f"{printable[:_SHOWN]}…"


def _kind(value: object) -> str:
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
        case str():
            return "text"
        case None:
            return "null"
        case _:
            return "a number"


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
