"""From a training file to a learner from rewards: everything that can be known before the first step."""
# torch and transformers leave parts of their interfaces untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import PartialState

from policykit.adapters.reward import reward_digest
from policykit.adapters.reward_model import RewardModel
from policykit.diagnostics import Diagnostic, PolicyError
from policykit.engines.encoding import Encoded, prompt_ids
from policykit.policy.checked import Entries, Json
from policykit.rewards import PolicyReward, RolloutMode, check_run
from policykit.rewards.reward import checked_rewards
from policykit.rewards.trl import Term
from policykit.training.encoding import Fitting
from policykit.training.kinds.kind import Job, Start
from policykit.training.models import Trained, load_trained, sharding
from policykit.training.rl.critics import critics_for
from policykit.training.rl.online import Learner, Online
from policykit.training.rl.ppo import Ppo, PpoSettings
from policykit.training.rl.price import Pricer
from policykit.training.rl.rloo import Rloo, RlooSettings
from policykit.training.rl.rollouts import Prompt, Sampler
from policykit.training.rl.sections import mode_of, number, placed, reward_from, term_from, told
from policykit.training.rows import Rows


def prepare(start: Start) -> Job:
    """A job of the kind `ppo`, `grpo` or `rloo`. Raises PolicyError with what is wrong with the section, the functions
    that it names, the plan and the rows."""
    section, config, plan = start.config.section, start.config, start.plan
    assert plan is not None, "these kinds need a plan"
    found: list[Diagnostic] = []
    folder = Path(config.place().file).parent
    task, task_id = term_from(section, "task", folder, found)
    learned = section.text("rewardModel") if section else None
    if section and learned is None and "rewardModelWeight" in section.fields:
        message = "`rewardModelWeight` has no effect without `rewardModel`"
        found.append(Diagnostic("PK780", message, section.keys["rewardModelWeight"], "name the folder, or remove it"))
    share, share_id = term_from(section, "hallucination", folder, found)
    mode = mode_of(section)
    if section and mode is not RolloutMode.MASKED and "maskTax" in section.fields:
        message = "`maskTax` has no effect without masked rollouts"
        found.append(Diagnostic("PK780", message, section.keys["maskTax"], "say `mode: masked`, or remove it"))
    for name in sharding():
        message = f"{name} has no effect: to learn from rewards, every process holds the whole model"
        help = "launch it without, as `launch/cpu-2.yaml` does"
        found.append(Diagnostic("PK780", message, config.place(config.kind), help))
    if config.lora.dropout > 0:
        message = "`dropout` has no effect: what is learned from is what was sampled, by the whole model"
        found.append(Diagnostic("PK780", message, config.place("lora", "dropout"), "remove it"))
    if found:
        raise PolicyError(found)
    reward = reward_from(section, plan, config.place(config.kind))
    probed = _probed(start.train, _names(start))
    placed(
        config.place(config.kind, "task"),
        lambda: check_run(reward, scale_rewards=None, columns=probed, task=task or _one),
    )
    model = RewardModel.load(folder / learned, plan) if learned else None
    trained = load_trained(config)
    if model is not None:
        weight = number(section, "rewardModelWeight", 1.0)
        task = added(task, model.term(trained.vocabulary().eos_ids), weight)
    pricer = Pricer(reward, task or _one, share)
    # Joins the processes that were launched together, each with a device of its own.
    trained.model.to(PartialState(cpu=not torch.cuda.is_available()).device)
    fitting = Fitting(config, trained.model, int(number(section, "maxNewTokens", 128)))
    names = _names(start)
    train, held_out = (_prompts(rows, names, trained, fitting) for rows in (start.train, start.held_out))
    fitting.check(len(train))
    sampler, judge = _samplers(section, trained, reward)
    learner, settings = _learner(start, trained, sampler, pricer)
    online = Online(learner, reward, pricer, judge, train, held_out)
    record: dict[str, Json] = {**told(section), "task": task_id, "hallucination": share_id, "mode": mode.value}
    if learned:
        record["rewardModel"] = reward_digest(folder / learned)
    facts: dict[str, Json] = {"trainable parameters": trained.n_trainable, "groups of costs": len(reward.costs.groups)}
    return Job(online.run, {**record, "loop": cast("dict[str, Json]", asdict(settings))}, facts)


def _one(prompts: Sequence[object], completions: Sequence[object], **_: object) -> list[float | None]:
    return [1.0] * len(completions)


