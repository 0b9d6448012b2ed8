"""Controllers against hand arithmetic; λ survives a restart."""

import json
import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings, strategies as st

import policykit as pk
from policykit.rewards import Controller, Fixed, Lagrangian, Pid, PolicyReward, RolloutMode

from .test_rewards import BAD, GOOD, PLAN, refused

BROKEN, KEPT = {"a": 0.5}, {"a": 0.0}

MAKERS: dict[str, Callable[[], Controller]] = {
    "fixed": lambda: Fixed({"a": 2.0}),
    "lagrangian": lambda: Lagrangian({"a": 0.25}, rate=0.5),
    "pid": lambda: Pid({"a": 0.25}, gains=(0.5, 0.2, 0.3), delay=2),
}


def test_the_lagrangian_waits_for_three_over_limit_samples() -> None:
    controller = Lagrangian({"a": 0.25}, rate=0.5)
    controller.observe([BROKEN] * 11)
    assert controller.weights == {"a": 1.0}
    controller.observe([KEPT])  # 12 = 3 / 0.25 samples, 11 of them broken: log λ = 0.5 · (11/12 − 1/4) · 1
    assert controller.weights["a"] == pytest.approx(math.exp(0.5 * (11 / 12 - 0.25)))


def test_the_lagrangian_stays_within_its_bounds() -> None:
    controller = Lagrangian({"a": 0.5}, rate=5.0, bounds=(0.5, 2.0))
    for _ in range(20):
        controller.observe([BROKEN] * 6)
    assert controller.weights["a"] == pytest.approx(2.0)
    for _ in range(200):
        controller.observe([KEPT] * 6)
    assert controller.weights["a"] == pytest.approx(0.5)


def test_the_pid_controller_is_as_calculated_by_hand() -> None:
    controller = Pid({"a": 0.25}, gains=(1.0, 0.5, 2.0), smoothing=0.5, delay=1)
    controller.observe([BROKEN, BROKEN])  # δ .75: I .375, P .375, D 0
    assert controller.weights["a"] == pytest.approx(0.75)
    controller.observe([KEPT, KEPT])  # δ −.25: I .25, P .0625, averaged share 1 → .5: D 0
    assert controller.weights["a"] == pytest.approx(0.3125)
    controller.observe([BROKEN, BROKEN])  # δ .75: I .625, P .40625, .5 → .75: D .25
    assert controller.weights["a"] == pytest.approx(0.625 + 0.40625 + 0.5)


@pytest.mark.parametrize("kind", MAKERS)
@settings(max_examples=25, deadline=None)
@given(before=st.lists(st.lists(st.booleans(), max_size=9), max_size=9), after=st.lists(st.lists(st.booleans())))
def test_lambda_survives_a_restart(kind: str, before: list[list[bool]], after: list[list[bool]]) -> None:
    whole, first, second = (MAKERS[kind]() for _ in range(3))
    for batch in before:
        rows = [BROKEN if broken else KEPT for broken in batch]
        whole.observe(rows)
        first.observe(rows)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert second.weights == first.weights
    for batch in after:
        rows = [BROKEN if broken else KEPT for broken in batch]
        whole.observe(rows)
        second.observe(rows)
    assert second.weights == whole.weights


@pytest.mark.parametrize("kind", MAKERS)
def test_a_checkpoint_of_another_controller_is_refused(kind: str) -> None:
    others = [make().state_dict() for other, make in MAKERS.items() if other != kind]
    for state in (*others, {}, {"kind": kind}):
        with refused("PK765"):
            MAKERS[kind]().load_state_dict(state)
    with refused("PK765"):
        Fixed({"a": 1.0}).load_state_dict(Fixed({"a": 2.0}).state_dict())


@pytest.mark.parametrize(
    "make",
    [
        lambda: Lagrangian({"a": 0.0}),
        lambda: Lagrangian({"a": 1.0}),
        lambda: Lagrangian({"a": 0.01}, window=299),
        lambda: Lagrangian({"a": 0.1}, rate=0.0),
        lambda: Lagrangian({"a": 0.1}, initial=20.0),
        lambda: Pid({"a": -0.1}),
        lambda: Pid({"a": 0.1}, gains=(-1.0, 0.0, 0.0)),
        lambda: Pid({"a": 0.1}, delay=0),
    ],
)
def test_settings_that_cannot_work_are_refused(make: Callable[[], Controller]) -> None:
    with refused("PK765"):
        make()
    Lagrangian({"a": 0.01}, window=300)


def test_only_free_rollouts_move_lambda() -> None:
    limits = {"guarantees": 0.5, "risk": 0.5}
    for mode in RolloutMode:
        reward = PolicyReward(PLAN, Lagrangian(limits), mode=mode)
        reward.price([BAD] * 6, [1.0] * 6)
        assert (reward.weights["guarantees"] > 1.0) == (mode is RolloutMode.FREE)


def test_rewards_survive_a_restart_under_the_same_bundle_only() -> None:
    def made(plan: pk.Plan = PLAN) -> PolicyReward:
        return PolicyReward(plan, Lagrangian({"guarantees": 0.5, "risk": 0.5}))

    reward = made()
    reward.price([BAD, GOOD] * 6, [1.0] * 12)
    state = json.loads(json.dumps(reward.state_dict()))
    again = made()
    again.load_state_dict(state)
    assert again.weights == reward.weights != made().weights
    with refused("PK762"):
        again.load_state_dict({**state, "bundle_digest": "sha256:0"})
    with refused("PK765"):
        again.load_state_dict({"bundle_digest": PLAN.bundle_digest})
