"""Every strategy against worlds in which each text is listed: what may be written, how often, and at what cost."""

from math import exp, log

import numpy as np
import pytest

from policykit.decoding import (
    Auto,
    Block,
    Budget,
    Ending,
    Exact,
    Mask,
    Reject,
    Sampled,
    Settings,
    Strategy,
    TableModel,
    Weighted,
    sample,
)

from .worlds import World, distance, frequencies, noise

LETTERS = World("ab|ca|dd", TableModel(max_length=4, seed=3))
SENTENCES = World("ba|ca", TableModel(("a", "b", "c", ". "), max_length=4, seed=20, sharpness=2.0))
WORLDS = [LETTERS, SENTENCES]
STRATEGIES: list[Strategy] = [Mask(), Reject(), Exact(), Block(), Auto(1), Weighted(4, 1)]
NAMES = [strategy.name.value for strategy in STRATEGIES]
N = 500


def run(world: World, strategy: Strategy, seed: int = 0, n: int = 1, budget: Budget | None = None) -> Sampled:
    budget = budget or Budget(n_attempts=None)
    settings = Settings(world.model.max_length, seed=seed, budget=budget, min_legal_mass=0.0)
    return sample(world.model, world.prompt, world.plan, strategy, n=n, settings=settings, constraint=world.constraint)


def alone(world: World, strategy: Strategy, n: int = N) -> dict[tuple[int, ...], float]:
    """How often each text is the answer of a sampling of its own."""
    return frequencies(run(world, strategy, seed).answers[0].token_ids for seed in range(n))


@pytest.mark.parametrize("world", WORLDS, ids=["letters", "sentences"])
@pytest.mark.parametrize("strategy", STRATEGIES, ids=NAMES)
def test_what_is_written_is_legal_and_its_distance_from_exact_is_within_the_bound(
    world: World, strategy: Strategy
) -> None:
    found = alone(world, strategy)
    assert set(found) <= set(world.legal)
    fails = 1 - world.mass
    bound = {"reject": 0.0, "exact": 0.0, "auto": fails**2}.get(strategy.name, fails)
    assert distance(found, world.exact) <= bound + noise(world.exact, N)


@pytest.mark.parametrize("world", WORLDS, ids=["letters", "sentences"])
def test_exact_answers_that_share_a_memory_are_exact_and_cost_less_and_less(world: World) -> None:
    n = 6000
    found = run(world, Exact(), n=n)
    assert distance(frequencies(a.token_ids for a in found.answers), world.exact) <= noise(world.exact, n)
    one = np.mean([run(world, Exact(), seed).n_tokens for seed in range(50)])
    assert found.n_tokens / n < one / 10
    # Independent: which text comes second does not depend on the first.
    firsts = [a.token_ids for a in found.answers[0::2]]
    seconds = [a.token_ids for a in found.answers[1::2]]
    (usual, share), *_ = sorted(world.exact.items(), key=lambda item: -item[1])
    after = [second == usual for first, second in zip(firsts, seconds, strict=True) if first == usual]
    assert abs(np.mean(after) - share) < 4 * (share / len(after)) ** 0.5


def test_the_measure_sees_a_bias() -> None:
    """Planted: masked texts are no exact sample, and this many of them show it."""
    world = SENTENCES
    assert distance(world.masked, world.exact) > 0.1
    assert distance(alone(world, Mask()), world.exact) > noise(world.exact, N)
    assert distance(alone(world, Mask()), world.masked) <= noise(world.masked, N)


@pytest.mark.parametrize("world", WORLDS, ids=["letters", "sentences"])
def test_a_masked_text_has_the_weight_that_undoes_the_mask(world: World) -> None:
    for answer in run(world, Mask(), n=200).answers:
        assert answer.log_weight is not None
        assert world.masked[answer.token_ids] * exp(answer.log_weight) == pytest.approx(world.legal[answer.token_ids])
        assert answer.logp == pytest.approx(log(world.legal[answer.token_ids]))
        assert answer.mask_tax == pytest.approx(-answer.log_weight)


