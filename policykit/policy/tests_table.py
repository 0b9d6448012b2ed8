"""The part of the field table that is about tests, in policies and in files of their own."""

from policykit.policy.shapes import Choice, Data, Day, Field, Many, Record, Ref, Row, Text, TextKind

API_VERSION = "policykit/v1"
JUDGED = ("output", "input", "retrieved", "tool_call", "tool_result", "json")
DECISIONS = ("block", "escalate", "transform", "allow")

_CIRCUMSTANCES = (
    Field("facts", Data(of_mapping=True), "facts about the request"),
    Field("approvals", Many(Ref("approval")), "approvals of exactly this"),
    Field("decisions", Data(of_mapping=True), "what OPA would say: true or false, by the rule's full name"),
    Field(
        "scores",
        Data(of_mapping=True),
        "what classifiers would say: the probability of each label, by the model's name: `{toxicity: {toxic: 0.9}}`",
    ),
    Field("profile", Text(), "the deployment profile"),
    Field("tenant", Text(), "the tenant"),
    Field("locale", Text(), "the locale"),
    Field("jurisdiction", Text(), "the jurisdiction"),
    Field("at", Day(), "the day"),
)
_CIRCUMSTANCE_NAMES = tuple(field.name for field in _CIRCUMSTANCES)
_COLUMNS = ("text", "decision", "rules", "output")

TEST_RECORDS: tuple[Record, ...] = (
    Record(
        "test",
        "An example that must come out as said.",
        (
            Field("name", Text(), "unique in the document", required=True),
            Field("given", Ref("given"), "the text and its circumstances", required=True),
            Field("expect", Ref("expect"), "what must come out", required=True),
            Field("variants", Ref("variants"), "in which other forms it must come out the same"),
        ),
    ),
    Record(
        "variants",
        "The test is repeated, and must come out the same each time.",
        (
            Field(
                "evasion",
                Choice(("claimed", "none")),
                "`claimed`: for every spelling of what was found that the rule's views see through",
            ),
            Field("chunking", Choice(("all", "none")), "`all`: streamed in every two parts, and by the character"),
        ),
        any_of=("evasion", "chunking"),
    ),
    Record(
        "tests",
        "A file of tests, `x.tests.yaml`, beside the policy that it is about, `x.policy.yaml`.",
        (
            Field("apiVersion", Choice((API_VERSION,)), "the version of the language", required=True),
            Field("kind", Choice(("Tests",)), "what the file holds", required=True),
            Field("document", Text(TextKind.NAME), "the name of the policy", required=True),
            Field("tests", Many(Ref("test")), "examples that must come out as said"),
            Field("tables", Many(Ref("table")), "many short examples with the same circumstances"),
        ),
        any_of=("tests", "tables"),
    ),
    Record(
        "table",
        "Many short examples. Case 3 of table `promises` is the test `promises 3`, or `promises: its name`.",
        (
            Field("name", Text(), "what the names of its tests begin with", required=True),
            Field("target", Choice(("output", "input", "retrieved")), "what the texts are; `output` if not said"),
            Field("given", Ref("circumstances"), "what all cases share"),
            Field("variants", Ref("variants"), "in which other forms the cases must come out the same"),
            Field(
                "cases",
                Many(Row(Ref("case"), _COLUMNS)),
                "each a mapping, or a list of text, decision, rules and output; the last two may be left out",
            ),
            Field(
                "file",
                Text(TextKind.PATH),
                "a CSV or TSV file beside this one, whose first line names fields of a case; rules are separated "
                "by spaces, `-` is none, and an empty cell says nothing",
            ),
        ),
        any_of=("cases", "file"),
    ),
    Record(
        "case",
        "One line of a table.",
        (
            Field("text", Text(TextKind.ANY), "the text", required=True),
            Field("decision", Choice(DECISIONS), "the decision", required=True),
            Field("rules", Many(Text(TextKind.ID), at_least=0), "ids of the rules that fire"),
            Field("output", Text(TextKind.ANY), "the text that may be released"),
            Field("name", Text(), "a name in place of its number"),
        ),
    ),
    Record("circumstances", "What the cases of a table share.", _CIRCUMSTANCES, any_of=_CIRCUMSTANCE_NAMES),
    Record(
        "given",
        "A text and its circumstances; what is not said is taken from the document's scope.",
        (
            Field("output", Text(TextKind.ANY), "what the model wrote"),
            Field("input", Text(TextKind.ANY), "what a user wrote"),
            Field("retrieved", Text(TextKind.ANY), "a passage that was retrieved"),
            Field("tool_call", Ref("tool_call"), "a call that the model wants to make"),
            Field("tool_result", Ref("tool_result"), "what a tool gave back"),
            Field("json", Data(), "what the model wrote, as a JSON value"),
            *_CIRCUMSTANCES,
        ),
        any_of=JUDGED,
    ),
    Record(
        "tool_call",
        "A call that the model wants to make.",
        (
            Field("name", Text(), "the tool", required=True),
            Field("args", Data(of_mapping=True), "its arguments", required=True),
        ),
    ),
    Record(
        "tool_result",
        "What a tool gave back.",
        (
            Field("name", Text(), "the tool", required=True),
            Field("text", Text(TextKind.ANY), "what it gave back", required=True),
        ),
    ),
    Record(
        "approval",
        "Somebody has approved what the test is about.",
        (
            Field("user", Text(), "who", required=True),
            Field("role", Text(), "in which role", required=True),
            Field("attributes", Data(of_mapping=True), "in what approvers can differ, such as a department"),
        ),
    ),
    Record(
        "expect",
        "What must come out; what is not said is not checked.",
        (
            Field(
                "decision",
                Choice(DECISIONS),
                "the decision",
                required=True,
            ),
            Field("rules", Many(Text(TextKind.ID), at_least=0), "ids of the rules that fire"),
            Field("output", Text(TextKind.ANY), "the text that may be released"),
            Field(
                "golden",
                Text(TextKind.PATH),
                "a file in this folder or below that holds that text; `policykit test --update-golden` writes it",
            ),
            Field("exceptions", Many(Text(TextKind.LABEL_ID), at_least=0), "ids of the exceptions that apply"),
            Field("errors", Many(Text(TextKind.ID)), "ids of the rules that cannot be decided; none if not said"),
        ),
    ),
)
