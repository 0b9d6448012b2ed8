"""Hears the engine's attestations on a socket in the run directory that both were started with."""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from policykit.diagnostics import CATALOGUE
from policykit.engines.attest import (
    XARG,
    Attestation,
    Failed,
    Finished,
    Malformed,
    MaskRequest,
    Part,
    Started,
    parse,
    plan_path,
)
from policykit.engines.written import Parts, Written
from policykit.plan import Plan
from policykit.serving.attestation import FreeDraw
from policykit.serving.errors import GRAMMAR_REFUSED, MASK_FAILED, UpstreamFault
from policykit.serving.exchange import MaskSeen

_LOG = logging.getLogger("policykit.serving")
STARTED_S = 5.0
"""How long the word that a mask stands may take once text has come. It is sent before the text is begun."""
FINISHED_S = 1.0
REPORTED_S = 0.2
"""How long what the masks did may take where nothing but the record wants it: an answer that was let go of."""
EXPLAINED_S = 0.2
"""How long the word of why there is no mask may take behind the answer that there is none."""
BUFFER_BYTES = 4 << 20
MAX_DATAGRAM = 65_536
GRAMMARS = ("PK2", "PK3", "PK743")
"""Codes of what is wrong with a grammar, and of what it and the policies admit together."""


class Waiting:
    """What has been heard of one request to the engine."""

    def __init__(self, request: MaskRequest, n: int, started_s: float) -> None:
        self._request = request
        self._n = n
        self._started_s = started_s
        self._started: set[str] = set()
        self._finished: dict[str, Finished] = {}
        self._parts: dict[str, Parts] = {}
        self._written: dict[str, Written] = {}
        self._failed: UpstreamFault | None = None
        self._failed_alone: dict[str, UpstreamFault] = {}
        self._changed = asyncio.Event()

    @property
    def xargs(self) -> Mapping[str, object]:
        return {XARG: self._request.render()}

    @property
    def seen(self) -> tuple[MaskSeen, ...]:
        found = (self._mask(child, said) for child, said in self._finished.items())
        return tuple(sorted(found, key=lambda mask: mask.choice))

    @property
    def failed(self) -> Mapping[int, UpstreamFault]:
        return {_choice(child): fault for child, fault in self._failed_alone.items()}

    def _mask(self, child: str, said: Finished) -> MaskSeen:
        closed = tuple(sorted(said.closed.items()))
        written = self._written.get(child)
        return MaskSeen(_choice(child), said.digest, said.steps, closed, said.dead_end, written=written)

    async def started(self) -> str:
        if not await self._wait(self._is_started, self._started_s):
            message = "the engine did not say that the plan's mask stands: is the plugin loaded?"
            raise UpstreamFault("policykit_mask_not_attested", message, 503)
        return "attested"

    async def finished(self) -> None:
        await self._wait(self._is_finished, FINISHED_S)

    def _is_started(self) -> bool:
        return len(self._started | self._failed_alone.keys()) >= self._n

    def _is_finished(self) -> bool:
        return len(self._finished.keys() | self._failed_alone.keys()) >= self._n

    async def explain(self) -> None:
        await self._wait(lambda: False, EXPLAINED_S)

    async def written(self) -> None:
        if not self._started:
            return
        with suppress(UpstreamFault):
            await self._wait(self._is_finished, FINISHED_S if self._request.replay else REPORTED_S)
        if not self._request.replay:
            return
        n_kept = sum(child in self._written for child in self._finished)
        if n_kept < self._n:
            _LOG.warning(
                "the engine said of %d of %d choices what it wrote: %s", n_kept, self._n, self._request.request
            )

    def _has_failed(self, child: str, fault: UpstreamFault) -> None:
        """One of several choices fails alone; without a child it is the request."""
        if child and self._n > 1:
            self._failed_alone[child] = fault
        if not child or len(self._failed_alone) in (0, self._n):
            self._failed = fault

    async def _wait(self, is_met: Callable[[], bool], seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not is_met() and self._failed is None:
                    self._changed.clear()
                    await self._changed.wait()
        if self._failed is not None:
            raise self._failed
        return is_met()

    def heard(self, said: Attestation) -> None:
        """Raises Malformed for parts that say nothing."""
        match said:
            case Started():
                if said.plan != self._request.plan:
                    message = "the engine's mask is of another plan"
                    self._failed = UpstreamFault("policykit_mask_not_attested", message, 503)
                self._started.add(said.child)
            case Part():
                if self._request.replay and (whole := self._parts.setdefault(said.child, Parts()).add(said)):
                    self._written[said.child] = whole
            case Finished():
                self._finished[said.child] = said
            case Failed():
                self._has_failed(said.child, _failed(said))
        self._changed.set()


def _failed(said: Failed) -> UpstreamFault:
    if said.code == "PK748":
        return UpstreamFault("policykit_prefill_refused", said.message, 400)
    if said.code in CATALOGUE and said.code.startswith(GRAMMARS):  # its message may quote what a rule forbids
        why = f"{said.code}: {CATALOGUE[said.code].title}"
        message = f"the grammar that the engine makes of the request's tools and output is refused: {why}"
        return UpstreamFault(GRAMMAR_REFUSED, message, 400)
    return UpstreamFault(MASK_FAILED, f"the engine has no mask for the request: {said.message}", 500)


def _choice(child: str) -> int:
    """The choice that a child of a request is: `0_…`, `1_…`; the only one has no number."""
    number = child.partition("_")[0]
    return int(number) if number.isdecimal() else 0


class EngineAttestor:
    """Writes plans where the engine finds them and hears what it attests. ``run`` is made if it is not there, for its
    owner alone. With ``replay`` it asks what the engine wrote, too. Use it on one event loop."""

    def __init__(
        self, run: str | Path, *, special: tuple[str, ...] = (), started_s: float = STARTED_S, replay: bool = False
    ) -> None:
        self._run = Path(run)
        self._special = special
        self._replay = replay
        self._started_s = started_s
        self._name = f"guard-{os.getpid()}-{secrets.token_hex(4)}.sock"
        self._socket: socket.socket | None = None
        self._waiting: dict[str, Waiting] = {}

    @asynccontextmanager
    async def expect(
        self,
        request_id: str,
        plan: Plan,
        n: int,
        prefix: str | None,
        *,
        continues: bool = False,
        attempt: FreeDraw | None = None,
        payer: str = "",
        own_grammar: bool = False,
    ) -> AsyncGenerator[Waiting]:
        self._listen()
        await asyncio.to_thread(self._keep, plan)
        request = MaskRequest(
            request_id, plan.digest, self._name, prefix, self._special, replay=self._replay, continues=continues,
            payer=payer, own_grammar=own_grammar,
        )  # fmt: skip
        if attempt is not None:
            request = replace(request, replay=False, attempt=True, begun=attempt.begun, not_first=attempt.not_first)
        waiting = self._waiting[request_id] = Waiting(request, n, self._started_s)
        try:
            yield waiting
        finally:
            del self._waiting[request_id]

    def _keep(self, plan: Plan) -> None:
        """The plan's file, written at once or not at all; what lies there is named by its content."""
        path = plan_path(self._run, plan.digest)
        if path.exists():
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        written = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        plan.save(written)
        written.replace(path)

    def _listen(self) -> None:
        if self._socket is not None:
            return
        self._run.mkdir(mode=0o700, parents=True, exist_ok=True)
        heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        heard.setblocking(False)
        heard.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        heard.bind(str(self._run / self._name))
        asyncio.get_running_loop().add_reader(heard, self._hear, heard)
        self._socket = heard

    def _hear(self, heard: socket.socket) -> None:
        with suppress(BlockingIOError):
            while True:
                data = heard.recv(MAX_DATAGRAM)
                with suppress(Malformed):  # what is not understood attests nothing
                    said = parse(data)
                    waiting = self._waiting.get(said.request)
                    if waiting is not None:
                        waiting.heard(said)

    async def aclose(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
            (self._run / self._name).unlink(missing_ok=True)
