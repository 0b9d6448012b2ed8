"""The field table of training files: what every kind of training may say, in one place."""

from policykit.policy.shapes import Choice, Field, Flag, Integer, Many, Number, Record, Ref, Text, TextKind

API_VERSION = "policykit/v1"
MAX_STEPS = 10_000_000
SCHEDULES = ("constant", "linear", "cosine")
TOO_LONG = ("refuse", "drop")

_RUN = Record(
    "run",
    "How long, from which seed, and where to.",
    (
        Field("folder", Text(TextKind.PATH), "the run folder, by its path from this file", required=True),
        Field("steps", Integer(1, MAX_STEPS), "steps of the optimizer", required=True),
        Field("batch", Integer(1, 1 << 20), "rows of one step, over all processes; 8 if not said"),
        Field("microBatch", Integer(1, 1 << 20), "rows that one process computes at once; the batch if not said"),
        Field("seed", Integer(0, (1 << 31) - 1), "0 if not said"),
        Field("logEvery", Integer(1, MAX_STEPS), "steps between lines of metrics; 1 if not said"),
        Field("evaluateEvery", Integer(1, MAX_STEPS), "steps between evaluations; only before and after if not said"),
        Field("checkpointEvery", Integer(1, MAX_STEPS), "steps between checkpoints; only at the end if not said"),
        Field("keep", Integer(1, 1000), "checkpoints that are kept; 2 if not said"),
    ),
)
_DATA = Record(
    "data",
    "Rows, as JSON Lines.",
    (
        Field("train", Text(TextKind.PATH), "the rows that are learned from, by their path from this file", True),
        Field("heldOut", Text(TextKind.PATH), "rows that are not, on which progress is measured"),
        Field("maxTokens", Integer(2, 1 << 20), "of a prompt and a completion together; 1024 if not said"),
        Field("tooLong", Choice(TOO_LONG), "`refuse` (default) rows of more tokens, or `drop` and count them"),
    ),
)
_OPTIMIZER = Record(
    "optimizer",
    "AdamW, and how its rate goes.",
    (
        Field("rate", Number(0.0, 10.0, above=True), "the highest learning rate; 1e-4 if not said"),
        Field("schedule", Choice(SCHEDULES), "`constant`, `linear` to 0 (default), or `cosine` to 0"),
        Field("warmup", Integer(0, MAX_STEPS), "steps up to the highest rate; 0 if not said"),
        Field("weightDecay", Number(0.0, 10.0), "0 if not said"),
        Field("clip", Number(0.0, above=True), "the largest norm of a gradient; 1 if not said"),
    ),
)
_LORA = Record(
    "lora",
    "The adapter that is trained.",
    (
        Field("rank", Integer(1, 4096), "16 if not said"),
        Field("alpha", Number(0.0, above=True), "twice the rank if not said"),
        Field("dropout", Number(0.0, 0.9), "0 if not said"),
        Field("modules", Many(Text()), "names of linear layers; all but the output's if not said"),
    ),
)
_GUARDS = Record(
    "guards",
    "When a run is stopped, because going on would only waste it.",
    (
        Field("maxLoss", Number(0.0, above=True), "the largest loss, in absolute value; none if not said"),
        Field("explosion", Number(1.0, above=True), "times the median of recent losses, 1 at least; 10 if not said"),
        Field("maxKl", Number(0.0, above=True), "from the reference, in nat per completion; 50 if not said"),
    ),
)
_CONTEXT = Record(
    "context",
    "The request context that the plan is compiled for.",
    (
        Field("profile", Text(), "the profile"),
        Field("tenant", Text(), "the tenant"),
        Field("locale", Text(), "the locale"),
        Field("jurisdiction", Text(), "the jurisdiction"),
    ),
    any_of=("profile", "tenant", "locale", "jurisdiction"),
)

SHARED_CONTEXT = _CONTEXT
"""The record `context`, for other kinds of files."""

_SHARED = (_RUN, _DATA, _OPTIMIZER, _LORA, _GUARDS, _CONTEXT)
_FIELDS = (
    Field("apiVersion", Choice((API_VERSION,)), "the version of the language", required=True),
    Field("kind", Choice(("Training",)), "what the file holds", required=True),
    Field("name", Text(TextKind.ID), "the run's name, such as `support-sft`", required=True),
    Field("model", Text(), "a model folder by its path from this file, a hub id, or `embedded`", required=True),
    Field("adapters", Many(Text(TextKind.PATH)), "adapter folders that are merged into the model first, in this order"),
    Field("plan", Text(TextKind.PATH), "a plan that `policykit compile` wrote"),
    Field("policies", Many(Text(TextKind.PATH)), "or policies to compile: files and folders"),
    Field("grammar", Text(TextKind.PATH), "and a grammar to compile"),
    Field("context", Ref("context"), "and the context to compile for"),
    Field("data", Ref("data"), "what is learned from", required=True),
    Field("run", Ref("run"), "how long, from which seed, and where to", required=True),
    Field("optimizer", Ref("optimizer"), "how weights move"),
    Field("lora", Ref("lora"), "the adapter that is trained"),
    Field("guards", Ref("guards"), "when a run is stopped"),
)


def records_for(name: str, settings: tuple[Record, ...]) -> dict[str, Record]:
    """The table of one kind: what all kinds may say, and a section with the kind's name. ``settings[0]`` is that."""
    section = Field(name, Ref(settings[0].name), settings[0].about)
    root = Record("training", f"One training of the kind `{name}`.", (*_FIELDS, section))
    return {record.name: record for record in (root, *_SHARED, *settings)}


def stage_records(kind: str, settings: tuple[Record, ...]) -> dict[str, Record]:
    """The table of one stage of a pipeline that trains: the fields that are the stage's own, and its kind's section.

    The pipeline says for all stages what the model is, what the plan is, and where folders are.
    """
    own = tuple(field for field in _FIELDS if field.name in ("data", "run", "optimizer", "lora", "guards"))
    named = (
        Field("name", Text(TextKind.ID), "the stage's name, such as `taught`", required=True),
        Field("train", Choice((kind,)), "the kind of training", required=True),
    )
    section = Field(kind, Ref(settings[0].name), settings[0].about)
    root = Record("stage", f"One training of the kind `{kind}`.", (*named, *own, section))
    run = Record("run", _RUN.about, tuple(field for field in _RUN.fields if field.name != "folder"))
    return {record.name: record for record in (root, run, *_SHARED[1:], *settings)}


__all__ = [
    "API_VERSION",
    "SHARED_CONTEXT",
    "Choice",
    "Field",
    "Flag",
    "Integer",
    "Many",
    "Number",
    "Record",
    "Ref",
    "Text",
    "records_for",
    "stage_records",
]