@pytest.mark.parametrize("world", WORLDS, ids=["letters", "sentences"])
@pytest.mark.parametrize("strategy", [Weighted(1, 1), Weighted(4, 1), Weighted(4, 2)], ids=["1", "4", "4 by 2"])
def test_weights_of_populations_are_unbiased(world: World, strategy: Weighted) -> None:
    """The mean weight is the legal mass, and the weighted share of every text its probability, within four standard
    errors: the chance of one miss is under 1 in 15,000, and the seeds are fixed."""
    runs = [run(world, strategy, seed) for seed in range(400)]
    weights = np.exp([r.answers[0].log_weight or 0.0 for r in runs])
    assert abs(weights.mean() - world.mass) < 4 * weights.std() / 400**0.5
    for text in sorted(world.legal, key=lambda one: -world.legal[one])[:5]:
        hits = weights * np.array([r.answers[0].token_ids == text for r in runs])
        assert abs(hits.mean() - world.legal[text]) < 4 * hits.std() / 400**0.5


@pytest.mark.parametrize("strategy", STRATEGIES, ids=NAMES)
def test_the_bound_of_the_legal_mass_is_one(strategy: Strategy) -> None:
    for world in WORLDS:
        for seed in range(40):
            assert run(world, strategy, seed, n=3).legal_mass_bound >= world.mass - 1e-9


def test_where_all_failures_are_known_the_bound_is_the_legal_mass() -> None:
    found = run(LETTERS, Exact(), n=3000)
    assert found.legal_mass_bound == pytest.approx(LETTERS.mass, abs=1e-3)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=NAMES)
def test_the_same_seed_gives_the_same_answers_and_attempts(strategy: Strategy) -> None:
    one, two, other = (run(SENTENCES, strategy, seed, n=5) for seed in (7, 7, 8))
    assert (one.answers, one.attempts) == (two.answers, two.attempts)
    assert one.attempts != other.attempts


@pytest.mark.parametrize("strategy", STRATEGIES, ids=NAMES)
def test_almost_no_legal_mass_is_a_named_outcome_within_the_budget(strategy: Strategy) -> None:
    world = World("[abcd]", TableModel(max_length=5, seed=2, sharpness=3.0), prompt="p")
    assert world.mass < 0.02
    endings: list[Ending] = []
    for seed in range(20):
        found = run(world, strategy, seed, budget=Budget(n_tokens=30))
        endings.append(found.ending)
        assert found.n_tokens <= 30
        assert all(answer.token_ids in world.legal for answer in found.answers)
        assert bool(found.answers) == (found.ending is Ending.ACCEPTED)
        assert found.legal_mass_bound >= world.mass - 1e-9
    if strategy.name in ("exact", "block", "auto"):
        # One failure proves what the mask forbids at the start: the second attempt is legal.
        assert set(endings) == {Ending.ACCEPTED}


def test_less_legal_mass_than_asked_for_ends_early_with_its_bound() -> None:
    world = World("[abcd]", TableModel(max_length=5, seed=2, sharpness=3.0))
    settings = Settings(5, min_legal_mass=0.05)
    for strategy in (Reject(), Exact(), Block(), Auto()):
        found = sample(world.model, "p", world.plan, strategy, settings=settings, constraint=world.constraint)
        assert found.ending is Ending.NO_LEGAL_MASS
        assert world.mass <= found.legal_mass_bound < 0.05
        assert found.reasons == {"toy#banned": 1}


@pytest.mark.parametrize("limit", [1, 2, 5, 11])
@pytest.mark.parametrize("strategy", STRATEGIES, ids=NAMES)
def test_no_budget_is_overdrawn(strategy: Strategy, limit: int) -> None:
    found = run(LETTERS, strategy, n=50, budget=Budget(n_tokens=limit))
    assert found.n_tokens <= limit
    assert found.ending is Ending.OUT_OF_TOKENS or len(found.answers) == 50
    tried = run(LETTERS, strategy, n=50, budget=Budget(n_attempts=limit))
    refused = sum(not attempt.is_accepted for attempt in tried.attempts)
    assert tried.ending in (Ending.OUT_OF_ATTEMPTS, Ending.ACCEPTED) or refused == 0


@pytest.mark.parametrize("strategy", STRATEGIES, ids=NAMES)
def test_time_is_a_budget_too(strategy: Strategy) -> None:
    ticks = iter(range(1000))
    found = sample(
        LETTERS.model, "p", LETTERS.plan, strategy, n=900, constraint=LETTERS.constraint,
        settings=Settings(4, budget=Budget(time_s=20)), clock=lambda: float(next(ticks)),
    )  # fmt: skip
    assert found.ending is Ending.OUT_OF_TIME
    assert 20 <= found.seconds <= 30
