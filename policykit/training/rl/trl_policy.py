"""GRPO and RLOO of TRL, on rollouts of one mode, with log-probabilities of what was sampled.

TRL computes log-probabilities of the model without its masks; of masked rollouts those are another distribution's
(a cosine of 0.79 to the exact gradient where 1.4 % is legal). Here θ, old and reference are scored with the masks
replayed. Departures: no images, no tools, no engine but transformers, no top-p, no top-k, no penalties.

What is overridden is private to TRL, which changes it often: another version than was read is refused.
"""
# TRL, transformers and torch leave parts of their interfaces untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false, reportMissingParameterType=false, reportMissingTypeStubs=false
# pyright: reportAttributeAccessIssue=false, reportPrivateUsage=false, reportUntypedBaseClass=false, reportCallIssue=false

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import trl
from trl.models.utils import unwrap_model_for_generation
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.rloo_trainer import RLOOTrainer

from policykit.diagnostics import PolicyError
from policykit.rewards import PolicyReward, RolloutMode, check_scale, reward_function
from policykit.rewards.trl import Term
from policykit.training.masked import MaskedLogProbs, check_difference, entropies
from policykit.training.rl.callback import PolicyCallback
from policykit.training.rl.draw import TokenIds
from policykit.training.rl.rollouts import Prompt, Sampler
from policykit.training.rl.score import Replayer, TokenBatch, log_probs, logits_of, padded

VERSIONS = ("1.16.",)
"""The versions of TRL whose inner functions were read, by their beginnings."""


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """What TRL's configuration has no place for. ``mask_tax`` times −Σ log Z of a completion is added to the loss of
    masked rollouts; above ``max_kl`` nat a token the run stops; ``any_version`` lets a TRL try that was not read."""

    mask_tax: float = 0.0
    max_kl: float = float("inf")
    any_version: bool = False


def check_version(version: str, *, any_version: bool = False) -> None:
    """Raises PolicyError (PK768) for a TRL that was not read, by name."""
    if not any_version and not version.startswith(VERSIONS):
        message = f"TRL {version} is not a version whose inner functions were read: {', '.join(VERSIONS)}x"
        raise PolicyError.of("PK768", message, help="install one of these, or set `any_version` and compare gradients")


def check_arguments(args: Any, sampler: Sampler, reward: PolicyReward) -> None:
    """Raises PolicyError before anything is loaded: PK760 for a scale that cancels λ, PK762 for masks of another plan,
    PK767 for rewards of another mode, PK768 for settings with which gradients are not of what is sampled."""
    check_scale(getattr(args, "scale_rewards", None), reward, getattr(args, "multi_objective_aggregation", None))
    if reward.mode is not sampler.mode:
        message = f"rollouts are {sampler.mode}, and their rewards are of {reward.mode} ones"
        raise PolicyError.of("PK767", message, help="give both one mode")
    if sampler.constraint is not None and sampler.constraint.digest != reward.plan.digest:
        message = f"the masks are of the plan {sampler.constraint.digest}, the rewards of {reward.plan.digest}"
        raise PolicyError.of("PK762", message, help="bind and price one plan")
    wanted: dict[str, tuple[object, ...]] = {
        "top_p": (1.0,), "top_k": (0, None), "min_p": (None, 0.0), "repetition_penalty": (1.0,),
        "generation_kwargs": (None, {}), "use_vllm": (False,), "use_transformers_continuous_batching": (False,),
        "temperature": (sampler.temperature,), "max_completion_length": (sampler.max_new_tokens,),
    }  # fmt: skip
    for name, values in wanted.items():
        if (found := getattr(args, name, values[0])) not in values:
            message = f"`{name}` is {found!r}, and completions are sampled with {values[0]!r}"
            raise PolicyError.of("PK768", message, help="set both alike: top-p 1, no top-k, transformers")
    n_steps = args.steps_per_generation * args.num_iterations
    if sampler.mode is RolloutMode.REJECTED and args.gradient_accumulation_steps % n_steps:
        message = "rejected rollouts are used once: what the model would accept has moved after a step"
        raise PolicyError.of("PK768", message, help="set `num_iterations` to 1 and accumulate whole generations")


