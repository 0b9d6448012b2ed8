"""Losses, advantages and values against numbers that were derived by hand."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st

from policykit.training import estimators as est, ppo, preferences as pref


def t(*values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


logps = st.floats(-50, 0)


@given(logps, logps, st.sampled_from([0.0, 0.1, 0.5]))
def test_dpo_is_log_two_where_policy_and_reference_agree(chosen: float, rejected: float, smoothing: float) -> None:
    terms = t(chosen), t(rejected), t(chosen), t(rejected)
    assert pref.dpo_loss(*terms, label_smoothing=smoothing).item() == pytest.approx(math.log(2))


def test_dpo_by_hand() -> None:
    # Δ = (−1 + 3) − (−2 + 2) = 2, β Δ = 1
    terms = t(-1), t(-3), t(-2), t(-2)
    assert pref.dpo_loss(*terms, beta=0.5).item() == pytest.approx(-math.log(sigmoid(1)))
    assert pref.dpo_loss(*terms, beta=0.5, margin=t(1)).item() == pytest.approx(math.log(2))
    smooth = -0.9 * math.log(sigmoid(1)) - 0.1 * math.log(sigmoid(-1))
    assert pref.dpo_loss(*terms, beta=0.5, label_smoothing=0.1).item() == pytest.approx(smooth)


def test_ipo_simpo_and_orpo_by_hand() -> None:
    assert pref.ipo_loss(t(-1), t(-3), t(-2), t(-2), beta=0.25).item() == pytest.approx(0.0)  # Δ = 2 = 1/(2β)
    assert pref.ipo_loss(t(-1), t(-3), t(-2), t(-2), beta=0.5).item() == pytest.approx(1.0)
    assert pref.simpo_loss(t(-1), t(-1.5), beta=2.0, gamma=1.0).item() == pytest.approx(math.log(2))
    # probabilities 1/2 and 1/4: odds 1 and 1/3, ratio 3, σ(log 3) = 3/4
    found = pref.orpo_loss(t(math.log(0.5)), t(math.log(0.25)), t(2.0), beta=0.5)
    assert found.item() == pytest.approx(2 - 0.5 * math.log(0.75))


def test_kto_by_hand() -> None:
    is_desirable = torch.tensor([True, False])
    found = pref.kto_loss(t(-1, -1), t(-3, -3), is_desirable, t(1.0)[0], beta=1.0, undesirable_weight=2.0)
    assert found.tolist() == pytest.approx([1 - sigmoid(1), 2 * (1 - sigmoid(-1))])
    below = pref.kto_loss(t(-1, -1), t(-1, -1), is_desirable, t(-5.0)[0])
    assert below.tolist() == pytest.approx([0.5, 0.5])  # a KL below 0 is an estimate of 0


def test_gradients_of_preferences_are_finite_differences() -> None:
    a, b, c, d = (x.requires_grad_() for x in (t(-1, -0.1), t(-3, -2), t(-2, -1), t(-2.5, -0.7)))
    for loss in (pref.dpo_loss, pref.ipo_loss):
        assert torch.autograd.gradcheck(lambda x, y, loss=loss: loss(x, y, c.detach(), d.detach()), (a, b))
    assert torch.autograd.gradcheck(pref.simpo_loss, (a, b))
    assert torch.autograd.gradcheck(pref.orpo_loss, (a, b, c))


def test_advantages_by_hand() -> None:
    rewards = t(1, 2, 6, 0, 4, 8)
    assert est.group_advantages(rewards, 3).tolist() == pytest.approx([-3, -1.5, 4.5, -6, 0, 6])
    assert est.group_advantages(rewards, 3, leave_one_out=False).tolist() == pytest.approx([-2, -1, 3, -4, 0, 4])


def test_a_row_without_a_reward_is_in_no_baseline() -> None:
    rewards = t(1, math.nan, 5, math.nan, math.nan, 8)
    has = ~rewards.isnan()
    assert est.group_advantages(rewards, 3, has).tolist() == pytest.approx([-4, 0, 4, 0, 0, 0])


def test_the_clipped_loss_by_hand() -> None:
    # ρ: 1.5 with A = 1 clips to 1.2, 0.5 with A = 1 stays, 1.5 with A = −1 stays, the fourth does not count
    logp = t(1.5, 0.5, 1.5, 9.0).log().reshape(1, 4)
    counts = torch.tensor([[True, True, True, False]])
    advantages = t([1, 1, -1, 1])
    loss = est.token_ratio_loss(logp, torch.zeros_like(logp), advantages, counts)
    assert loss.item() == pytest.approx(-(1.2 + 0.5 - 1.5) / 3)
    fixed = est.token_ratio_loss(logp, torch.zeros_like(logp), advantages, counts, max_tokens=8)
    assert fixed.item() == pytest.approx(-(1.2 + 0.5 - 1.5) / 8)
    assert est.token_ratio_loss(logp, logp, advantages, counts & False).item() == 0.0


def test_gae_by_hand() -> None:
    # γ = 1/2, λ = 1/2; the second row ends after two tokens
    rewards, values = t([1, 0, 2], [0, 4, 9]), t([1, 2, 4], [2, 2, 9])
    is_real = torch.tensor([[True, True, True], [True, True, False]])
    advantages, returns = ppo.gae(rewards, values, is_real, gamma=0.5, decay=0.5)
    # row 1: δ = (1 + 1 − 1, 0 + 2 − 2, 2 − 4) = (1, 0, −2); row 2: δ = (0 + 1 − 2, 4 − 2) = (−1, 2)
    assert advantages.tolist() == [pytest.approx([0.875, -0.5, -2]), pytest.approx([-0.5, 2, 0])]
    assert returns.tolist() == [pytest.approx([1.875, 1.5, 2]), pytest.approx([1.5, 4, 0])]


def test_the_kl_has_one_weight_for_every_lambda() -> None:
    logp, ref = t([-1, -2, -7]), t([-2, -2, -1])
    is_real = torch.tensor([[True, True, False]])
    reward, cost = ppo.token_rewards(logp, ref, is_real, t(3), t(90), kl_coef=0.1)
    assert reward.tolist() == [pytest.approx([-0.1, 3, 0])]
    assert cost.tolist() == [pytest.approx([0.1, 50, 0])]
    for weight in (0.0, 1.0, 9.0):
        combined = ppo.combined_advantages(reward, cost, weight)
        assert combined[0, 0].item() == pytest.approx(-0.1)
        assert combined[0, 1].item() == pytest.approx((3 - weight * 50) / (1 + weight))


def test_the_value_loss_by_hand() -> None:
    values, old, returns = t([3, 1, math.nan]), t([0, 1, 0]), t([1, 3, 0])
    is_real = torch.tensor([[True, True, False]])
    # (3 − 1)² against (0.5 − 1)² and (1 − 3)²: ½ · (4 + 4) / 2
    assert ppo.value_loss(values, old, returns, is_real, clip=0.5).item() == pytest.approx(2.0)
    values = t([0.2, 1, 0])
    # 0.2 within the clip: ½ · (0.64 + 4) / 2
    assert ppo.value_loss(values, old, returns, is_real, clip=0.5).item() == pytest.approx(1.16)
