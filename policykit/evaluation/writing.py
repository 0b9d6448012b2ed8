"""Answers of a local model to all prompts, freely or by a decoding strategy, and what the model says about them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from policykit.diagnostics import PolicyError
from policykit.evaluation.examples import Answer, Example, Pair
from policykit.plan import Plan

if TYPE_CHECKING:
    from policykit.adapters.loading import LoadedModel
    from policykit.constraint import Constraint
    from policykit.engines.scoring import Scored

FREE = "free"
MASK = "mask"

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many are done, and of how many."""


def no_progress(what: str, done: int, total: int) -> None:
    """Shows nothing."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How answers are drawn. ``decoding``: `free`, or a strategy by name; ``temperature`` 0 is greedy, for `free` and
    `mask`. ``n_masked``: prompts that are also answered under the mask, to measure its tax."""

    decoding: str = FREE
    temperature: float = 1.0
    max_new_tokens: int = 256
    seed: int = 0
    batch_size: int = 32
    n_masked: int = 100
    budget_attempts: int = 1000


@dataclass(frozen=True, slots=True)
class Writing:
    """The answers, one per example and in their order. ``n_drawn`` counts all tokens that were drawn, those of refused
    attempts too; attempts are counted by strategies that make them."""

    answers: tuple[Answer, ...]
    n_drawn: int
    n_attempts: int | None = None
    n_accepted: int | None = None


def write(
    model: "LoadedModel", plan: Plan, examples: Sequence[Example], settings: Settings, progress: Progress = no_progress
) -> Writing:
    """One answer per example. The same settings, examples and machine give the same answers.

    Raises PolicyError (PK470) for an unknown strategy.
    """
    if settings.decoding in (FREE, MASK):
        constraint = plan.constraint(model.vocabulary) if settings.decoding == MASK else None
        return _generated(model, constraint, examples, settings, progress)
    return _sampled(model, plan, examples, settings, progress)


def seed_of(seed: int, index: int) -> int:
    """The seed of one batch or prompt: those of neighbouring seeds have nothing in common."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0])


def _generated(
    model: "LoadedModel",
    constraint: "Constraint | None",
    examples: Sequence[Example],
    settings: Settings,
    progress: Progress,
) -> Writing:
    from policykit.engines.transformers import generate

    answers: list[Answer] = []
    is_greedy = settings.temperature == 0
    for start in range(0, len(examples), settings.batch_size):
        batch = examples[start : start + settings.batch_size]
        found = generate(
            model.model,
            model.tokenizer,
            [example.prompt for example in batch],
            constraint,
            max_new_tokens=settings.max_new_tokens,
            do_sample=not is_greedy,
            temperature=1.0 if is_greedy else settings.temperature,
            seed=seed_of(settings.seed, start // settings.batch_size),
        )
        answers += [
            Answer(start + i, one.text, one.finish_reason.value, len(one.token_ids), one.token_ids)
            for i, one in enumerate(found)
        ]
        progress("writing", len(answers), len(examples))
    return Writing(tuple(answers), sum(answer.n_tokens or 0 for answer in answers))


def _sampled(
    model: "LoadedModel", plan: Plan, examples: Sequence[Example], settings: Settings, progress: Progress
) -> Writing:
    from policykit.decoding import Budget, Settings as Drawing, sample, strategy
    from policykit.engines.sampling import TransformersEngine

    chosen = strategy(settings.decoding)
    engine = TransformersEngine(model.model, model.tokenizer, model.vocabulary)
    constraint = plan.constraint(model.vocabulary)
    answers: list[Answer] = []
    n_drawn = n_attempts = n_accepted = 0
    for i, example in enumerate(examples):
        drawing = Drawing(
            settings.max_new_tokens,
            settings.temperature,
            seed_of(settings.seed, i),
            Budget(n_attempts=settings.budget_attempts),
        )
        one = sample(engine, example.prompt, plan, chosen, settings=drawing, facts=example.facts, constraint=constraint)
        n_drawn += one.n_tokens
        n_attempts += len(one.attempts)
        n_accepted += sum(attempt.is_accepted for attempt in one.attempts)
        if one.answers:
            best = one.answers[0]
            answers.append(Answer(i, best.raw, best.finish.value, len(best.token_ids), best.token_ids))
        else:
            answers.append(Answer(i, None, one.ending.value))
        progress("writing", i + 1, len(examples))
    return Writing(tuple(answers), n_drawn, n_attempts, n_accepted)


def scores(
    model: "LoadedModel",
    examples: Sequence[Example],
    answers: Sequence[Answer],
    settings: Settings,
    *,
    base: "LoadedModel | None" = None,
    with_base: bool = True,
    constraint: "Constraint | None" = None,
    progress: Progress = no_progress,
) -> "list[Scored | None]":
    """For every answer its exact per-token KL to the base (the model itself without its adapter, or ``base``), where
    there is one, and its mask masses where there is a ``constraint``; None for an answer without tokens."""
    from policykit.engines.sampling import TransformersEngine
    from policykit.engines.scoring import score

    engine = TransformersEngine(model.model, model.tokenizer, model.vocabulary)
    forward = None if not with_base else model.base_forward() if base is None else base.forward()
    known = [(i, answer.token_ids) for i, answer in enumerate(answers) if answer.token_ids]
    rows = [(engine.encoded(examples[answers[i].index].prompt), token_ids) for i, token_ids in known]
    found = score(
        model.model,
        rows,
        temperature=settings.temperature or 1.0,
        base=forward,
        constraint=constraint,
        batch_size=settings.batch_size,
        done=lambda n: progress("scoring", n, len(rows)),
    )
    by_answer = {i: one for (i, _), one in zip(known, found, strict=True)}
    return [by_answer.get(i) for i in range(len(answers))]


def margins(
    model: "LoadedModel",
    pairs: Sequence[Pair],
    beta: float,
    settings: Settings,
    *,
    base: "LoadedModel | None" = None,
    progress: Progress = no_progress,
) -> list[float]:
    """β·[(log π − log π_base)(chosen) − (log π − log π_base)(rejected)] of every pair: the implicit reward margin of
    DPO (Rafailov et al. 2023, section 4).

    Completions are followed by an end of text; rejected ones that were cut are not.

    Raises PolicyError (PK841) where there is no base.
    """
    from policykit.engines.sampling import TransformersEngine
    from policykit.engines.scoring import Forward, Scored, score_under

    engine = TransformersEngine(model.model, model.tokenizer, model.vocabulary)
    end = model.vocabulary.eos_ids[:1]

    def written(text: str, has_end: bool) -> tuple[int, ...]:
        ids: list[int] = model.encode(text)
        return (*ids, *(end if has_end else ()))

    rows = [
        (engine.encoded(pair.prompt), written(text, has_end))
        for pair in pairs
        for text, has_end in ((pair.chosen, True), (pair.rejected, pair.rejected_ends))
    ]
    of_base = model.base_forward() if base is None else base.forward()

    def logps(forward: "Forward", what: str) -> list[float]:
        found: list[Scored] = score_under(
            forward, model.model.device, rows, batch_size=settings.batch_size,
            done=lambda n: progress(what, n, len(rows)),
        )  # fmt: skip
        return [one.logp for one in found]

    if of_base is None:
        message = "margins are measured against a base, and there is none"
        raise PolicyError.of("PK841", message, help="name `--base MODEL`")
    ours, theirs = logps(model.forward(), "margins"), logps(of_base, "margins of the base")
    gains = [a - b for a, b in zip(ours, theirs, strict=True)]
    return [beta * (chosen - rejected) for chosen, rejected in zip(gains[::2], gains[1::2], strict=True)]
