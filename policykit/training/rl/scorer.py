"""Rollouts as a loop learns from them: batches of some rows, scored by θ or by the reference under the same masks."""
# torch leaves parts of its interface untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Sequence
from typing import Any

import torch

from policykit.rewards import RolloutMode
from policykit.training.masked import MaskedLogProbs
from policykit.training.rl.rollouts import Rollouts, Sampler
from policykit.training.rl.score import Replayer, TokenBatch, as_reference, log_probs, logits_of, padded, token_batch
from policykit.training.rl.taxes import tax_by_rule, taxed_names


class Scorer:
    """Scores rollouts of one sampler by ``model``, or by ``reference`` (the model without adapters if None)."""

    def __init__(self, model: Any, sampler: Sampler, reference: Any | None = None) -> None:
        self.model, self._sampler, self._reference = model, sampler, reference
        masked = sampler.constraint if sampler.mode is RolloutMode.MASKED else None
        self._replayer = Replayer(masked) if masked else None

    def batch(self, rollouts: Rollouts, chosen: Sequence[int]) -> TokenBatch:
        """The chosen rows as tensors."""
        device = next(self.model.parameters()).device
        prompts = [rollouts.prompts[i].token_ids for i in chosen]
        ends = self._sampler.vocabulary.eos_ids
        return token_batch(prompts, [rollouts.token_ids[i] for i in chosen], ends[0], device)

    def sampled(self, rollouts: Rollouts, chosen: Sequence[int], batch: TokenBatch) -> torch.Tensor:
        """The sampler's own log-probabilities, [B, T]."""
        return padded([rollouts.logps[i] for i in chosen], batch.n_tokens, batch.input_ids.device)

    def scored(
        self, rollouts: Rollouts, chosen: Sequence[int], batch: TokenBatch, *, with_hidden: bool = False
    ) -> tuple[MaskedLogProbs, torch.Tensor | None]:
        """By θ, and its last hidden states [B, T, H] if asked for."""
        logits, hidden = logits_of(self.model, batch, with_hidden=with_hidden)
        return self._of(logits, rollouts, chosen, batch), hidden

    def by_reference(self, rollouts: Rollouts, chosen: Sequence[int], batch: TokenBatch) -> MaskedLogProbs:
        """By the reference, without gradients."""
        with as_reference(self.model, self._reference) as reference:
            return self._of(logits_of(reference, batch)[0], rollouts, chosen, batch)

    @property
    def tax_names(self) -> tuple[str, ...]:
        """The rules that can have a part in the mask tax; none where rollouts are not masked."""
        return taxed_names(self._replayer.constraint) if self._replayer else ()

    def taxes(self, rollouts: Rollouts, chosen: Sequence[int], log_z: torch.Tensor) -> dict[str, float]:
        """The mask tax of the chosen rows by rule, in nat, from ``log_z`` [B, T]; nothing where there are no masks."""
        if self._replayer is None:
            return {}
        prefixes = [self._sampler.prefix_of(rollouts.prompts[i].token_ids) for i in chosen]
        return tax_by_rule(self._replayer.constraint, [rollouts.token_ids[i] for i in chosen], prefixes, log_z)

    def _of(self, logits: torch.Tensor, rollouts: Rollouts, chosen: Sequence[int], batch: TokenBatch) -> MaskedLogProbs:
        masks = None
        if self._replayer is not None and rollouts.plan_digest is not None:
            prefixes = [self._sampler.prefix_of(rollouts.prompts[i].token_ids) for i in chosen]
            masks = self._replayer.masks(rollouts.plan_digest, [rollouts.token_ids[i] for i in chosen], prefixes)
        written = None
        if rollouts.transformed is not None:
            written = padded([rollouts.transformed[i] for i in chosen], batch.n_tokens).bool()
        return log_probs(logits, batch, masks, temperature=self._sampler.temperature, transformed=written)
