"""What stands around the guard: liveness, readiness, metrics, the incident switch, a description, and a last word.

Operators' routes (`/metrics`, `/switch`, `/ready`) want an operator's key; `/health` and `/openapi.json` want none.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from policykit.profiles import Admin
from policykit.serving.deployment import Serving
from policykit.serving.errors import Refused
from policykit.serving.guard import Guard
from policykit.serving.health import Health
from policykit.serving.hooks import SwitchState
from policykit.serving.incoming import Receive, Scope, header, read_object
from policykit.serving.metrics import CONTENT_TYPE, Metrics
from policykit.serving.openapi import description
from policykit.serving.responder import Send
from policykit.serving.switch import FileSwitch

MAX_SWITCH_BYTES = 1024


@dataclass(slots=True)
class App:
    """An ASGI application: the guard, and the routes around it. ``closing`` is done when the server stops, after the
    requests in flight; ``starting`` when it starts."""

    guard: Guard
    serving: Serving
    switch: FileSwitch
    metrics: Metrics
    health: Health
    starting: Sequence[Callable[[], Awaitable[None]]] = ()
    closing: Sequence[Callable[[], Awaitable[None]]] = ()
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list["asyncio.Task[None]"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        try:
            answer = self._answering(scope) if scope["type"] == "http" else None
            if answer is not None:
                await answer(self, scope, receive, send)
                return
        except Refused as refused:
            await _json(send, refused.status, refused.body(), refused.headers)
            return
        await self.guard(scope, receive, send)

    def _answering(self, scope: Scope) -> "Callable[[App, Scope, Receive, Send], Awaitable[None]] | None":
        """What answers in the guard's place. Of other methods of its routes the guard says what it says of any route
        that is not there, but to operators, who may know."""
        found = ROUTES.get((scope["method"], scope["path"]))
        if found is None and scope["path"] in _PATHS and self._admin(scope) is not None:
            return _other_method
        return found

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._tasks = [asyncio.ensure_future(start()) for start in self.starting]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.guard.aclose()
        for close in self.closing:
            await close()
        await send({"type": "lifespan.shutdown.complete"})

    def _operator(self, scope: Scope) -> Admin:
        """Raises Refused (401) without an operator's key."""
        found = self._admin(scope)
        if found is None:
            why = "an operator's key is needed: `Authorization: Bearer …`"
            raise Refused(401, "policykit_key_refused", why, headers={"www-authenticate": "Bearer"})
        return found

    def _admin(self, scope: Scope) -> Admin | None:
        scheme, _, key = (header(scope, "authorization") or "").partition(" ")
        return self.serving.deployment.keys.admin(key.strip()) if scheme.lower() == "bearer" else None


async def _other_method(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    """What an operator is told, who may know which routes there are."""
    known = [method for method, path in ROUTES if path == scope["path"]]
    why = f"`{scope['path']}` takes {' and '.join(known)}"
    raise Refused(405, "policykit_method_refused", why, headers={"allow": ", ".join(known)})


async def _alive(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    await _json(send, 200, {"status": "alive"})


async def _ready(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    app._operator(scope)  # pyright: ignore[reportPrivateUsage]
    found = await app.health.ready()
    await _json(send, 200 if found.ready else 503, {"ready": found.ready, "checks": dict(found.checks)})


async def _metrics(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    app._operator(scope)  # pyright: ignore[reportPrivateUsage]
    await _body(send, 200, CONTENT_TYPE, app.metrics.render())


async def _state(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    app._operator(scope)  # pyright: ignore[reportPrivateUsage]
    await _json(send, 200, {"state": app.switch.state.value, "problem": app.switch.problem})


async def _set(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    app._operator(scope)  # pyright: ignore[reportPrivateUsage]
    body = await read_object(scope, receive, MAX_SWITCH_BYTES, 5.0)
    wanted = body.get("state")
    if not isinstance(wanted, str) or wanted not in set(SwitchState) or len(body) != 1:
        words = ", ".join(f"`{state.value}`" for state in SwitchState)
        raise Refused(400, "policykit_field_refused", f"`state` is one of {words}", param="state")
    try:
        await asyncio.to_thread(app.switch.set, SwitchState(wanted))
    except OSError as error:
        why = f"the switch's file cannot be written: {(error.strerror or str(error)).lower()}"
        raise Refused(503, "policykit_switch_unwritable", why) from error
    await _state(app, scope, receive, send)


async def _described(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    await _json(send, 200, description())


ROUTES: dict[tuple[str, str], Callable[[App, Scope, Receive, Send], Awaitable[None]]] = {
    ("GET", "/health"): _alive,
    ("GET", "/ready"): _ready,
    ("GET", "/metrics"): _metrics,
    ("GET", "/switch"): _state,
    ("PUT", "/switch"): _set,
    ("GET", "/openapi.json"): _described,
}


_PATHS = frozenset(path for _, path in ROUTES)


async def _json(send: Send, status: int, data: object, headers: Mapping[str, str] | None = None) -> None:
    await _body(send, status, "application/json", json.dumps(data, ensure_ascii=False).encode(), headers)


async def _body(send: Send, status: int, kind: str, body: bytes, more: Mapping[str, str] | None = None) -> None:
    named = {"content-type": kind, "content-length": str(len(body)), "cache-control": "no-store", **(more or {})}
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
