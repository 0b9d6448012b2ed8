"""The guard inside vLLM's own server: `vllm serve … --middleware policykit.serving.middleware.Middleware`.

The server is configured by its environment (:mod:`policykit.serving.environment`), because vLLM makes a middleware
from its class alone. Requests go through the guard to the server's own routes; only `/health` is left as it is. The
description of the server's own interface is closed: a guarded server has other fields than it says.
"""

import asyncio
import logging
import os
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from policykit.constraint import Vocabulary
from policykit.engines.attest import draws_attempts
from policykit.profiles import load_keys, load_profiles
from policykit.serving.app import App
from policykit.serving.bundled import opened
from policykit.serving.connections import connections
from policykit.serving.deployment import Deployment, Serving
from policykit.serving.drawing import Drawing
from policykit.serving.environment import Environment
from policykit.serving.equipment import without_facts
from policykit.serving.incoming import Receive, Scope
from policykit.serving.lifetime import Retirement
from policykit.serving.marks import CallMarks
from policykit.serving.responder import Send
from policykit.serving.run import Model, around, check_grants
from policykit.serving.shadow_source import Candidate
from policykit.serving.switch import FileSwitch
from policykit.serving.upstream import Kind
from policykit.serving.upstream_app import App as Inner, AppUpstream
from policykit.serving.waits import Waits

_OURS = logging.getLogger("policykit")
_LOG = logging.getLogger("policykit.serving")
LEFT_ALONE = frozenset({"/health", "/ping"})
CLOSED = frozenset({"/openapi.json"})
"""Paths of vLLM's that the surroundings of the guard would answer."""


class Middleware:
    """Raises PolicyError when it is made, so that a server which is not wholly configured does not start."""

    def __init__(self, app: Inner) -> None:
        self._inner = app
        if not _OURS.level:  # or what the root logger says holds, and inside vLLM that is silent about warnings
            _OURS.setLevel(logging.WARNING)
        self._environment = Environment.read(os.environ)
        keys, model, bundle = load_keys(*self._environment.keys), self._environment.model, self._environment.bundle
        if bundle is None:
            found = Deployment(load_profiles(*self._environment.profiles), keys, model=model)
        else:
            found = opened(bundle.source(), keys, model, self._environment.run)
        check_grants(keys, found)
        self._equipment = self._environment.equipment.load()
        found = replace(found, resources=self._equipment.resources)
        self._environment.rewards.check(found)
        if unknown := without_facts(found.profiles, self._equipment):
            _LOG.warning("%s", unknown)
        self._serving = Serving(found)
        self._keeping = self._environment.keeping.load()
        shadow = self._environment.shadow
        self._candidate = shadow and Candidate.of(shadow, self._serving.deployment, self._keeping)
        self._log = self._environment.lifetime.open(self._environment.log)
        self._app: App | None = None
        self._starting: list[asyncio.Future[None]] = []
        self._is_closed = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            try:
                await self._inner(scope, receive, self._living_with(scope, send))
            finally:
                await self._close()
        elif scope["type"] == "http" and scope["path"] in LEFT_ALONE and scope["method"] == "GET":
            await self._inner(scope, receive, send)
        else:
            app = self._guarding(scope)
            answer = app.guard if scope["path"] in CLOSED else app
            await answer(scope, receive, send)

    def _living_with(self, scope: Scope, send: Send) -> Send:
        """Has the guard begin when the server has, for what it watches does not wait for a request; and end before the
        server has: then the event loop goes, and with it whoever is not done."""

        async def sent(message: Any) -> None:
            if message["type"] == "lifespan.startup.complete" and "app" in scope:
                self._guarding(scope)
                bound(scope["app"], self._environment.waits)
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await self._close()
            await send(message)

        return sent

    def _guarding(self, scope: Scope) -> App:
        """Made when the server starts, or with its first request; the scope says what the inner application wants."""
        if self._app is None:
            inner: dict[str, Any] = {name: scope[name] for name in ("app", "state") if name in scope}
            upstream = AppUpstream(self._inner, kind=Kind.VLLM, extra=inner)
            drawing = Drawing(partial(vocabulary_of, scope["app"])) if draws_attempts() else None
            adapters = partial(adapters_of, scope["app"]) if "app" in scope else None
            model = Model(
                upstream,
                self._environment.model,
                "vllm",
                attests=True,
                version=_vllm_version(),
                drawing=drawing,
                adapters=adapters,
                marks=partial(marks_of, scope["app"]) if "app" in scope else lambda: None,
            )
            switch = FileSwitch(self._environment.switch)
            run, bundle = self._environment.run, self._environment.bundle
            retirement = Retirement.of(self._environment.lifetime, self._environment.log)
            asked = self._environment
            about = (self._keeping, bundle, self._candidate, retirement, asked.waits, asked.rewards, self._equipment)
            self._app = around(self._serving, model, self._log, run, switch, *about)
            self._starting = [asyncio.ensure_future(start()) for start in self._app.starting]
        return self._app

    async def _close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        if self._app is None:
            await asyncio.to_thread(self._log.close)
            return
        for task in self._starting:
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        await self._app.guard.aclose()
        for close in self._app.closing:
            await close()


def vocabulary_of(app: Any) -> Vocabulary:
    """The vocabulary that the engine of vLLM's own application masks and draws with."""
    from policykit.engines.vllm.sampling import vocabulary_for

    return vocabulary_for(app.state.engine_client.vllm_config)


def bound(app: Any, waits: Waits) -> None:
    """Give vLLM's own server, which does not listen yet, connections that do not wait for ever for a client."""
    server = getattr(app.state, "server", None)
    if server is not None:
        server.config.http_protocol_class = connections(waits)


def adapters_of(app: Any) -> dict[str, str]:
    """The folders of the adapters that vLLM's own application has now, by name."""
    models = getattr(app.state, "openai_serving_models", None)
    return {name: one.lora_path for name, one in getattr(models, "lora_requests", {}).items()}


def marks_of(app: Any) -> CallMarks | None:
    """The marks of calls that vLLM's own application reads."""
    from policykit.engines.vllm.tool_marks import call_marks

    return call_marks(app.state) if hasattr(app.state, "online_renderer") else None


def _vllm_version() -> str | None:
    try:
        return version("vllm")
    except PackageNotFoundError:
        return None
