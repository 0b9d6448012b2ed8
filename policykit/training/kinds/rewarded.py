"""What the kinds that learn from rewards have in common: their columns, and the part of their sections that is one."""

from policykit.policy.shapes import Choice, Field, Integer, Many, Number, Record, Ref, Text, TextKind
from policykit.training.rows import Column, ColumnType

MODES = ("free", "masked", "rejected")
CONTROLS = ("fixed", "lagrangian", "pid")
_TAKEN = ("prompts", "completions", "completion_ids", "trainer_state", "log_metric", "log_extra")
COLUMNS = (
    Column("prompt", ColumnType.PROMPT),
    Column("facts", ColumnType.OBJECT, required=False),
    *(
        Column(name, ColumnType.TEXT, False, "rename it: functions of a task get something else by it")
        for name in _TAKEN
    ),
)
"""Every other column of a row goes to the functions of the task, by its name."""
PLOTS = {
    "reward": ("reward", "task"),
    "violations": ("policy/violation_rate/",),
    "weights": ("policy/lambda/",),
    "kl": ("kl",),
}

WEIGHTS = Record(
    "weights",
    "How the weights λ of costs move.",
    (
        Field("control", Choice(CONTROLS), "`lagrangian` where rollouts are free, else `fixed`, if not said"),
        Field("initial", Number(0.0, 1000.0), "of every group; 1 if not said, and 0 for `pid`"),
        Field("limit", Number(0.0, 1.0), "the share of completions that may violate a group; 0.01 if not said"),
        Field("rate", Number(0.0, 100.0, above=True), "of `lagrangian`; 0.1 if not said"),
        Field("window", Integer(1, 1 << 20), "completions whose share `lagrangian` sees; 3/limit if not said"),
        Field("max", Number(0.0, 1000.0, above=True), "the largest weight; 10 if not said"),
    ),
    any_of=("control", "initial", "limit", "rate", "window", "max"),
)
GROUP = Record(
    "costGroup",
    "Rules that share a cost and a weight.",
    (
        Field("name", Text(TextKind.ID), "the group's name in metrics", required=True),
        Field("rules", Many(Text()), "its rules, as verdicts name them, and `grammar`", required=True),
    ),
)


def section(kind: str, about: str, modes: tuple[str, ...], *more: Field) -> Record:
    """A kind's own section: what all have, and ``more``."""
    return Record(
        kind,
        about,
        (
            Field(
                "task",
                Text(),
                "the task's reward, `FILE.py:NAME` or `MODULE:NAME`; without any, 1 for each",
            ),
            Field("rewardModel", Text(TextKind.PATH), "a folder of `train rm`; its rewards are added to the task's"),
            Field("rewardModelWeight", Number(0.0, 1000.0), "times its rewards; 1 if not said"),
            Field("hallucination", Text(), "the share of unsupported claims, named in the same way"),
            Field("hallucinationWeight", Number(0.0, 1000.0), "its weight; 1 if not said"),
            Field("mode", Choice(modes), "what completions are samples of; `free` if not said"),
            Field("maxNewTokens", Integer(1, 1 << 16), "of a completion; 128 if not said"),
            Field("temperature", Number(0.0, 10.0, above=True), "of sampling; 1 if not said"),
            Field("maskTax", Number(0.0, 1000.0), "times −Σ log Z, in the loss of masked rollouts; 0 if not said"),
            Field("klCoef", Number(0.0, 1000.0), "the weight of the KL to the reference; 0.02 if not said"),
            Field("epochs", Integer(1, 100), "steps over the completions of a batch"),
            Field("weights", Ref("weights"), "how the weights of costs move"),
            Field("groups", Many(Ref("costGroup")), "rules by group; each rule is its own if not said"),
            *more,
        ),
    )
