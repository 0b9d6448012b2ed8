"""One loop for every kind that learns from rows: what differs between kinds is an objective.

The loss of a step is Σ_k (Σ over the batch's rows of numerator k) / (Σ over the batch's rows of denominator k), and
denominators are known before the first row is computed. So it is the same number, and has the same gradient, however
the batch is cut into micro-batches and spread over processes.
"""
# torch and accelerate leave parts of their interfaces untyped.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

import numpy as np
import torch

from policykit.diagnostics import PolicyError
from policykit.training.config import Config, Optimizer
from policykit.training.models import sharding
from policykit.training.runs.run import Run

Example = TypeVar("Example")
Contra = TypeVar("Contra", contravariant=True)
Sums = dict[str, tuple[float, float]]
"""A metric's sum and the number that it is divided by, so that parts of a batch can be added up."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What some examples contribute: ``numerators`` [K] with gradient, and sums of metrics."""

    numerators: torch.Tensor
    sums: Sums = field(default_factory=dict[str, tuple[float, float]])


class Objective(Protocol[Contra]):
    """A loss over examples. ``model`` is called as a PEFT model is; ``constants`` are what :meth:`constants` averaged.

    ``denominators`` are K numbers for one example. ``constants`` are sums over examples of what the loss takes for
    constant over a batch (none by default), computed without gradient.
    """

    def denominators(self, example: Contra) -> tuple[float, ...]: ...
    def constants(self, model: Any, examples: Sequence[Contra]) -> Sums: ...
    def terms(self, model: Any, examples: Sequence[Contra], constants: dict[str, float]) -> Terms: ...


def one_rate(name: str) -> float:
    """Every parameter moves at the rate of the training file."""
    return 1.0


def nothing_more(run: Run, model: Any) -> None:
    """A training that ends with its last step."""


@dataclass(frozen=True, slots=True)
class Offline(Generic[Example]):
    """An objective, the model that it moves, and examples; ``held_out`` may be empty.

    ``rate_of`` says at how many times the rate of the training file a parameter moves, by its name. ``finish`` is
    called in every process when the last step is done, before the model is saved, with the model in evaluation mode
    and without gradient; all processes must call the model equally often. What is trained goes to the folder
    ``output`` of the run. ``measure`` says more about the model than rows can, in every process and at every
    evaluation, and needs the whole model.
    """

    objective: Objective[Example]
    model: Any
    train: Sequence[Example]
    held_out: Sequence[Example]
    rate_of: Callable[[str], float] = one_rate
    finish: Callable[[Run, Any], None] = nothing_more
    output: str = "adapter"
    measure: Callable[[], dict[str, float]] | None = None

    def run(self, run: Run) -> None:
        """Train to the end, evaluating and keeping checkpoints on the way; what is trained is in ``run.folder``."""
        _Loop(self, run).train()


def rate_at(optimizer: Optimizer, step: int, n_steps: int) -> float:
    """The learning rate of a step, from 1: up over the warm-up, then constant, or down to 0 behind the last step."""
    if step <= optimizer.warmup:
        return optimizer.rate * step / optimizer.warmup
    left = 1 - (step - 1 - optimizer.warmup) / max(1, n_steps - optimizer.warmup)
    match optimizer.schedule:
        case "linear":
            return optimizer.rate * left
        case "cosine":
            return optimizer.rate * 0.5 * (1 - math.cos(math.pi * left))
        case _:
            return optimizer.rate


