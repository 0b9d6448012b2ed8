"""From answers to results: judged by one or two plans, scored for the task, and compared with the base model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from policykit.evaluation.citing import FindCitations
from policykit.evaluation.examples import Answer, Data, Example, Pair
from policykit.evaluation.judging import Judged, Outcome, agreement, judged, verification
from policykit.evaluation.results import (
    Citations,
    Divergence,
    Made,
    Margins,
    MaskTax,
    Results,
    Row,
    Task,
)
from policykit.evaluation.statistics import CONFIDENCE, Estimate, Rate, bootstrap, rate, spread
from policykit.evaluation.tasks import Cited, cited, exact_match, f1
from policykit.evaluation.writing import MASK, Progress, Settings, Writing, margins, no_progress, scores, write
from policykit.grammar import GrammarValidator
from policykit.ir.grammar import GrammarSpec
from policykit.plan import Plan
from policykit.rewards import rule_names

if TYPE_CHECKING:
    from policykit.adapters.loading import LoadedModel
    from policykit.engines.scoring import Scored


@dataclass(frozen=True, slots=True)
class Job:
    """What is evaluated, and by what. ``second`` judges beside the plan; ``base`` is what KL and margins are measured
    against, by default the model without its adapter; ``schema`` is what valid answers belong to."""

    plan: Plan
    data: Data
    model: "LoadedModel | None" = None
    settings: Settings = field(default_factory=Settings)
    second: Plan | None = None
    base: "LoadedModel | None" = None
    schema: GrammarSpec | None = None
    find_citations: FindCitations | None = None
    pairs: tuple[Pair, ...] = ()
    pairs_name: str = ""
    beta: float = 0.1
    confidence: float = CONFIDENCE

    @property
    def base_name(self) -> str | None:
        if self.base is not None:
            return self.base.name
        return "the model without its adapter" if self.model is not None and self.model.peft is not None else None


@dataclass(frozen=True, slots=True)
class Measured:
    """The results without how they were made, and a row for every text. ``kl`` and ``taxes`` and ``margins`` are the
    values behind the results' summaries, for plots."""

    results: Callable[[Made], Results]
    rows: tuple[Row, ...]
    taxes: tuple[float, ...]
    margins: tuple[float, ...]


def measure(job: Job, progress: Progress = no_progress) -> Measured:
    """Write the answers that are not given, and find out everything about them."""
    if job.model is not None and not job.data.answers:
        writing = write(job.model, job.plan, job.data.examples, job.settings, progress)
    else:
        writing = Writing(job.data.answers, 0)
    first = _judged(job.plan, job.data.examples, writing.answers, progress)
    second = None if job.second is None else _judged(job.second, job.data.examples, writing.answers, progress)
    scored = _scored(job, writing, progress)
    rows = _rows(job, writing, first, second, scored)
    taxes = _taxes(job, writing, progress)
    found = _margins(job, progress)
    answered = [i for i, answer in enumerate(writing.answers) if answer.text is not None]
    results = _results(job, writing, answered, (first, second), rows, scored, taxes, found)
    return Measured(results, rows, tuple(taxes), tuple(found))


def _judged(
    plan: Plan, examples: Sequence[Example], answers: Sequence[Answer], progress: Progress
) -> list[Judged | None]:
    names = rule_names(plan)
    found: list[Judged | None] = []
    for answer in answers:
        facts = examples[answer.index].facts
        found.append(None if answer.text is None else judged(plan.verify(answer.text, facts), names))
        progress("judging", len(found), len(answers))
    return found


def _scored(job: Job, writing: Writing, progress: Progress) -> "list[Scored | None]":
    """The KL to the base, of texts that the model wrote freely or under the mask."""
    if job.model is None or job.base_name is None or job.data.answers:
        return [None] * len(writing.answers)
    return scores(job.model, job.data.examples, writing.answers, job.settings, base=job.base, progress=progress)


def _taxes(job: Job, writing: Writing, progress: Progress) -> list[float]:
    """−Σ log Z of texts that were written under the mask: the answers themselves, or some that are made for it."""
    settings = job.settings
    if job.model is None or job.data.answers or settings.n_masked == 0:
        return []
    examples, answers = job.data.examples, writing.answers
    if settings.decoding != MASK:
        examples = examples[: settings.n_masked]
        masked = Settings(MASK, settings.temperature, settings.max_new_tokens, settings.seed, settings.batch_size)
        answers = write(job.model, job.plan, examples, masked, progress).answers
    constraint = job.plan.constraint(job.model.vocabulary)
    known = [one for one in answers if one.ended_by != "dead_end"]
    found = scores(job.model, examples, known, settings, constraint=constraint, with_base=False, progress=progress)
    return [one.mask_tax for one in found if one is not None and one.mask_tax is not None]


def _margins(job: Job, progress: Progress) -> list[float]:
    if job.model is None or not job.pairs:
        return []
    return margins(job.model, job.pairs, job.beta, job.settings, base=job.base, progress=progress)


