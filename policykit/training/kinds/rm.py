"""Reward models of Bradley and Terry, as a kind of training."""

from policykit.policy.shapes import Choice, Field, Number, Record
from policykit.training.kinds.kind import Job, Kind, Start
from policykit.training.kinds.paired import COLUMNS, pair_fields

OUTPUT = "reward-model"
"""The folder of a run that what is trained goes to."""

_FIELDS = (
    Field("loss", Choice(("bradley-terry",)), "`bradley-terry` if not said"),
    *pair_fields(),
    Field("centre", Number(0.0, 1000.0), "times the square of the sum of both rewards; 0.01 if not said"),
    Field("features", Choice(("none", "costs", "verdicts")), "of the plan, by rule; `none` if not said"),
    Field("weights", Choice(("lora", "full")), "what is trained: an adapter (default), or all weights"),
    Field("headRate", Number(0.0, 10.0, above=True), "of the head and of rules; 10 × `optimizer.rate` if not said"),
)
_SECTION = Record(
    "rm",
    "The loss on pairs, what is trained, and what a plan's verdicts add to it.",
    _FIELDS,
    any_of=tuple(field.name for field in _FIELDS),
)


def _prepare(start: Start) -> Job:
    from policykit.training.rm import prepare

    return prepare(start)


KIND = Kind(
    "rm",
    "learn a reward from pairs of completions",
    (_SECTION,),
    COLUMNS,
    _prepare,
    plots={
        "accuracy": ("accuracy",),
        "rewards": ("chosen", "rejected"),
        "margin": ("margin",),
        "weights of rules": ("policy/weight/",),
    },
    output=OUTPUT,
)