class _OnPolicy:
    """What both trainers share; before TRL's class among the bases."""

    def __init__(
        self,
        model: Any,
        reward: PolicyReward,
        task: Term,
        sampler: Sampler,
        args: Any,
        *,
        hallucination: Term | None = None,
        settings: PolicySettings | None = None,
        callbacks: Sequence[Any] | None = None,
        **of_trl: Any,
    ) -> None:
        self.policy = settings or PolicySettings()
        check_version(trl.__version__, any_version=self.policy.any_version)
        check_arguments(args, sampler, reward)
        if unknown := {"reward_funcs", "tools", "environment_factory", "rollout_func"} & set(of_trl):
            message = f"{', '.join(sorted(unknown))}: rewards come from the plan, and rollouts from the sampler"
            raise PolicyError.of("PK768", message, help="put the task's reward into `task`")
        self.sampler = sampler
        masked = sampler.constraint if sampler.mode is RolloutMode.MASKED else None
        self._replayer = Replayer(masked) if masked else None
        self._examples: list[dict[str, Any]] = []
        self._sampled: list[tuple[float, ...]] = []
        self._usable: tuple[bool, ...] = ()
        self._has: torch.Tensor | None = None
        self._scored: MaskedLogProbs | None = None
        self._sampled_at = -1
        kept = [*(callbacks or []), PolicyCallback(reward, task, max_kl=self.policy.max_kl)]
        function = reward_function(reward, task, hallucination)
        super().__init__(model=model, reward_funcs=function, args=args, callbacks=kept, **of_trl)
        if self.aux_loss_enabled:
            raise PolicyError.of("PK768", "a mixture of experts has a loss of its own", help="set its coefficient to 0")

    def _generate_single_turn(self, prompt_ids: Any, images: Any, *_: Any, **__: Any) -> Any:
        if images is not None:
            raise PolicyError.of("PK768", "prompts have images", help="train on texts")
        prompts = [Prompt("", tuple(ids), row) for ids, row in zip(prompt_ids, self._examples, strict=True)]
        unwrapped = unwrap_model_for_generation(
            self.model_wrapped,
            self.accelerator,
            gather_deepspeed3_params=self.args.ds3_gather_for_generation,
            gradient_checkpointing_kwargs=self.args.gradient_checkpointing_kwargs,
        )
        with unwrapped as model, torch.no_grad(), self._dist.summon_full_params(self.model_wrapped, recurse=False):
            drawn, self._usable, n_drawn = self.sampler.completions(model, prompts)
        self._sampled, self._sampled_at = list(drawn.logps), self.state.global_step
        self._log_metric("policy/acceptance_rate", sum(self._usable) / n_drawn)
        self._log_metric("policy/unusable", 1 - sum(self._usable) / len(self._usable))
        ids = [list(row) for row in drawn.token_ids]
        return (ids, None) if isinstance(self, GRPOTrainer) else ids

    def _calculate_rewards(self, *args: Any) -> torch.Tensor:
        """[N of all processes, 1]: NaN where a row has no reward, or is no sample of the mode's distribution."""
        rewards: torch.Tensor = super()._calculate_rewards(*args)
        usable = self.accelerator.gather(torch.tensor(self._usable, device=rewards.device))
        rewards[rewards.isnan().any(1) | ~usable] = torch.nan
        n, rank = len(self._usable), self.accelerator.process_index
        self._has = ~rewards[rank * n : (rank + 1) * n, 0].isnan()
        return rewards

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._examples = inputs
        out: dict[str, Any] = super()._generate_and_score_completions(inputs)
        assert self._has is not None
        completion_mask = out["completion_mask"]
        out["sampling_per_token_logps"] = padded(self._sampled, completion_mask.shape[1], completion_mask.device)
        batch = TokenBatch(
            torch.cat([out["prompt_ids"], out["completion_ids"]], 1),
            torch.cat([out["prompt_mask"], completion_mask], 1),
            completion_mask.bool(),
        )
        masks = self._masks(batch)
        counts = (
            completion_mask
            if masks is None
            else completion_mask * torch.from_numpy(masks.n_allowed > 1).to(completion_mask)
        )
        counts = counts * self._has[:, None]
        n_has = self.accelerator.gather(self._has.sum()).sum()
        n_all = self.accelerator.gather(torch.tensor(len(self._has), device=counts.device)).sum()
        if isinstance(self, GRPOTrainer):
            out["tool_mask"] = counts
            out["num_items_in_batch"] = self.accelerator.gather(counts.sum()).sum()
        else:
            # Its loss is a mean over rows, of which those without a reward are none.
            out["advantages"] = out["advantages"] * n_all / n_has.clamp(min=1)
        return out

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **_: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, None]:
        scored: list[MaskedLogProbs] = []
        spreads: list[torch.Tensor] = []
        for start in range(0, len(input_ids), batch_size or len(input_ids)):
            stop = start + (batch_size or len(input_ids))
            mask = attention_mask[start:stop]
            batch = TokenBatch(input_ids[start:stop], mask, mask[:, -logits_to_keep:].bool())
            with self.accelerator.autocast():
                logits, _hidden = logits_of(model, batch)
            masks = self._masks(batch)
            scored.append(log_probs(logits, batch, masks, temperature=self.temperature))
            if compute_entropy:
                with torch.set_grad_enabled(torch.is_grad_enabled() and getattr(self, "_entropy_bonus_enabled", False)):
                    spreads.append(entropies(logits, batch.is_real, masks, temperature=self.temperature))
        parts = [torch.cat([getattr(s, name) for s in scored]) for name in ("logp", "log_z", "counts")]
        self._scored = MaskedLogProbs(*parts)
        return self._scored.logp, (torch.cat(spreads) if compute_entropy else None), None

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        loss: torch.Tensor = super()._compute_loss(model, inputs)
        scored = self._scored
        assert scored is not None
        if self._sampled_at == self.state.global_step:
            self._check_replay(scored.logp.detach(), inputs)
        mode = "train" if self.model.training else "eval"
        if self._replayer is not None:
            tax = scored.mask_tax
            self._metrics[mode]["policy/mask_tax"].append(self.accelerator.gather(tax.detach().mean()).mean().item())
            n_parts = (
                self.current_gradient_accumulation_steps if isinstance(self, GRPOTrainer) and mode == "train" else 1
            )
            loss = loss + self.policy.mask_tax * tax.mean() / n_parts
        return loss

    def _check_replay(self, logp: torch.Tensor, inputs: dict[str, Any]) -> None:
        # Every process has to stop where one does, or the others would wait for it.
        real = inputs["completion_mask"].bool()
        off = (logp - inputs["sampling_per_token_logps"])[real].abs().sum()
        total, n = self.accelerator.reduce(torch.stack([off, real.sum().to(off)]), reduction="sum").tolist()
        mode = "train" if self.model.training else "eval"
        self._metrics[mode]["policy/replay_difference"].append(check_difference(total / max(1.0, n)))

    def _masks(self, batch: TokenBatch) -> Any:
        if self._replayer is None:
            return None
        width = batch.input_ids.shape[1] - batch.n_tokens
        real = batch.attention_mask.bool()
        prompts = [_ids(ids[:width], mask[:width]) for ids, mask in zip(batch.input_ids, real, strict=True)]
        rows = [_ids(ids[width:], mask[width:]) for ids, mask in zip(batch.input_ids, real, strict=True)]
        masks = self._replayer.masks(
            self._replayer.constraint.digest, rows, [self.sampler.prefix_of(p) for p in prompts]
        )
        return masks.widened(batch.n_tokens)


def _ids(ids: torch.Tensor, mask: torch.Tensor) -> TokenIds:
    return tuple(ids[mask].tolist())


class PolicyGRPOTrainer(_OnPolicy, GRPOTrainer):
    """TRL's GRPO on rollouts of ``sampler``, with rewards of ``reward``; every other argument is TRL's.

    Tokens without an alternative, and rows without a reward, are in no denominator of a loss over tokens. Raises
    PolicyError: before the first step as :func:`check_version` and :func:`check_arguments` do, PK766 in a run whose
    log-probabilities are not the sampler's.
    """


class PolicyRLOOTrainer(_OnPolicy, RLOOTrainer):
    """TRL's RLOO on rollouts of ``sampler``, as :class:`PolicyGRPOTrainer`. Its loss is a mean over rows: those without
    a reward are none of them."""
