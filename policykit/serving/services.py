"""What requests are served with: made once, shared by all of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from policykit.plan.bounded import DEADLINE_S, WAIT_S
from policykit.serving import sse
from policykit.serving.attestation import Attestor
from policykit.serving.deployment import Serving
from policykit.serving.drawing import Drawing
from policykit.serving.errors import FieldRefusal
from policykit.serving.exchange import Book
from policykit.serving.hooks import About, Observer, Switch
from policykit.serving.limits import Admission, Turns
from policykit.serving.neutral import Neutral
from policykit.serving.rewards import Rewards
from policykit.serving.shadow import Shadow
from policykit.serving.upstream import Upstream
from policykit.serving.waits import Waits

N_COMPILING = 32
"""Requests whose grammars are waited for at once, in a thread each: they are compiled in other processes."""

N_OF_A_KEY = 2
"""How many of them may be of one key: what one key sends does not fill the queue of all."""

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
    turns: Turns = field(default_factory=lambda: Turns(N_OF_A_KEY))
    """Of keys, to have a grammar compiled."""
    compiling: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(N_COMPILING, "policykit-compile"))
    """Where plans with requests' own grammars are waited for: never where texts are judged, which would wait, too."""
    neutral: Neutral = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "neutral", Neutral(self.upstream))
