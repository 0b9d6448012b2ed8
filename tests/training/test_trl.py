"""TRL's own GRPO trainer calls the reward function: two steps on the embedded model."""

from pathlib import Path
from typing import Any

import pytest

from policykit import rewards as rw
from tests.rewards.test_rewards import PLAN

pytestmark = pytest.mark.slow


def shorter(prompts: list[Any], completions: list[Any], **columns: Any) -> list[float | None]:
    return [1.0 / (1 + len(completion)) for completion in completions]


def test_grpo_trains_on_the_composed_reward(tmp_path: Path) -> None:
    trl = pytest.importorskip("trl", reason="the extra `train`")
    datasets = pytest.importorskip("datasets", reason="the extra `train`")
    from policykit.engines.transformers import load_model
    from policykit.training.rl.callback import PolicyCallback

    model, tokenizer = load_model("embedded")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    log: list[rw.RewardRow] = []
    reward = rw.PolicyReward(PLAN, rw.Lagrangian({"guarantees": 0.5, "risk": 0.5}), log=log.append)
    data = {"prompt": ["Is it safe?", "What of the fund?"] * 4, "bundle_digest": [PLAN.bundle_digest] * 8}
    args = trl.GRPOConfig(
        str(tmp_path), max_steps=2, per_device_train_batch_size=4, num_generations=4, max_completion_length=12,
        scale_rewards="none", use_cpu=True, bf16=False, gradient_checkpointing=False, report_to="none",
        logging_steps=1, save_strategy="no", log_completions=True,
    )  # fmt: skip
    trainer = trl.GRPOTrainer(
        model=model, reward_funcs=rw.reward_function(reward, shorter), args=args,
        train_dataset=datasets.Dataset.from_dict(data), processing_class=tokenizer,
        callbacks=[PolicyCallback(reward, shorter)],
    )  # fmt: skip
    trainer.train()
    assert len(log) == 8
    assert {row.bundle_digest for row in log} == {PLAN.bundle_digest}
    steps = [entry for entry in trainer.state.log_history if "reward" in entry]
    assert len(steps) == 2
    for step, rows in zip(steps, (log[:4], log[4:]), strict=True):
        assert step["reward"] == pytest.approx(sum(row.reward or 0.0 for row in rows) / 4, abs=1e-5)
        assert step["policy/violation_rate/guarantees"] == sum(row.costs["guarantees"] > 0 for row in rows) / 4
