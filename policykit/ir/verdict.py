"""What checking a text found. Three-valued underneath: satisfied, violated, errored."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast, overload


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


class Violations(Sequence[Violation]):
    """Very many violations, each made when it is asked for; else like the tuple of them, which it is equal to.

    ``make`` gives the same violation for the same number always, ``rules`` and ``costs`` what all of them have.
    """

    def __init__(
        self,
        n: int,
        make: Callable[[int], Violation],
        rules: Callable[[], tuple[str, ...]],
        costs: Callable[[], Sequence[float]],
    ) -> None:
        self._n = n
        self._make = make
        self._rules = rules
        self._costs = costs

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules of all, each once, in order of appearance."""
        return self._rules()

    @property
    def costs(self) -> Sequence[float]:
        """The cost of each."""
        return self._costs()

    def __len__(self) -> int:
        return self._n

    @overload
    def __getitem__(self, at: int) -> Violation: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Violation, ...]: ...
    def __getitem__(self, at: int | slice) -> Violation | tuple[Violation, ...]:
        if isinstance(at, slice):
            return tuple(map(self._make, range(self._n)[at]))
        return self._make(range(self._n)[at])

    def __iter__(self) -> Iterator[Violation]:
        return map(self._make, range(self._n))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, tuple | Violations):
            return NotImplemented
        others = cast(Sequence[object], other)
        return len(self) == len(others) and all(mine == its for mine, its in zip(self, others, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))

    def __add__(self, other: "tuple[Violation, ...] | Violations") -> tuple[Violation, ...]:
        return (*self, *other)

    def __radd__(self, other: "tuple[Violation, ...] | Violations") -> tuple[Violation, ...]:
        return (*other, *self)

    def __reduce__(self) -> tuple[object, ...]:
        return tuple, (tuple(self),)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement on one text. ``text`` is what may be released: transformed, or the
    message of a block or escalation, or empty. Violations are a tuple, or, where there are very many, like one."""

    decision: Decision
    text: str
    violations: tuple[Violation, ...] | Violations
    transforms: tuple[TransformApplied, ...]
    errors: tuple[CheckError, ...]
    shadow: tuple[Violation, ...] | Violations
    not_applicable: tuple[NotApplicable, ...]
    cost: float
    digest: str
    escalations: tuple[Escalation, ...] = ()
    exceptions: tuple[ExceptionApplied, ...] = ()
    decisions: tuple[DecisionMade, ...] = ()

    @property
    def rules(self) -> tuple[str, ...]:
        """Ids of the rules that fired, each once, in order of appearance."""
        if isinstance(self.violations, Violations):
            return self.violations.rules
        return tuple(dict.fromkeys(v.rule for v in self.violations))
