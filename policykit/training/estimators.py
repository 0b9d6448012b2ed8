"""Policy gradients over groups of rollouts, as functions of tensors. Groups are of equal size and stand in a row."""

import torch

MaybeMask = torch.Tensor | None


def group_advantages(
    rewards: torch.Tensor, group_size: int, has_reward: MaybeMask = None, *, leave_one_out: bool = True
) -> torch.Tensor:
    """Rewards [N] less the baseline of their group: [N], without gradient, and not scaled by a deviation.

    The baseline is the mean of the others in the group (RLOO, unbiased), or of all (GRPO without scaling, which
    shrinks the gradient by (G−1)/G). A row without a reward (``has_reward`` bool [N]) has the advantage 0 and is in no
    baseline; neither is anything learned from a group in which one row alone has a reward.
    """
    has = torch.ones_like(rewards, dtype=torch.bool) if has_reward is None else has_reward
    # A missing reward may be NaN, which a product with 0 would keep.
    values = torch.where(has, rewards, 0.0).detach().view(-1, group_size)
    present = has.view(-1, group_size).to(values.dtype)
    n = present.sum(-1, keepdim=True)
    centred = (values - values.sum(-1, keepdim=True) / n.clamp(min=1)) * present
    if leave_one_out:
        centred = centred * n / (n - 1).clamp(min=1)
    return torch.where(n > 1, centred, 0.0).reshape(-1)


def token_ratio_loss(
    logp: torch.Tensor,
    old_logp: torch.Tensor,
    advantages: torch.Tensor,
    counts: torch.Tensor,
    *,
    clip: float = 0.2,
    max_tokens: int | None = None,
) -> torch.Tensor:
    """−mean over counted tokens of min(ρ·A, clip(ρ, 1 ± clip)·A), ρ = exp(logp − old_logp): GRPO's and PPO's loss.

    ``logp``, ``old_logp`` [B, T] are of one kind, both masked or both raw; ``advantages`` [B] or [B, T]; ``counts``
    bool [B, T]. The mean is over all tokens of the batch; ``max_tokens`` divides by B·max_tokens instead, so that long
    rows weigh what they weigh. A batch of B rows gives what its rows give one by one, weighted by their tokens.
    """
    advantage = advantages if advantages.dim() == 2 else advantages[:, None]
    ratio = torch.where(counts, logp - old_logp.detach(), 0.0).exp()
    surrogate = torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)
    total = torch.where(counts, surrogate, 0.0).sum()
    return -total / (counts.sum().clamp(min=1) if max_tokens is None else logp.shape[0] * max_tokens)


def sequence_loss(
    logp: torch.Tensor, advantages: torch.Tensor, counts: torch.Tensor, weights: MaybeMask = None
) -> torch.Tensor:
    """−mean of A·w·log π(y) over rows, with the gradient of REINFORCE: [] of ``logp`` [B, T], ``advantages`` [B].

    With masked ``logp`` of masked rollouts, and with raw ``logp`` of rejected rollouts and a baseline of their group,
    its gradient is exact. For raw ``logp`` every real token counts, forced ones too. ``weights`` [B] have no gradient.
    """
    of_rows = torch.where(counts, logp, 0.0).sum(-1)
    factor = advantages if weights is None else advantages * weights.detach()
    return -(factor.detach() * of_rows).mean()


def self_normalised_ratios(
    logp: torch.Tensor, old_logp: torch.Tensor, is_real: torch.Tensor, group_size: int
) -> torch.Tensor:
    """π(y)/π_old(y) over its mean in the group, [B], with gradient: for rejected rollouts after the first step.

    What the two models would accept, unknown and not the same, cancels. ``logp``, ``old_logp`` are raw [B, T].
    """
    log_ratio = torch.where(is_real, logp - old_logp.detach(), 0.0).sum(-1).view(-1, group_size)
    return (log_ratio.softmax(-1) * group_size).reshape(-1)


def self_normalised_masses(log_z: torch.Tensor, group_size: int) -> torch.Tensor:
    """Π Z over its mean in the group, [B], without gradient, from ``log_z`` [B, T]: masked rollouts, weighed as samples
    of the model given that it complies."""
    return (log_z.detach().sum(-1).view(-1, group_size).softmax(-1) * group_size).reshape(-1)


def sequence_ratio_loss(
    logp: torch.Tensor, old_logp: torch.Tensor, advantages: torch.Tensor, counts: torch.Tensor, *, clip: float = 0.2
) -> torch.Tensor:
    """−mean over rows of min(ρ·A, clip(ρ, 1 ± clip)·A), ρ = π(y)/π_old(y): RLOO's loss over several steps.

    ``logp``, ``old_logp`` [B, T] of one kind, ``advantages`` [B], ``counts`` bool [B, T]. At π = π_old its gradient is
    that of :func:`sequence_loss`.
    """
    ratio = torch.where(counts, logp - old_logp.detach(), 0.0).sum(-1).exp()
    factor = advantages.detach()
    return -torch.minimum(ratio * factor, ratio.clamp(1 - clip, 1 + clip) * factor).mean()
