"""The guard: an ASGI application before an upstream. Nothing passes that a profile does not let pass."""

import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from policykit.profiles import Grant, Keyring
from policykit.serving.deployment import Serving
from policykit.serving.errors import Refused
from policykit.serving.hooks import AlwaysOpen, Observer, Switch
from policykit.serving.upstream import Upstream

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PROFILE_HEADER = "x-policykit-profile"


class Guard:
    """Serves `/v1/models`, `/v1/chat/completions`, `/v1/completions` and `/v1/responses`; everything else is a 404.

    ``log`` takes one record per request; where it cannot, nothing goes out.
    """

    def __init__(
        self,
        serving: Serving,
        upstream: Upstream,
        log: object,
        *,
        observers: Sequence[Observer] = (),
        switch: Switch | None = None,
    ) -> None:
        self.serving = serving
        self.upstream = upstream
        self.log = log
        self.observers = tuple(observers)
        self.switch = switch or AlwaysOpen()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the guard answers HTTP only, not `{scope['type']}`")
        try:
            status, body = self._answer(scope)
        except Refused as refused:
            status, body = refused.status, refused.body()
        await _send_json(send, status, body)

    def _answer(self, scope: Scope) -> tuple[int, object]:
        deployment = self.serving.deployment
        grant = granted(deployment.keys, scope)
        if (scope["method"], scope["path"]) == ("GET", "/v1/models"):
            return 200, models(grant)
        raise Refused(404, "policykit_route_refused", f"there is no route {scope['method']} {scope['path']}")


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


def models(grant: Grant) -> dict[str, object]:
    """The granted profiles as OpenAI lists models."""
    entries = [
        {"id": f"profile:{name}", "object": "model", "created": 0, "owned_by": "policykit"} for name in grant.profiles
    ]
    return {"object": "list", "data": entries}


async def _send_json(send: Send, status: int, body: object) -> None:
    content = json.dumps(body, ensure_ascii=False).encode("utf-8")
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode("ascii"))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
