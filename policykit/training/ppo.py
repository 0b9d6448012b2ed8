"""PPO with a reward and a cost critic (PPO-Lagrangian, Dai et al. 2023), as functions of tensors.

The policy's loss is :func:`policykit.training.estimators.token_ratio_loss` on the combined advantages.
"""

from collections.abc import Callable, Sequence

import torch


def token_rewards(
    logp: torch.Tensor,
    ref_logp: torch.Tensor,
    is_real: torch.Tensor,
    rewards: torch.Tensor,
    costs: torch.Tensor,
    *,
    kl_coef: float = 0.01,
    clip: float = 50.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rewards and costs of every token, both [B, T], from those of whole rows, [B].

    The KL to the reference is taken from rewards and added to costs, token by token, so that (A_r − λ·A_c)/(1 + λ)
    holds it with the weight ``kl_coef`` for every λ. What a row as a whole gets stands at its last real token.
    """
    kl = torch.where(is_real, kl_coef * (logp - ref_logp), 0.0).detach()
    positions = torch.arange(is_real.shape[1], device=is_real.device)
    last = torch.where(is_real, positions, -1).amax(-1)
    at_end = (positions == last[:, None]).to(logp.dtype)
    reward = rewards.clamp(-clip, clip)[:, None] * at_end - kl
    cost = costs.clamp(-clip, clip)[:, None] * at_end + kl
    return reward, cost


def gae(
    rewards: torch.Tensor, values: torch.Tensor, is_real: torch.Tensor, *, gamma: float = 1.0, decay: float = 0.95
) -> tuple[torch.Tensor, torch.Tensor]:
    """Advantages and returns, [B, T], without gradient (Schulman et al. 2016, eq. 16); both 0 at padding.

    ``rewards``, ``values`` [B, T]; padding stands on the right, and beyond a row's end the value is 0.
    """
    rewards, values = rewards.detach(), torch.where(is_real, values, 0.0).detach()
    advantages = torch.zeros_like(values)
    running = torch.zeros_like(values[:, 0])
    following = torch.zeros_like(running)
    for t in reversed(range(values.shape[1])):
        delta = rewards[:, t] + gamma * following - values[:, t]
        running = torch.where(is_real[:, t], delta + gamma * decay * running, 0.0)
        advantages[:, t] = running
        following = values[:, t]
    return advantages, torch.where(is_real, advantages + values, 0.0)


def combined_advantages(
    reward_advantages: torch.Tensor, cost_advantages: torch.Tensor, weight: torch.Tensor | float
) -> torch.Tensor:
    """(A_r − λ·A_c) / (1 + λ): on one scale while λ grows."""
    return (reward_advantages - weight * cost_advantages) / (1.0 + weight)


def value_loss(
    values: torch.Tensor, old_values: torch.Tensor, returns: torch.Tensor, is_real: torch.Tensor, *, clip: float = 5.0
) -> torch.Tensor:
    """½·mean over real tokens of max((V − R)², (V_clipped − R)²), V_clipped within ``clip`` of the old values."""
    values = torch.where(is_real, values, 0.0)
    old_values, returns = (torch.where(is_real, x, 0.0).detach() for x in (old_values, returns))
    clipped = old_values + (values - old_values).clamp(-clip, clip)
    squares = torch.maximum((values - returns) ** 2, (clipped - returns) ** 2)
    return 0.5 * torch.where(is_real, squares, 0.0).sum() / is_real.sum().clamp(min=1)


def combined_by_group(
    reward_advantages: torch.Tensor, cost_advantages: Sequence[torch.Tensor], weights: torch.Tensor
) -> torch.Tensor:
    """(A_r − Σ λ_k·A_k) / (1 + Σ λ_k), with ``weights`` [K]: :func:`combined_advantages` for several costs."""
    total = reward_advantages
    for k, advantage in enumerate(cost_advantages):
        total = total - weights[k].to(total) * advantage
    return total / (1.0 + weights.sum().to(total))


def whitened(
    values: torch.Tensor, counts: torch.Tensor, add: Callable[..., tuple[float, ...]] | None = None
) -> torch.Tensor:
    """``values`` [B, T] with mean 0 and deviation 1 over what ``counts``, and 0 elsewhere. ``add`` sums numbers over
    processes."""
    kept = torch.where(counts, values, 0.0).double()
    sums = float(counts.sum()), float(kept.sum()), float((kept**2).sum())
    n, total, squares = add(*sums) if add else sums
    mean = total / max(1.0, n)
    deviation = max(0.0, squares / max(1.0, n) - mean**2) ** 0.5
    return torch.where(counts, (values - mean) / (deviation + 1e-6), 0.0)
