"""The guard: an ASGI application before an upstream. Nothing passes that a profile does not let pass."""

import asyncio
import logging
import re
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from policykit.diagnostics import PolicyError
from policykit.profiles import Grant, ProfileSet, Refused as ProfileRefused
from policykit.serving.attestation import Attestor
from policykit.serving.deployment import Serving
from policykit.serving.drawing import Drawing
from policykit.serving.errors import Refused, UpstreamFault
from policykit.serving.exchange import Account, Book, Exchange
from policykit.serving.fields import checker
from policykit.serving.hooks import About, AlwaysOpen, Observer, Outcome, Switch
from policykit.serving.incoming import ClientGone, Receive, Scope, gone, granted, header, read_object
from policykit.serving.limits import Admission
from policykit.serving.request import Request
from policykit.serving.responder import Responder, Send
from policykit.serving.rewards import Rewards
from policykit.serving.routes.chat import Chat
from policykit.serving.routes.completions import Completions
from policykit.serving.routes.responses import Responses
from policykit.serving.routes.shape import Shape
from policykit.serving.services import CheckFields, FactsOf, GuardSettings, Services, no_facts
from policykit.serving.shadow import Shadow
from policykit.serving.upstream import Kind, Upstream

_LOG = logging.getLogger("policykit.serving")

SHAPES: tuple[Shape, ...] = (Chat(), Completions(), Responses())
ENGINES = {Kind.VLLM: "vllm-0.33", Kind.PLAIN: "openai"}
"""The table for each kind of upstream: what is let through is the same for all versions of vLLM."""
CLIENT_GONE = 499
"""What records say of a request whose client went away; nobody receives it."""


class Guard:
    """Serves `/v1/models`, `/v1/chat/completions`, `/v1/completions` and `/v1/responses`; everything else is a 404.

    ``log`` keeps one record per request with a valid key; where it cannot, nothing goes out. ``attestor`` hears the
    engine's masks, where the upstream has any. ``check_fields`` lists the fields of a body that are refused; by
    default those that no table of the upstream's kind lets through.
    ``facts`` says what is known of a request, for the conditions of rules; nothing that a client sends is a fact.
    ``shadow`` gets what was judged of each request, when its answer has gone out. ``rewards`` choose among answers,
    where profiles want that.
    """

    def __init__(
        self,
        serving: Serving,
        upstream: Upstream,
        log: Book,
        *,
        observers: Sequence[Observer] = (),
        switch: Switch | None = None,
        attestor: Attestor | None = None,
        check_fields: CheckFields | None = None,
        facts: FactsOf = no_facts,
        settings: GuardSettings | None = None,
        shadow: Shadow | None = None,
        drawing: Drawing | None = None,
        rewards: Rewards | None = None,
    ) -> None:
        self._services = Services(
            serving,
            upstream,
            log,
            tuple(observers),
            switch or AlwaysOpen(),
            attestor,
            check_fields or checker(ENGINES[upstream.kind]),
            facts,
            settings or GuardSettings(),
            Admission(),
            shadow,
            drawing,
            rewards,
        )
        self._shapes = {shape.path: shape for shape in SHAPES}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._http(scope, receive, send)
            case "lifespan":
                await self._lifespan(receive, send)
            case _:
                await send({"type": "websocket.close", "code": 1008})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def aclose(self) -> None:
        """Let go of the upstream and of the engine's socket."""
        self._services.waiting.close()
        await self._services.upstream.aclose()
        if self._services.attestor is not None:
            await self._services.attestor.aclose()

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(ClientGone):
            await self._asked(scope, receive, send)

    async def _asked(self, scope: Scope, receive: Receive, send: Send) -> None:
        responder = Responder(send)
        shape = self._shapes.get(scope["path"])
        request_id = uuid.uuid4().hex
        about = About(request_id, shape.path if shape else "other", headers=_trace(scope))
        exchange = Exchange(Account(about), self._services.log, self._services.observers)
        responder.headers["x-policykit-record"] = request_id
        try:
            deployment = self._services.serving.deployment
            grant = granted(deployment.keys, scope)
            exchange.account.about = replace(about, tenant=grant.tenant, key_id=grant.key_id)
            if shape is None or scope["method"] != "POST":
                body = listed(scope, grant, deployment.profiles)
                await exchange.close(Outcome.SERVED, 200, record=False)
                await responder.whole(200, body)
                return
            wanted = header(scope, "x-policykit-profile")
        except Refused as refused:
            await exchange.close(Outcome.REFUSED, refused.status, refused.code, record=False)
            await responder.refuse(refused)
            return
        request = Request(self._services, deployment, grant, shape, exchange, responder, wanted)
        await self._guarded(request, scope, receive)

    async def _guarded(self, request: Request, scope: Scope, receive: Receive) -> None:
        """Serves a request while its client is there. It is recorded whatever happens."""
        exchange, settings = request.exchange, self._services.settings
        tasks: set[asyncio.Task[None]] = set()
        try:
            try:
                body = await read_object(scope, receive, settings.max_body_bytes, settings.body_timeout_s)
            except Refused as refused:
                await _fail(exchange, request.responder, refused)
                return
            work = asyncio.create_task(_answered(request, body))
            watch = asyncio.create_task(gone(receive))
            tasks = {work, watch}
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except ClientGone:
            pass
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            with suppress(Refused):  # the client was told of a log that fails, or is not there
                await exchange.close(Outcome.DISCONNECTED, CLIENT_GONE)
            if self._services.shadow is not None and request.finished is not None:
                self._services.shadow.offer(request.finished)


