"""A batch of samplings gives what its prompts give one by one, and fails as one."""

from dataclasses import replace

import pytest

import policykit as pk
from policykit.decoding import (
    Auto,
    Best,
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
    sample_all,
)

from .worlds import World

WORLD = World("ab|ca|dd", TableModel(max_length=4, seed=3))
STRATEGIES: list[Strategy] = [Mask(), Reject(), Exact(), Block(), Auto(1), Weighted(4, 1)]
PROMPTS = [f"prompt {i}" for i in range(7)]
SETTINGS = Settings(4, seed=11)


def together(strategy: Strategy, batch: int, **more: object) -> tuple[Sampled, ...]:
    asked: dict[str, object] = {"n": 5, "settings": SETTINGS, "constraint": WORLD.constraint, **more}
    return sample_all(WORLD.model, PROMPTS, WORLD.plan, strategy, batch=batch, **asked)  # type: ignore[arg-type]


def timeless(sampled: Sampled) -> Sampled:
    return replace(sampled, seconds=0.0)


@pytest.mark.parametrize("batch", [1, 2, 7, 100])
@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda one: one.name)
def test_a_batch_gives_what_its_prompts_give(strategy: Strategy, batch: int) -> None:
    alone = [
        sample(WORLD.model, prompt, WORLD.plan, strategy, n=5, settings=replace(SETTINGS, seed=11 + i),
               constraint=WORLD.constraint)
        for i, prompt in enumerate(PROMPTS)
    ]  # fmt: skip
    found = together(strategy, batch)
    assert [timeless(one) for one in found] == [timeless(one) for one in alone]
    assert len({one.answers for one in found}) > 1


def test_each_has_its_own_budget_and_outcome() -> None:
    tight = Settings(4, seed=11, budget=Budget(n_tokens=16))
    found = together(Reject(), 3, n=4, settings=tight)
    assert all(one.n_tokens <= 16 for one in found)
    assert len({one.ending for one in found}) > 1


def test_best_of_n_and_what_is_told() -> None:
    told: list[str] = []
    best = Best(6, lambda prompt, answer: float(len(answer.raw)))
    found = together(Exact(), 3, n=1, best=best, told=lambda one: told.append(one.prompt))
    assert sorted(told) == sorted(PROMPTS)
    assert all(one.answers[0].reward is not None and one.ending is Ending.ACCEPTED for one in found)


def test_what_one_raises_ends_all() -> None:
    def crashes(prompt: str, answer: object) -> float:
        raise ZeroDivisionError("a reward of nothing")

    with pytest.raises(ZeroDivisionError, match="a reward of nothing"):
        together(Exact(), 3, n=1, best=Best(2, crashes))
    other = World("aa", WORLD.model)
    with pytest.raises(pk.PolicyError, match="PK472"):
        together(Exact(), 3, constraint=other.constraint)
