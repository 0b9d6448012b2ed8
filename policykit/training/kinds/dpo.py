"""Direct preference optimisation and its kin, as a kind of training."""

from policykit.policy.shapes import Choice, Field, Flag, Number, Record
from policykit.training.kinds.kind import Job, Kind, Start
from policykit.training.rows import Column, ColumnType

_SECTION = Record(
    "dpo",
    "The loss on pairs, and what is made of pairs that a verifier objects to.",
    (
        Field("loss", Choice(("sigmoid", "ipo", "orpo", "simpo")), "`sigmoid` (DPO) if not said"),
        Field("beta", Number(0.0, 1000.0, above=True), "0.1 if not said; 2 for `simpo`"),
        Field("gamma", Number(0.0, 1000.0), "the margin of `simpo`; 1 if not said"),
        Field("labelSmoothing", Number(0.0, 0.5), "how often a label is wrong, for `sigmoid`; 0 if not said"),
        Field("margin", Number(0.0, 1000.0), "per unit of cost between the two, for `sigmoid`; 0 if not said"),
        Field("relabel", Flag(), "true: where the chosen one alone breaks the plan, the two are swapped"),
        Field("ties", Choice(("drop", "half")), "`drop` (default), or `half`: learned as preferred half the time"),
        Field("bothBad", Choice(("drop", "keep")), "pairs that both break the plan: `drop` (default), or `keep`"),
    ),
    any_of=("loss", "beta", "gamma", "labelSmoothing", "margin", "relabel", "ties", "bothBad"),
)


def _prepare(start: Start) -> Job:
    from policykit.training.dpo import prepare

    return prepare(start)


KIND = Kind(
    "dpo",
    "learn from pairs of completions",
    (_SECTION,),
    (
        Column("prompt", ColumnType.PROMPT),
        Column("chosen", ColumnType.TEXT, required=False),
        Column("rejected", ColumnType.TEXT, required=False),
        Column("candidates", ColumnType.TEXTS, required=False),
        Column("chosen_cost", ColumnType.NOT_NEGATIVE, required=False),
        Column("rejected_cost", ColumnType.NOT_NEGATIVE, required=False),
        Column("chosen_finish", ColumnType.TEXT, required=False),
        Column("rejected_finish", ColumnType.TEXT, required=False),
        Column("tie", ColumnType.FLAG, required=False),
        Column("weight", ColumnType.NOT_NEGATIVE, required=False),
    ),
    _prepare,
    plots={"accuracy": ("accuracy",), "gain": ("gain",), "log-probabilities": ("chosen", "rejected"), "kl": ("kl",)},
)
