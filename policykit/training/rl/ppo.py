"""PPO with a reward critic and a cost critic for every group of rules (Dai et al. 2023), as a short loop.

The advantage is (A_r − Σ λ_k·A_k) / (1 + Σ λ_k), with λ of the reward's controller; the KL to the reference is taken
from rewards and added to costs, so that it has one weight whatever λ is. Rollouts are free or masked; under masks
every log-probability, θ's, old and the reference's, is replayed.
"""
# torch leaves parts of its interface untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from policykit.diagnostics import PolicyError
from policykit.rewards import RolloutMode
from policykit.training.estimators import token_ratio_loss
from policykit.training.masked import check_replay
from policykit.training.ppo import combined_by_group, gae, token_rewards, value_loss, whitened
from policykit.training.rl.critics import Critics
from policykit.training.rl.limits import check_finite, check_kl
from policykit.training.rl.price import Priced, Pricer
from policykit.training.rl.processes import gathered, n_processes, sum_gradients, summed
from policykit.training.rl.rloo import TAX, logged, of_rewarded
from policykit.training.rl.rollouts import Prompt, Rollouts, Sampler
from policykit.training.rl.scorer import Scorer


@dataclass(frozen=True, slots=True)
class PpoSettings:
    """``kl_coef`` weighs the KL to the reference, and with ``kl_target`` (nat a completion) moves towards it over
    ``kl_horizon`` completions; above ``max_kl`` the run stops. In the first ``critic_warmup`` steps critics alone
    learn. ``batch_size`` completions of all processes make a step of the optimizers, ``n_epochs`` times over each batch
    of rollouts."""

    kl_coef: float = 0.02
    kl_target: float | None = None
    kl_horizon: int = 10_000
    max_kl: float = 50.0
    gamma: float = 1.0
    decay: float = 0.95
    clip: float = 0.2
    value_clip: float = 5.0
    score_clip: float = 50.0
    critic_warmup: int = 0
    mask_tax: float = 0.0
    n_epochs: int = 2
    batch_size: int = 64
    max_grad_norm: float = 1.0


@dataclass(frozen=True, slots=True)
class Experience:
    """What is known of N rollouts before they are learned from, padded to T: all without gradient, 0 where not
    ``counts`` or, for ``old_values`` and ``returns`` [N, T, 1 + K], not ``is_real`` (bool [N, T])."""

    old: torch.Tensor
    advantages: torch.Tensor
    counts: torch.Tensor
    is_real: torch.Tensor
    old_values: torch.Tensor
    returns: torch.Tensor


class KlControl:
    """The weight of the KL: fixed, or moved towards a target (Ziegler et al. 2019, section 2.2)."""

    def __init__(self, coef: float, target: float | None, horizon: int) -> None:
        self.coef, self._target, self._horizon = coef, target, horizon

    def update(self, kl: float, n: int) -> None:
        """After ``n`` completions with a mean KL of ``kl``."""
        if self._target is not None:
            error = max(-0.2, min(0.2, kl / self._target - 1))
            self.coef *= 1 + error * n / self._horizon


