"""Forgiving debts lazily, against what it is defined to be."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, strategies as st

from policykit.engines.debts import Debts
from policykit.engines.mask_time import EVERYDAY_S, EngineShare
from tests.engines.simple_share import SimpleShare
from tests.engines.test_mask_time import Clock


@given(
    st.dictionaries(st.text(max_size=2), st.floats(0.001, 5), max_size=8),
    st.floats(0.001, 20),
    st.floats(0, 5),
    st.floats(0, 2),
)
def test_a_part_is_where_the_debts_up_to_it_are_the_total(
    amounts: Mapping[str, float], total: float, forgiven: float, least: float
) -> None:
    """By bisection."""
    debts = Debts()
    for name, amount in amounts.items():
        debts.put(name, amount + forgiven)
    assert debts.forgive(forgiven * len(amounts)) == []
    found = debts.part(total, least)
    assert debts.total == pytest.approx(sum(amounts.values()), abs=1e-9)
    if sum(amounts.values()) <= total - 1e-9:
        assert found == math.inf
        return
    low, high = 0.0, 5.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(min(middle, one) for one in amounts.values()) < total else (low, middle)
    assert found == math.inf or found == pytest.approx(max(least, high), abs=1e-9)
    for name, amount in amounts.items():
        if abs(amount - high) > 1e-9 and found < math.inf:
            assert debts.exceeds(name, total) == (amount > high)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["", "a", "b", "c"]),
        st.integers(0, 9),
        st.one_of(st.floats(0, 1), st.sampled_from([0.0004, 0.0199, 0.0451])),
        st.one_of(st.just(0.0), st.floats(0, 30)),
    ),
    max_size=120,
)


@given(STEPS)
def test_forgiving_lazily_is_forgiving_at_once(steps: list[tuple[str, int, float, float]]) -> None:
    """Against the definition, which writes every purse anew each time: what is owed, and who may go on."""
    clock = Clock()
    share, simple = EngineShare(clock), SimpleShare(clock)
    owing: set[tuple[str, str]] = set()
    for payer, n, seconds, passes in steps:
        clock.now += passes
        plan = f"{payer}{n}"
        owing.add((plan, payer))
        share.take(plan, seconds, payer)
        simple.take(plan, seconds, payer)
        over = simple.over_by(payer or plan)
        assert share.is_over(payer or plan) == (over > 0) or abs(over) < 1e-9
        for one, whose in owing:
            assert share.owed_s(one, whose) == pytest.approx(simple.owed_s(one, whose), abs=1e-9)
            spent = simple.spent_by(one, whose)
            assert share.is_spent(one, whose) == (spent > 0) or abs(spent) < 1e-9


def test_a_mask_is_counted_without_looking_at_who_else_owes() -> None:
    """By counting what is looked at: of ten thousand plans that owe, at none."""
    clock = Clock()
    share = EngineShare(clock)
    for n in range(10_000):
        share.take(f"{n}", EVERYDAY_S + 1e-4, f"t{n % 100}")
    looked_at: list[str] = []

    class Counted(dict[str, float]):
        def __getitem__(self, name: str) -> float:
            looked_at.append(name)
            return super().__getitem__(name)

        def get(self, name: str, default: float = 0.0) -> float:  # type: ignore[override]
            looked_at.append(name)
            return super().get(name, default)

        def values(self) -> Any:
            looked_at.extend(self)
            return super().values()

        items = values

    for debts in (share._payers, *(purse.plans for purse in share._purses.values())):  # pyright: ignore
        debts._gone_at = Counted(debts._gone_at)  # pyright: ignore
    for _ in range(10):
        clock.now += 1e-6
        share.take("new", EVERYDAY_S + 0.035, "t1")
        assert not share.is_spent("new", "t1")
    assert set(looked_at) <= {"new", "t1"}
