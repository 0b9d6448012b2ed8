"""The field table: the policy language of this version, in one place.

The reader follows it, and the exported JSON Schema is generated from it. What the language has and this version does
not implement is listed too (``later``), so that it is refused by name.
"""

from policykit.policy.shapes import Choice, Day, Field, Flag, Integer, Many, Number, Record, Ref, Text, TextKind

API_VERSION = "policykit/v1"
MAX_WITHIN = 1_000
SEVERITIES = ("low", "medium", "high", "critical")
MODES = ("enforce", "shadow", "off")
VIEWS = ("raw", "compat", "unmarked")

LATER = {
    "facts": "facts about the request",
    "when": "a condition over facts",
    "require": "demanding something of the text",
    "except": "exceptions",
    "exceptions": "exceptions",
    "entities": "entities with checksums",
    "grammar": "a grammar as matcher",
    "predicate": "a named predicate",
    "classifier": "a classifier",
    "tool": "a rule about a tool",
    "escalate": "handing over to a person",
    "allow": "an allow list",
    "default": "what happens to text that no rule allows",
    "redact": "redacting a field",
    "hash": "a keyed hash",
    "tokenise": "reversible tokens",
    "append": "appended text",
    "prepend": "prepended text",
    "reversible": "reversible masking",
    "vault": "a vault for masked values",
    "strict": "over-approximated matching",
    "squeeze": "letters set apart",
    "variants": "variants of a test",
}

_SCOPE = (
    Field("profiles", Many(Text(TextKind.GLOB)), "deployment profiles, such as `answer`"),
    Field("tenants", Many(Text(TextKind.GLOB)), "tenants"),
    Field("locales", Many(Text(TextKind.GLOB)), "locales, such as `en-GB`"),
    Field("jurisdictions", Many(Text(TextKind.GLOB)), "jurisdictions, such as `GB`"),
)
_SEVERITY = Field("severity", Choice(SEVERITIES), "how bad a violation is; `medium` if not said")
_COST = Field("cost", Number(0.0), "cost of one violation in rewards; 1.0 if not said")
_MODE = Field("mode", Choice(MODES), "`enforce` (default), `shadow` (logged, changes nothing) or `off`")

