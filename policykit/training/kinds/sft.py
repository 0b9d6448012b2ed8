"""Supervised fine-tuning, as a kind of training."""

from policykit.policy.shapes import Choice, Field, Integer, Many, Number, Record, Ref, Text, TextKind
from policykit.training.kinds.kind import Job, Kind, Start
from policykit.training.rows import Column, ColumnType
from policykit.training.screening import HOW
from policykit.training.segments import SEGMENT

_CITATIONS = Record(
    "citations",
    "Citations in a completion, held against the row's `sources`.",
    (
        Field("format", Text(), "a citation with `{id}` in place of the id, where no rule of the plan demands any"),
        Field("id", Text(TextKind.REGEX), "what an id is, in RE2 syntax; letters, digits, `-`, `_` if not said"),
        Field("weight", Number(0.0, 1000.0), "of the characters of one whose id is in `sources`; 1 if not said"),
        Field("unsupported", Number(0.0, 1000.0), "how hard one that is not is unlearned; 1 if not said"),
    ),
)
_SECTION = Record(
    "sft",
    "What weighs how much.",
    (
        Field("labelSmoothing", Number(0.0, 0.5), "the share of a target that all tokens have; 0 if not said"),
        Field("schemaPenalty", Number(0.0, 1000.0), "times the mass outside the plan's masks, −Σ log Z; 0 if not said"),
        Field("segments", Many(Ref("segment")), "parts of completions and their weights"),
        Field("citations", Ref("citations"), "citations and their weights"),
        Field("replies", Integer(0, 1 << 20), "prompts to answer freely, before and after, for rates; 64 if not said"),
        Field("maxNewTokens", Integer(1, 1 << 20), "of such a reply; 128 if not said"),
        Field("violations", Choice(HOW), "completions that break the plan: `refuse` (default), `drop` or `keep`"),
    ),
    any_of=("labelSmoothing", "schemaPenalty", "segments", "citations", "replies", "maxNewTokens", "violations"),
)


def _prepare(start: Start) -> Job:
    from policykit.training.sft import prepare

    return prepare(start)


KIND = Kind(
    "sft",
    "learn from completions",
    (_SECTION, SEGMENT, _CITATIONS),
    (
        Column("prompt", ColumnType.PROMPT),
        Column("completion", ColumnType.TEXT),
        Column("weight", ColumnType.NOT_NEGATIVE, required=False),
        Column("sources", ColumnType.TEXTS, required=False),
        Column("facts", ColumnType.OBJECT, required=False),
    ),
    _prepare,
    plots={"accuracy": ("accuracy",), "mask tax": ("mask_tax",), "violations": ("policy/violation_rate/",)},
)
