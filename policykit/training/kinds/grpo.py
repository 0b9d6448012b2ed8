"""GRPO, without its division by deviations and lengths (Liu et al. 2025), as a kind of training."""

from policykit.training.kinds.kind import Job, Kind, Start
from policykit.training.kinds.rewarded import COLUMNS, GROUP, MODES, PLOTS, WEIGHTS, section
from policykit.training.kinds.rloo import ATTEMPTS, GROUP_SIZE

_SECTION = section("grpo", "Tokens of completions, against their prompt's mean.", MODES, GROUP_SIZE, ATTEMPTS)


def _prepare(start: Start) -> Job:
    from policykit.training.rl.prepare import prepare

    return prepare(start)


KIND = Kind(
    "grpo",
    "learn from rewards: each token by its completion's reward against its prompt's mean",
    (_SECTION, WEIGHTS, GROUP),
    COLUMNS,
    _prepare,
    needs_plan=True,
    plots=PLOTS,
)
