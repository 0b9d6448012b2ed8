"""Losses on preferences, one value per pair or row. Log-probabilities are sums over a completion's tokens, [B]."""

import torch
from torch.nn.functional import logsigmoid, relu


def dpo_loss(
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    ref_chosen: torch.Tensor,
    ref_rejected: torch.Tensor,
    *,
    beta: float = 0.1,
    margin: torch.Tensor | float = 0.0,
    label_smoothing: torch.Tensor | float = 0.0,
) -> torch.Tensor:
    """−(1−ε)·log σ(β·Δ − m) − ε·log σ(−(β·Δ − m)), [B], with Δ the difference of the log-ratios to the reference.

    Rafailov et al. 2023, eq. 7, with the smoothing of conservative DPO (Mitchell 2023). ``margin`` [B] asks for more of
    a pair whose rejected side costs more; without margin the loss is log 2 at policy = reference. Both may be of each
    pair; a tie has ε = ½, and is at its best where Δ is 0.
    """
    logits = beta * _difference(chosen, rejected, ref_chosen, ref_rejected) - margin
    return -(1 - label_smoothing) * logsigmoid(logits) - label_smoothing * logsigmoid(-logits)


def ipo_loss(
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    ref_chosen: torch.Tensor,
    ref_rejected: torch.Tensor,
    *,
    beta: float = 0.1,
) -> torch.Tensor:
    """(Δ − 1/(2β))², [B] (Azar et al. 2023, eq. 17), where log-probabilities may be means over tokens."""
    return (_difference(chosen, rejected, ref_chosen, ref_rejected) - 1 / (2 * beta)) ** 2


def kto_loss(
    logp: torch.Tensor,
    ref_logp: torch.Tensor,
    is_desirable: torch.Tensor,
    kl: torch.Tensor,
    *,
    beta: float = 0.1,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> torch.Tensor:
    """w·(1 − σ(±β·(log-ratio − z))), [B] (Ethayarajh et al. 2024, eq. 8): no pairs are needed.

    ``is_desirable`` is bool [B]; ``kl`` [] is the batch's estimate of the KL to the reference from mismatched pairs,
    taken as a constant of 0 or more.
    """
    surprise = logp - ref_logp - relu(kl.detach())
    sign = torch.where(is_desirable, 1.0, -1.0).to(logp.dtype)
    weight = torch.where(is_desirable, desirable_weight, undesirable_weight).to(logp.dtype)
    return weight * (1 - torch.sigmoid(beta * sign * surprise))


def orpo_loss(
    chosen: torch.Tensor, rejected: torch.Tensor, nll_chosen: torch.Tensor, *, beta: float = 0.1
) -> torch.Tensor:
    """NLL − β·log σ(log odds(chosen) − log odds(rejected)), [B] (Hong et al. 2024, eq. 6).

    ``chosen`` and ``rejected`` are means over tokens, below 0: odds are of their exponentials. No reference.
    """
    odds = chosen - rejected - (_log1mexp(chosen) - _log1mexp(rejected))
    return nll_chosen - beta * logsigmoid(odds)


def simpo_loss(chosen: torch.Tensor, rejected: torch.Tensor, *, beta: float = 2.0, gamma: float = 1.0) -> torch.Tensor:
    """−log σ(β·(chosen − rejected) − γ), [B], of means over tokens (Meng et al. 2024, eq. 6). No reference."""
    return -logsigmoid(beta * (chosen - rejected) - gamma)


def bradley_terry_loss(
    chosen: torch.Tensor,
    rejected: torch.Tensor,
    *,
    margin: torch.Tensor | float = 0.0,
    label_smoothing: torch.Tensor | float = 0.0,
    centre: float = 0.0,
) -> torch.Tensor:
    """−(1−ε)·log σ(Δ − m) − ε·log σ(−(Δ − m)) + c·(r_chosen + r_rejected)², [B], with Δ = r_chosen − r_rejected.

    Of rewards [B], under the model of Bradley and Terry 1952, with the margin of Touvron et al. 2023, eq. 2. Pairs say
    nothing about the level of rewards; ``centre`` keeps it near 0 (Eisenstein et al. 2023, section 3). A tie has ε = ½,
    and is at its best where Δ is m.
    """
    logits = chosen - rejected - margin
    loss = -(1 - label_smoothing) * logsigmoid(logits) - label_smoothing * logsigmoid(-logits)
    return loss + centre * (chosen + rejected) ** 2


def _difference(
    chosen: torch.Tensor, rejected: torch.Tensor, ref_chosen: torch.Tensor, ref_rejected: torch.Tensor
) -> torch.Tensor:
    return (chosen - rejected) - (ref_chosen - ref_rejected).detach()


def _log1mexp(x: torch.Tensor) -> torch.Tensor:
    """log(1 − exp(x)) for x < 0; both branches are finite, so that none has a NaN gradient."""
    near = x > -0.6931
    small, large = torch.where(near, x, -1.0), torch.where(near, -1.0, x)
    return torch.where(near, torch.log(-torch.expm1(small)), torch.log1p(-torch.exp(large)))
