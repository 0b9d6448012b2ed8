"""Texts that are given up where a value which is complete breaks the grammar, in a world in which each is listed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import exp
from typing import Any

import numpy as np
import pytest

import policykit as pk
from policykit.constraint import Constraint, Vocabulary
from policykit.decoding import (
    Ask,
    Block,
    Budget,
    Draw,
    Exact,
    Mask,
    Reject,
    Sampled,
    Session,
    Settings,
    Strategy,
    TableModel,
    Weighted,
    sample,
    sample_all,
)
from policykit.ir.document import PolicySet

from .worlds import distance, frequencies, noise

SCHEMA: dict[str, Any] = {
    "type": "array",
    "items": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
}
PIECES = ("[", "[1", ",1", "]")
LENGTH, N = 6, 120
PLAN = pk.compile(PolicySet(()), pk.Grammar.from_json_schema(SCHEMA))


@dataclass(frozen=True)
class World:
    """Lists all texts; what is legal is decided by Python's own reader of JSON."""

    model: TableModel

    @cached_property
    def legal(self) -> dict[tuple[int, ...], float]:
        return {text: exp(logp) for text, logp in self.model.texts("p") if self.is_legal(text)}

    def is_legal(self, text: tuple[int, ...]) -> bool:
        if text[-1] != len(PIECES):
            return False
        try:
            value = json.loads("".join(PIECES[token] for token in text[:-1]))
        except ValueError:
            return False
        return isinstance(value, list) and all(
            isinstance(x, list) and len(set(map(str, x))) == len(x) and set(x) <= {1} for x in value
        )

    @cached_property
    def exact(self) -> dict[tuple[int, ...], float]:
        mass = sum(self.legal.values())
        return {text: p / mass for text, p in self.legal.items()}


WORLD = World(TableModel(PIECES, max_length=LENGTH, seed=9715))
CONSTRAINT = PLAN.constraint(WORLD.model.vocabulary)


@dataclass(frozen=True)
class DrawsOn:
    """An engine that draws to the end and knows nothing of values."""

    model: TableModel
    sees_distributions: bool = True

    @property
    def vocabulary(self) -> Vocabulary:
        return self.model.vocabulary

    def open(self, prompt: str, plan: pk.Plan, constraint: Constraint, temperature: float = 1.0) -> Session:
        return _DrawsOn(self.model.open(prompt, plan, constraint, temperature))


@dataclass(frozen=True)
class _DrawsOn:
    inner: Session
    n_prefilled: int = 0
    n_requests: int = 0

    def draw(self, asks: Sequence[Ask], rng: np.random.Generator) -> tuple[Draw, ...]:
        return self.inner.draw([replace(ask, closing=None) for ask in asks], rng)


def run(engine: Any, strategy: Strategy, seed: int = 0, n: int = 1) -> Sampled:
    settings = Settings(LENGTH, seed=seed, budget=Budget(n_attempts=None), min_legal_mass=0.0)
    return sample(engine, "p", PLAN, strategy, n=n, settings=settings, constraint=CONSTRAINT)


def test_the_mask_does_not_know() -> None:
    assert [found.keyword for found in PLAN.residue] == ["uniqueItems"]
    assert PLAN.closing is not None
    state = CONSTRAINT.start()
    assert all(state.accept(token) for token in (0, 1, 2, 3, 3))


@pytest.mark.parametrize("engine", [WORLD.model, DrawsOn(WORLD.model)], ids=["token by token", "to the end"])
@pytest.mark.parametrize("strategy", [Exact(), Reject()], ids=["exact", "reject"])
def test_exact_strategies_stay_exact(engine: Any, strategy: Strategy) -> None:
    found = [run(engine, strategy, seed) for seed in range(N)]
    drawn = frequencies(one.answers[0].token_ids for one in found)
    assert set(drawn) <= set(WORLD.legal)
    assert distance(drawn, WORLD.exact) <= noise(WORLD.exact, N)
    assert all(one.legal_mass_bound >= sum(WORLD.legal.values()) - 1e-9 for one in found)


@pytest.mark.parametrize("strategy", [Mask(), Block(), Weighted(4, 1)], ids=["mask", "block", "weighted"])
def test_no_text_goes_on_behind_a_value_that_breaks_the_grammar(strategy: Strategy) -> None:
    found = [run(WORLD.model, strategy, seed) for seed in range(100)]
    assert {one.answers[0].token_ids for one in found} <= set(WORLD.legal)
    broken = [a for one in found for a in one.attempts if a.text.endswith(",1]")]
    assert broken
    assert {(a.finish, a.reasons) for a in broken} == {("refused", ("grammar",))}


def test_a_population_s_weight_is_unbiased_all_the_same() -> None:
    found = run(WORLD.model, Weighted(4, 1), n=500)
    weights = [0.0 if z is None else exp(z) for z in found.log_z]
    mass = sum(WORLD.legal.values())
    assert abs(np.mean(weights) - mass) < 4 * np.std(weights) / len(weights) ** 0.5


def test_what_is_known_to_break_the_grammar_is_never_drawn_again() -> None:
    found = run(WORLD.model, Exact(), n=300)
    broken = [a.text for a in found.attempts if a.text.endswith(",1]")]
    assert broken
    assert len(broken) == len(set(broken))
    on = run(DrawsOn(WORLD.model), Exact(), n=300)
    assert on.n_tokens > sum(attempt.n_drawn for attempt in on.attempts), "what was drawn behind it is paid for"


def test_a_batch_gives_what_its_prompts_give_one_by_one() -> None:
    settings = Settings(LENGTH, budget=Budget(n_attempts=None), min_legal_mass=0.0)
    together = sample_all(WORLD.model, ["p"] * 6, PLAN, Block(), settings=settings, batch=3, constraint=CONSTRAINT)
    alone = [run(WORLD.model, Block(), seed) for seed in range(6)]
    assert [one.attempts for one in together] == [one.attempts for one in alone]
