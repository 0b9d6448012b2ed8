"""Sampling under a plan: one call for every strategy, and every engine."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import assert_never

import numpy as np

from policykit.constraint import Constraint
from policykit.decoding.engine import Engine
from policykit.decoding.judge import Check, Judge
from policykit.decoding.masked import masking, populations
from policykit.decoding.result import Answer, Budget, Ending, Sampled
from policykit.decoding.rewind import FromBlock, FromRoot, RootThenBlock, rewinding
from policykit.decoding.run import Exhausted, Run
from policykit.decoding.strategy import Auto, Block, Exact, Mask, Reject, Strategy, Weighted
from policykit.diagnostics import PolicyError
from policykit.ir.verdict import Verdict
from policykit.plan import Plan

Reward = Callable[[Answer], float]


@dataclass(frozen=True, slots=True)
class Best:
    """Of up to ``n`` answers the one with the highest ``reward``; ``enough`` ends the search early."""

    n: int
    reward: Reward
    enough: float | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """How texts are drawn. ``min_legal_mass``: where it is proven that less than this share of what the model would
    write is legal, the strategies that draw freely end with `no_legal_mass` instead of going on."""

    max_new_tokens: int = 256
    temperature: float = 1.0
    seed: int = 0
    budget: Budget = field(default_factory=Budget)
    min_legal_mass: float = 1e-3


def sample(
    engine: Engine,
    prompt: str,
    plan: Plan,
    strategy: Strategy,
    *,
    n: int = 1,
    settings: Settings | None = None,
    facts: Mapping[str, object] | None = None,
    checks: Sequence[Check] = (),
    best: Best | None = None,
    constraint: Constraint | None = None,
    verify: Callable[[str], Verdict] | None = None,
    floor: Callable[[], int] = lambda: 0,
    clock: Callable[[], float] = monotonic,
) -> Sampled:
    """``n`` answers to one prompt, each passed by the plan's verifier and by ``checks``, or fewer and why.

    Nothing is released before it has been judged whole, so nothing is ever taken back. The same engine, settings and
    strategy give the same answers; only a time limit can change how many. ``constraint`` is the plan's for the
    engine's vocabulary, where it has been made already; ``verify`` is the plan's judgement, where more is known than
    the text. ``floor`` says how many tokens of the text have been shown by now: `block` does not go back before their
    end, and a text that cannot be ended well from there ends the sampling.

    Raises PolicyError: the plan has expired, its masks cannot be
    had for the vocabulary, or the engine cannot run the strategy (PK471).
    """
    settings = settings or Settings()
    if isinstance(strategy, Weighted) and not engine.sees_distributions:
        raise PolicyError.of(
            "PK471",
            f"the engine cannot run the strategy `{strategy.name}`: it does not see whole distributions",
            help="use `exact` or `block`, or an engine that owns its logits, such as transformers",
        )
    constraint = constraint or plan.constraint(engine.vocabulary)
    if constraint.digest != plan.digest:
        raise PolicyError.of("PK472", "the constraint was made from another plan", help="make it with this plan")
    run = Run(
        session=engine.open(prompt, plan, constraint, settings.temperature),
        vocabulary=engine.vocabulary,
        judge=Judge(verify or (lambda text: plan.verify(text, facts)), checks),
        floor=floor,
        rng=np.random.default_rng(settings.seed),
        budget=settings.budget,
        max_length=settings.max_new_tokens,
        min_legal_mass=settings.min_legal_mass,
        clock=clock,
        started=clock(),
    )
    answers, ending = _collected(_answers(run, strategy), n, best)
    return Sampled(
        prompt=prompt,
        strategy=strategy.name,
        ending=ending,
        answers=answers,
        attempts=tuple(run.attempts),
        n_tokens=run.n_tokens,
        n_prefilled=run.session.n_prefilled,
        seconds=clock() - run.started,
        legal_mass_bound=min(1.0, run.root.legal),
        digest=plan.digest,
        seed=settings.seed,
        n_requests=run.session.n_requests,
        log_z=tuple(run.log_z),
    )


def _answers(run: Run, strategy: Strategy) -> Iterator[Answer]:
    tokens = run.vocabulary.tokens
    match strategy:
        case Mask():
            return masking(run)
        case Reject():
            return rewinding(run, FromRoot(), has_memory=False, is_exact=True)
        case Exact():
            return rewinding(run, FromRoot(), has_memory=True, is_exact=True)
        case Block(n_failures=k, min_legal=least):
            return rewinding(run, FromBlock(tokens, k, least, run.floor), has_memory=True, is_exact=False)
        case Auto(n_exact=n_exact, block=block):
            rule = RootThenBlock(FromBlock(tokens, block.n_failures, block.min_legal), n_exact)
            return rewinding(run, rule, has_memory=True, is_exact=False)
        case Weighted(n_particles=n_particles, stride=stride):
            return populations(run, n_particles, stride)
        case _:
            assert_never(strategy)


def _collected(answers: Iterator[Answer], n: int, best: Best | None) -> tuple[tuple[Answer, ...], Ending]:
    """The first ``n`` answers, or the best of more. Where the search for a better one ends early, the best so far is
    an answer all the same."""
    found: list[Answer] = []
    try:
        if best is None:
            while len(found) < n:
                found.append(next(answers))
            return tuple(found), Ending.ACCEPTED
        while len(found) < best.n:
            answer = next(answers)
            found.append(replace(answer, reward=best.reward(answer)))
            if best.enough is not None and (found[-1].reward or 0.0) >= best.enough:
                break
    except Exhausted as end:
        if best is None or not found:
            return tuple(found), end.ending
    ranked = sorted(found, key=lambda answer: answer.reward or 0.0, reverse=True)
    return tuple(ranked[:n]), Ending.ACCEPTED if len(ranked) >= n else Ending.OUT_OF_ATTEMPTS