async def _answered(request: Request, body: dict[str, object]) -> None:
    """Serves a request; whatever goes wrong is an error with a name, for a client that is there."""
    with suppress(ClientGone):
        await _named(request, body)


async def _named(request: Request, body: dict[str, object]) -> None:
    try:
        await request.serve(body)
    except ClientGone:
        raise
    except (Refused, ProfileRefused) as refused:
        if isinstance(refused, ProfileRefused):
            refused = Refused(refused.status, refused.code, refused.message)
        await _fail(request.exchange, request.responder, refused)
    except UpstreamFault as fault:
        await _fail(request.exchange, request.responder, fault.refused())
    except PolicyError as error:
        _LOG.error("no plan: %s", error)
        refused = Refused(503, "policykit_plan_failed", "the profile has no plan that can be used now")
        await _fail(request.exchange, request.responder, refused)
    except Exception:
        _LOG.exception("the guard failed")
        refused = Refused(500, "policykit_internal", "something failed; nothing was let through")
        await _fail(request.exchange, request.responder, refused)


async def _fail(exchange: Exchange, responder: Responder, refused: Refused) -> None:
    outcome = Outcome.REFUSED if refused.status < 500 else Outcome.ERRORED
    try:
        await exchange.close(outcome, refused.status, refused.code)
    except Refused as unrecorded:
        refused = unrecorded
    await responder.refuse(refused)


_MEMBER = r"[a-z0-9][a-z0-9_\-*/@]*=[!-+\--<>-~]+"  # without the spaces that a value may have inside
_TRACE = {
    b"traceparent": re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"),
    b"tracestate": re.compile(f"{_MEMBER}(?:, ?{_MEMBER})*".encode()),
}
"""W3C Trace Context, sections 3.2 and 3.3."""
_MAX_TRACE = 512
"""Characters of a header, as the standard has it."""


def _trace(scope: Scope) -> tuple[tuple[str, str], ...]:
    """The trace that a request belongs to, where it says so in one way and in the standard's form: what else a client
    writes there is text that nobody judges."""
    said = [(name, value) for name, value in scope["headers"] if name in _TRACE]
    found = dict(said)
    if len(found) < len(said) or b"traceparent" not in found:
        return ()
    if not all(len(value) <= _MAX_TRACE and _TRACE[name].fullmatch(value) for name, value in said):
        return ()
    return tuple((name.decode("ascii"), value.decode("ascii")) for name, value in said)


def listed(scope: Scope, grant: Grant, profiles: ProfileSet) -> dict[str, object]:
    """What `/v1/models` says: the granted profiles as models. Raises Refused (404) for every other route."""
    path, prefix = scope["path"], "/v1/models"
    granted_now = [name for name in grant.profiles if (p := profiles.get(name)) and p.admits(grant.tenant)]
    entries: dict[str, dict[str, object]] = {
        f"profile:{name}": {"id": f"profile:{name}", "object": "model", "created": 0, "owned_by": "policykit"}
        for name in granted_now
    }
    if scope["method"] == "GET" and path == prefix:
        return {"object": "list", "data": list(entries.values())}
    if scope["method"] == "GET" and path.startswith(prefix + "/") and path.removeprefix(prefix + "/") in entries:
        return entries[path.removeprefix(prefix + "/")]
    raise Refused(404, "policykit_route_refused", "there is no such route, or not with this method")
