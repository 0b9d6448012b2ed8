"""RLOO with weights on costs, as a plain loop: every completion's baseline is the mean of its prompt's others.

Ahmadian et al. 2024, with the composed reward; of masked rollouts the gradient goes through replayed log-probabilities.
"""
# torch leaves parts of its interface untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from policykit.diagnostics import PolicyError
from policykit.rewards import RolloutMode
from policykit.training.estimators import group_advantages, sequence_ratio_loss, token_ratio_loss
from policykit.training.masked import check_replay
from policykit.training.rl.limits import check_finite, check_kl
from policykit.training.rl.price import Priced, Pricer
from policykit.training.rl.processes import gathered, sum_gradients, summed
from policykit.training.rl.rollouts import Prompt, Rollouts, Sampler
from policykit.training.rl.scorer import Scorer

TAX = "policy/mask_tax"
"""The metric of the mask tax, in nat a completion that is learned from; by rule below it."""


@dataclass(frozen=True, slots=True)
class RlooSettings:
    """``group_size`` completions a prompt. ``kl_coef`` times the summed log-ratio to the reference is taken from each
    reward; above ``max_kl`` nat a completion, on average, the run stops (None: the KL is measured for ``kl_coef``
    alone). ``mask_tax`` times −Σ log Z is added to the loss of masked rollouts. ``batch_size`` completions at a time
    are in a forward pass. With ``by_token`` ratios are of tokens, baselines are means over whole groups, and sums over
    tokens are divided by the longest a completion may be: GRPO without the bias of its scales (Liu et al. 2025).
    """

    group_size: int = 8
    kl_coef: float = 0.0
    max_kl: float | None = None
    by_token: bool = False
    mask_tax: float = 0.0
    clip: float = 0.2
    n_epochs: int = 1
    max_grad_norm: float = 1.0
    batch_size: int = 64


