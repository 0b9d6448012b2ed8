"""What each of several processes runs, launched by torchrun and joined by accelerate: it writes what it ends with, for
the test to hold side by side. `two_processes.py FOLDER trl|loop`."""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from policykit import rewards as rw

from . import common

torch.set_num_threads(1)


def digest(model: Any) -> float:
    return float(sum(p.detach().double().abs().sum() for p in model.parameters()))


def by_trl(folder: Path) -> dict[str, Any]:
    from policykit.engines.transformers import load_model
    from policykit.training.rl.trl_policy import PolicyRLOOTrainer

    from .test_callback import data
    from .test_trl_policy import configuration

    model, tokenizer = load_model("embedded")
    tokenizer.padding_side = "left"
    log: list[rw.RewardRow] = []
    reward = rw.PolicyReward(common.plan(), rw.Lagrangian({common.RULE: 0.4}, rate=2.0), log=log.append)
    args = configuration(
        folder / "trl", "rloo", max_steps=2, max_completion_length=24, learning_rate=1e-3, beta=0.05,
        per_device_train_batch_size=8,
    )  # fmt: skip
    sampler = common.sampler(rw.RolloutMode.FREE, 24)
    trainer = PolicyRLOOTrainer(
        model, reward, common.task, sampler, args, train_dataset=data(), processing_class=tokenizer
    )
    trainer.train()
    logged = [entry["reward"] for entry in trainer.state.log_history if "reward" in entry]
    costs = [row.costs[common.RULE] for row in log]
    return {"state": reward.state_dict(), "costs": costs, "weights": digest(model), "logged": logged}


def by_loop(folder: Path) -> dict[str, Any]:
    from policykit.training.session import train

    from .test_kinds import ready

    made = ready("rloo", folder / "training.yaml")
    train(made)
    online: Any = made.job.run.__self__
    return {"state": online.reward.state_dict(), "weights": digest(online.learner.model)}


def main() -> None:
    folder, what = Path(sys.argv[1]), sys.argv[2]
    found = by_trl(folder) if what == "trl" else by_loop(folder)
    rank = torch.distributed.get_rank()
    (folder / f"rank-{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
