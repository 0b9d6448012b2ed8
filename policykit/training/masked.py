"""Log-probabilities of the policy that is sampled under masks: the model, renormalised over what is allowed.

With Z the mass of the allowed tokens, log π̃ = log π − log Z. Gradients through log π̃, for θ and for old and reference
models alike, are exact for masked sampling; those through log π are not (a cosine of 0.79 where 1.4 % is legal).
"""
# torch leaves parts of its interface untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from dataclasses import dataclass

import torch
from torch.utils.checkpoint import checkpoint

from policykit.diagnostics import PolicyError
from policykit.training.replay import ReplayedMasks

MAX_MASK_BYTES = 64 * 2**20
MAX_MEAN_DIFFERENCE = 0.05
"""In nat: above it, replayed and engine log-probabilities are of different distributions."""


@dataclass(frozen=True, slots=True)
class MaskedLogProbs:
    """``logp`` [B, T]: log π̃ of the tokens; ``log_z`` [B, T]: log mass of what is allowed, never above 0; both 0 at
    padding. ``counts`` bool [B, T]: the positions that a loss averages over."""

    logp: torch.Tensor
    log_z: torch.Tensor
    counts: torch.Tensor

    @property
    def mask_tax(self) -> torch.Tensor:
        """−Σ log Z of every row, [B], in nat; differentiable, so that a multiple of it can be a loss."""
        return -self.log_z.sum(-1)


def loss_mask(masks: ReplayedMasks, transformed: torch.Tensor | None = None) -> torch.Tensor:
    """bool [B, T]: real positions where the model chose, and no rule has put its text.

    A token that is alone in its mask has log-probability 0 and no gradient: it does not count in a denominator
    either. ``transformed`` is bool [B, T], true where a transform wrote the token.
    """
    counts = torch.from_numpy(masks.is_real & (masks.n_allowed > 1))
    return counts if transformed is None else counts & ~transformed.to(counts.device)


def masked_log_probs(
    logits: torch.Tensor,
    token_ids: torch.Tensor,
    masks: ReplayedMasks,
    *,
    temperature: float = 1.0,
    transformed: torch.Tensor | None = None,
    max_mask_bytes: int = MAX_MASK_BYTES,
) -> MaskedLogProbs:
    """Replayed log-probabilities of ``token_ids``, int64 [B, T], under ``logits`` [B, T, V], which score them.

    ``logits[:, t]`` are what token t was sampled from, with top-p 1 and no top-k; the temperature divides them before
    the mask. Masks are unpacked in chunks of at most ``max_mask_bytes``, and of each chunk only its logits are kept
    for the backward pass. Padding has no gradient, whatever its logits are.
    """
    logps: list[torch.Tensor] = []
    log_zs: list[torch.Tensor] = []
    for start, stop, allowed in masks.chunks(logits.shape[-1], max_mask_bytes):
        real = torch.from_numpy(masks.is_real[:, start:stop]).to(logits.device)
        terms = logits[:, start:stop], token_ids[:, start:stop], allowed.to(logits.device), real, temperature
        if torch.is_grad_enabled() and logits.requires_grad:
            logp, log_z = checkpoint(_chunk, *terms, use_reentrant=False)
        else:
            logp, log_z = _chunk(*terms)
        logps.append(logp)
        log_zs.append(log_z)
    counts = loss_mask(masks, transformed).to(logits.device)
    return MaskedLogProbs(torch.cat(logps, 1), torch.cat(log_zs, 1), counts)


def _chunk(
    logits: torch.Tensor, token_ids: torch.Tensor, allowed: torch.Tensor, is_real: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    # Logits of padding may be infinite or no numbers: they are replaced before anything is computed from them.
    scores = torch.where(is_real[..., None], logits, 0.0)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32)) / temperature
    of_token = scores.gather(-1, torch.where(is_real, token_ids, 0)[..., None]).squeeze(-1)
    log_allowed = scores.masked_fill(~allowed, float("-inf")).logsumexp(-1)
    logp = torch.where(is_real, of_token - log_allowed, 0.0)
    log_z = torch.where(is_real, log_allowed - scores.logsumexp(-1), 0.0)
    return logp, log_z


def entropies(
    logits: torch.Tensor, is_real: torch.Tensor, masks: ReplayedMasks | None, *, temperature: float = 1.0
) -> torch.Tensor:
    """Entropy in nat of what each token was sampled from, [B, T], of ``logits`` [B, T, V]; 0 at padding."""
    found: list[torch.Tensor] = []
    step = max(1, MAX_MASK_BYTES // max(1, logits.shape[0] * logits.shape[2]))
    for start in range(0, logits.shape[1], step):
        real = is_real[:, start : start + step]
        scores = torch.where(real[..., None], logits[:, start : start + step], 0.0).float() / temperature
        if masks is not None:
            allowed = masks.allowed(start, min(start + step, logits.shape[1]), logits.shape[-1])
            scores = scores.masked_fill(~allowed.to(scores.device), float("-inf"))
        logp = scores.log_softmax(-1)
        terms = torch.where(logp > float("-inf"), logp.exp() * torch.where(logp > float("-inf"), logp, 0.0), 0.0)
        found.append(torch.where(real, -terms.sum(-1), 0.0))
    return torch.cat(found, 1)


def check_replay(
    replayed: torch.Tensor,
    engine: torch.Tensor,
    is_real: torch.Tensor,
    limit: float = MAX_MEAN_DIFFERENCE,
) -> float:
    """The mean absolute difference, in nat, of log-probabilities [B, T] at real positions.

    Raises PolicyError (PK766) if it is above ``limit`` or no number: the masks are not those of the sampler.
    """
    if not bool(is_real.any()):
        return 0.0
    return check_difference(float((replayed - engine)[is_real].abs().mean()), limit)


def check_difference(difference: float, limit: float = MAX_MEAN_DIFFERENCE) -> float:
    """The mean absolute difference that it is given, in nat; raises as :func:`check_replay` does."""
    if not difference <= limit:
        message = f"replayed and engine log-probabilities differ by {difference:.3g} nat on average, not {limit:g}"
        help = "compare plan, tokenizer and temperature; sample with top-p 1 and no top-k"
        raise PolicyError.of("PK766", message, help=help)
    return difference
