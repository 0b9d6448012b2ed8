"""What a route of the API is to the guard: how a request is read, and how an answer is written."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from policykit.serving.errors import Refused
from policykit.serving.hooks import Channel
from policykit.serving.messages import Ask
from policykit.serving.wire import Api, FinishReason, Usage


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that was let through. ``arguments`` are JSON."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer as it goes out. A channel without an entry has no text."""

    index: int
    texts: Mapping[Channel, str]
    calls: tuple[ToolCall, ...]
    reason: FinishReason
    stop: str | int | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """What goes around every answer: its id, when (seconds since 1970), and what the client asked for."""

    id: str
    created: int
    model: str
    include_usage: bool = False


class Written(Protocol):
    """An answer that is streamed: every method gives the bytes to send."""

    def begin(self) -> bytes: ...

    def text(self, choice: int, channel: Channel, text: str) -> bytes: ...

    def calls(self, choice: int, calls: Sequence[ToolCall]) -> bytes: ...

    def end(
        self, ends: Sequence[tuple[int, FinishReason, str | int | None]], usage: Usage, about: Mapping[str, object]
    ) -> bytes:
        """Everything after the last text; the choices in order."""
        ...

    def error(self, refused: Refused) -> bytes:
        """An end without a finish, so that no client takes the answer for whole."""
        ...


class Shape(Protocol):
    """One route. ``api`` is the upstream's route that answers it."""

    @property
    def path(self) -> str: ...

    @property
    def api(self) -> Api: ...

    @property
    def id_prefix(self) -> str: ...

    def read(self, body: Mapping[str, object]) -> Ask:
        """What is asked. Raises Refused."""
        ...

    def whole(
        self, envelope: Envelope, choices: Sequence[Choice], usage: Usage, about: Mapping[str, object]
    ) -> dict[str, object]: ...

    def stream(self, envelope: Envelope) -> Written: ...


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def dumps(value: object) -> bytes:
    return _ENCODER.encode(value).encode("utf-8")


def usage_of(usage: Usage) -> dict[str, object]:
    total = usage.input_tokens + usage.output_tokens
    return {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens, "total_tokens": total}
