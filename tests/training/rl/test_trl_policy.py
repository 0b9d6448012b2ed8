"""TRL's GRPO and RLOO with our rollouts and masks: the gradients of their own losses against enumeration."""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import policykit as pk
from policykit import rewards as rw
from policykit.training.rl.draw import Drawn
from policykit.training.rl.rollouts import Sampler

from . import common, tiny

pytest.importorskip("trl", reason="the extra `train`")
pytestmark = pytest.mark.slow
FREE, MASKED, REJECTED = rw.RolloutMode
OFF = {
    "use_cpu": True, "bf16": False, "gradient_checkpointing": False, "report_to": "none", "save_strategy": "no",
    "disable_tqdm": True, "logging_steps": 1,
}  # fmt: skip


def tiny_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"a": 0, "b": 1, "ab": 2, "c": 3, "<end>": tiny.END, "<start>": tiny.START}
    inner = Tokenizer(models.WordLevel(words, unk_token="a"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.decoder = decoders.Fuse()
    special = {"eos_token": "<end>", "pad_token": "<end>", "additional_special_tokens": ["<start>"]}
    return PreTrainedTokenizerFast(tokenizer_object=inner, **special)


def configuration(folder: Path, kind: str, **more: Any) -> Any:
    import trl

    own = {"scale_rewards": "none", "loss_type": "dr_grpo"} if kind == "grpo" else {}
    of_kind = trl.GRPOConfig if kind == "grpo" else trl.RLOOConfig
    batch = {"per_device_train_batch_size": 8, "num_generations": 4, "beta": 0.0, **OFF, **own, **more}
    return of_kind(str(folder), **batch)


def trainer_of(kind: str) -> Any:
    from policykit.training.rl.trl_policy import PolicyGRPOTrainer, PolicyRLOOTrainer

    return PolicyGRPOTrainer if kind == "grpo" else PolicyRLOOTrainer


@dataclass(frozen=True, slots=True)
class Chosen(Sampler):
    """Gives the completions that a test has chosen, as if they had been drawn."""

    drawn: Any = None

    def completions(self, model: Any, prompts: Any, generator: Any = None) -> Any:
        ids, logps, usable = self.drawn[0]
        return Drawn(ids, logps, (False,) * len(ids)), usable, len(ids)


class World:
    """A trainer on the tiny model, whose rewards are a table over the legal completions."""

    def __init__(self, folder: Path, kind: str, mode: rw.RolloutMode, **more: Any) -> None:
        from datasets import Dataset

        plan = pk.compile(None, pk.Grammar.from_choices(tiny.TEXTS))
        self.rows, self.table = tiny.legal_rows(), tiny.rewards(2)
        self.lost: set[tuple[int, ...]] = set()
        self.box: list[Any] = [None]
        sampler = Chosen(tiny.vocabulary(), 4, mode, 1.0, tiny.constraint(), plan, drawn=self.box)
        reward = rw.PolicyReward(plan, rw.Fixed({"grammar": 1.0}), mode=mode, max_lost=1.0)
        data = Dataset.from_dict({"prompt": ["<start>"] * 8})
        args = configuration(folder, kind, max_completion_length=4, **more)
        self.net = tiny.model(1)
        self.trainer = trainer_of(kind)(
            self.net, reward, self.task, sampler, args, train_dataset=data, processing_class=tiny_tokenizer()
        )
        self.trainer.current_gradient_accumulation_steps = 1
        self.net.train()

    def task(self, prompts: Any, completions: Any, completion_ids: Any, **_: Any) -> list[float | None]:
        rows = [tuple(ids) for ids in completion_ids]
        return [None if row in self.lost else float(self.table[self.rows.index(row)]) for row in rows]

    def scored(self, indices: tuple[int, ...], usable: tuple[bool, ...] | None = None) -> dict[str, Any]:
        rows = tuple(self.rows[i] for i in indices)
        with torch.no_grad():
            logps = tuple(self.sampled(row) for row in rows)
        self.box[0] = rows, logps, usable or (True,) * len(rows)
        return self.trainer._generate_and_score_completions([{"prompt": "<start>"}] * len(rows))

    def sampled(self, row: tuple[int, ...]) -> tuple[float, ...]:
        weights = self.net(input_ids=torch.tensor([tiny.PROMPT + row])).logits[0].exp()
        masked = self.trainer.sampler.mode is MASKED
        among = [tiny.follow(row[:t]) if masked else list(range(tiny.SIZE)) for t in range(len(row))]
        return tuple(float((weights[t, row[t]] / weights[t, among[t]].sum()).log()) for t in range(len(row)))


@pytest.mark.parametrize("mode", [MASKED, REJECTED])
@pytest.mark.parametrize("kind", ["rloo", "grpo"])
def test_the_trainers_own_loss_has_the_exact_gradient(tmp_path: Path, kind: str, mode: rw.RolloutMode) -> None:
    world = World(tmp_path, kind, mode, num_generations=2)
    raw = tiny.probabilities(world.net, renormalised=mode is MASKED)
    p = raw / raw.sum()
    # Every completion is legal, so that its reward is the task's over 1 + λ.
    exact = tiny.gradient((p * world.table / 2).sum(), world.net)
    expected = torch.zeros_like(exact)
    for i, j in itertools.combinations(range(len(world.rows)), 2):  # two alike have no advantage
        loss = world.trainer._compute_loss(world.net, world.scored((i, j)))
        expected -= 2 * float((p[i] * p[j]).detach()) * tiny.gradient(loss, world.net)
    assert tiny.cosine(expected, exact) >= 0.9999
    # GRPO's baseline is over all of a group of 2, and its mean is over 4 tokens a row.
    scale = 1.0 if kind == "rloo" else 0.5 / 4
    assert float(expected.norm() / exact.norm()) == pytest.approx(scale, rel=1e-3)
    differences = world.trainer._metrics["train"]["policy/replay_difference"]
    assert max(differences) < 1e-4


def test_trl_alone_has_another_gradient_under_masks(tmp_path: Path) -> None:
    """The planted mistake: the same samples, scored without their masks."""
    world = World(tmp_path, "rloo", MASKED, num_generations=2)
    p = tiny.probabilities(world.net, renormalised=True)
    exact = tiny.gradient((p * world.table / 2).sum(), world.net)
    expected = torch.zeros_like(exact)
    world.trainer._replayer = None
    world.trainer._check_replay = lambda *_: None
    for i, j in itertools.combinations(range(len(world.rows)), 2):  # two alike have no advantage
        loss = world.trainer._compute_loss(world.net, world.scored((i, j)))
        expected -= 2 * float((p[i] * p[j]).detach()) * tiny.gradient(loss, world.net)
    assert tiny.cosine(expected, exact) < 0.99


def test_masks_of_another_sampler_stop_the_run(tmp_path: Path) -> None:
    world = World(tmp_path, "rloo", MASKED, num_generations=2)
    out = world.scored((0, 1))
    out["sampling_per_token_logps"] = out["sampling_per_token_logps"] - 0.1
    with pytest.raises(pk.PolicyError, match="PK766"):
        world.trainer._compute_loss(world.net, out)


@pytest.mark.parametrize("kind", ["rloo", "grpo"])
def test_a_row_without_a_reward_is_as_if_it_were_not_there(tmp_path: Path, kind: str) -> None:
    """A group of four, one of them lost and one never accepted, learns what a group of two learns."""
    loss_type = {"loss_type": "bnpo"} if kind == "grpo" else {}
    world = World(tmp_path, kind, MASKED, num_generations=4, **loss_type)
    world.lost = {world.rows[2]}
    out = world.scored((0, 1, 2, 3), (True, True, True, False))
    assert out["advantages"][2:].tolist() == [0.0, 0.0]
    four = tiny.gradient(world.trainer._compute_loss(world.net, out), world.net)
    world.trainer.num_generations = 2
    two = tiny.gradient(world.trainer._compute_loss(world.net, world.scored((0, 1))), world.net)
    assert torch.allclose(four, two, atol=1e-7)
    assert float(two.norm()) > 0


def test_forced_tokens_are_in_no_denominator(tmp_path: Path) -> None:
    world = World(tmp_path, "grpo", MASKED, num_generations=2)
    out = world.scored((0, 1, 5, 8))
    free = [sum(len(tiny.follow(world.rows[i][:t])) > 1 for t in range(len(world.rows[i]))) for i in (0, 1, 5, 8)]
    assert out["tool_mask"].sum(-1).tolist() == free
    assert sum(free) < sum(len(world.rows[i]) for i in (0, 1, 5, 8))
    assert int(out["num_items_in_batch"]) == sum(free)


@pytest.mark.parametrize(
    ("code", "kind", "settings"),
    [
        ("PK760", "grpo", {"scale_rewards": "group"}),
        ("PK760", "grpo", {"multi_objective_aggregation": "normalize_then_sum"}),
        ("PK768: `top_p`", "grpo", {"top_p": 0.9}),
        ("PK768: `temperature`", "rloo", {"temperature": 0.7}),
        ("PK768: `max_completion_length`", "rloo", {"max_completion_length": 5}),
        ("PK768: rejected rollouts", "grpo", {"num_iterations": 2}),
    ],
)
def test_settings_that_cannot_be_exact_are_refused(
    tmp_path: Path, code: str, kind: str, settings: dict[str, Any]
) -> None:
    from policykit.training.rl.trl_policy import check_arguments

    plan = pk.compile(None, pk.Grammar.from_choices(tiny.TEXTS))
    reward = rw.PolicyReward(plan, rw.Fixed({"grammar": 1.0}), mode=REJECTED)
    sampler = Sampler(tiny.vocabulary(), 4, REJECTED, plan=plan)
    args = configuration(tmp_path, kind, **{"max_completion_length": 4, **settings})
    with pytest.raises(pk.PolicyError, match=code):
        check_arguments(args, sampler, reward)
    check_arguments(configuration(tmp_path, kind, max_completion_length=4), sampler, reward)


def test_another_mode_another_plan_and_another_trl_are_refused(tmp_path: Path) -> None:
    from policykit.training.rl.trl_policy import check_arguments, check_version

    plan = pk.compile(None, pk.Grammar.from_choices(tiny.TEXTS))
    other = pk.compile(None, pk.Grammar.from_choices(["a"]))
    sampler = Sampler(tiny.vocabulary(), 4, MASKED, constraint=tiny.constraint(), plan=plan)
    args = configuration(tmp_path, "rloo", max_completion_length=4)
    weights = rw.Fixed({"grammar": 1.0})
    with pytest.raises(pk.PolicyError, match="PK767"):
        check_arguments(args, sampler, rw.PolicyReward(plan, weights))
    with pytest.raises(pk.PolicyError, match="PK762"):
        check_arguments(args, sampler, rw.PolicyReward(other, weights, mode=MASKED))
    with pytest.raises(pk.PolicyError, match=r"PK768: TRL 1\.17\.0"):
        check_version("1.17.0")
    check_version("1.17.0", any_version=True)
    with pytest.raises(ValueError, match="greedy"):
        rw.RolloutMode("greedy")


@pytest.mark.parametrize(("kind", "mode"), [("grpo", MASKED), ("rloo", FREE), ("rloo", REJECTED)])
def test_a_real_run_trains_in_its_mode(tmp_path: Path, kind: str, mode: rw.RolloutMode) -> None:
    from datasets import Dataset

    from policykit.engines.transformers import load_model

    model, tokenizer = load_model("embedded")
    tokenizer.padding_side = "left"
    reward = rw.PolicyReward(common.plan(), rw.Lagrangian({common.RULE: 0.1}), mode=mode)
    texts = [f"<|user|>{prompt.given}<|assistant|>" for prompt in common.prompts(8, 3)]
    data = Dataset.from_dict({"prompt": texts, "bundle_digest": [common.plan().bundle_digest] * 8})
    args = configuration(tmp_path, kind, max_steps=2, max_completion_length=32, beta=0.05, learning_rate=1e-4)
    before = [p.detach().clone() for p in model.parameters()]
    trainer = trainer_of(kind)(
        model, reward, common.task, common.sampler(mode, 32), args, train_dataset=data, processing_class=tokenizer
    )
    trainer.train()
    steps = [entry for entry in trainer.state.log_history if "reward" in entry]
    assert len(steps) == 2
    assert all(step["policy/replay_difference"] < 1e-4 for step in steps)
    assert all(f"policy/violation_rate/{common.RULE}" in step for step in steps)
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    rates = [step[f"policy/violation_rate/{common.RULE}"] for step in steps]
    if mode is FREE:
        assert sum(rates) > 0
    else:
        # What was cut by its length may end where a longer word would have been legal.
        cut = [step["completions/clipped_ratio"] if mode is MASKED else 0.0 for step in steps]
        assert all(rate <= most for rate, most in zip(rates, cut, strict=True))
        assert all(("policy/mask_tax" in step) == (mode is MASKED) for step in steps)
