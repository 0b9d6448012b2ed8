"""Temperatures and calibration errors against a grid, against numbers by hand, and on pairs whose truth is known."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from policykit.training import calibration as cal

margins = st.lists(st.floats(-20, 20).filter(lambda x: abs(x) > 1e-3), min_size=1, max_size=30)


@given(margins)
def test_the_temperature_is_where_a_grid_has_its_least(found: list[float]) -> None:
    t = cal.temperature(found)
    if t is None:
        assert sum(found) <= 1e-9
        return
    target = (len(found) + 1) / (len(found) + 2)

    def loss(at: float) -> float:
        each = [-target * math.log1p(math.exp(-abs(m / at))) - target * max(0.0, -m / at) for m in found]
        other = [-(1 - target) * math.log1p(math.exp(-abs(m / at))) - (1 - target) * max(0.0, m / at) for m in found]
        return -math.fsum([*each, *other])

    grid = [t * 1.02**i for i in range(-60, 61)]
    assert loss(t) <= min(map(loss, grid)) + 1e-9


@given(margins, st.floats(1e-3, 1e3))
def test_rewards_of_another_unit_have_a_temperature_of_that_unit(found: list[float], unit: float) -> None:
    t, scaled = cal.temperature(found), cal.temperature([unit * m for m in found])
    if t is not None and scaled is not None and abs(sum(found)) > 1e-6:
        assert scaled == pytest.approx(unit * t, rel=1e-6)


@given(margins)
def test_bins_hold_every_pair_once(found: list[float]) -> None:
    bins = cal.bins(found, 2.0)
    assert sum(one.n for one in bins) == len(found)
    assert sum(one.n * one.accuracy for one in bins) / len(found) == pytest.approx(cal.accuracy(found))
    assert all(0.5 <= one.confidence <= 1 for one in bins)
    assert 0 <= cal.calibration_error(bins) <= 1


def test_a_calibration_error_by_hand() -> None:
    # confidences: σ(±log 3) = 3/4 for three pairs of which two are right, σ(log 19) = 0.95 for one that is right
    found = cal.bins([math.log(3), math.log(3), -math.log(3), math.log(19)])
    assert [(one.n, one.accuracy) for one in found] == [(3, pytest.approx(2 / 3)), (1, 1.0)]
    assert [one.confidence for one in found] == pytest.approx([0.75, 0.95])
    assert cal.calibration_error(found) == pytest.approx((3 * (0.75 - 2 / 3) + 0.05) / 4)
    assert cal.nll([math.log(3), -math.log(3)]) == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)
    assert cal.accuracy([1.0, 0.0, -2.0]) == 0.5


def test_pairs_that_are_all_right_have_a_temperature_by_hand() -> None:
    # one pair with the target 2/3: σ(Δ/T) = 2/3, Δ/T = log 2
    assert cal.temperature([3.0]) == pytest.approx(3.0 / math.log(2))
    assert cal.temperature([]) is None
    assert cal.temperature([1.0, -1.0]) is None
    assert cal.temperature([-3.0, 1.0]) is None


def test_an_overconfident_model_is_calibrated_and_is_told_so_by_pairs_that_were_not_fitted() -> None:
    rng = np.random.default_rng(7)
    truth = rng.normal(0.0, 1.5, 6000)  # log-odds
    wins = rng.random(6000) < 1 / (1 + np.exp(-truth))
    margins = (4.0 * np.where(wins, truth, -truth)).tolist()
    found = cal.calibrate(margins, [i % 2 for i in range(6000)])
    assert found is not None
    assert found.temperature == pytest.approx(4.0, rel=0.08)
    assert found.error_after is not None
    assert found.nll_after is not None
    assert found.error_before > 0.1 > 0.03 > found.error_after
    assert found.nll_after < found.nll_before
    assert cal.calibrate([], []) is None
    alone = cal.calibrate([2.0, 3.0], [0, 0])  # no pairs in one half
    assert alone is not None
    assert (alone.after, alone.nll_after, alone.error_after) == (None, None, None)
