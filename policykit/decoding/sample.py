"""Sampling under a plan: one call for every strategy, and every engine."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf, isfinite
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

Reward = Callable[[str, Answer], float]
"""What an answer to a prompt is worth."""


@dataclass(frozen=True, slots=True)
class Best:
    """Of up to ``n`` answers those with the highest ``reward``; ``enough`` for as many as are wanted ends the search
    early. What is chosen by reward is no sample of the distribution, and has no weight."""

    n: int
    reward: Reward
    enough: float | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """How texts are drawn. ``min_legal_mass``: where it is proven that less than this share of what the model would
    write is legal, the strategies that draw freely end with `no_legal_mass` instead of going on: what passes there is
    mostly what the model writes by accident (`benchmarks/decoding.py`)."""

    max_new_tokens: int = 256
    temperature: float = 1.0
    seed: int = 0
    budget: Budget = field(default_factory=Budget)
    min_legal_mass: float = 0.02


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

    Raises PolicyError: the plan has expired, its masks cannot be had for the vocabulary, the engine cannot run the
    strategy (PK471), settings with which nothing can be drawn (PK473), a model without probabilities (PK474), or a
    reward that is no number (PK761).
    """
    settings = settings or Settings()
    _check(settings, strategy, n, best)
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
        closing=plan.closing,
        floor=floor,
        rng=np.random.default_rng(settings.seed),
        budget=settings.budget,
        max_length=settings.max_new_tokens,
        min_legal_mass=settings.min_legal_mass,
        clock=clock,
        started=clock(),
    )
    answers, ending, searched = _collected(_answers(run, strategy), prompt, n, best)
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
        bundle_digest=plan.bundle_digest,
        seed=settings.seed,
        n_requests=run.session.n_requests,
        log_z=tuple(run.log_z),
        searched=searched,
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


def _collected(
    answers: Iterator[Answer], prompt: str, n: int, best: Best | None
) -> tuple[tuple[Answer, ...], Ending, Ending]:
    """The first ``n`` answers, or the best of more, whether there are as many, and how the search for them ended. Where
    the search for a better one ends early, the best so far is an answer all the same."""
    found: list[Answer] = []
    ending = Ending.ACCEPTED
    try:
        while len(found) < (best.n if best else n):
            answer = next(answers)
            found.append(answer if best is None else _rewarded(prompt, answer, best))
            if best is not None and len(found) >= n and _enough(found, n, best):
                break
    except Exhausted as end:
        ending = end.ending
    if best is not None:
        found.sort(key=_reward_of, reverse=True)
    return tuple(found[:n]), Ending.ACCEPTED if len(found) >= n else ending, ending


def _rewarded(prompt: str, answer: Answer, best: Best) -> Answer:
    """The answer with its reward, and without a weight: what is chosen by reward is no sample."""
    reward = float(best.reward(prompt, answer))
    if not isfinite(reward):
        message = f"the reward of an answer is {reward}"
        raise PolicyError.of("PK761", message, help="give every answer a finite number")
    return replace(answer, reward=reward, log_weight=None)


def _enough(found: Sequence[Answer], n: int, best: Best) -> bool:
    return best.enough is not None and sum(_reward_of(answer) >= best.enough for answer in found) >= n


def _reward_of(answer: Answer) -> float:
    assert answer.reward is not None, "each was given one"
    return answer.reward


def _check(settings: Settings, strategy: Strategy, n: int, best: Best | None) -> None:
    """Raises PolicyError (PK473) with everything that nothing can be drawn with."""
    budget = settings.budget
    wrong = {
        f"max_new_tokens={settings.max_new_tokens}": settings.max_new_tokens < 1,
        f"temperature={settings.temperature}": not 0 < settings.temperature < inf,
        f"seed={settings.seed}": settings.seed < 0,
        f"min_legal_mass={settings.min_legal_mass}": not 0 <= settings.min_legal_mass <= 1,
        f"budget.time_s={budget.time_s}": budget.time_s is not None and not budget.time_s >= 0,
        f"n={n}": n < 1,
        f"best.n={best.n if best else n}": best is not None and best.n < n,
        f"strategy={strategy}": not _can_work(strategy),
    }
    if said := [name for name, is_wrong in wrong.items() if is_wrong]:
        help = "lengths, counts and the temperature are above 0, shares between 0 and 1, and the best are among enough"
        raise PolicyError.of("PK473", f"nothing can be drawn with {', '.join(said)}", help=help)


def _can_work(strategy: Strategy) -> bool:
    match strategy:
        case Mask() | Reject() | Exact():
            return True
        case Block(n_failures=k, min_legal=least):
            return k >= 1 and 0 <= least <= 1
        case Auto(n_exact=n_exact, block=block):
            return n_exact >= 0 and _can_work(block)
        case Weighted(n_particles=n_particles, stride=stride):
            return n_particles >= 1 and stride >= 1
        case _:
            assert_never(strategy)
