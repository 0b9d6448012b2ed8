"""Rewards against hand-derived numbers; whatever cannot be priced is refused, each with its code."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

import policykit as pk
from policykit import rewards as rw
from policykit.ir.document import PolicySet
from policykit.ir.verdict import CheckError

BAD, VERY_BAD, GOOD = "It has guaranteed returns.", "guaranteed returns, risk free", "It may fall."


def policies(*rules: dict[str, Any], name: str = "promises") -> PolicySet:
    metadata = {"name": name, "version": "1.0.0", "owner": "a@example.org", "why": "to be priced"}
    document = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": list(rules)}
    return PolicySet((pk.parse_document(json.dumps(document), "p.policy.yaml"),))


def blocked(id: str, phrase: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "match": {"phrases": [phrase]}, "action": {"block": {}}, **more}


PLAN = pk.compile(
    policies(
        blocked("guarantees", "guaranteed returns"),
        blocked("risk", "risk free", cost=0.25),
        blocked("watched", "may fall", mode="shadow"),
    )
)
FAILS = pk.compile(policies(blocked("facts", "fall", when="user.role == 'x'")))


def refused(code: str) -> Any:
    return pytest.raises(pk.PolicyError, match=code)


def fixed(**weights: float) -> rw.PolicyReward:
    return rw.PolicyReward(PLAN, rw.Fixed(weights or {"guarantees": 2.0, "risk": 1.0}))


def test_costs_are_sums_by_rule_and_at_most_one() -> None:
    costs = rw.CostModel(PLAN)
    assert costs.of(PLAN.verify(VERY_BAD)).by_group == {"guarantees": 1.0, "risk": 0.25}
    assert costs.of(PLAN.verify("risk free " * 3)).by_group == {"guarantees": 0.0, "risk": 0.75}
    assert costs.of(PLAN.verify("risk free " * 9)).by_group == {"guarantees": 0.0, "risk": 1.0}
    assert costs.of(PLAN.verify(GOOD)).by_group == {"guarantees": 0.0, "risk": 0.0}
    both = rw.CostModel(PLAN, [rw.Group("promises", ("guarantees", "risk"))])
    assert both.of(PLAN.verify(VERY_BAD)).by_group == {"promises": 1.0}
    with refused("PK762"):
        costs.of(FAILS.verify(GOOD))


def test_the_grammar_has_a_cost_of_its_own() -> None:
    plan = pk.compile(policies(blocked("guarantees", "guaranteed returns")), pk.Grammar.from_choices(["yes", "no"]))
    assert rw.CostModel(plan).of(plan.verify("maybe")).by_group == {"guarantees": 0.0, "grammar": 1.0}


@pytest.mark.parametrize(
    "groups",
    [
        [("a", ("guarantees",))],  # risk in none
        [("a", ("guarantees", "risk", "nothing"))],
        [("a", ("guarantees", "risk")), ("b", ("risk",))],
        [("a", ("guarantees", "risk", "watched"))],  # shadow: no weight enforces a rule
        [("a", ("guarantees",)), ("a", ("risk",))],
    ],
)
def test_groups_that_do_not_fit_the_plan_are_refused(groups: Sequence[tuple[str, tuple[str, ...]]]) -> None:
    with refused("PK764"):
        rw.CostModel(PLAN, [rw.Group(*group) for group in groups])


def test_weights_that_do_not_fit_are_refused() -> None:
    for weights in ({"guarantees": 1.0}, {"guarantees": 1.0, "risk": -1.0}, {"guarantees": 1.0, "risk": math.nan}):
        with refused("PK764"):
            rw.PolicyReward(PLAN, rw.Fixed(weights))
    hallucination = rw.Fixed({rw.HALLUCINATION: 1.0})
    with refused("PK764"):
        rw.PolicyReward(PLAN, hallucination, [rw.Group(rw.HALLUCINATION, ("guarantees", "risk"))])


def test_the_composed_reward_is_as_calculated_by_hand() -> None:
    reward = rw.PolicyReward(PLAN, rw.Fixed({"guarantees": 2.0, "risk": 1.0}), hallucination_weight=0.5)
    rows = reward.price([GOOD, BAD, VERY_BAD], [1.0, 1.0, 0.0], [0.0, 0.0, 0.4])
    # (1)/4.5, (1 - 2)/4.5, (0 - 2 - 0.25 - 0.2)/4.5
    assert [row.reward for row in rows] == pytest.approx([1 / 4.5, -1 / 4.5, -2.45 / 4.5])
    assert rows[2].fired == ("guarantees", "risk")


numbers = st.floats(-5, 5)
shares = st.floats(0, 1)
weights = st.floats(0, 100)


@given(numbers, shares, shares, weights, weights)
def test_the_composed_reward_stays_on_its_scale_and_falls_with_costs(
    task: float, v: float, h: float, weight: float, hall: float
) -> None:
    lambdas = {"a": weight, rw.HALLUCINATION: hall}
    composed = rw.compose(task, {"a": v}, lambdas, h)
    without = rw.compose(task, {"a": 0.0}, lambdas, h)
    assert composed is not None
    assert without is not None
    assert composed <= without
    assert abs(composed) <= max(abs(task), 1.0) + 1e-9


@given(st.lists(st.sampled_from(["task", "costs", "hallucination"]), min_size=1))
def test_a_missing_term_leaves_no_reward(missing: list[str]) -> None:
    terms: dict[str, Any] = {"task": 1.0, "costs": {"a": 0.0}, "hallucination": 0.0} | dict.fromkeys(missing)
    assert rw.compose(terms["task"], terms["costs"], {"a": 1.0}, terms["hallucination"]) is None


def test_a_check_that_fails_loses_the_row_and_too_many_stop_the_run() -> None:
    log: list[rw.RewardRow] = []
    reward = rw.PolicyReward(FAILS, max_lost=0.25, window=8, log=log.append)
    facts = {"user": {"role": "x"}}
    rows = reward.price([GOOD] * 4, [1.0] * 4, facts=[facts, {}, facts, {}])
    assert [row.reward for row in rows] == [0.0, None, 0.0, None]
    assert "is not known" in rows[1].errors[0]
    assert reward.n_lost == 2
    with refused("PK763"):
        reward.price([GOOD], [1.0], facts=[{}])
    assert len(log) == 5
    lost = fixed().price([GOOD], [None])[0]
    assert (lost.reward, lost.errors) == (None, ("task: no reward",))


def test_an_error_of_a_rule_in_shadow_costs_nothing() -> None:
    verdict = replace(PLAN.verify(GOOD), errors=(CheckError("watched", "gone"),))
    assert rw.CostModel(PLAN).of(verdict).errors == ()
    verdict = replace(PLAN.verify(GOOD), errors=(CheckError("risk", "gone"),))
    assert rw.CostModel(PLAN).of(verdict).errors == ("risk: gone",)


def test_rewards_that_cannot_be_used_are_refused() -> None:
    for task, hallucination in (([1.0], None), ([1.0, math.inf], None), ([1.0, math.nan], None), ([1.0, 1.0], [0, 2])):
        with refused("PK761"):
            fixed().price([GOOD, BAD], task, hallucination)
    with refused("PK761"):
        fixed().price([GOOD, BAD], [1.0, 1.0], facts=[{}])


def test_every_row_carries_the_digest_of_the_verifier() -> None:
    log: list[rw.RewardRow] = []
    rw.PolicyReward(PLAN, log=log.append).price([GOOD, BAD], [1.0, 1.0])
    assert {row.bundle_digest for row in log} == {PLAN.bundle_digest}
    assert {row.plan_digest for row in log} == {PLAN.verify(GOOD).digest}
    assert json.loads(json.dumps(log[0].as_json()))["bundle_digest"] == PLAN.bundle_digest
