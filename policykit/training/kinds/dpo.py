"""Direct preference optimisation and its kin, as a kind of training."""

from policykit.policy.shapes import Choice, Field, Number, Record
from policykit.training.kinds.kind import Job, Kind, Start
from policykit.training.kinds.paired import COLUMNS, pair_fields

_SECTION = Record(
    "dpo",
    "The loss on pairs, and what is made of pairs that a verifier objects to.",
    (
        Field("loss", Choice(("sigmoid", "ipo", "orpo", "simpo")), "`sigmoid` (DPO) if not said"),
        Field("beta", Number(0.0, 1000.0, above=True), "0.1 if not said; 2 for `simpo`"),
        Field("gamma", Number(0.0, 1000.0), "the margin of `simpo`; 1 if not said"),
        *pair_fields(", for `sigmoid`"),
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
    COLUMNS,
    _prepare,
    plots={"accuracy": ("accuracy",), "gain": ("gain",), "log-probabilities": ("chosen", "rejected"), "kl": ("kl",)},
)
