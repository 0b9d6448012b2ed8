"""A run while it goes: what a kind of training logs and keeps goes through here."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol, cast

from policykit.policy.checked import Json
from policykit.training.config import Config
from policykit.training.runs.folder import Checkpoint, RunFolder
from policykit.training.runs.guards import WINDOW, diverged, fault

TRAIN, HELD_OUT = "train", "heldOut"


class Show(Protocol):
    """Shows people how far a run is: ``step`` of all, and a note."""

    def __call__(self, step: int, note: str) -> None: ...


def show_nothing(step: int, note: str) -> None:
    """For runs that nobody watches."""


def no_wait() -> None:
    """For runs of one process."""


class Run:
    """What a kind of training is given: where to log, what to keep, and where to go on.

    Every process of a run has one, and calls the same methods with the same values; only the first writes.
    ``resumed`` is the checkpoint to go on from, None for a run that begins.
    """

    def __init__(
        self, config: Config, folder: RunFolder, resumed: Checkpoint | None, is_main: bool, show: Show = show_nothing
    ) -> None:
        self.config, self.folder, self.resumed, self.is_main = config, folder, resumed, is_main
        self._show, self._began = show, perf_counter()
        self._losses: list[float] = []
        self._writer: Any = None
        begun_at = resumed.step if resumed else 0
        lines = folder.cut_metrics(begun_at) if is_main else folder.lines()
        for line in lines:
            if line["phase"] == TRAIN and isinstance(line.get("loss"), float) and cast("int", line["step"]) <= begun_at:
                self._losses.append(cast("float", line["loss"]))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """The metrics of a step, counted from 1: guarded at every step, written every `run.logEvery` steps.

        `loss` and `kl` (nat per completion) are names that guards know. Raises Diverged (PK783).
        """
        steps = self.config.steps
        why = fault(self.config.guards, self._losses, step, values)
        if why is not None or step % steps.log_every == 0 or step == steps.n_steps:
            self._write(step, TRAIN, values)
        if why is not None:
            raise diverged(why, self.config.place("guards"))
        if "loss" in values:
            self._losses = [*self._losses[1 - WINDOW :], values["loss"]]
        named = (name for name in ("loss", "reward", "kl") if name in values)
        self._show(step, ", ".join(f"{name} {values[name]:.3f}" for name in named))

    def log_held_out(self, step: int, values: Mapping[str, float]) -> None:
        """What was measured on held-out rows after a step; always written."""
        self._write(step, HELD_OUT, values)

    def is_due(self, every: int | None, step: int) -> bool:
        """Whether something that is done every so many steps, and at the end, is due after ``step``."""
        return step == self.config.steps.n_steps or (every is not None and step % every == 0)

    def checkpoint(self, step: int, write: Callable[[Path], None], wait: Callable[[], None] = no_wait) -> None:
        """Keep a checkpoint: ``write`` is called in every process with a folder for its files."""
        self.folder.checkpoint(step, self.config.steps.keep, write, self.is_main, wait)

    def _write(self, step: int, phase: str, values: Mapping[str, float]) -> None:
        if not self.is_main:
            return
        told: dict[str, Json] = {name: value if math.isfinite(value) else None for name, value in values.items()}
        line = {"step": step, "phase": phase, **told, "seconds": round(perf_counter() - self._began, 3)}
        with self.folder.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        for name, value in values.items():
            self._tensorboard().add_scalar(f"{phase}/{name}", value, step)

    def _tensorboard(self) -> Any:
        if self._writer is None:
            from torch.utils.tensorboard.writer import SummaryWriter

            # What was written after the checkpoint is shown no more.
            purge = self.resumed.step + 1 if self.resumed else None
            self._writer = SummaryWriter(str(self.folder.path / "tensorboard"), purge_step=purge)  # pyright: ignore[reportUnknownVariableType]
        return self._writer

    def close(self) -> None:
        """Everything that was logged is on the disk."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
