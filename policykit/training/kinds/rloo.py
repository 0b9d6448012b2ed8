"""RLOO, as a kind of training."""

from policykit.policy.shapes import Field, Integer
from policykit.training.kinds.kind import Job, Kind, Start
from policykit.training.kinds.rewarded import COLUMNS, GROUP, MODES, PLOTS, WEIGHTS, section

GROUP_SIZE = Field("groupSize", Integer(2, 1024), "completions of a prompt; 8 if not said")
ATTEMPTS = Field("maxAttempts", Integer(1, 10_000), "draws for a rejected completion; 16 if not said")
_SECTION = section("rloo", "Completions of a prompt against each other.", MODES, GROUP_SIZE, ATTEMPTS)


def _prepare(start: Start) -> Job:
    from policykit.training.rl.prepare import prepare

    return prepare(start)


KIND = Kind(
    "rloo",
    "learn from rewards: each completion against the others of its prompt",
    (_SECTION, WEIGHTS, GROUP),
    COLUMNS,
    _prepare,
    needs_plan=True,
    plots=PLOTS,
)
