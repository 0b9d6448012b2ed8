"""The guard inside vLLM's own server: `vllm serve … --middleware policykit.serving.middleware.Middleware`.

The server is configured by its environment, because vLLM makes a middleware from its class alone. Requests go through
the guard to the server's own routes; of these only `/health` is left as it is.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from policykit.audit import open_log
from policykit.diagnostics import PolicyError
from policykit.engines.attest import RUN_DIRECTORY
from policykit.profiles import load_keys, load_profiles
from policykit.serving.attestor import EngineAttestor
from policykit.serving.deployment import Deployment, Serving
from policykit.serving.guard import Guard
from policykit.serving.incoming import Receive, Scope
from policykit.serving.log import AuditBook
from policykit.serving.responder import Send
from policykit.serving.upstream import Kind
from policykit.serving.upstream_app import App, AppUpstream

PROFILES = "POLICYKIT_PROFILES"
"""Profiles to serve: files and directories, separated as in PATH."""
KEYS = "POLICYKIT_KEYS"
"""Files of keys, separated as in PATH."""
LOG = "POLICYKIT_LOG"
"""The directory of the decision log."""
MODEL = "POLICYKIT_MODEL"
"""The served model's name, for profiles that name none."""
LEFT_ALONE = frozenset({"/health", "/ping"})


@dataclass(frozen=True, slots=True)
class Environment:
    """What the environment says. Everything is needed: a guard without a log or keys would be none."""

    profiles: tuple[Path, ...]
    keys: tuple[Path, ...]
    log: Path
    run: Path
    model: str | None

    @staticmethod
    def read(variables: Mapping[str, str]) -> "Environment":
        """Raises PolicyError (PK680) with every variable that is missing."""
        wanted = (PROFILES, KEYS, LOG, RUN_DIRECTORY)
        missing = [name for name in wanted if not variables.get(name)]
        if missing:
            message = f"the guard is not configured: {', '.join(missing)} not set"
            raise PolicyError.of("PK680", message, help="set them, or start with `policykit serve`, which does")
        profiles, keys = (tuple(Path(p) for p in variables[name].split(os.pathsep) if p) for name in (PROFILES, KEYS))
        return Environment(
            profiles, keys, Path(variables[LOG]), Path(variables[RUN_DIRECTORY]), variables.get(MODEL) or None
        )


class Middleware:
    """Raises PolicyError when it is made, so that a server which is not wholly configured does not start."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._environment = Environment.read(os.environ)
        deployment = Deployment(
            load_profiles(*self._environment.profiles),
            load_keys(*self._environment.keys),
            model=self._environment.model,
        )
        self._serving = Serving(deployment)
        self._log = open_log(self._environment.log)
        self._guard: Guard | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            await self._close()
        elif scope["type"] == "http" and scope["path"] in LEFT_ALONE and scope["method"] == "GET":
            await self._app(scope, receive, send)
        else:
            await self._guarding(scope)(scope, receive, send)

    def _guarding(self, scope: Scope) -> Guard:
        if self._guard is None:
            inner: dict[str, Any] = {name: scope[name] for name in ("app", "state") if name in scope}
            upstream = AppUpstream(self._app, kind=Kind.VLLM, extra=inner)
            book = AuditBook(self._log, engine="vllm", engine_version=_vllm_version())
            attestor = EngineAttestor(self._environment.run)
            self._guard = Guard(self._serving, upstream, book, attestor=attestor)
        return self._guard

    async def _close(self) -> None:
        if self._guard is not None:
            await self._guard.aclose()
        await asyncio.to_thread(self._log.close)


def _vllm_version() -> str | None:
    try:
        return version("vllm")
    except PackageNotFoundError:
        return None
