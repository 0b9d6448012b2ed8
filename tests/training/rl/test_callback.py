"""The callback with TRL's own trainers: λ survives a restart, is still in evaluations, and the run is checked first."""

from pathlib import Path
from typing import Any

import pytest
import torch

import policykit as pk
from policykit import rewards as rw

from . import common
from .test_trl_policy import OFF

pytest.importorskip("trl", reason="the extra `train`")
pytestmark = pytest.mark.slow


def data(bundle: str | None = None) -> Any:
    from datasets import Dataset

    texts = [f"<|user|>{prompt.given}<|assistant|>" for prompt in common.prompts(16, 3)]
    return Dataset.from_dict({"prompt": texts, "bundle_digest": [bundle or common.plan().bundle_digest] * 16})


def trainer_for(folder: Path, reward: rw.PolicyReward, *, with_callback: bool = True, **more: Any) -> Any:
    import trl

    from policykit.engines.transformers import load_model
    from policykit.training.rl.callback import PolicyCallback

    model, tokenizer = load_model("embedded")
    tokenizer.padding_side = "left"
    settings: dict[str, Any] = {**OFF, "save_strategy": "steps", "save_steps": 2, "learning_rate": 3e-4, **more}
    args = trl.RLOOConfig(
        str(folder), per_device_train_batch_size=8, num_generations=4, max_completion_length=24, beta=0.0, seed=3,
        per_device_eval_batch_size=8, **settings,
    )  # fmt: skip
    return trl.RLOOTrainer(
        model=model, reward_funcs=rw.reward_function(reward, common.task), args=args, train_dataset=data(),
        eval_dataset=data(), processing_class=tokenizer,
        callbacks=[PolicyCallback(reward, common.task)] if with_callback else [],
    )  # fmt: skip


def lagrangian() -> rw.PolicyReward:
    return rw.PolicyReward(common.plan(), rw.Lagrangian({common.RULE: 0.2}, rate=2.0))


def history(trainer: Any) -> list[float]:
    name = f"policy/lambda/{common.RULE}"
    return [entry[key] for entry in trainer.state.log_history if "reward" in entry for key in ("reward", name)]


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, first, second = lagrangian(), lagrangian(), lagrangian()
    uninterrupted = trainer_for(tmp_path / "a", whole, max_steps=4)
    uninterrupted.train()
    stopped = trainer_for(tmp_path / "b", first, max_steps=4)
    stopped.add_callback(_Stop(2))
    stopped.train()
    assert first.weights[common.RULE] != 1.0
    resumed = trainer_for(tmp_path / "b", second, max_steps=4)
    assert second.weights[common.RULE] == 1.0
    resumed.train(resume_from_checkpoint=True)
    assert history(resumed) == pytest.approx(history(uninterrupted), abs=1e-6)
    assert second.state_dict() == whole.state_dict()
    for a, b in zip(uninterrupted.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def _Stop(step: int) -> Any:
    from transformers import TrainerCallback

    class Stop(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = state.global_step >= step

    return Stop()


def test_an_evaluation_prices_and_moves_nothing(tmp_path: Path) -> None:
    reward = lagrangian()
    trainer = trainer_for(tmp_path, reward, save_strategy="no", max_steps=1)
    found = trainer.evaluate()
    assert found[f"eval_policy/violation_rate/{common.RULE}"] > 0
    assert reward.weights[common.RULE] == 1.0
    assert reward.state_dict() == lagrangian().state_dict()
    trainer.train()
    seen = reward.state_dict()
    assert seen != lagrangian().state_dict()
    trainer.evaluate()
    assert reward.state_dict() == seen


def test_what_would_make_the_run_worthless_is_refused_before_its_first_step(tmp_path: Path) -> None:
    from policykit.training.rl.callback import PolicyCallback

    trainer = trainer_for(tmp_path, lagrangian(), with_callback=False, save_strategy="no", max_steps=1)
    with pytest.raises(pk.PolicyError, match="PK764: a weight moves"):
        trainer.train()

    def short(prompts: Any, completions: Any, **_: Any) -> list[float | None]:
        return [1.0] * (len(completions) - 1)

    wrong = trainer_for(tmp_path, lagrangian(), with_callback=False, save_strategy="no", max_steps=1)
    wrong.add_callback(PolicyCallback(lagrangian(), short))
    with pytest.raises(pk.PolicyError, match="PK761"):
        wrong.train()
    other = trainer_for(tmp_path, lagrangian(), save_strategy="no", max_steps=1)
    other.train_dataset = data("sha256:0")
    with pytest.raises(pk.PolicyError, match="PK762"):
        other.train()
    assert other.state.global_step == 0
    with pytest.raises(pk.PolicyError, match="PK765"):
        trainer_for(tmp_path, lagrangian(), restore_callback_states_from_checkpoint=True)


def test_a_checkpoint_without_weights_and_a_run_that_diverges_are_refused(tmp_path: Path) -> None:
    fixed = rw.PolicyReward(common.plan(), rw.Fixed({common.RULE: 1.0}))
    trainer_for(tmp_path, fixed, with_callback=False, max_steps=2).train()
    with pytest.raises(pk.PolicyError, match="PK765: the checkpoint was made without"):
        trainer_for(tmp_path, lagrangian(), max_steps=4).train(resume_from_checkpoint=True)
    diverging = trainer_for(tmp_path / "d", lagrangian(), save_strategy="no", max_steps=4, learning_rate=1e8)
    with pytest.raises((pk.PolicyError, RuntimeError), match=r"PK769|probability tensor|PK76"):
        diverging.train()
