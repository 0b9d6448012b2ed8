"""The record of one request. It holds ids, digests, counts and times, and text only where a replay was asked for."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from policykit.ir.verdict import Decision


class Outcome(StrEnum):
    """How a request ended."""

    SERVED = "served"
    TRANSFORMED = "transformed"
    BLOCKED = "blocked"
    FALLBACK = "fallback"
    REFUSED = "refused"
    ERRORED = "errored"
    DISCONNECTED = "disconnected"


class Result(StrEnum):
    """What became of one rule on one text."""

    FIRED = "fired"
    PASSED = "passed"
    ERRORED = "errored"
    NOT_APPLICABLE = "not_applicable"
    SHADOW = "shadow"  # it fired, and only watches


class SpanForm(StrEnum):
    """How the text that a rule found is kept."""

    OMITTED = "omitted"
    HASHED = "hashed"  # HMAC-SHA-256 under the log's key: equal texts are equal, and none can be guessed without it
    MASKED = "masked"  # letters and digits are replaced: the shape stays
    CLEAR = "clear"  # as it was; only with replay


@dataclass(frozen=True, slots=True)
class LoggedSpan:
    """Where a rule found something: code point offsets of the judged text, None for a finding about all of it."""

    start: int | None
    end: int | None
    form: SpanForm = SpanForm.OMITTED
    value: str = ""


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """What one rule said of one text. ``count`` is the number of findings; of very many not all ``spans`` are kept.
    ``why`` says why a rule was not applicable; why a check errored is kept with replay only, for it may quote text."""

    rule: str
    result: Result
    count: int = 0
    cost: float = 0.0
    spans: tuple[LoggedSpan, ...] = ()
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Escalated:
    """What waits for a person; ``binding`` is what an approval is bound to."""

    rule: str
    queue: str
    binding: str
    ttl_s: int


@dataclass(frozen=True, slots=True)
class Excused:
    """An exception of the policy that was applied."""

    rule: str
    exception: str
    approved_by: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A decision of another engine; ``value`` is None where there was none."""

    rule: str
    exception: str | None
    reference: str
    value: bool | None
    decision_id: str | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one text: of the request (``choice`` None) or of an answer's choice. ``counts``: the text, or
    what became of it, went out. ``text`` is kept with replay only; ``text_hash`` is keyed like those of spans."""

    channel: str
    choice: int | None
    attempt: int
    counts: bool
    decision: Decision
    plan_digest: str
    rules: tuple[RuleVerdict, ...] = ()
    cost: float = 0.0
    n_characters: int | None = None
    text_hash: str | None = None
    text: str | None = None
    escalations: tuple[Escalated, ...] = ()
    exceptions: tuple[Excused, ...] = ()
    decisions: tuple[Asked, ...] = ()


@dataclass(frozen=True, slots=True)
class MaskReport:
    """What the engine attested of one choice's mask in one attempt. ``closed`` says, by rule, at how many steps it
    closed a token."""

    choice: int
    plan_digest: str
    steps: int = 0
    closed: tuple[tuple[str, int], ...] = ()
    dead_end: bool = False
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request to the model. ``failed`` says why its answer was not served as it is."""

    number: int
    seconds: float
    failed: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class BestReport:
    """How one of several texts that passed was chosen by the ``reward`` model of that name and ``digest``: ``scores``
    are those of the texts that there were, in the order in which they were asked for, of ``of`` that were wanted, and
    ``chosen`` is the number of the one that went out (None: none did). ``missing`` says of the others why they have no
    score, and of how many it is true."""

    reward: str
    digest: str
    of: int
    scores: tuple[float, ...] = ()
    chosen: int | None = None
    missing: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class SamplingReport:
    """How a strategy that draws freely, or looks for the best, came to a choice, or to none: its ``ending``, draws and
    their tokens (those of failures included), the proven bound on how much of what the model would say is legal, and by
    rule how many attempts were refused."""

    choice: int
    strategy: str
    ending: str
    attempts: int
    tokens: int
    legal_mass_bound: float
    refused: tuple[tuple[str, int], ...] = ()
    shown_early: bool = False
    best: BestReport | None = None


@dataclass(frozen=True, slots=True)
class ReplayData:
    """What a choice's masks can be computed from again, as the engine that made them says: the plan by its digest, the
    vocabulary by its own with the size and the ends that it had there, the text before the output, and the tokens, also
    those behind a stop text. With ``in_grammar`` the text before is also the beginning of the grammar's. Kept where the
    deployment asks for it; a choice that has a mask's report and none of this was not told of in full."""

    choice: int
    attempt: int
    plan_digest: str
    vocabulary_digest: str
    vocabulary_size: int
    eos_ids: tuple[int, ...]
    prefix: str
    token_ids: tuple[int, ...]
    in_grammar: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """One request, from its arrival ``at`` (with a time zone) to its end. What is not known is None or empty."""

    request: str
    at: datetime
    route: str
    outcome: Outcome
    decision: Decision
    status: int
    code: str | None = None
    tenant: str | None = None
    key: str | None = None
    profile: str | None = None
    profile_version: str | None = None
    profile_digest: str | None = None
    model: str | None = None
    adapter: str | None = None
    engine: str | None = None
    engine_version: str | None = None
    prompt: str | None = None
    plan_digest: str | None = None
    bundle_digest: str | None = None
    revision: str | None = None
    stream: bool = False
    rules: tuple[str, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    mask: str = "none"
    masks: tuple[MaskReport, ...] = ()
    strategy: str = "mask"
    attempts: tuple[Attempt, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    first_byte_s: float | None = None
    judging_s: float = 0.0
    clamped: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    replay: tuple[ReplayData, ...] = ()
    sampling: tuple[SamplingReport, ...] = ()


@dataclass(frozen=True, slots=True)
class Retired:
    """Says in the log itself that its oldest records, up to and including ``last``, were removed on purpose."""

    at: datetime
    last: int
    hash: str


Body = Record | Retired
"""What an entry of the log says."""