class Ppo:
    """Trains ``model`` and ``critics`` in place, a step at a time. Of a step ``optimizer`` and ``critic_optimizer`` see
    the same batches. ``reference`` is for a model without adapters."""

    def __init__(
        self,
        model: Any,
        critics: Critics,
        optimizer: torch.optim.Optimizer,
        critic_optimizer: torch.optim.Optimizer,
        sampler: Sampler,
        pricer: Pricer,
        settings: PpoSettings | None = None,
        *,
        reference: Any | None = None,
    ) -> None:
        if sampler.mode is RolloutMode.REJECTED:
            message = "PPO's advantages are of single tokens, of which rejected rollouts are no samples"
            raise PolicyError.of("PK768", message, help="use `free` or `masked` rollouts, or RLOO")
        self.model, self.critics, self.sampler, self.pricer = model, critics, sampler, pricer
        self.optimizer, self.critic_optimizer = optimizer, critic_optimizer
        self.settings = s = settings or PpoSettings()
        self.kl_control = KlControl(s.kl_coef, s.kl_target, s.kl_horizon)
        self.n_steps = 0
        self._scorer = Scorer(model, sampler, reference)
        pricer.reward.attach(gathered)

    def step(self, prompts: Sequence[Prompt]) -> dict[str, float]:
        """Samples a completion of each prompt, prices them and learns; what happened, by name. Raises PolicyError:
        PK766 for masks that are not the sampler's, PK769 for a KL above its limit or a gradient that is no number."""
        self.model.eval()  # no dropout: what is learned from is what was sampled
        rollouts = self.sampler.roll(self.model, prompts, 1)
        priced = self.pricer.price(rollouts)
        experience, kl, taxes = self._experience(rollouts, priced)
        counted = float(priced.has.sum()), float(priced.rewards.sum()), kl
        n, total, total_kl, *total_taxes = summed(*counted, *taxes.values())
        mean_kl = total_kl / max(1.0, n)
        check_kl(mean_kl, self.settings.max_kl)
        learned = self._learn(rollouts, experience)
        of_taxes = {name: tax / max(1.0, n) for name, tax in zip(taxes, total_taxes, strict=True)}
        found = {"kl_coef": self.kl_control.coef, **of_taxes}
        self.kl_control.update(mean_kl, int(n))
        self.n_steps += 1
        means = of_rewarded(n, reward=total, kl=total_kl)
        return {**means, **found, **learned, **logged(rollouts, priced)}

    @torch.no_grad()
    def _experience(self, rollouts: Rollouts, priced: Priced) -> tuple[Experience, float, dict[str, float]]:
        """And the sums over rows of the KL, and of the mask tax by metric."""
        n, width = len(rollouts.texts), max(map(len, rollouts.token_ids))
        k = 1 + len(priced.names)
        old, ref, log_z = (torch.zeros(n, width) for _ in range(3))
        counts, real = torch.zeros(n, width, dtype=torch.bool), torch.zeros(n, width, dtype=torch.bool)
        values = torch.zeros(n, width, k)
        for chosen in self._parts(range(n)):
            batch = self._scorer.batch(rollouts, chosen)
            scored, hidden = self._scorer.scored(rollouts, chosen, batch, with_hidden=True)
            check_replay(scored.logp, self._scorer.sampled(rollouts, chosen, batch), batch.is_real)
            reference = self._scorer.by_reference(rollouts, chosen, batch)
            t = batch.n_tokens
            parts = (old, scored.logp), (ref, reference.logp), (log_z, scored.log_z), (counts, scored.counts)
            for whole, part in (*parts, (real, batch.is_real), (values, self.critics(batch, hidden))):
                whole[chosen, :t] = part.to(whole)
        # A row without a reward is not there.
        real, counts = real & priced.has[:, None], counts & priced.has[:, None]
        kl = float(torch.where(counts, old - ref, 0.0).sum())
        advantages, returns = self._advantages(old, ref, real, values, priced)
        advantages = whitened(advantages, counts, summed)
        rows = priced.has.nonzero()[:, 0].tolist()
        by_rule = self._scorer.taxes(rollouts, rows, log_z[rows])
        taxes = {TAX: -float(log_z[rows].sum()), **{f"{TAX}/{name}": tax for name, tax in by_rule.items()}}
        return Experience(old, advantages, counts, real, values, returns), kl, taxes

    def _advantages(
        self, old: torch.Tensor, ref: torch.Tensor, real: torch.Tensor, values: torch.Tensor, priced: Priced
    ) -> tuple[torch.Tensor, torch.Tensor]:
        s, kl_coef = self.settings, self.kl_control.coef
        task = torch.where(priced.has, priced.task, 0.0)
        reward, _ = token_rewards(old, ref, real, task, task, kl_coef=kl_coef, clip=s.score_clip)
        costs = [
            token_rewards(old, ref, real, task, priced.costs[:, k], kl_coef=kl_coef, clip=s.score_clip)[1]
            for k in range(len(priced.names))
        ]
        found = [gae(r, values[..., i], real, gamma=s.gamma, decay=s.decay) for i, r in enumerate([reward, *costs])]
        advantages = combined_by_group(found[0][0], [a for a, _ in found[1:]], priced.weights)
        return advantages, torch.stack([returns for _, returns in found], -1)

    def _learn(self, rollouts: Rollouts, experience: Experience) -> dict[str, float]:
        sums: dict[str, float] = {"loss": 0.0, "value_loss": 0.0, "grad_norm": 0.0}
        n_batches = 0
        for _ in range(self.settings.n_epochs):
            for chosen in self._parts(torch.randperm(len(rollouts.texts)).tolist()):
                for name, value in self._update(rollouts, experience, chosen).items():
                    sums[name] += value
                n_batches += 1
        return {name: value / n_batches for name, value in sums.items()}

    def _update(self, rollouts: Rollouts, experience: Experience, chosen: list[int]) -> dict[str, float]:
        s = self.settings
        batch = self._scorer.batch(rollouts, chosen)
        t, device = batch.n_tokens, batch.input_ids.device
        learns_policy = self.n_steps >= s.critic_warmup
        with torch.set_grad_enabled(learns_policy):
            scored, hidden = self._scorer.scored(rollouts, chosen, batch, with_hidden=True)
        old, advantages, counts = (
            x[chosen, :t].to(device) for x in (experience.old, experience.advantages, experience.counts)
        )
        real = experience.is_real[chosen, :t].to(device)
        # Means are over the tokens, and the rows, of all processes: each computes its part of them.
        own = float(counts.sum()), float(real.sum()), float(len(chosen))
        of_tokens, of_values, of_rows = (n / max(1.0, total) for n, total in zip(own, summed(*own), strict=True))
        loss = of_tokens * token_ratio_loss(scored.logp, old, advantages, counts, clip=s.clip)
        loss = loss + of_rows * s.mask_tax * scored.mask_tax.mean()
        values = self.critics(batch, hidden)
        before, returns = (x[chosen, :t].to(device) for x in (experience.old_values, experience.returns))
        losses = [
            value_loss(values[..., i], before[..., i], returns[..., i], real, clip=s.value_clip)
            for i in range(values.shape[-1])
        ]
        value = of_values * torch.stack(losses).sum()
        norm = self._descend(self.optimizer, loss) if learns_policy else 0.0
        self._descend(self.critic_optimizer, value)
        of_policy, of_critics = summed(float(loss.detach()), float(value.detach()))
        return {"loss": of_policy, "value_loss": of_critics, "grad_norm": norm}

    def _descend(self, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> float:
        optimizer.zero_grad()
        loss.backward()
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        sum_gradients(parameters)
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.settings.max_grad_norm))
        check_finite(norm, "the norm of the gradient")
        optimizer.step()
        return norm

    def _parts(self, rows: Sequence[int]) -> Iterator[list[int]]:
        size = max(1, self.settings.batch_size // n_processes())
        for start in range(0, len(rows), size):
            yield list(rows[start : start + size])

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs besides the model: critics, both optimizers, the KL's weight and the steps done."""
        state = {"critics": self.critics.state_dict(), "optimizer": self.optimizer.state_dict()}
        numbers = {"kl_coef": self.kl_control.coef, "n_steps": self.n_steps}
        return {**state, "critic_optimizer": self.critic_optimizer.state_dict(), **numbers}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.critics.load_state_dict(state["critics"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.critic_optimizer.load_state_dict(state["critic_optimizer"])
        self.kl_control.coef, self.n_steps = state["kl_coef"], state["n_steps"]