def batch_at(step: int, batch: int, n: int, seed: int) -> list[int]:
    """The rows of a step: every epoch takes each row once, in an order of its own."""
    return [_order(seed, at // n, n)[at % n] for at in range((step - 1) * batch, step * batch)]


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, n: int) -> tuple[int, ...]:
    return tuple(np.random.default_rng([seed, epoch]).permutation(n).tolist())


class _Loop(Generic[Example]):
    def __init__(self, offline: Offline[Example], run: Run) -> None:
        from accelerate import Accelerator

        self.offline, self.run_, self.config = offline, run, run.config
        self.accelerator = Accelerator(cpu=not torch.cuda.is_available())
        # First: accelerate and DeepSpeed take a share of no rows for a setting, and fail in words of their own.
        _check_processes(self.config, len(offline.held_out), self.accelerator.num_processes)
        _check_sharding(self.config, self.accelerator)
        tell_deepspeed(self.accelerator.state.deepspeed_plugin, self.config, self.accelerator.num_processes)
        self.peft_model: Any = offline.model
        resumed = run.resumed
        decay = self.config.optimizer.weight_decay
        optimizer = torch.optim.AdamW(
            _groups(self.peft_model, offline.rate_of), lr=self.config.optimizer.rate, weight_decay=decay
        )
        self.model, self.optimizer = self.accelerator.prepare(self.peft_model, optimizer)
        if resumed is not None:
            _load(resumed.folder, self)

    def train(self) -> None:
        run, steps = self.run_, self.config.steps
        self._check_measure()
        begun = run.resumed.step if run.resumed else 0
        if begun == 0:
            self._log_held_out(0)
        for step in range(begun + 1, steps.n_steps + 1):
            run.log(step, self.step(step))
            if run.is_due(steps.evaluate_every, step):
                self._log_held_out(step)
            if run.is_due(steps.checkpoint_every, step):
                run.checkpoint(step, self.save, self.accelerator.wait_for_everyone)
        self.model.eval()
        with torch.no_grad():
            self.offline.finish(run, self.model if _is_sharded(self.accelerator) else self.peft_model)
        self._save_model(run.folder.path / self.offline.output)

    def _log_held_out(self, step: int) -> None:
        offline = self.offline
        found = self.evaluate() if offline.held_out else {}
        found |= offline.measure() if offline.measure else {}
        if found:
            self.run_.log_held_out(step, found)

    def _check_measure(self) -> None:
        if self.offline.measure is not None and _is_sharded(self.accelerator):
            message = "a model that lies in parts in several processes cannot be asked for replies"
            place = self.config.place(self.config.kind, "replies")
            raise PolicyError.of("PK780", message, place, "say `replies: 0`, and evaluate the adapter afterwards")

    def step(self, step: int) -> dict[str, float]:
        """One step of the optimizer, and its metrics, the same in every process."""
        steps = self.config.steps
        rows = [self.offline.train[i] for i in batch_at(step, steps.batch, len(self.offline.train), steps.seed)]
        # What dropout draws depends on the step, and not on what was drawn before: a run that goes on draws the same.
        torch.manual_seed((steps.seed * 1_000_003 + step) * 1_009 + self.accelerator.process_index)
        self.model.train()
        # Before the gradients: DeepSpeed moves the weights as soon as it has them.
        rate = rate_at(self.config.optimizer, step, steps.n_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        sums = self._pass(rows, with_gradient=True)
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.optimizer.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {**sums, "grad_norm": float(norm or 0.0), "rate": rate}

    def evaluate(self) -> dict[str, float]:
        """Metrics of the held-out examples, of all together."""
        self.model.eval()
        with torch.no_grad():
            return self._pass(self.offline.held_out, with_gradient=False)

    def _pass(self, rows: Sequence[Example], with_gradient: bool) -> dict[str, float]:
        objective, process = self.offline.objective, self.accelerator.process_index
        denominators = torch.tensor([objective.denominators(row) for row in rows], dtype=torch.float64).sum(0)
        # Processes may have different numbers of parts to evaluate, and none may wait for another's. Where each holds a
        # part of the model they have to: those with fewer compute some again.
        parts, again = shared(rows, self.config.steps.micro_batch, process, self.accelerator.num_processes)
        is_alone = not with_gradient and not _is_sharded(self.accelerator)
        model, again = (self.peft_model, ()) if is_alone else (self.model, again)
        with torch.no_grad():
            found = [objective.constants(model, part) for part in (*parts, *again)]
        constants = self._averages(_added(found[: len(parts)]))
        told: list[Sums] = []
        with torch.no_grad():
            for part in again:
                objective.terms(model, part, constants)
        for i, part in enumerate(parts):
            waits = with_gradient and i + 1 < len(parts)
            with self.accelerator.no_sync(model) if waits else nullcontext():
                terms = objective.terms(model, part, constants)
                loss = (terms.numerators / denominators.clamp(min=1e-9).to(terms.numerators)).sum()
                if with_gradient:
                    # Processes average their gradients; what is wanted is the sum of their parts.
                    self.accelerator.backward(loss * self.accelerator.num_processes)
            told.append({"loss": (float(loss.detach()), 0.0), **terms.sums})
        return self._averages(_added(told))

    def _averages(self, sums: Sums) -> dict[str, float]:
        """Sums over all processes, each divided by its number; a number of 0 stands for a sum that is one already."""
        if not sums:
            return {}
        told = torch.tensor([sums[name] for name in sums], dtype=torch.float64, device=self.accelerator.device)
        added = cast("torch.Tensor", self.accelerator.reduce(told, reduction="sum"))
        return {name: float(a / b) if b else float(a) for name, (a, b) in zip(sums, added.tolist(), strict=True)}

    def save(self, folder: Path) -> None:
        """The files of a checkpoint: what moves, no more, where every process has all of it."""
        if _is_sharded(self.accelerator):
            self.accelerator.save_state(str(folder / "state"))
        elif self.accelerator.is_main_process:
            moving = {name: p.detach().cpu() for name, p in self.peft_model.named_parameters() if p.requires_grad}
            torch.save({"weights": moving, "optimizer": self.optimizer.state_dict()}, folder / "state.pt")

    def _save_model(self, folder: Path) -> None:
        state = self.accelerator.get_state_dict(self.model) if _is_sharded(self.accelerator) else None
        if self.accelerator.is_main_process:
            self.peft_model.save_pretrained(str(folder), state_dict=state)
        self.accelerator.wait_for_everyone()


def _groups(model: Any, rate_of: Callable[[str], float]) -> list[dict[str, Any]]:
    """What moves, by the scale of its rate."""
    groups: dict[float, list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(rate_of(name), []).append(parameter)
    return [{"params": parameters, "scale": scale} for scale, parameters in groups.items()]


def _load(folder: Path, loop: "_Loop[Any]") -> None:
    if _is_sharded(loop.accelerator):
        loop.accelerator.load_state(str(folder / "state"))
        return
    state = torch.load(folder / "state.pt", map_location=loop.accelerator.device, weights_only=True)
    with torch.no_grad():
        for name, parameter in loop.peft_model.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(state["weights"][name])
    loop.optimizer.load_state_dict(state["optimizer"])


def adapter_off(model: Any) -> Any:
    """A context in which a model, wrapped for several processes or not, is the one that training began with."""
    return getattr(model, "module", model).disable_adapter()


def _is_sharded(accelerator: Any) -> bool:
    """Whether processes hold parts of the model (FSDP, DeepSpeed) and not copies of it."""
    return accelerator.distributed_type.value in ("FSDP", "DEEPSPEED", "MEGATRON_LM")


def _check_processes(config: Config, n_held_out: int, n_processes: int) -> None:
    if config.steps.batch % n_processes:
        message = f"a batch of {config.steps.batch} rows cannot be shared by {n_processes} processes"
        help = f"make `run.batch` a multiple of {n_processes}"
        raise PolicyError.of("PK780", message, config.place("run", "batch"), help)
    if 0 < n_held_out < n_processes:
        message = f"{n_held_out} held-out rows cannot be shared by {n_processes} processes"
        raise PolicyError.of("PK780", message, config.place("data", "heldOut"), "hold out more rows")


def _check_sharding(config: Config, accelerator: Any) -> None:
    """What was asked for has to be what happens: accelerate lets every process have a whole copy on a CPU, and says
    nothing. Raises PolicyError (PK780)."""
    for name in () if _is_sharded(accelerator) else sharding():
        message = f"{name} has no effect: accelerate divides models among several GPUs, and here is none, or one"
        help = "launch it without, as `launch/cpu-2.yaml` does"
        raise PolicyError.of("PK780", message, config.place(config.kind), help)


def shared(
    rows: Sequence[Example], size: int, process: int, n_processes: int
) -> tuple[Sequence[Sequence[Example]], Sequence[Sequence[Example]]]:
    """The parts of one process, of at most ``size`` rows each, and as many more as another process has: all call the
    model equally often. Each process has a row at least.

    >>> shared("abcde", 1, 1, 2)
    (['b', 'd'], ['b'])
    """
    mine = rows[process::n_processes]
    parts = [mine[start : start + size] for start in range(0, len(mine), size)]
    most = math.ceil(len(rows[::n_processes]) / size)
    return parts, parts[:1] * (most - len(parts))


def tell_deepspeed(plugin: Any, config: Config, n_processes: int) -> None:
    """What DeepSpeed (accelerate's plugin of it; None elsewhere) would take from data loaders and from a file of its
    own: how many rows a process has, and the largest norm of a gradient.

    Raises PolicyError (PK780) for micro-batches: it moves the weights after each gradient.
    """
    if plugin is None:
        return
    n_rows = config.steps.batch // n_processes
    if config.steps.micro_batch < n_rows:
        message = f"DeepSpeed takes a step for every micro-batch, and a process has {n_rows} rows"
        raise PolicyError.of("PK780", message, config.place("run", "microBatch"), "leave `microBatch` out, or use FSDP")
    plugin.deepspeed_config["train_micro_batch_size_per_gpu"] = n_rows
    plugin.deepspeed_config["gradient_clipping"] = config.optimizer.clip


def _added(parts: Sequence[Sums]) -> Sums:
    out: Sums = {}
    for part in parts:
        for name, (total, n) in part.items():
            before, n_before = out.get(name, (0.0, 0.0))
            out[name] = before + total, n_before + n
    return out
