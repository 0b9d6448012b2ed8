"""Policy gradients of `benchmarks/shaping.py`: one composed reward, a weight λ for every rule, three algorithms.

RLOO and PPO are policykit's own loops; GRPO is TRL's trainer as policykit extends it. All sample freely: under a mask
no rule is broken, and nothing would be learned.
"""

import tempfile
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from reply_task import MAX_TOKENS
from shaping_task import ask, asked, task, unsupported
from shaping_train import Writer

from policykit.plan import Plan
from policykit.rewards import Lagrangian, PolicyReward
from policykit.training.rl.critics import critics_for
from policykit.training.rl.ppo import Ppo, PpoSettings
from policykit.training.rl.price import Pricer
from policykit.training.rl.rloo import Rloo, RlooSettings
from policykit.training.rl.rollouts import Sampler

Row = dict[str, Any]
Log = Callable[[Row], None]


@dataclass(frozen=True, slots=True)
class Shaping:
    """``group_size`` replies to each of ``n_prompts`` questions a step; the learning rate falls to 0.

    ``limit`` is the share of rollouts that may break a rule; λ of a rule is ``weight`` at first and moves by ``rate``
    times what is above or below the limit. Wrong citations weigh 1 throughout, as the task does.

    Of a batch of tuned replies one or two break a rule, twenty cite wrongly, and every one has a log-ratio to the
    reference. So λ begins high enough for the few to be seen among the many, and moves slowly enough not to run to
    its bound: where one λ is 10 and the others are 1, the normalised reward says next to nothing about the others. And
    ``kl_coef`` is small, since the log-ratio is noise in the reward of every reply.
    """

    n_steps: int = 50
    n_prompts: int = 32
    group_size: int = 8
    lr: float = 3e-4
    limit: float = 0.001
    weight: float = 5.0
    rate: float = 2.0
    kl_coef: float = 0.002


def reward_of(plan: Plan, how: Shaping) -> PolicyReward:
    rules = [group.name for group in PolicyReward(plan).costs.groups]
    controller = Lagrangian(dict.fromkeys(rules, how.limit), initial=how.weight, rate=how.rate)
    return PolicyReward(plan, controller, hallucination_weight=1.0)


def rloo(writer: Writer, plan: Plan, how: Shaping, seed: int, log: Log) -> None:
    """RLOO-Lagrangian. ``log`` gets a row for each step: violations and λ by rule, under the digest of the bundle."""
    optimizer = torch.optim.AdamW(writer.model.parameters(), lr=how.lr, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: 1 - i / how.n_steps)
    pricer = Pricer(reward_of(plan, how), task, unsupported)
    trainer = Rloo(
        writer.model, optimizer, Sampler(writer.vocabulary, MAX_TOKENS), pricer,
        RlooSettings(group_size=how.group_size, kl_coef=how.kl_coef),
        reference=deepcopy(writer.model).eval(), generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip
    rng = Random(seed)
    for i in range(how.n_steps):
        found = trainer.step(writer.prompts([ask(rng) for _ in range(how.n_prompts)]))
        schedule.step()
        log({"step": i, "bundle_digest": plan.bundle_digest, **found})


def grpo(writer: Writer, plan: Plan, how: Shaping, seed: int, log: Log) -> None:
    """GRPO-Lagrangian by TRL, its rewards not scaled by the group: that would cancel λ."""
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl import GRPOConfig

    from policykit.training.rl.trl_policy import PolicyGRPOTrainer

    rows = [
        {"prompt": one.prompt, "name": one.name, "fund": one.fund, "sources": list(one.sources)}
        for one in asked(how.n_prompts * how.n_steps, seed)
    ]
    batch = how.n_prompts * how.group_size
    with tempfile.TemporaryDirectory() as scratch:
        args = GRPOConfig(
            output_dir=scratch, max_steps=how.n_steps, learning_rate=how.lr, lr_scheduler_type="linear",
            per_device_train_batch_size=min(64, batch), gradient_accumulation_steps=max(1, batch // 64),
            num_generations=how.group_size, max_completion_length=MAX_TOKENS, beta=how.kl_coef, scale_rewards="none",
            top_k=0, seed=seed, use_cpu=True, bf16=False, gradient_checkpointing=False, report_to="none",
            save_strategy="no", logging_steps=1, disable_tqdm=True, shuffle_dataset=False, dataloader_num_workers=0,
        )  # fmt: skip
        writer.tokenizer.padding_side = "left"
        trainer = PolicyGRPOTrainer(
            writer.model, reward_of(plan, how), task, Sampler(writer.vocabulary, MAX_TOKENS), args,
            hallucination=unsupported, train_dataset=Dataset.from_list(rows), processing_class=writer.tokenizer,
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    for found in trainer.state.log_history:
        log({"bundle_digest": plan.bundle_digest, **found})


def ppo(writer: Writer, plan: Plan, how: Shaping, seed: int, log: Log) -> None:
    """PPO-Lagrangian: a critic of the task, one of every rule's cost, and one of wrong citations; as many replies a
    step, to as many questions. In the first tenth of the steps the critics learn alone."""
    reward = reward_of(plan, how)
    critics = critics_for(writer.model, 1 + len(reward.weights))
    optimizer = torch.optim.AdamW(writer.model.parameters(), lr=how.lr, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: 1 - i / how.n_steps)
    n, warmup = how.n_prompts * how.group_size, how.n_steps // 10
    trainer = Ppo(
        writer.model, critics, optimizer, torch.optim.AdamW(critics.parameters(), lr=3e-3),
        Sampler(writer.vocabulary, MAX_TOKENS), Pricer(reward, task, unsupported),
        PpoSettings(kl_coef=how.kl_coef, critic_warmup=warmup, batch_size=n), reference=deepcopy(writer.model).eval(),
    )  # fmt: skip
    rng = Random(seed)
    for i in range(how.n_steps):
        found = trainer.step(writer.prompts([ask(rng) for _ in range(n)]))
        schedule.step()
        log({"step": i, "bundle_digest": plan.bundle_digest, **found})


METHODS = {"rloo": rloo, "ppo": ppo, "grpo": grpo}
