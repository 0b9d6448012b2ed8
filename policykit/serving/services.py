"""What requests are served with: made once, shared by all of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from policykit.plan.bounded import DEADLINE_S, WAIT_S
from policykit.serving import sse
from policykit.serving.apart import Waiting
from policykit.serving.attestation import Attestor
from policykit.serving.deployment import Serving
from policykit.serving.drawing import Drawing
from policykit.serving.errors import FieldRefusal
from policykit.serving.exchange import Book
from policykit.serving.hooks import About, Observer, Switch
from policykit.serving.incident import Running
from policykit.serving.limits import Admission
from policykit.serving.neutral import Neutral
from policykit.serving.rewards import Rewards
from policykit.serving.shadow import Shadow
from policykit.serving.upstream import Upstream
from policykit.serving.waits import Waits

CheckFields = Callable[[str, Mapping[str, object]], Iterable[FieldRefusal]]
"""Every field of a body that is refused on a route."""

FactsOf = Callable[[About], Mapping[str, object]]
"""What is known of a request: JSON values by the names that conditions read."""


def no_facts(about: About) -> Mapping[str, object]:
    """Nothing is known but the plan's context."""
    return {}


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """What protects the guard itself."""

    max_body_bytes: int = 4 << 20
    body_timeout_s: float = Waits().body_s
    grammar_s: float = WAIT_S + DEADLINE_S
    """How long a request waits for the plan with its own grammar. It may be made all the same, and kept."""
    reading: sse.Limits = field(default_factory=sse.Limits)


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of a guard."""

    serving: Serving
    upstream: Upstream
    log: Book
    observers: Sequence[Observer]
    switch: Switch
    attestor: Attestor | None
    check_fields: CheckFields
    facts: FactsOf
    settings: GuardSettings
    admission: Admission
    shadow: Shadow | None = None
    drawing: Drawing | None = None
    rewards: Rewards | None = None
    waiting: Waiting = field(default_factory=Waiting)
    """Where plans with requests' own grammars are waited for, and verdicts by these."""
    neutral: Neutral = field(init=False)
    running: Running = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "neutral", Neutral(self.upstream))
        object.__setattr__(self, "running", Running(self.switch))
