"""Losses of supervised fine-tuning, one value per token: what was written becomes likelier, what should not, less."""

import torch


def token_nll(logits: torch.Tensor, token_ids: torch.Tensor, *, label_smoothing: float = 0.0) -> torch.Tensor:
    """−(1−ε)·log p(y) − ε·mean over the vocabulary of log p, [B, T] (Szegedy et al. 2016, section 7).

    ``logits`` [B, T, V] score ``token_ids``, int64 [B, T]. With ε = 0 it is the cross-entropy.
    """
    scores = logits.float()
    log_total = scores.logsumexp(-1)
    nll = log_total - scores.gather(-1, token_ids[..., None]).squeeze(-1)
    if label_smoothing == 0.0:
        return nll
    return (1 - label_smoothing) * nll + label_smoothing * (log_total - scores.mean(-1))


def unlikelihood(logp: torch.Tensor) -> torch.Tensor:
    """−log(1 − p), of ``logp`` = log p < 0 of any shape (Welleck et al. 2020, eq. 3): 0 for what is never written.

    p is taken as 1 − 1e-6 at most, beyond which there is no gradient.
    """
    return -torch.log(-torch.expm1(logp.clamp(max=-1e-6)))


def weighted_sums(
    nll: torch.Tensor, against: torch.Tensor, weights: torch.Tensor, against_weights: torch.Tensor
) -> torch.Tensor:
    """Σ over tokens of w·nll + a·against, [B], of [B, T] each; its mean is over Σ w + Σ a of all rows."""
    return (weights * nll + against_weights * against).sum(-1)
