"""What checking a text found. Three-valued underneath: satisfied, violated, errored."""

from dataclasses import dataclass
from enum import StrEnum


class Decision(StrEnum):
    """Combined order-free: error fails closed as `block`; block > escalate > transform > allow."""

    BLOCK = "block"
    ESCALATE = "escalate"
    TRANSFORM = "transform"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that fired. ``start``/``end`` are code point offsets in the original text (None for a whole-text
    finding such as an absence); ``view`` is the view that matched; ``matched`` names the phrase or expression, and
    ``data`` is what a list of phrases says about it, by column."""

    rule: str
    start: int | None
    end: int | None
    view: str | None
    matched: str
    severity: str
    cost: float
    data: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TransformApplied:
    rule: str
    start: int
    end: int
    replacement: str


@dataclass(frozen=True, slots=True)
class Escalation:
    """What waits for a person. ``binding`` is the digest of exactly what was asked for, so that an approval cannot be
    used for anything else; it is good for ``ttl`` seconds."""

    rule: str
    queue: str
    binding: str
    ttl: int


@dataclass(frozen=True, slots=True)
class ExceptionApplied:
    """A rule fired and an exception excused it; ``count`` is the number of violations that were excused."""

    rule: str
    exception: str
    approved_by: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class DecisionMade:
    """What an Open Policy Agent said, for a rule or for one of its exceptions. ``value`` is None where there was no
    decision, and ``problem`` says why; ``decision_id`` is the agent's own, where it gave one."""

    rule: str
    exception: str | None
    reference: str
    value: bool | None
    decision_id: str | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class CheckError:
    """A check that should have run and could not. It is never a pass."""

    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class NotApplicable:
    rule: str
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement on one text. ``text`` is what may be released: transformed, or the
    message of a block or escalation, or empty."""

    decision: Decision
    text: str
    violations: tuple[Violation, ...]
    transforms: tuple[TransformApplied, ...]
    errors: tuple[CheckError, ...]
    shadow: tuple[Violation, ...]
    not_applicable: tuple[NotApplicable, ...]
    cost: float
    digest: str
    escalations: tuple[Escalation, ...] = ()
    exceptions: tuple[ExceptionApplied, ...] = ()
    decisions: tuple[DecisionMade, ...] = ()

    @property
    def rules(self) -> tuple[str, ...]:
        """Ids of the rules that fired, each once, in order of appearance."""
        return tuple(dict.fromkeys(v.rule for v in self.violations))