def added(task: Term | None, model: Term, weight: float) -> Term:
    """The task's reward and ``weight`` times that of the model; None where one of them has none."""

    def both(prompts: Sequence[object], completions: Sequence[object], **columns: Any) -> list[float | None]:
        n = len(completions)
        learned = checked_rewards(model(prompts=prompts, completions=completions, **columns), n, "the reward model")
        own = [0.0] * n if task is None else task(prompts=prompts, completions=completions, **columns)
        pairs = zip(checked_rewards(own, n, "the task's reward"), learned, strict=True)
        return [None if a is None or b is None else a + weight * b for a, b in pairs]

    return both


def _names(start: Start) -> tuple[str, ...]:
    """The columns that any row has. Every batch has them all, so that functions meet no other columns in the middle of
    a run, nor one process others than the next."""
    return tuple(dict.fromkeys(name for rows in (start.train, start.held_out) for row in rows for name in row.values))


def _probed(rows: Rows, names: Sequence[str]) -> Mapping[str, Sequence[object]]:
    first = rows.rows[:2]
    probed = [name for name in names if name not in ("plan_digest", "bundle_digest")]
    return {name: [row.values.get(name) for row in first] for name in probed}


def _prompts(rows: Rows, names: Sequence[str], trained: Trained, fitting: Fitting) -> list[Prompt]:
    out: list[Prompt] = []
    for row in rows:
        ids = tuple(prompt_ids(trained.tokenizer, row.values["prompt"], row.place))
        if fitting.fits(row.place, Encoded(ids, len(ids), ())):
            out.append(Prompt(row.values["prompt"], ids, {k: row.values.get(k) for k in names if k != "prompt"}))
    return out


def _samplers(section: Entries | None, trained: Trained, reward: PolicyReward) -> tuple[Sampler, Sampler]:
    """What is learned from, and what is measured: free completions of the same lengths."""
    mode, vocabulary = mode_of(section), trained.vocabulary()
    constraint = reward.plan.constraint(vocabulary) if mode is RolloutMode.MASKED else None
    n, attempts = int(number(section, "maxNewTokens", 128)), int(number(section, "maxAttempts", 16))
    temperature = number(section, "temperature", 1.0)
    sampler = Sampler(vocabulary, n, mode, temperature, constraint, reward.plan, attempts)
    return sampler, Sampler(vocabulary, n, RolloutMode.FREE, temperature)


def _learner(
    start: Start, trained: Trained, sampler: Sampler, pricer: Pricer
) -> tuple[Learner, RlooSettings | PpoSettings]:
    config, section = start.config, start.config.section
    moving = [p for p in trained.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(moving, lr=config.optimizer.rate, weight_decay=config.optimizer.weight_decay)
    common: dict[str, Any] = {
        "kl_coef": number(section, "klCoef", 0.02),
        "max_kl": float("inf"),  # the run's own guard stops it, after it was logged
        "mask_tax": number(section, "maskTax", 0.0),
        "max_grad_norm": config.optimizer.clip,
        "batch_size": config.steps.micro_batch,
    }
    if config.kind != "ppo":
        common["n_epochs"] = int(number(section, "epochs", 1))
        size = int(number(section, "groupSize", 8))
        common["batch_size"] *= size  # its rows are prompts
        settings = RlooSettings(group_size=size, by_token=config.kind == "grpo", **common)
        return Rloo(trained.model, optimizer, sampler, pricer, settings), settings
    common["kl_target"] = section.number("klTarget") if section else None
    common["n_epochs"] = int(number(section, "epochs", 2))
    for name, key, default in (("kl_horizon", "klHorizon", 10_000), ("critic_warmup", "criticWarmup", 0)):
        common[name] = int(number(section, key, default))
    of_ppo = PpoSettings(gamma=number(section, "gamma", 1.0), decay=number(section, "decay", 0.95), **common)
    n_critics = 1 + len([w for name, w in pricer.reward.weights.items() if name != "hallucination" or w > 0])
    torch.manual_seed(config.steps.seed)
    has_body = section is not None and section.text("critic") == "model"
    critics = critics_for(trained.model, n_critics, with_body=has_body)
    critic_optimizer = torch.optim.AdamW(critics.parameters(), lr=number(section, "criticRate", 1e-3))
    return Ppo(trained.model, critics, optimizer, critic_optimizer, sampler, pricer, of_ppo), of_ppo