def _rows(
    job: Job,
    writing: Writing,
    first: Sequence[Judged | None],
    second: Sequence[Judged | None] | None,
    scored: "Sequence[Scored | None]",
) -> tuple[Row, ...]:
    validator = None if job.schema is None else GrammarValidator(job.schema)
    rows: list[Row] = []
    for i, (answer, one) in enumerate(zip(writing.answers, first, strict=True)):
        example, other, text, score = (
            job.data.examples[answer.index],
            second[i] if second else None,
            answer.text,
            scored[i],
        )
        has_reference = text is not None and bool(example.references)
        rows.append(
            Row(
                example.name,
                example.prompt,
                text,
                answer.ended_by,
                answer.n_tokens,
                example.cohort,
                one.whole.value if one else None,
                one.broken if one else (),
                one.errors if one else (),
                other.whole.value if other else None,
                other.broken if other else (),
                exact_match(text or "", example.references) if has_reference else None,
                f1(text or "", example.references) if has_reference else None,
                not validator.check(text) if validator and text is not None else None,
                _cited(job, example, text),
                sum(score.kl) if score is not None and score.kl is not None else None,
                example.references,
                example.citations,
                example.facts,
            )
        )
    return tuple(rows)


def _cited(job: Job, example: Example, text: str | None) -> tuple[int, int, int] | None:
    if job.find_citations is None or example.citations is None or text is None:
        return None
    found = cited(job.find_citations(text), example.citations)
    return found.n_cited, found.n_right, found.n_wanted


def _results(
    job: Job,
    writing: Writing,
    answered: Sequence[int],
    verdicts: tuple[Sequence[Judged | None], Sequence[Judged | None] | None],
    rows: Sequence[Row],
    scored: "Sequence[Scored | None]",
    taxes: Sequence[float],
    found: Sequence[float],
) -> Callable[[Made], Results]:
    names = [job.data.examples[writing.answers[i].index].name for i in answered]
    first = [one for one in verdicts[0] if one is not None]
    second = [one for one in verdicts[1] if one is not None] if verdicts[1] is not None else None
    by_model = [i for i in answered if writing.answers[i].ended_by != "given"]
    n_ended = sum(writing.answers[i].ended_by == "end" for i in by_model)
    n_tokens = [float(n) for i in by_model if (n := writing.answers[i].n_tokens) is not None]
    attempts = None
    if writing.n_attempts is not None and writing.n_accepted is not None:
        attempts = rate(writing.n_accepted, writing.n_attempts, job.confidence)
    return lambda made: Results(
        made,
        len(answered),
        len(writing.answers) - len(answered),
        rate(n_ended, len(by_model), job.confidence) if by_model else None,
        spread(n_tokens),
        writing.n_drawn if by_model else None,
        attempts,
        verification(job.plan, first, names, job.confidence),
        verification(job.second, second, names, job.confidence)
        if job.second is not None and second is not None
        else None,
        agreement(first, second, names) if second is not None else None,
        _by_cohort(rows, job.confidence),
        _task(job, rows),
        _divergence(job, scored),
        _mask_tax(taxes, job),
        _margin_results(job, found),
    )


def _by_cohort(rows: Sequence[Row], confidence: float) -> dict[str, Rate]:
    decided = [row for row in rows if row.cohort is not None and row.outcome in (Outcome.VIOLATED, Outcome.SATISFIED)]
    cohorts = sorted({row.cohort for row in decided if row.cohort is not None})
    of = {name: [row.outcome == Outcome.VIOLATED for row in decided if row.cohort == name] for name in cohorts}
    return {name: rate(sum(found), len(found), confidence) for name, found in of.items()}


def _task(job: Job, rows: Sequence[Row]) -> Task:
    seed = job.settings.seed

    def mean(values: Sequence[float | None]) -> Estimate | None:
        return bootstrap([value for value in values if value is not None], seed, confidence=job.confidence)

    valid = [row.is_valid for row in rows if row.is_valid is not None]
    counts = [Cited(*row.cited) for row in rows if row.cited is not None]
    citations = None
    if counts:
        citations = Citations(
            mean([one.n_right / one.n_cited for one in counts if one.n_cited]),
            mean([one.n_right / one.n_wanted for one in counts if one.n_wanted]),
            sum(one.n_cited for one in counts),
            sum(one.n_right for one in counts),
            sum(one.n_wanted for one in counts),
        )
    return Task(
        mean([row.exact_match for row in rows]),
        mean([row.f1 for row in rows]),
        rate(sum(valid), len(valid), job.confidence) if valid else None,
        citations,
    )


def _divergence(job: Job, scored: "Sequence[Scored | None]") -> Divergence | None:
    known = [one.kl for one in scored if one is not None and one.kl is not None]
    sums = [sum(one) for one in known]
    spread_of, mean = spread(sums), bootstrap(sums, job.settings.seed, confidence=job.confidence)
    if spread_of is None or mean is None or job.base_name is None:
        return None
    n_tokens = sum(map(len, known))
    return Divergence(job.base_name, n_tokens, sum(sums) / n_tokens, spread_of, mean)


def _mask_tax(taxes: Sequence[float], job: Job) -> MaskTax | None:
    spread_of, mean = spread(taxes), bootstrap(taxes, job.settings.seed, confidence=job.confidence)
    return None if spread_of is None or mean is None else MaskTax(len(taxes), spread_of, mean)


def _margin_results(job: Job, found: Sequence[float]) -> Margins | None:
    spread_of = spread(found)
    if spread_of is None:
        return None
    by_cohort: dict[str, list[float]] = {}
    for pair, margin in zip(job.pairs, found, strict=True):
        if pair.cohort is not None:
            by_cohort.setdefault(pair.cohort, []).append(margin)
    spreads = {name: one for name, of in sorted(by_cohort.items()) if (one := spread(of)) is not None}
    correct = rate(sum(margin > 0 for margin in found), len(found), job.confidence)
    return Margins(job.base_name or "", job.beta, job.pairs_name, spread_of, correct, spreads)