RECORDS: dict[str, Record] = {
    record.name: record
    for record in (
        Record(
            "document",
            "One policy: who answers for it, where it applies, its rules and their tests.",
            (
                Field("apiVersion", Choice((API_VERSION,)), "the version of the language", required=True),
                Field("kind", Choice(("Policy",), later=("Tests",)), "what the file holds", required=True),
                Field("metadata", Ref("metadata"), "identity", required=True),
                Field("scope", Ref("scope"), "where the document applies; everywhere if not said"),
                Field("effective", Ref("effective"), "when the document applies; always if not said"),
                Field("defaults", Ref("defaults"), "what rules say if they do not say otherwise"),
                Field("rules", Many(Ref("rule")), "the rules", required=True),
                Field("tests", Many(Ref("test"), at_least=0), "examples that must come out as said"),
            ),
            later=("facts", "default", "except"),
        ),
        Record(
            "metadata",
            "The document's identity: it is what reports and logs refer to.",
            (
                Field("name", Text(TextKind.NAME), "unique name, such as `finance/retail-advice`", required=True),
                Field("version", Text(TextKind.VERSION), "semantic version, such as 1.4.0", required=True),
                Field("owner", Text(), "who answers for it", required=True),
                Field("why", Text(), "the reason that it exists", required=True),
            ),
        ),
        Record(
            "scope",
            "Where something applies; in every list `*` stands for any text, and any entry suffices.",
            _SCOPE,
            any_of=tuple(field.name for field in _SCOPE),
        ),
        Record(
            "effective",
            "From the start of `from` to the start of `until`, in UTC.",
            (Field("from", Day(), "the first day"), Field("until", Day(), "the day on which it no longer applies")),
            any_of=("from", "until"),
        ),
        Record(
            "defaults",
            "What rules say if they do not say otherwise.",
            (
                _MODE,
                _SEVERITY,
                _COST,
                Field("onError", Choice(("block",)), "what a check that could not run means: it fails closed"),
            ),
            any_of=("mode", "severity", "cost", "onError"),
        ),
        Record(
            "rule",
            "When the match finds something, the action is taken.",
            (
                Field("id", Text(TextKind.ID), "unique in the document, such as `no-guarantees`", required=True),
                _SEVERITY,
                _COST,
                _MODE,
                Field("scope", Ref("scope"), "narrows the document's scope"),
                Field("why", Text(), "the reason that it exists"),
                Field(
                    "target",
                    Choice(("output",), later=("input", "tool_call", "tool_result", "retrieved", "json")),
                    "what the rule reads: what the model writes",
                ),
                Field("match", Ref("match"), "what to find", required=True),
                Field("action", Ref("action"), "what to do about it", required=True),
            ),
            later=("when", "require", "except", "tool", "facts", "onError"),
        ),
        Record(
            "match",
            "What to find. `phrases` and `regex` are alternatives; `all`, `any` and `not` combine matches over the "
            "whole text.",
            (
                Field(
                    "phrases",
                    Many(Text(TextKind.PHRASE), or_one=True),
                    "phrases, at word boundaries; a space matches any run of separators",
                ),
                Field("regex", Many(Text(TextKind.REGEX), or_one=True), "regular expressions in RE2 syntax"),
                Field("exact", Flag(), "true: separators in phrases stand for themselves"),
                Field(
                    "views",
                    Many(Choice(VIEWS, later=("skeleton", "leet", "squeeze", "unescape"))),
                    "views of the text, any of which may match; [compat] if not said",
                ),
                Field(
                    "within",
                    Choice(("auto", "text", "json.strings"), later=("json.scalars", "terminal")),
                    "which text is read; `auto` is JSON strings under a JSON grammar and the whole text elsewhere",
                ),
                Field(
                    "join", Choice(("none", "array")), "`array`: a match may run across the strings of one JSON array"
                ),
                Field("before", Ref("context"), "text that must stand before the match"),
                Field("after", Ref("context"), "text that must stand after the match"),
                Field("all", Many(Ref("match")), "finds something if all of these do"),
                Field("any", Many(Ref("match")), "finds something if any of these does"),
                Field("not", Ref("match"), "finds something if this finds nothing in the whole text"),
            ),
            later=("entities", "grammar", "predicate", "classifier", "squeeze", "strict"),
            any_of=("phrases", "regex", "all", "any", "not"),
            alone=("all", "any", "not"),
            needs=(("exact", "phrases"),),
            noun="matcher",
        ),
        Record(
            "context",
            "Text beside a match.",
            (
                Field("regex", Text(TextKind.REGEX), "a regular expression in RE2 syntax", required=True),
                Field("within", Integer(0, MAX_WITHIN), "at most so many characters away", required=True),
            ),
        ),
        Record(
            "action",
            "What to do: exactly one of these.",
            (
                Field("block", Ref("block"), "the text is not released"),
                Field("transform", Ref("transform"), "what was found is replaced"),
            ),
            later=("escalate", "allow"),
            any_of=("block", "transform"),
            alone=("block", "transform"),
            noun="action",
        ),
        Record(
            "block",
            "The text is not released.",
            (
                Field("message", Text(), "what is shown instead"),
                Field("code", Text(), "a code for logs"),
                Field(
                    "onMatch",
                    Choice(("avoid", "stop")),
                    "`avoid` (default): the text cannot be generated; `stop`: generation ends, the message is shown",
                ),
            ),
        ),
        Record(
            "transform",
            "What was found is replaced: exactly one of these.",
            (
                Field("mask", Ref("mask"), "by a numbered label"),
                Field("replace", Ref("replace"), "by a fixed text"),
            ),
            later=("redact", "hash", "tokenise", "append", "prepend"),
            any_of=("mask", "replace"),
            alone=("mask", "replace"),
            noun="action",
        ),
        Record(
            "mask",
            "Each match is replaced by a label.",
            (
                Field("with", Text(TextKind.TEMPLATE), "the label; `{type}` and `{n}` are filled in", required=True),
                Field("type", Text(TextKind.LABEL), "what `{type}` says; the rule's id in capitals if not said"),
            ),
            later=("reversible", "vault"),
        ),
        Record(
            "replace",
            "Each match is replaced by a text.",
            (Field("with", Text(TextKind.ANY), "the text; empty deletes the match", required=True),),
        ),
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
                Field("output", Text(TextKind.ANY), "what the model wrote", required=True),
                Field("profile", Text(), "the deployment profile"),
                Field("tenant", Text(), "the tenant"),
                Field("locale", Text(), "the locale"),
                Field("jurisdiction", Text(), "the jurisdiction"),
                Field("at", Day(), "the day"),
            ),
            later=("facts", "input", "tool_call", "tool_result", "retrieved", "json", "approvals"),
        ),
        Record(
            "expect",
            "What must come out; what is not said is not checked.",
            (
                Field(
                    "decision",
                    Choice(("block", "transform", "allow"), later=("escalate",)),
                    "the decision",
                    required=True,
                ),
                Field("rules", Many(Text(TextKind.ID), at_least=0), "ids of the rules that fire"),
                Field("output", Text(TextKind.ANY), "the text that may be released"),
            ),
            later=("exceptions",),
        ),
    )
}
