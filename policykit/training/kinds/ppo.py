"""PPO with critics for rewards and costs, as a kind of training."""

from policykit.policy.shapes import Choice, Field, Integer, Number
from policykit.training.kinds.kind import Job, Kind, Start
from policykit.training.kinds.rewarded import COLUMNS, GROUP, PLOTS, WEIGHTS, section

_SECTION = section(
    "ppo",
    "A critic for the reward, and one for each group's cost.",
    ("free", "masked"),
    Field(
        "klTarget", Number(0.0, 1000.0, above=True), "nat a completion that `klCoef` moves towards; none if not said"
    ),
    Field("klHorizon", Integer(1, 1 << 30), "completions that it takes; 10000 if not said"),
    Field("critic", Choice(("states", "model")), "`states` of the policy (default), or a `model` of its own"),
    Field("criticRate", Number(0.0, 10.0, above=True), "the critics' learning rate; 1e-3 if not said"),
    Field("criticWarmup", Integer(0, 1 << 20), "first steps in which critics alone learn; 0 if not said"),
    Field("gamma", Number(0.0, 1.0, above=True), "the discount of a token; 1 if not said"),
    Field("decay", Number(0.0, 1.0), "λ of the generalised advantage estimate; 0.95 if not said"),
)


def _prepare(start: Start) -> Job:
    from policykit.training.rl.prepare import prepare

    return prepare(start)


KIND = Kind(
    "ppo",
    "learn from rewards and costs, with critics",
    (_SECTION, WEIGHTS, GROUP),
    COLUMNS,
    _prepare,
    needs_plan=True,
    plots={**PLOTS, "value loss": ("value_loss",)},
)
