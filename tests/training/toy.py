"""A kind of training without a model: one number moves towards the mean of the rows."""

import json
from pathlib import Path

from policykit.diagnostics import PolicyError
from policykit.policy.shapes import Choice, Field, Number, Record
from policykit.training.kinds import Job, Kind, Start
from policykit.training.rows import Column, ColumnType
from policykit.training.runs.run import Run

SECTION = Record(
    "toy",
    "How the number moves.",
    (
        Field("from", Number(-1e6, 1e6), "where it begins; 0 if not said"),
        Field("loss", Choice(("square", "huber")), "`square` if not said"),
    ),
)


def prepare(start: Start) -> Job:
    section = start.config.section
    begin = (section.number("from") if section else None) or 0.0
    if begin > 100:
        raise PolicyError.of("PK780", "it begins too far away", start.config.place("toy", "from"))
    mean = sum(row.number("x") for row in start.train) / len(start.train)

    def run(run: Run) -> None:
        value, done = begin, 0
        if run.resumed is not None:
            done, value = run.resumed.step, json.loads((run.resumed.folder / "value.json").read_text())
        for step in range(done + 1, run.config.steps.n_steps + 1):
            value -= run.config.optimizer.rate * 2 * (value - mean)
            run.log(step, {"loss": (value - mean) ** 2, "value": value})
            if run.is_due(run.config.steps.evaluate_every, step):
                run.log_held_out(step, {"loss": abs(value - mean)})
            if run.is_due(run.config.steps.checkpoint_every, step):
                kept = json.dumps(value)
                run.checkpoint(step, lambda folder, kept=kept: _write(folder / "value.json", kept))

    return Job(run, {"from": begin}, {"mean": mean})


def _write(path: Path, text: str) -> None:
    path.write_text(text)


TOY = Kind("toy", "one number", (SECTION,), (Column("x", ColumnType.NUMBER),), prepare, plots={"value": ("value",)})

FILE = """\
apiVersion: policykit/v1
kind: Training
name: toy-run
model: embedded
data: {train: rows.jsonl, heldOut: rows.jsonl}
run: {folder: run, steps: 12, evaluateEvery: 4, checkpointEvery: 3}
optimizer: {rate: 0.1}
toy: {from: 5}
"""
ROWS = '{"x": 1}\n{"x": 3, "more": "is kept"}\n'


def write_run(folder: Path, text: str = FILE, rows: str = ROWS) -> Path:
    """A training file with its rows beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rows.jsonl").write_text(rows)
    file = folder / "toy.yaml"
    file.write_text(text)
    return file
