"""What was permitted at each step of a recorded answer, computed again from the record and its plan."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from policykit.audit.errors import ReplayRefused
from policykit.audit.record import Judgement, MaskReport, Record, ReplayData
from policykit.constraint import Constraint, Outcome, Vocabulary
from policykit.diagnostics import PolicyError
from policykit.ir.verdict import Decision
from policykit.plan import Plan
from policykit.verify import Subject


@dataclass(frozen=True, slots=True)
class Step:
    """One token. ``n_allowed`` of the vocabulary's tokens were in the mask; ``closers`` are the rules that closed some;
    ``blocked_by`` names what closed this one, and is empty where it was allowed."""

    token_id: int
    n_allowed: int
    closers: tuple[str, ...]
    blocked_by: tuple[str, ...]

    @property
    def allowed(self) -> bool:
        return not self.blocked_by


@dataclass(frozen=True, slots=True)
class Replayed:
    """One choice. It ends at the first token that was not allowed, and at a dead end. ``closed`` counts, by rule, the
    places where it closed some token; ``agrees`` says whether the engine's report says the same (None: there is none).
    """

    choice: int
    attempt: int
    steps: tuple[Step, ...]
    outcome: Outcome
    closed: Mapping[str, int]
    agrees: bool | None

    @property
    def permitted(self) -> bool:
        """Whether every token was in the mask."""
        return all(step.allowed for step in self.steps)


@dataclass(frozen=True, slots=True)
class Rejudged:
    """A text that was kept, judged again: ``again`` is None, and ``why`` says why, where it cannot be. Facts are not in
    records, so that a verdict that depends on some is an error now, which blocks."""

    judgement: Judgement
    again: Decision | None
    why: str | None = None

    @property
    def agrees(self) -> bool:
        return self.again == self.judgement.decision


def replay_masks(
    record: Record, plan: Plan, tokenizer: Path, progress: Callable[[int], None] = lambda done: None
) -> tuple[Replayed, ...]:
    """The choices of a record that were decoded under this plan. An expired plan is taken as it was in force.

    Raises ReplayRefused (PK671): the record keeps no tokens, or those of another plan or tokenizer; PolicyError.
    """
    if not record.replay:
        message = f"the record of `{record.request}` keeps no tokens"
        raise ReplayRefused.because(message, "records keep them where the deployment asks for `replay`")
    kept = tuple(data for data in record.replay if data.plan_digest == plan.digest)
    if not kept:
        plans = ", ".join(dict.fromkeys(data.plan_digest for data in record.replay))
        raise ReplayRefused.because(f"the tokens were not decoded under {plan.digest}", f"give the plan {plans}")
    vocabulary = _vocabulary(kept[0], tokenizer)
    if kept[0].vocabulary_digest == vocabulary.showing_special().digest:
        vocabulary = vocabulary.showing_special()
    for data in kept:
        if data.vocabulary_digest != vocabulary.digest:
            message = f"the vocabulary of `{tokenizer}` is {vocabulary.digest}"
            message += f", and the tokens are of {data.vocabulary_digest}"
            raise ReplayRefused.because(message, "give the tokenizer that the engine used")
    constraint = _undated(plan).constraint(vocabulary)
    return tuple(_replayed(data, constraint, record.masks, progress) for data in kept)


def _vocabulary(data: ReplayData, tokenizer: Path) -> Vocabulary:
    """The file's, with the size and the ends that the engine gave it. Raises PolicyError."""
    return Vocabulary.from_file(tokenizer, size=data.vocabulary_size, eos_ids=data.eos_ids)


def rejudge(record: Record, plan: Plan) -> tuple[Rejudged, ...]:
    """The texts of answers that the record keeps and this plan judged, judged again."""
    kept = [j for j in record.judgements if j.text is not None and j.plan_digest == plan.digest]
    return tuple(_rejudged(judgement, _undated(plan)) for judgement in kept if judgement.channel == "content")


def _rejudged(judgement: Judgement, plan: Plan) -> Rejudged:
    try:
        return Rejudged(judgement, plan.verify(Subject(judgement.text or "")).decision)
    except PolicyError as error:
        return Rejudged(judgement, None, error.diagnostics[0].message)


def _undated(plan: Plan) -> Plan:
    return replace(plan, spec=replace(plan.spec, valid_until=None))


def _replayed(
    data: ReplayData, constraint: Constraint, reports: tuple[MaskReport, ...], progress: Callable[[int], None]
) -> Replayed:
    try:
        state = constraint.start(data.prefix.encode(), prefix_in_grammar=data.in_grammar)
    except ValueError as error:
        raise ReplayRefused.because(str(error), "the record is not of this plan") from error
    row = np.zeros(-(-constraint.vocabulary.size // 32), np.int32)
    closers = constraint.machine.closers(state.joint)
    closed = Counter(closers)
    steps: list[Step] = []
    outcome = state.outcome
    for number, token_id in enumerate(data.token_ids, 1):
        if state.outcome is Outcome.DEAD_END:
            break  # the engine ends the text with a token of its own
        state.fill(row)
        n_allowed = int(np.bitwise_count(row.view(np.uint32)).sum())
        blocked = state.blocked_by(token_id) if 0 <= token_id < constraint.vocabulary.size else ("vocabulary",)
        steps.append(Step(token_id, n_allowed, tuple(sorted(closers)), blocked))
        if blocked or not state.accept(token_id):
            break
        outcome = state.outcome
        if state.finished:
            break
        closers = constraint.machine.closers(state.joint)
        closed.update(closers)
        if number % 100 == 0:
            progress(number)
    return Replayed(data.choice, data.attempt, tuple(steps), outcome, dict(closed), _agrees(data, closed, reports))


def _agrees(data: ReplayData, closed: Counter[str], reports: tuple[MaskReport, ...]) -> bool | None:
    """Compared with the report of the same choice, attempt and plan; None where there is none."""
    of = (data.choice, data.attempt, data.plan_digest)
    reports = tuple(report for report in reports if (report.choice, report.attempt, report.plan_digest) == of)
    return all(dict(report.closed) == dict(closed) for report in reports) if reports else None
