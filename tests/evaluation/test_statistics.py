"""Bounds and tests against exact arithmetic with fractions, and against published numbers."""

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings, strategies as st

from policykit.evaluation.statistics import bootstrap, clopper_pearson, rate, sign_test, spread, win_rate


def at_most(k: int, n: int, p: Fraction) -> Fraction:
    return sum((comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1)), Fraction(0))


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        # Beta quantiles as published: R's binom.test, and Clopper and Pearson's own table for n = 10.
        (0, 10, 0.0, 0.3084971),
        (1, 10, 0.002528579, 0.4450161),
        (5, 10, 0.1870860, 0.8129140),
        (10, 10, 0.6915029, 1.0),
        (0, 150, 0.0, 1 - 0.025 ** (1 / 150)),
        (682, 925, 0.7076683, 0.7654066),
    ],
)
def test_bounds_are_those_of_the_literature(k: int, n: int, low: float, high: float) -> None:
    assert clopper_pearson(k, n) == pytest.approx((low, high), rel=2e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_at_the_bounds_the_exact_tails_are_half_of_what_is_left(n: int, data: st.DataObject, confidence: float) -> None:
    k = data.draw(st.integers(0, n))
    low, high = clopper_pearson(k, n, confidence)
    tail = (1 - confidence) / 2
    if k < n:
        assert float(at_most(k, n, Fraction(high))) == pytest.approx(tail, rel=1e-9)
    if k > 0:
        assert float(1 - at_most(k - 1, n, Fraction(low))) == pytest.approx(tail, rel=1e-9)
    assert low <= k / n <= high


@pytest.mark.parametrize("p", [0.003, 0.05, 0.5])
def test_no_true_share_is_missed_more_often_than_promised(p: float) -> None:
    n = 80
    missed = 0.0
    for k in range(n + 1):
        low, high = clopper_pearson(k, n)
        missed += 0.0 if low <= p <= high else comb(n, k) * p**k * (1 - p) ** (n - k)
    assert missed <= 0.05


def test_no_interval_of_nonsense() -> None:
    for k, n in ((-1, 3), (4, 3)):
        with pytest.raises(ValueError, match="no interval"):
            clopper_pearson(k, n)
    assert rate(0, 0).value is None


@settings(deadline=None)
@given(st.integers(0, 7), st.integers(0, 7))
def test_the_sign_test_counts_the_outcomes_that_are_as_lopsided(better: int, worse: int) -> None:
    n = better + worse
    gap = abs(better - worse)
    as_lopsided = sum(abs(2 * bits.bit_count() - n) >= gap for bits in range(2**n))
    assert sign_test(better, worse) == pytest.approx(as_lopsided / 2**n)


def test_a_bootstrap_is_seeded_and_near_the_normal_bounds() -> None:
    values = [float(i % 2) for i in range(400)]
    one = bootstrap(values, seed=3)
    assert one is not None
    assert one == bootstrap(values, seed=3)
    assert one != bootstrap(values, seed=4)
    assert one.value == 0.5
    assert (one.low, one.high) == pytest.approx((0.5 - 1.96 * 0.025, 0.5 + 1.96 * 0.025), abs=0.006)
    assert bootstrap([]) is None


def test_a_constant_difference_has_no_spread() -> None:
    found = bootstrap([-1.0] * 7)
    assert found is not None
    assert (found.value, found.low, found.high) == (-1.0, -1.0, -1.0)


def test_wins_ties_and_losses_are_counted_and_keys_compared_from_the_left() -> None:
    found = win_rate([((0.0, 1.0), (-1.0, 9.0)), ((0.0, 0.5), (0.0, 0.5)), ((0.0, 0.1), (0.0, 0.2)), None])
    assert (found.n_won, found.n_tied, found.n_lost, found.n_left_out) == (1, 1, 1, 1)
    assert found.estimate is not None
    assert (found.estimate.value, found.p) == (0.5, 1.0)


def test_a_spread_is_that_of_the_values() -> None:
    found = spread([4.0, 1.0, 2.0, 3.0, 5.0])
    assert found is not None
    assert (found.mean, found.median, found.minimum, found.maximum, found.q25) == (3.0, 3.0, 1.0, 5.0, 2.0)
    assert found.deviation == pytest.approx(2**0.5)
