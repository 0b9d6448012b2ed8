"""The field table of pipeline files."""

from policykit.decoding import StrategyName
from policykit.policy.shapes import Choice, Data, Field, Integer, Many, Number, Record, Ref, Text, TextKind
from policykit.training.table import API_VERSION, SHARED_CONTEXT

DECODING = ("free", *(name.value for name in StrategyName))
MAX = 1 << 30

_EVALUATE = Record(
    "evaluate",
    "How the composed adapter is evaluated at the end.",
    (
        Field("prompts", Text(TextKind.PATH), "prompts that nothing was trained on, as JSON Lines", required=True),
        Field("second", Many(Text(TextKind.PATH)), "policies of a second verifier, which training never sees"),
        Field("decoding", Choice(DECODING), "how answers are drawn; `free` if not said"),
        Field("temperature", Number(0.0, 100.0), "0 is greedy; 1 if not said"),
        Field("maxNewTokens", Integer(1, MAX), "of an answer; 256 if not said"),
        Field("batch", Integer(1, 1 << 20), "prompts at once; 32 if not said"),
        Field("seed", Integer(0, (1 << 31) - 1), "0 if not said"),
        Field("masked", Integer(0, MAX), "prompts that are answered under the mask too, for its tax; 100 if not said"),
        Field(
            "citations",
            Text(),
            "a regex (RE2) that finds the sources that an answer cites, or their form, such as `[{id}]`",
        ),
        Field("schema", Text(TextKind.PATH), "what valid answers belong to; the plan's grammar if not said"),
        Field("maxViolations", Number(0.0, 1.0), "a limit on the upper bounds of violations; none if not said"),
    ),
)
_PIPELINE = Record(
    "pipeline",
    "Trainings one after the other, each on top of those before it, and an evaluation.",
    (
        Field("apiVersion", Choice((API_VERSION,)), "the version of the language", required=True),
        Field("kind", Choice(("Pipeline",)), "what the file holds", required=True),
        Field("name", Text(TextKind.ID), "the pipeline's name", required=True),
        Field("model", Text(), "a model folder by its path from this file, a hub id, or `embedded`", required=True),
        Field("plan", Text(TextKind.PATH), "a plan that `policykit compile` wrote"),
        Field("policies", Many(Text(TextKind.PATH)), "or policies to compile: files and folders"),
        Field("grammar", Text(TextKind.PATH), "and a grammar to compile"),
        Field("context", Ref("context"), "and the context to compile for"),
        Field("folder", Text(TextKind.PATH), "where the stages' folders go, by its path from this file", required=True),
        Field("stages", Many(Data(of_mapping=True)), "trainings, in their order", required=True),
        Field("evaluate", Ref("evaluate"), "the evaluation at the end"),
    ),
)
RECORDS = {record.name: record for record in (_PIPELINE, _EVALUATE, SHARED_CONTEXT)}