class Rloo:
    """Trains ``model`` in place, a step at a time. ``reference`` is for the KL of a model without adapters."""

    def __init__(
        self,
        model: Any,
        optimizer: torch.optim.Optimizer,
        sampler: Sampler,
        pricer: Pricer,
        settings: RlooSettings | None = None,
        *,
        reference: Any | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        self.model, self.optimizer, self.sampler, self.pricer = model, optimizer, sampler, pricer
        self.settings = settings or RlooSettings()
        self._scorer, self._generator = Scorer(model, sampler, reference), generator
        pricer.reward.attach(gathered)
        if self.settings.group_size < 2:
            raise PolicyError.of("PK768", "a group of one has no baseline", help="sample 2 or more a prompt")
        if sampler.mode is RolloutMode.REJECTED and self.settings.n_epochs > 1:
            message = "rejected rollouts are used once: what the model would accept has moved after a step"
            raise PolicyError.of("PK768", message, help="set `n_epochs` to 1")

    def step(self, prompts: Sequence[Prompt]) -> dict[str, float]:
        """Samples, prices and learns; what happened, by name. Raises PolicyError: PK766 for masks that are not the
        sampler's, PK769 where the KL is above its limit or the loss is no number."""
        settings = self.settings
        rollouts = self.sampler.roll(self.model, prompts, settings.group_size, self._generator)
        priced = self.pricer.price(rollouts)
        measures_kl = settings.kl_coef > 0 or settings.max_kl is not None
        kl = self._kl(rollouts) if measures_kl else torch.zeros_like(priced.rewards)
        rewards = priced.rewards - settings.kl_coef * kl
        is_left_out = not settings.by_token
        advantages = group_advantages(rewards, settings.group_size, priced.has, leave_one_out=is_left_out)
        n, total, total_kl = summed(
            float(priced.has.sum()), float(priced.rewards.sum()), float((kl * priced.has).sum())
        )
        mean_kl = total_kl / max(1.0, n)
        check_kl(mean_kl, float("inf") if settings.max_kl is None else settings.max_kl)
        learned = [self._epoch(rollouts, advantages, n, first=i == 0) for i in range(settings.n_epochs)]
        return {
            **of_rewarded(n, reward=total, kl=total_kl),
            **learned[-1],
            **_taxes(learned[0]),
            **logged(rollouts, priced),
        }

    def _epoch(self, rollouts: Rollouts, advantages: torch.Tensor, n: float, *, first: bool) -> dict[str, float]:
        # A row without an advantage has no gradient, unless its mask tax is a loss.
        usable = torch.tensor(rollouts.is_usable)
        taxed = usable if self.settings.mask_tax > 0 else torch.zeros_like(usable)
        rows = ((advantages != 0) | taxed).nonzero()[:, 0].tolist()
        self.optimizer.zero_grad()
        taxes = [f"{TAX}/{name}" for name in self._scorer.tax_names]
        sums = dict.fromkeys(["loss", TAX, *taxes], 0.0)
        self.model.eval()  # no dropout: what is learned from is what was sampled
        for start in range(0, len(rows), self.settings.batch_size):
            chosen = rows[start : start + self.settings.batch_size]
            loss, found = self._loss(rollouts, chosen, advantages[chosen], n, check=first)
            loss.backward()
            for name, value in found.items():
                sums[name] += value
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        sum_gradients(parameters)
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.settings.max_grad_norm)
        check_finite(float(norm), "the norm of the gradient")
        self.optimizer.step()
        n_rows, loss, *of_taxes = summed(float(len(rows)), *sums.values())
        means = {name: tax / max(1.0, n_rows) for name, tax in zip((TAX, *taxes), of_taxes, strict=True)}
        return {"loss": loss, **means, "grad_norm": float(norm)}

    def _loss(
        self, rollouts: Rollouts, chosen: Sequence[int], advantages: torch.Tensor, n: float, *, check: bool
    ) -> tuple[torch.Tensor, dict[str, float]]:
        batch = self._scorer.batch(rollouts, chosen)
        scored, _ = self._scorer.scored(rollouts, chosen, batch)
        old = self._scorer.sampled(rollouts, chosen, batch)
        if check:
            check_replay(scored.logp.detach(), old, batch.is_real)
        weights = advantages.to(old.device)
        terms, clip = (scored.logp, old, weights, scored.counts), self.settings.clip
        if self.settings.by_token:
            ratio = token_ratio_loss(*terms, clip=clip, max_tokens=self.sampler.max_new_tokens)
        else:
            ratio = sequence_ratio_loss(*terms, clip=clip)
        # Sums over rows, so that batches add up to the mean over all of them.
        loss = ratio * len(chosen) / max(1.0, n)
        if self.settings.mask_tax > 0:
            loss = loss + self.settings.mask_tax * scored.mask_tax.sum() / max(1.0, n)
        taxes = self._scorer.taxes(rollouts, chosen, scored.log_z) if check else {}
        found = {"loss": float(loss.detach()), TAX: float(scored.mask_tax.detach().sum())}
        return loss, found | {f"{TAX}/{name}": tax for name, tax in taxes.items()}

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs besides the model."""
        return {"optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.optimizer.load_state_dict(state["optimizer"])

    def _kl(self, rollouts: Rollouts) -> torch.Tensor:
        """Σ log-ratio of the sampler to the reference, [N]."""
        found: list[torch.Tensor] = []
        for start in range(0, len(rollouts.texts), self.settings.batch_size):
            chosen = range(start, min(start + self.settings.batch_size, len(rollouts.texts)))
            batch = self._scorer.batch(rollouts, chosen)
            scored = self._scorer.by_reference(rollouts, chosen, batch)
            old = self._scorer.sampled(rollouts, chosen, batch)
            found.append(torch.where(scored.counts, old - scored.logp, 0.0).sum(-1).cpu())
        return torch.cat(found)


def logged(rollouts: Rollouts, priced: Priced) -> dict[str, float]:
    """What every loop logs of a batch of this process: the task, lengths, acceptance, and the plan's metrics."""
    lengths = [len(row) for row in rollouts.token_ids]
    found = {"completion_length": sum(lengths) / len(lengths), "acceptance_rate": rollouts.acceptance_rate}
    task = of_rewarded(float(priced.has.sum()), task=float(priced.task.sum()))
    return {**task, **found, **priced.metrics}


def of_rewarded(n: float, **sums: float) -> dict[str, float]:
    """The means over ``n`` completions that have a reward. Of none there is no mean: it is not 0 either."""
    return {name: total / n for name, total in sums.items()} if n else {}


def _taxes(learned: dict[str, float]) -> dict[str, float]:
    # Of what was sampled: the model that sampled is the one of the first epoch.
    return {name: value for name, value in learned.items() if name.startswith(TAX)}
