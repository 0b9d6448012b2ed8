"""Facts are those of their own row: in a batch a row costs what it costs alone, whatever stands beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

import policykit as pk
from policykit import rewards as rw
from policykit.training.rl.price import Pricer, columns_of
from policykit.training.rl.rollouts import Prompt, Rollouts
from tests.plan.documents import of, rule

WAIVED: dict[str, Any] = {"id": "ok", "approvedBy": "a@b.example", "expires": "2099-01-01", "reason": "w"}
PLAN = pk.compile(
    of(
        {
            **rule("words", {"phrases": ["risk free"]}, {"block": {}}),
            "except": [{**WAIVED, "when": "reviewed == true"}],
        }
    )
)
FACTS: tuple[Mapping[str, object] | None, ...] = (None, {}, {"reviewed": True}, {"reviewed": False}, {"other": 1})
COST = (1.0, 1.0, 0.0, 1.0, 1.0)
"""By hand: a text that the rule forbids costs 1 unless it was reviewed."""
names = st.sampled_from(["facts", "domain", "answer"])


def one(prompts: Any, completions: Any, **columns: Any) -> list[float | None]:
    of_trl = {name: columns.pop(name) for name in ("log_metric", "log_extra")}
    assert all(map(callable, of_trl.values()))
    assert all(len(column) == len(completions) for column in columns.values())
    return [1.0] * len(completions)


def prompt(facts: Mapping[str, object] | None) -> Prompt:
    return Prompt("a", (1,), {} if facts is None else {"facts": facts})


def rollouts(prompts: Sequence[Prompt]) -> Rollouts:
    n = len(prompts)
    texts = ("it is risk free",) * n
    return Rollouts(tuple(prompts), ((1,),) * n, texts, ((0.0,),) * n, (True,) * n, rw.RolloutMode.FREE)


@settings(deadline=None)  # the first batch loads what the others find
@given(st.lists(st.integers(0, len(FACTS) - 1), min_size=1, max_size=6))
def test_a_batch_costs_what_its_rows_do(chosen: list[int]) -> None:
    priced = Pricer(rw.PolicyReward(PLAN), one).price(rollouts([prompt(FACTS[i]) for i in chosen]))
    assert priced.has.all()
    assert priced.costs[:, 0].tolist() == [COST[i] for i in chosen]


@given(st.lists(st.dictionaries(names, st.integers()), min_size=1, max_size=5))
def test_no_column_of_any_row_is_lost(rows: list[dict[str, int]]) -> None:
    columns = columns_of([Prompt("a", (1,), row) for row in rows])
    assert set(columns) == {name for row in rows for name in row}
    for i, row in enumerate(rows):
        assert {name: column[i] for name, column in columns.items() if column[i] is not None} == row


def test_rows_without_facts_are_priced_beside_others() -> None:
    reward = rw.PolicyReward(PLAN)
    found = reward.price(["it is risk free"] * 2, [1.0, 1.0], facts=[None, {"reviewed": True}])
    assert [row.reward for row in found] == pytest.approx([0.0, 0.5])  # (1 - cost) / (1 + the rule's weight)
