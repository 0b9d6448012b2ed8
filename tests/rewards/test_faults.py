"""What must not be priced, or go on, unseen: rewards that are none, weights that are none, checkpoints in part."""

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from policykit import rewards as rw

from .test_contracts import Logged, as_trl_calls
from .test_controllers import BROKEN, MAKERS
from .test_rewards import BAD, GOOD, PLAN, fixed, refused

NAN, INF = math.nan, math.inf


async def later(prompts: list[Any], completions: list[Any], **columns: Any) -> list[float | None]:
    return [1.0] * len(completions)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(lambda **_: None, id="nothing"),
        pytest.param(lambda **_: 1.0, id="one number"),
        pytest.param(lambda **_: [1.0], id="too few"),
        pytest.param(lambda **_: [1.0] * 3, id="too many"),
        pytest.param(lambda **_: [1.0, NAN], id="NaN"),
        pytest.param(lambda **_: [1.0, -INF], id="infinite"),
        pytest.param(lambda **_: [1.0, "1.0"], id="text"),
        pytest.param(lambda **_: [1.0, [1.0]], id="a list"),
        pytest.param(later, id="a promise"),
    ],
)
def test_rewards_that_are_none_are_refused(given: Callable[..., Any]) -> None:
    for function in (rw.reward_function(fixed(), given), rw.reward_function(fixed(), lambda **_: [1.0] * 2, given)):
        with refused("PK761"):
            function(**as_trl_calls(Logged(), [BAD, GOOD]))
    waits = rw.async_reward_function(fixed(), given)
    if given is later:
        assert len(asyncio.run(waits(**as_trl_calls(Logged(), [BAD, GOOD])))) == 2  # type: ignore[arg-type]
    else:
        with refused("PK761"):
            asyncio.run(waits(**as_trl_calls(Logged(), [BAD, GOOD])))  # type: ignore[arg-type]


def test_rewards_may_be_arrays_and_one_of_two_may_wait() -> None:
    plain = fixed(guarantees=1.0, risk=0.0)
    function = rw.reward_function(plain, lambda **_: np.array([1.0, 1.0]))  # type: ignore[arg-type]
    assert function(**as_trl_calls(Logged(), [BAD, GOOD])) == [0.0, 0.5]
    mixed = rw.async_reward_function(plain, later, lambda **_: [0.0, None])
    assert asyncio.run(mixed(**as_trl_calls(Logged(), [BAD, GOOD]))) == [0.0, None]  # type: ignore[arg-type]


def test_facts_belong_to_completions_one_by_one() -> None:
    with refused("PK761"):
        fixed().price([BAD, GOOD], [1.0, 1.0], facts=[])
    assert len(fixed().price([BAD, GOOD], [1.0, 1.0], facts=np.array([{}, {}], dtype=object))) == 2  # type: ignore[arg-type]


def test_an_empty_completion_has_a_price_as_any_other() -> None:
    (row,) = fixed(guarantees=1.0, risk=0.0).price([""], [0.5])
    assert (row.reward, row.fired, row.errors) == (0.25, (), ())


@pytest.mark.parametrize("more", [{"max_lost": NAN}, {"max_lost": -0.1}, {"max_lost": 1.5}, {"window": 0}])
def test_a_run_that_could_lose_all_rows_unseen_is_refused(more: dict[str, Any]) -> None:
    with refused("PK764"):
        rw.PolicyReward(PLAN, **more)


def test_weights_of_a_controller_that_are_no_numbers_give_no_reward_and_stop_the_run() -> None:
    """A controller of somebody else's that has diverged."""

    class Diverged(rw.Fixed):
        @property
        def weights(self) -> dict[str, float]:
            return {"guarantees": NAN, "risk": INF}

    reward = rw.PolicyReward(PLAN, Diverged({"guarantees": 1.0, "risk": 1.0}), window=20)
    with refused("PK763"):
        assert [row.reward for row in reward.price([BAD], [1.0])] == [None]
        reward.price([BAD] * 20, [1.0] * 20)


@pytest.mark.parametrize("gains", [(NAN, 0.1, 0.1), (0.1, INF, 0.1), (0.1, 0.1, -0.1)])
def test_gains_that_are_no_numbers_are_refused(gains: tuple[float, float, float]) -> None:
    with refused("PK765"):
        rw.Pid({"a": 0.1}, gains=gains)


def damaged(state: dict[str, Any]) -> list[dict[str, Any]]:
    """The state with each of its parts in turn without a name, with one too many, and with what is no number."""
    found = []
    for key, values in state.items():
        if isinstance(values, dict):
            for name in values:
                is_list = isinstance(values[name], list)
                for wrong in (None, "1", [NAN] if is_list else NAN, ["x"] if is_list else INF):
                    found.append({**state, key: {**values, name: wrong}})
                found.append({**state, key: {}})
            found.append({**state, key: None})
    return found


@pytest.mark.parametrize("kind", MAKERS)
def test_a_damaged_checkpoint_is_refused_and_leaves_all_as_it_was(kind: str) -> None:
    first = MAKERS[kind]()
    for _ in range(4):
        first.observe([BROKEN] * 5)
    states = damaged(json.loads(json.dumps(first.state_dict())))
    assert len(states) >= 5
    for state in states:
        own = MAKERS[kind]()
        before = json.dumps(own.state_dict())
        with refused("PK765"):
            own.load_state_dict(state)
        assert json.dumps(own.state_dict()) == before


def test_weights_that_are_loaded_stay_within_the_bounds_of_the_run() -> None:
    """A run may go on with narrower ones."""
    wide = rw.Lagrangian({"a": 0.5}, rate=50.0, bounds=(1e-3, 1e6))
    for _ in range(60):
        wide.observe([BROKEN] * 6)
    assert wide.weights["a"] > 1e3
    narrow = rw.Lagrangian({"a": 0.5}, bounds=(0.1, 2.0))
    narrow.load_state_dict(wide.state_dict())
    assert narrow.weights["a"] == pytest.approx(2.0)
    narrow.observe([{"a": 0.0}] * 400)
    assert narrow.weights["a"] < 2.0, "and moves from there at once"
    pid = rw.Pid({"a": 0.1}, initial=9.0)
    small = rw.Pid({"a": 0.1}, maximum=1.0)
    small.load_state_dict(pid.state_dict())
    assert small.weights["a"] <= 1.0
