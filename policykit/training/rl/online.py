"""The loop of every kind that learns from rewards, inside a run folder: steps, evaluations and checkpoints."""
# torch leaves parts of its interface untyped.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist

from policykit.diagnostics import PolicyError
from policykit.rewards import PolicyReward
from policykit.training.config import Config
from policykit.training.offline import batch_at, rate_at
from policykit.training.rl.price import Pricer
from policykit.training.rl.processes import gathered, n_processes, rank
from policykit.training.rl.rollouts import Prompt, Sampler
from policykit.training.runs.guards import diverged
from policykit.training.runs.run import Run

EVALUATION_SEED = 20_261
LOST = "policy/lost"


class Learner(Protocol):
    """A loop that learns a step at a time from prompts."""

    model: Any
    optimizer: torch.optim.Optimizer

    def step(self, prompts: Sequence[Prompt]) -> dict[str, float]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclass
class Online:
    """A learner with its prompts. ``judge`` samples and prices held-out prompts freely, whatever the learner does."""

    learner: Learner
    reward: PolicyReward
    pricer: Pricer
    judge: Sampler
    train: Sequence[Prompt]
    held_out: Sequence[Prompt]
    is_training: bool = True

    def run(self, run: Run) -> None:
        """Train to the end. Raises Diverged (PK783) where a guard or the learner stops the run."""
        config, steps = run.config, run.config.steps
        _check_processes(config, len(self.held_out))
        self.reward.attach(gathered, lambda: self.is_training)
        begun = run.resumed.step if run.resumed else 0
        if run.resumed:
            self._load(run.resumed.folder)
        elif self.held_out:
            run.log_held_out(0, _told(config, "before the first step", self.evaluate))
        for step in range(begun + 1, steps.n_steps + 1):
            run.log(step, _told(config, f"at step {step}", partial(self._step, config, step)))
            if self.held_out and run.is_due(steps.evaluate_every, step):
                run.log_held_out(step, _told(config, f"after step {step}", self.evaluate))
            if run.is_due(steps.checkpoint_every, step):
                run.checkpoint(step, self._save, _wait)
        if run.is_main:
            self.learner.model.save_pretrained(str(run.folder.adapter))
        _wait()

    def _step(self, config: Config, step: int) -> dict[str, float]:
        steps = config.steps
        chosen = batch_at(step, steps.batch, len(self.train), steps.seed)[rank() :: n_processes()]
        rate = rate_at(config.optimizer, step, steps.n_steps)
        for group in self.learner.optimizer.param_groups:
            group["lr"] = rate
        # What is drawn depends on the step alone: a run that goes on draws the same.
        torch.manual_seed((steps.seed * 1_000_003 + step) * 1_009 + rank())
        found = averaged(gathered([self.learner.step([self.train[i] for i in chosen])]))
        if step == 1 and found.get(LOST) == 1.0:
            raise self.reward.nothing_priced()
        return {**found, "rate": rate}

    def evaluate(self) -> dict[str, float]:
        """Free completions of the held-out prompts, the same draws every time: rates by group, and the task."""
        mine = self.held_out[rank() :: n_processes()]
        self.is_training = False
        with torch.random.fork_rng():
            torch.manual_seed(EVALUATION_SEED + rank())
            priced = self.pricer.price(self.judge.roll(self.learner.model, mine, 1))
        self.is_training = True
        rows = zip(
            priced.task.tolist(), priced.rewards.tolist(), priced.costs.tolist(), priced.has.tolist(), strict=True
        )
        judged = [row for row in gathered(list(rows)) if row[3]]
        found = {"policy/judged": float(len(judged))}
        if not judged:  # of nothing there is no rate: not 0 either
            return found
        n = len(judged)
        found |= {"task": sum(row[0] for row in judged) / n, "reward": sum(row[1] for row in judged) / n}
        found["violation_rate"] = sum(any(cost > 0 for cost in row[2]) for row in judged) / n
        for k, name in enumerate(priced.names):
            found[f"policy/violation_rate/{name}"] = sum(row[2][k] > 0 for row in judged) / n
        return found

    def _save(self, folder: Path) -> None:
        if rank() == 0:
            moving = {name: p.detach().cpu() for name, p in _moving(self.learner.model)}
            state = {"weights": moving, "learner": self.learner.state_dict(), "reward": self.reward.state_dict()}
            torch.save(state, folder / "state.pt")

    def _load(self, folder: Path) -> None:
        device = next(self.learner.model.parameters()).device
        state = torch.load(folder / "state.pt", map_location=device, weights_only=True)
        with torch.no_grad():
            for name, parameter in _moving(self.learner.model):
                parameter.copy_(state["weights"][name])
        self.learner.load_state_dict(state["learner"])
        self.reward.load_state_dict(state["reward"])


def _told(config: Config, when: str, work: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What some work finds. Raises Diverged (PK783) for what a learner stops for, and other errors with the place of
    the task where they know none, for the functions of the task are what fails in the middle of a run."""
    try:
        return work()
    except PolicyError as error:
        if error.diagnostics[0].code == "PK769":
            raise diverged(f"{error.diagnostics[0].message} {when}", config.place("guards")) from error
        place = config.place(config.kind, "task")
        raise PolicyError(
            replace(one, message=f"{one.message} {when}", place=place) if one.place is None else one
            for one in error.diagnostics
        ) from error


def averaged(told: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each metric over the processes that have it: one whose rows were all lost has no rates."""
    names = dict.fromkeys(name for one in told for name in one)
    of = {name: [one[name] for one in told if name in one] for name in names}
    return {name: sum(values) / len(values) for name, values in of.items()}


def _moving(model: Any) -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]


def _wait() -> None:
    if n_processes() > 1:
        dist.barrier()


def _check_processes(config: Config, n_held_out: int) -> None:
    n = n_processes()
    if config.steps.batch % n:
        message = f"a batch of {config.steps.batch} prompts cannot be shared by {n} processes"
        raise PolicyError.of("PK780", message, config.place("run", "batch"), f"make `run.batch` a multiple of {n}")
    if 0 < n_held_out < n:
        message = f"{n_held_out} held-out prompts cannot be shared by {n} processes"
        raise PolicyError.of("PK780", message, config.place("data", "heldOut"), "hold out more rows")
