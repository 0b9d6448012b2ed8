"""The part of the field table that describes tests."""

from policykit.policy.shapes import Choice, Data, Day, Field, Many, Record, Ref, Text, TextKind

TEST_RECORDS: tuple[Record, ...] = (
    Record(
        "test",
        "An example that must come out as said.",
        (
            Field("name", Text(), "unique in the document", required=True),
            Field("given", Ref("given"), "the text and its circumstances", required=True),
            Field("expect", Ref("expect"), "what must come out", required=True),
        ),
        later=("variants",),
    ),
    Record(
        "given",
        "A text and its circumstances; what is not said is taken from the document's scope.",
        (
            Field("output", Text(TextKind.ANY), "what the model wrote"),
            Field("input", Text(TextKind.ANY), "what a user wrote"),
            Field("retrieved", Text(TextKind.ANY), "a passage that was retrieved"),
            Field("tool_call", Ref("tool_call"), "a call that the model wants to make"),
            Field("tool_result", Ref("tool_result"), "what a tool gave back"),
            Field("facts", Data(of_mapping=True), "facts about the request"),
            Field("approvals", Many(Ref("approval")), "approvals of exactly this"),
            Field("decisions", Data(of_mapping=True), "what OPA would say: true or false, by the rule's full name"),
            Field("profile", Text(), "the deployment profile"),
            Field("tenant", Text(), "the tenant"),
            Field("locale", Text(), "the locale"),
            Field("jurisdiction", Text(), "the jurisdiction"),
            Field("at", Day(), "the day"),
        ),
        later=("json",),
        any_of=("output", "input", "retrieved", "tool_call", "tool_result"),
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
                Choice(("block", "escalate", "transform", "allow")),
                "the decision",
                required=True,
            ),
            Field("rules", Many(Text(TextKind.ID), at_least=0), "ids of the rules that fire"),
            Field("output", Text(TextKind.ANY), "the text that may be released"),
            Field("exceptions", Many(Text(TextKind.LABEL_ID), at_least=0), "ids of the exceptions that apply"),
        ),
    ),
)
