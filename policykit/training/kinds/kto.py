"""Kahneman-Tversky optimisation, as a kind of training."""

from policykit.policy.shapes import Field, Number, Record
from policykit.training.kinds.kind import Job, Kind, Start
from policykit.training.rows import Column, ColumnType

_SECTION = Record(
    "kto",
    "The loss on completions that are desirable or not.",
    (
        Field("beta", Number(0.0, 1000.0, above=True), "0.1 if not said"),
        Field("desirableWeight", Number(0.0, 1000.0), "1 if not said"),
        Field("undesirableWeight", Number(0.0, 1000.0), "1 if not said"),
    ),
    any_of=("beta", "desirableWeight", "undesirableWeight"),
)


def _prepare(start: Start) -> Job:
    from policykit.training.kto import prepare

    return prepare(start)


KIND = Kind(
    "kto",
    "learn from completions that are desirable or not",
    (_SECTION,),
    (
        Column("prompt", ColumnType.PROMPT),
        Column("completion", ColumnType.TEXT, required=False),
        Column("desirable", ColumnType.FLAG, required=False),
        Column("label", ColumnType.FLAG, required=False, instead="call it `desirable`"),
        Column("finish", ColumnType.TEXT, required=False),
        Column("chosen", ColumnType.TEXT, required=False),
        Column("rejected", ColumnType.TEXT, required=False),
        Column("chosen_finish", ColumnType.TEXT, required=False),
        Column("rejected_finish", ColumnType.TEXT, required=False),
        Column("weight", ColumnType.NOT_NEGATIVE, required=False),
        Column("facts", ColumnType.OBJECT, required=False),
    ),
    _prepare,
    plots={"accuracy": ("accuracy",), "gain": ("gain desirable", "gain undesirable"), "kl": ("kl",)},
)
