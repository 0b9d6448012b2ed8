"""That the engine's mask stood: what the guard waits for before anything goes out, where the upstream has a mask."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from policykit.plan import Plan
from policykit.serving.errors import UpstreamFault
from policykit.serving.exchange import MaskSeen


class Attested(Protocol):
    """The attestation of one request to the engine."""

    @property
    def xargs(self) -> Mapping[str, object]:
        """What the request carries as `vllm_xargs`."""
        ...

    @property
    def seen(self) -> tuple[MaskSeen, ...]:
        """What the engine has said so far, the choices in order."""
        ...

    @property
    def failed(self) -> Mapping[int, UpstreamFault]:
        """Choices without a mask, where others have one."""
        ...

    async def started(self) -> str:
        """Returns when of every choice it is known that its mask stands, or that it has failed beside others:
        `attested`, or `none` where there are none to stand.

        Raises UpstreamFault: there is no choice whose mask stands, or that was not said in time.
        """
        ...

    async def explain(self) -> None:
        """Raises UpstreamFault with what the engine says of a request that failed, if it says anything."""
        ...

    async def finished(self) -> None:
        """Returns when the engine has said what every mask did, or is overdue."""
        ...

    async def written(self) -> None:
        """The same where what was written is kept; else returns at once. Does not raise."""
        ...


@dataclass(frozen=True, slots=True)
class FreeDraw:
    """A draw without the mask, of a text whose first ``begun`` tokens end the prompt; ``not_first`` may not follow."""

    begun: int = 0
    not_first: tuple[int, ...] = ()


class Attestor(Protocol):
    """Makes attestations. ``n`` choices are asked for; ``prefix`` is text that stands before them already, or None
    where the engine is to see for itself; with ``continues``, the engine is to see that its prompt ends with it.
    ``payer`` is whose time its masks take, where the plan's grammar came with the request (``own_grammar``) or the
    engine makes one of the request's tools."""

    def expect(
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
    ) -> AbstractAsyncContextManager[Attested]: ...

    async def aclose(self) -> None: ...


class NoMask:
    """The attestation of an upstream that has no mask: there is nothing to wait for, and records say so."""

    xargs: Mapping[str, object] = {}
    seen: tuple[MaskSeen, ...] = ()
    failed: Mapping[int, UpstreamFault] = {}

    async def started(self) -> str:
        return "none"

    async def finished(self) -> None:
        return

    async def explain(self) -> None:
        return

    async def written(self) -> None:
        return
