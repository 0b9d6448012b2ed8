"""When a run has left the rails: a function of what was logged."""

import math
from collections.abc import Mapping, Sequence
from statistics import median

from policykit.diagnostics import Diagnostic, Place
from policykit.training.config import Guards

WINDOW = 50
"""Steps whose losses are the measure of an explosion."""
MIN_LOSSES = 5


class Diverged(Exception):
    """A run that a guard has stopped: ``diagnostic`` is PK783."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic
        super().__init__(diagnostic.message)


def fault(guards: Guards, losses: Sequence[float], step: int, values: Mapping[str, float]) -> str | None:
    """Why a run is to be stopped after a step; None where it is not.

    ``losses`` are those of the steps before, ``values`` the metrics of this one: all must be finite numbers, `loss`
    must not exceed its limits in absolute value, nor `kl` (nat per completion) its limit.
    """
    for name, value in values.items():
        if not math.isfinite(value):
            return f"`{name}` is {value} at step {step}"
    loss, kl = abs(values.get("loss", 0.0)), values.get("kl", 0.0)
    if guards.max_loss is not None and loss > guards.max_loss:
        return f"the loss is {loss:.4g} at step {step}, above {guards.max_loss:g}"
    recent = [abs(value) for value in losses[-WINDOW:]]
    if len(recent) >= MIN_LOSSES and loss > (limit := guards.explosion * max(1.0, median(recent))):
        return f"the loss is {loss:.4g} at step {step}, above {limit:.4g}: {guards.explosion:g} times what it was"
    if kl > guards.max_kl:
        return f"the KL to the reference is {kl:.4g} nat per completion at step {step}, above {guards.max_kl:g}"
    return None


def diverged(why: str, place: Place) -> Diverged:
    """The exception for a reason that :func:`fault` gave; ``place`` is where the guards are set."""
    help = "lower `optimizer.rate`, look at the rows of this step, or set `guards`"
    return Diverged(Diagnostic("PK783", f"the run has diverged: {why}", place, help))
