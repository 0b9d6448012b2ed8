"""The pins and the card of what a run has trained: what it was trained under, on what, and with which λ."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from policykit.adapters.card import write_card
from policykit.plan.pins import DataPin, Weight, pins_of, weights_of, write_pins
from policykit.policy.checked import Json
from policykit.training.kinds.kind import Job, Start
from policykit.training.rows import Rows
from policykit.training.runs.run import HELD_OUT, TRAIN
from policykit.training.screening import Screened

LAMBDA = "policy/lambda/"


def pin(folder: Path, start: Start, job: Job, lines: Sequence[Mapping[str, Json]]) -> None:
    """Pin what is in ``folder`` to the plan of its run; nothing where the run had no plan, or left no weights."""
    if start.plan is None or not weights_of(folder).is_file():
        return
    data = start.config.data
    train, held_out = job.screened or (None, None)
    used = [_pin(data.train, start.train, train)]
    if data.held_out is not None:
        used.append(_pin(data.held_out, start.held_out, held_out))
    pins = pins_of(start.plan, used, [f"{start.config.kind}: {start.config.name}"])
    pins = replace(pins, weights=_weights(lines), evaluation=_held_out(lines))
    write_pins(folder, pins)
    write_card(folder, pins)


def _pin(path: Path, rows: Rows, screened: Screened | None) -> DataPin:
    against = (screened.n_breaking, screened.n_unjudged) if screened else (None, None)
    return DataPin(path.name, rows.digest, len(rows), *against)


def _weights(lines: Sequence[Mapping[str, Json]]) -> tuple[Weight, ...]:
    return tuple(
        Weight(cast("int", line["step"]), name.removeprefix(LAMBDA), float(value))
        for line in lines
        if line["phase"] == TRAIN
        for name, value in line.items()
        if name.startswith(LAMBDA) and isinstance(value, int | float)
    )


def _held_out(lines: Sequence[Mapping[str, Json]]) -> dict[str, float]:
    """The last metrics of held-out rows."""
    last = [line for line in lines if line["phase"] == HELD_OUT][-1:]
    found = [item for line in last for item in line.items() if item[0] not in ("step", "phase", "seconds")]
    return {f"heldOut/{name}": float(value) for name, value in found if isinstance(value, int | float)}
