"""The files of a run folder: written so that an interrupted run leaves none that is half written."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from policykit.diagnostics import Place, PolicyError
from policykit.policy.checked import Json

_STATE = "step.json"
_BEGUN = ("training.yaml", "run.json")
"""What a run writes before it begins."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that is complete: the steps that it has seen, and its folder."""

    step: int
    folder: Path


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where the files of one run are."""

    path: Path

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def adapter(self) -> Path:
        """What is trained, as PEFT reads it."""
        return self.path / "adapter"

    def new(self, record: Mapping[str, Json], text: str) -> None:
        """Begin a run. Raises PolicyError (PK784) for a folder that holds something."""
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            help = "go on with it by `--resume`, or name another folder"
            raise PolicyError.of("PK784", "the run folder exists and is not empty", Place(str(self.path)), help)
        self.path.mkdir(parents=True, exist_ok=True)
        settings, identity = _BEGUN
        write(self.path / settings, text)
        write_json(self.path / identity, record)

    def forget(self) -> None:
        """Remove what :meth:`new` wrote, if nothing was logged or kept since: a run that was refused before it had
        begun leaves no folder that would be in the way of the next attempt."""
        if self.metrics.exists() or (self.path / "checkpoints").exists():
            return
        for name in _BEGUN:
            (self.path / name).unlink(missing_ok=True)
        with suppress(OSError):  # it holds something that is not of the run
            self.path.rmdir()

    def resume(self, record: Mapping[str, Json]) -> Checkpoint | None:
        """The last checkpoint of a run of the same identity; None where it has none yet.

        Raises PolicyError (PK784) for a folder without a run, and for a run of another identity.
        """
        place = Place(str(self.path))
        file = self.path / "run.json"
        if not file.is_file():
            raise PolicyError.of("PK784", "there is no run in the folder", place, "leave `--resume` out")
        kept = cast("dict[str, Json]", json.loads(file.read_text("utf-8")))
        change = next(_changes(cast("dict[str, Json]", kept.get("identity")), record["identity"]), None)
        if change is not None:
            help = "go on with what the run began with, or name another folder"
            raise PolicyError.of("PK784", f"the run began with another {change}", place, help)
        found = self.checkpoints()
        return found[-1] if found else None

    def checkpoints(self) -> list[Checkpoint]:
        """Complete checkpoints, oldest first."""
        found = [
            Checkpoint(int(json.loads(file.read_text("utf-8"))["step"]), file.parent)
            for file in self.path.glob(f"checkpoints/step-*/{_STATE}")
        ]
        return sorted(found, key=lambda checkpoint: checkpoint.step)

    def checkpoint(
        self, step: int, keep: int, write_files: Callable[[Path], None], is_main: bool, wait: Callable[[], None]
    ) -> None:
        """Keep a checkpoint; the oldest beyond ``keep`` go. Every process calls it and writes into one folder, which
        gets its name when all are done."""
        folder = self.path / "checkpoints" / f"step-{step:08d}"
        part = folder.with_suffix(".part")
        if is_main:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
        wait()
        write_files(part)
        wait()
        if is_main:
            write_json(part / _STATE, {"step": step})
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
            for old in self.checkpoints()[:-keep]:
                shutil.rmtree(old.folder)
        wait()

    def cut_metrics(self, step: int) -> list[dict[str, Json]]:
        """Drop what was logged after ``step``, which will be done again; the lines that stay."""
        if not self.metrics.exists():
            return []
        kept = [line for line in self.lines() if cast("int", line["step"]) <= step]
        write(self.metrics, "".join(json.dumps(line) + "\n" for line in kept))
        return kept

    def lines(self) -> list[dict[str, Json]]:
        """What was logged. A last line that an interruption has cut is left out."""
        if not self.metrics.exists():
            return []
        *whole, _ = self.metrics.read_text("utf-8").split("\n")
        return [json.loads(line) for line in whole]


def _changes(before: Json, now: Json, name: str = "") -> Iterator[str]:
    """What differs, as `name (before, now)`."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*before, *now]):
            yield from _changes(before.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif before != now:
        yield f"`{name}`: {json.dumps(before)}, not {json.dumps(now)}"


def write(path: Path, text: str) -> None:
    """The whole file, or the one that was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, "utf-8")
    part.replace(path)


def write_json(path: Path, value: Mapping[str, Json]) -> None:
    write(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
