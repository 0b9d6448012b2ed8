"""What the guard tells others while it serves: metrics, traces, the decision log; and the switch that it obeys."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from policykit.audit import Attempt as AttemptDone, Outcome
from policykit.ir.verdict import Verdict


class Channel(StrEnum):
    """A kind of text that goes in or out."""

    INPUT = "input"
    TOOL_RESULT = "tool_result"
    RETRIEVED = "retrieved"
    CONTENT = "content"
    REASONING = "reasoning"
    REFUSAL = "refusal"
    TOOL_CALL = "tool_call"


@dataclass(frozen=True, slots=True)
class About:
    """Who asks for what. Only ``request_id`` and ``route`` are known of a request without a valid key or profile."""

    request_id: str
    route: str
    tenant: str | None = None
    key_id: str | None = None
    profile: str | None = None
    profile_version: str | None = None
    profile_digest: str | None = None
    plan_digest: str | None = None
    bundle_digest: str | None = None
    revision: str | None = None
    model: str | None = None
    adapter: str | None = None
    prompt_id: str | None = None
    stream: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    """`traceparent` and `tracestate` of the request, where it has them."""


@dataclass(frozen=True, slots=True)
class Done:
    """The end of a request. ``rules`` are those that fired; ``code`` names an error."""

    outcome: Outcome
    status: int
    seconds: float
    code: str | None = None
    rules: tuple[str, ...] = ()
    attempts: Sequence[AttemptDone] = field(default_factory=tuple[AttemptDone, ...])
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    first_byte_s: float | None = None
    """Seconds until the first byte of text went out."""
    judging_s: float = 0.0
    """Seconds spent in verifying."""
    mask: str = "none"
    """`attested`, or `none` where the upstream has none."""
    closed: tuple[tuple[str, int], ...] = ()
    """For each rule the places of the answers where the engine's mask closed some token for it."""


class Observer(Protocol):
    """Is told of every request; what it raises is logged and changes nothing. Called on the event loop: be quick.

    For each request: ``on_request`` once, as soon as key and profile are known or it is refused; ``on_verdict`` for
    each text that is judged; ``on_attempt`` after each answer of the upstream; ``on_done`` exactly once.
    """

    def on_request(self, about: About) -> None: ...

    def on_verdict(self, about: About, channel: Channel, verdict: Verdict, seconds: float) -> None: ...

    def on_attempt(self, about: About, attempt: AttemptDone) -> None: ...

    def on_done(self, about: About, done: Done) -> None: ...


class SwitchState(StrEnum):
    """What is served in an incident."""

    OPEN = "open"
    FALLBACK_ONLY = "fallback_only"
    REFUSE_ALL = "refuse_all"


class Switch(Protocol):
    """The incident switch. It is read for each request, and before each text of a stream goes out: be quick."""

    @property
    def state(self) -> SwitchState: ...


@dataclass(frozen=True, slots=True)
class AlwaysOpen:
    """The switch of a deployment that has none."""

    state: SwitchState = SwitchState.OPEN
