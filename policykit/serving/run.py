"""Starting a server: what it needs is put together here, and every mistake is told before it listens."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import uvicorn

from policykit.audit import Keeping, Log, LogError
from policykit.diagnostics import PolicyError
from policykit.engines.attest import ATTEMPTS, RUN_DIRECTORY
from policykit.plan import RequestBounds, request_compilers
from policykit.profiles import Keyring, check_keys, load_keys, load_profiles
from policykit.serving import environment
from policykit.serving.adapters import ServedAdapters
from policykit.serving.app import App
from policykit.serving.arguments import needs_compilers
from policykit.serving.attestor import EngineAttestor
from policykit.serving.bundled import BundleFiles, Watched, opened
from policykit.serving.can_draw import check_strategies, draws_freely
from policykit.serving.connections import connections
from policykit.serving.deployment import Deployment, Serving
from policykit.serving.drawing import Drawing
from policykit.serving.equipment import Equipment, EquipmentSource, without_facts
from policykit.serving.guard import Guard
from policykit.serving.health import Health, PlansReady, answers
from policykit.serving.keeping import KeepingFiles
from policykit.serving.lifetime import Lifetime, Retirement
from policykit.serving.log import AuditBook
from policykit.serving.marks import CallMarks, ServedMarks
from policykit.serving.metrics import Metrics
from policykit.serving.plain_drawing import check_draws, tokenizer_of
from policykit.serving.rewards import RewardFiles, Rewards
from policykit.serving.services import GuardSettings
from policykit.serving.shadow_metrics import ShadowMetrics
from policykit.serving.shadow_source import Candidate, ShadowFiles
from policykit.serving.switch import FileSwitch
from policykit.serving.traces import Traces, provider_from
from policykit.serving.upstream import Kind, Upstream
from policykit.serving.upstream_app import AppUpstream
from policykit.serving.upstream_http import HttpUpstream
from policykit.serving.waits import Waits

_LOG = logging.getLogger("policykit.serving")
PROBE_S = 60.0
"""The longest silence of an upstream that is asked what it can do."""
DRAIN_S = 30.0
"""How long requests in flight may take after the server was told to stop."""


@dataclass(frozen=True, slots=True)
class Files:
    """What every server needs. ``log`` is a folder or `postgresql://…`; ``run`` is shared with the engine; ``switch``
    is the incident switch's file. Profiles are files, or come out of a ``bundle`` that is watched; ``shadow`` is one
    that is asked beside. ``equipment`` is what no file can say."""

    profiles: tuple[Path, ...]
    keys: tuple[Path, ...]
    log: Path | str
    run: Path
    switch: Path | None = None
    keeping: KeepingFiles = field(default_factory=KeepingFiles)
    bundle: BundleFiles | None = None
    shadow: ShadowFiles | None = None
    lifetime: Lifetime = field(default_factory=Lifetime)
    waits: Waits = field(default_factory=Waits)
    rewards: RewardFiles = field(default_factory=RewardFiles)
    equipment: EquipmentSource = field(default_factory=EquipmentSource)


@dataclass(frozen=True, slots=True)
class Model:
    """An upstream and what records call it. ``close`` lets go of what was loaded for it."""

    upstream: Upstream
    name: str | None
    engine: str
    attests: bool
    version: str | None = None
    close: Callable[[], None] = lambda: None
    drawing: Drawing | None = None
    adapters: Callable[[], Mapping[str, str]] | None = None
    """Folders of the adapters that it has, by name, where that is known here."""
    marks: Callable[[], CallMarks | None] = lambda: None
    """What marks the calls that its parser reads, where that is known here."""


def gateway(url: str, key: str | None, name: str | None, tokenizer: Path | None = None) -> Model:
    """Any OpenAI-compatible server: what it enforces is not relied on. With the ``tokenizer`` of its model it is drawn
    from, token by token. Raises PolicyError (PK722) where it does not do what that needs, and for a tokenizer that
    cannot be read."""
    drawing = None
    if tokenizer is not None:
        drawing = Drawing(tokenizer_of(tokenizer), is_plain=True)
        asyncio.run(_check_draws(url, key, name or "", drawing))
    return Model(HttpUpstream(url, api_key=key), name, "gateway", attests=False, drawing=drawing)


async def _check_draws(url: str, key: str | None, name: str, drawing: Drawing) -> None:
    upstream = HttpUpstream(url, api_key=key, read_s=PROBE_S)  # one of this loop's own
    try:
        await check_draws(upstream, drawing.vocabulary, name)
    finally:
        await upstream.aclose()


def on_transformers(name: str, run: Path) -> Model:
    """A model in this process, for development. Raises PolicyError where there is none."""
    from policykit.engines.server import EngineApp, load_engine

    engine = load_engine(name, run)
    upstream = AppUpstream(EngineApp(engine), kind=Kind.VLLM)
    drawing = Drawing(lambda: engine.vocabulary)
    return Model(upstream, engine.name, "transformers", attests=True, close=engine.close, drawing=drawing)


def deployment(files: Files, model: str | None) -> Deployment:
    """Raises PolicyError with everything that is wrong with profiles, bundle and keys, and PK316; PK724 and PK786 for
    reward models that profiles choose by, PK725 for equipment that cannot be used."""
    RequestBounds.read(os.environ)
    keys = load_keys(*files.keys)
    if files.bundle:
        found = opened(files.bundle.source(), keys, model, files.run)
    else:
        found = Deployment(load_profiles(*files.profiles), keys, model=model)
    check_grants(keys, found)
    found = replace(found, resources=files.equipment.load().resources)
    files.rewards.check(found)
    return found


def check_grants(keys: Keyring, found: Deployment) -> None:
    """Raises PolicyError with every key that grants what there is not."""
    wrong = [diagnostic for diagnostic in check_keys(keys, found.profiles) if diagnostic.severity.value == "error"]
    if wrong:
        raise PolicyError(wrong)


def application(files: Files, model: Model) -> App:
    """The guard before a model, with everything around it. Raises PolicyError and LogError."""
    serving = Serving(deployment(files, model.name))
    switch, keeping = FileSwitch(files.switch), files.keeping.load()
    candidate = files.shadow and Candidate.of(files.shadow, serving.deployment, keeping)
    retirement = Retirement.of(files.lifetime, files.log)
    log = files.lifetime.open(files.log)
    given = files.equipment.load()
    about = (switch, keeping, files.bundle, candidate, retirement, files.waits, files.rewards, given)
    return around(serving, model, log, files.run, *about)


def around(
    serving: Serving,
    model: Model,
    log: Log,
    run: Path,
    switch: FileSwitch,
    keeping: Keeping | None = None,
    bundle: BundleFiles | None = None,
    candidate: Candidate | None = None,
    retirement: Retirement | None = None,
    waits: Waits | None = None,
    rewards: RewardFiles | None = None,
    equipment: Equipment | None = None,
) -> App:
    """The guard and its surroundings. Raises PolicyError: PK722 for a strategy that the model cannot be drawn from by,
    PK724 and PK786 for a reward model that answers cannot be chosen by, PK842 for an adapter whose pins are not its
    own. ``keeping`` says what of texts the log keeps; a ``bundle`` is watched, and a ``candidate`` asked beside it;
    ``equipment`` says what is known of a request."""
    chosen_by = Rewards(rewards or RewardFiles())

    def check(found: Deployment) -> None:
        check_strategies(found.profiles, model.drawing, model.upstream.kind)
        chosen_by.prepare(found)

    def tell(found: Deployment) -> None:
        if unknown := without_facts(found.profiles, equipment or Equipment()):
            _LOG.warning("%s", unknown)

    check(serving.deployment)
    serving.before_swap(check)
    serving.on_swap(tell)
    adapters = ServedAdapters(serving, model.adapters) if model.adapters else None
    if adapters is not None:
        adapters.begin()
    found = model.marks()
    marks = ServedMarks(serving, found) if found is not None else None
    if marks is not None:
        marks.begin()
    keeping, bounds = keeping or Keeping(), RequestBounds.read(os.environ).bounds
    watched = Watched.of(bundle, serving, switch, run)
    metrics, plans = Metrics(serving, watched.switch), PlansReady(serving)
    watched.told.append(metrics.on_reload)
    if candidate is not None:
        candidate.tell(ShadowMetrics(metrics))
    provider = provider_from()
    traces = [Traces(provider)] if provider else []
    guard = Guard(
        serving,
        model.upstream,
        AuditBook(log, keeping, model.engine, model.version),
        observers=(metrics, *traces),
        switch=watched.switch,
        attestor=EngineAttestor(run, replay=keeping.replay) if model.attests else None,
        facts=(equipment or Equipment()).facts,
        settings=GuardSettings(body_timeout_s=(waits or Waits()).body_s, grammar_s=bounds.wait_s + bounds.deadline_s),
        shadow=candidate.shadow if candidate else None,
        drawing=model.drawing,
        rewards=chosen_by,
    )

    async def no_problem() -> str | None:
        return switch.problem

    async def log_problem() -> str | None:
        try:
            await log.check()
        except LogError as error:
            return f"{error.diagnostics[0].code}: {error.diagnostics[0].message}"
        return await retirement.check() if retirement else None

    async def compilers_ready() -> None:
        if await asyncio.to_thread(any, map(needs_compilers, serving.deployment.profiles)):
            await asyncio.to_thread(request_compilers().start)

    async def close() -> None:
        plans.close()
        await asyncio.to_thread(request_compilers().close)
        for trace in traces:
            await asyncio.to_thread(trace.shutdown)
        if candidate is not None:
            await asyncio.to_thread(candidate.shadow.close)
        await asyncio.to_thread(log.close)
        await asyncio.to_thread(model.close)

    checks: dict[str, Callable[[], Awaitable[str | None]]] = {
        "plans": plans.check,
        "upstream": answers(model.upstream),
        "switch": no_problem,
        **watched.checks,
        "log": log_problem,
    }
    beside = (candidate.watch if candidate else None, retirement)
    starting = (plans.prepare, compilers_ready, *watched.starting, *(one.run for one in beside if one))
    said = {"adapters": adapters and adapters.note, "tools": marks and marks.note}
    notes = {**watched.notes, **{name: note for name, note in said.items() if note}}
    return App(guard, serving, switch, metrics, Health(checks, notes), starting, (close,))


def check_address(host: str, port: int) -> None:
    """Raises PolicyError (PK726) where nobody can listen at all of what ``host`` is; port 0 is any that is free."""
    try:
        if not 0 <= port < 1 << 16:  # getaddrinfo would take another port
            raise OverflowError("a port is a number from 0 to 65535")
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in found:
            with socket.socket(family, kind, protocol) as asked:
                asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                asked.bind(address)
    except (OSError, OverflowError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        help = "name another `--port` (0 takes a free one) or `--host`, or stop what listens there"
        raise PolicyError.of("PK726", f"cannot listen at `{host}:{port}`: {why}", help=help) from error


def serve(app: App, host: str, port: int, told: Callable[[str], None], waits: Waits | None = None) -> None:
    """Listen until the process is told to stop; requests in flight are answered first."""
    config = uvicorn.Config(
        app, host=host, port=port, lifespan="on", http=connections(waits or Waits()), ws="none",
        log_level="warning", access_log=False, server_header=False,
        timeout_graceful_shutdown=int(DRAIN_S),
    )  # fmt: skip
    server = _Told(config, lambda: told(f"http://{host}:{server.port}"))
    server.run()


class _Told(uvicorn.Server):
    """Says when it listens, and where."""

    def __init__(self, config: uvicorn.Config, told: Callable[[], None]) -> None:
        super().__init__(config)
        self._told = told

    @property
    def port(self) -> int:
        return int(self.servers[0].sockets[0].getsockname()[1]) if self.servers else self.config.port

    async def shutdown(self, sockets: "list[object] | None" = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Requests in flight are answered, but no grammar is compiled for one any more."""
        await asyncio.to_thread(request_compilers().hurry)
        await super().shutdown(sockets)  # pyright: ignore[reportArgumentType]

    async def startup(self, sockets: "list[object] | None" = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        await super().startup(sockets)  # pyright: ignore[reportArgumentType]
        if not self.should_exit:
            self._told()


def on_vllm(files: Files, model: str, host: str, port: int, more: Sequence[str]) -> None:
    """Become vLLM's own server, with our backend and the guard inside. Does not return; raises PolicyError first."""
    live, keeping = deployment(files, model), files.keeping.load()
    files.lifetime.check(files.log)
    if files.shadow:  # what is wrong with it is told before a model is loaded
        Candidate.of(files.shadow, live, keeping).shadow.close()
    files.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    profiles = {environment.PROFILES: os.pathsep.join(map(str, files.profiles))}
    variables = {
        **(files.bundle.variables() if files.bundle else profiles),
        environment.KEYS: os.pathsep.join(map(str, files.keys)),
        environment.LOG: str(files.log),
        RUN_DIRECTORY: str(files.run),
        environment.MODEL: model,
        **({environment.SWITCH: str(files.switch)} if files.switch else {}),
        **(files.shadow.variables() if files.shadow else {}),
        **files.keeping.variables(),
        **files.lifetime.variables(),
        **files.waits.variables(),
        **files.rewards.variables(),
        **files.equipment.variables(),
        **({ATTEMPTS: "1"} if (draws := draws_freely(live.profiles)) else {}),
    }
    command = [
        *(sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", model, "--host", host, "--port", str(port)),
        *("--structured-outputs-config.backend", "policykit"),
        *("--middleware", "policykit.serving.middleware.Middleware"),
        *(("--logprobs-mode", "processed_logprobs") if draws else ()),
        *more,
    ]
    os.execvpe(command[0], command, {**os.environ, **variables})
