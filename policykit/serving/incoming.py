"""What comes in: headers, the key, the body, and that the client has gone."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

from policykit.profiles import Grant, Keyring
from policykit.serving import strict
from policykit.serving.errors import Refused

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class ClientGone(Exception):
    """The client went away, before it had said what it wants or before the answer was sent."""


def header(scope: Scope, name: str) -> str | None:
    """A header that stands once. Raises Refused (400) for one that stands more than once."""
    found = [value for key, value in scope["headers"] if key.lower() == name.encode("ascii")]
    if len(found) > 1:
        raise Refused(400, "policykit_header_refused", f"the header `{name}` stands {len(found)} times")
    return found[0].decode("latin-1") if found else None


def granted(keys: Keyring, scope: Scope) -> Grant:
    """The grant of a request's key. Raises Refused (401)."""
    scheme, _, key = (header(scope, "authorization") or "").partition(" ")
    grant = keys.grant(key.strip()) if scheme.lower() == "bearer" else None
    if grant is None:
        message = "the request has no valid key: send `Authorization: Bearer KEY`"
        raise Refused(401, "policykit_key_refused", message, headers={"www-authenticate": "Bearer"})
    return grant


async def read_object(scope: Scope, receive: Receive, max_bytes: int, timeout_s: float) -> dict[str, object]:
    """The body, a JSON object. Raises Refused and ClientGone."""
    kind, _, more = (header(scope, "content-type") or "").partition(";")
    if kind.strip().lower() != "application/json" or not all(map(_is_utf_8, more.split(";"))):
        raise Refused(415, "policykit_body_refused", "send a body of type `application/json`, in UTF-8")
    codings = (header(scope, "content-encoding") or "identity", header(scope, "transfer-encoding") or "chunked")
    if tuple(coding.strip().lower() for coding in codings) != ("identity", "chunked"):
        raise Refused(415, "policykit_body_refused", "send a body that is not compressed")
    try:
        async with asyncio.timeout(timeout_s):
            data = await _read(receive, max_bytes)
    except TimeoutError:
        raise Refused(408, "policykit_body_refused", f"the body did not arrive within {timeout_s:g} s") from None
    if not data and header(scope, "upgrade") is not None:
        message = "no body is read behind the header `upgrade`: have the client ask for no other protocol"
        raise Refused(400, "policykit_body_refused", message)
    try:
        value = strict.parse(data)
    except strict.NotStrict as error:
        raise Refused(400, "policykit_body_refused", f"the body cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise Refused(400, "policykit_body_refused", "the body is no JSON object")
    return cast(dict[str, object], value)


def _is_utf_8(parameter: str) -> bool:
    """Whether a parameter of the content type is no charset but that of JSON (RFC 8259, section 8.1): whoever read the
    body in another one would have read another text."""
    name, _, value = parameter.partition("=")
    return name.strip().lower() != "charset" or value.strip().strip('"').lower() in ("utf-8", "utf8")


async def _read(receive: Receive, max_bytes: int) -> bytes:
    data = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        data += message.get("body", b"")
        if len(data) > max_bytes:
            raise Refused(413, "policykit_body_refused", f"the body has more than {max_bytes} bytes")
        if not message.get("more_body", False):
            return bytes(data)


async def gone(receive: Receive) -> None:
    """Returns when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
