"""Where answers come from: a server over HTTP, or an application in the same process. Both look the same."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Kind(StrEnum):
    """What an upstream can enforce."""

    VLLM = "vllm"  # has the plan's mask, and attests it
    PLAIN = "plain"  # any OpenAI-compatible server: what it enforces is not relied on


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """``path`` is the route (`/v1/chat/completions`), ``body`` JSON in UTF-8."""

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class UpstreamResponse:
    """``headers`` have lower-case names. ``body`` gives pieces of any length; it raises UpstreamFault where the
    connection breaks. ``secrets`` are what the request was sent with beside its body, and nobody may read."""

    status: int
    headers: Mapping[str, str]
    body: AsyncIterator[bytes]
    secrets: tuple[str, ...] = ()


class Upstream(Protocol):
    """Answers requests. Leaving the context lets go of the answer: what is still being generated is cancelled.

    Raises UpstreamFault where there is no answer.
    """

    @property
    def kind(self) -> Kind: ...

    def send(self, request: UpstreamRequest) -> AbstractAsyncContextManager[UpstreamResponse]: ...

    async def aclose(self) -> None: ...
