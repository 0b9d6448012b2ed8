"""The field table: the policy language of this version, in one place.

The reader follows it, and the exported JSON Schema is generated from it. What the language has and this version does
not implement is listed too (``later``), so that it is refused by name.
"""

from policykit.policy.action_table import ACTION_RECORDS
from policykit.policy.chain_table import CHAIN_RECORDS, COMPOSED
from policykit.policy.shapes import (
    Choice,
    Data,
    Day,
    Either,
    Field,
    Flag,
    Integer,
    Many,
    Number,
    Record,
    Ref,
    Text,
    TextKind,
)
from policykit.policy.tests_table import API_VERSION, TEST_RECORDS
from policykit.text import ESCAPE_NAMES

MAX_WITHIN = 1_000
TARGETS = ("output", "input", "tool_call", "tool_result", "retrieved", "json")
SEVERITIES = ("low", "medium", "high", "critical")
MODES = ("enforce", "shadow", "off")
VIEWS = ("raw", "compat", "unmarked", "skeleton", "leet")

LATER = {
    "exceptions": "exceptions",
    "grammar": "a grammar as matcher",
    "strict": "over-approximated matching",
}

_ALONE = ("predicate", "classifier", "language", "all", "any", "not")
_SCOPE = (
    Field("profiles", Many(Text(TextKind.GLOB)), "deployment profiles, such as `answer`"),
    Field("tenants", Many(Text(TextKind.GLOB)), "tenants"),
    Field("locales", Many(Text(TextKind.GLOB)), "locales, such as `en-GB`"),
    Field("jurisdictions", Many(Text(TextKind.GLOB)), "jurisdictions, such as `GB`"),
)
_OPAQUE_VIEWS = Field(
    "views", Many(Choice(VIEWS)), "views of the text that it is given, each by itself; [raw] if not said"
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
                Field("kind", Choice(("Policy",)), "what the file holds", required=True),
                Field("metadata", Ref("metadata"), "identity", required=True),
                Field("scope", Ref("scope"), "where the document applies; everywhere if not said"),
                Field("effective", Ref("effective"), "when the document applies; always if not said"),
                Field("defaults", Ref("defaults"), "what rules say if they do not say otherwise"),
                Field("default", Choice(("allow", "block")), "`block`: what no allow rule admits is blocked"),
                Field(
                    "streamSafe",
                    Flag(),
                    "true: no text that the rules judge has more than 30 marks or invisible characters in a row",
                ),
                Field("facts", Ref("facts"), "what is known about requests; conditions are checked against it"),
                Field("rules", Many(Ref("rule")), "the rules", required=True),
                Field("tests", Many(Ref("test"), at_least=0), "examples that must come out as said"),
            ),
            later=("except",),
        ),
        Record(
            "facts",
            "The facts that conditions read, as a JSON Schema.",
            (
                Field("schema", Text(TextKind.PATH), "a JSON Schema file, beside the policy"),
                Field("inline", Data(of_mapping=True), "the JSON Schema itself"),
            ),
            any_of=("schema", "inline"),
            alone=("schema", "inline"),
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
            "The action is taken when the match finds something, the condition holds and what is required is missing.",
            (
                Field("id", Text(TextKind.ID), "unique in the document, such as `no-guarantees`", required=True),
                _SEVERITY,
                _COST,
                _MODE,
                Field("scope", Ref("scope"), "narrows the document's scope"),
                Field("why", Text(), "the reason that it exists"),
                Field(
                    "target",
                    Choice(TARGETS),
                    "what the rule judges; `output`, what the model writes, if not said",
                ),
                Field("tool", Many(Text(TextKind.GLOB), or_one=True), "the tools that it is about"),
                Field("match", Ref("match"), "what to find"),
                Field(
                    "when", Either(Text(TextKind.CONDITION), Ref("decided")), "a condition over facts, in CEL syntax"
                ),
                Field("require", Ref("require"), "what must be there: the rule fires where it is missing"),
                Field("except", Many(Ref("exception")), "where the rule does not hold"),
                Field("action", Ref("action"), "what to do about it", required=True),
            ),
            any_of=("match", "when", "require"),
        ),
        Record(
            "decided",
            "A condition that an Open Policy Agent decides. It is sent the facts.",
            (
                Field("rego", Text(TextKind.REGO), "the rule's full name, such as `data.refunds.allow`", required=True),
                Field("text", Flag(), "true: the text is sent too"),
            ),
        ),
        Record(
            "require",
            "What must be there.",
            (
                Field("match", Ref("match"), "must be found in the text"),
                Field("approvals", Ref("approvals"), "people must have approved exactly this"),
                Field("citations", Ref("citations"), "what the text says must hold a citation"),
            ),
            any_of=("match", "approvals", "citations"),
        ),
        Record(
            "approvals",
            "People who must have approved.",
            (
                Field("role", Text(), "the role that each of them holds", required=True),
                Field("count", Integer(1, 20), "how many of them; 1 if not said"),
                Field("distinctBy", Text(TextKind.LABEL), "in what they must differ; `user` if not said"),
                Field("notRequester", Flag(), "true: nobody approves their own request"),
            ),
        ),
        Record(
            "exception",
            "Where a rule does not hold. Who allowed it, why and until when is part of it.",
            (
                Field("id", Text(TextKind.LABEL_ID), "unique in the document, such as `EX-17`", required=True),
                Field("when", Either(Text(TextKind.CONDITION), Ref("decided")), "a condition over facts"),
                Field("approvedBy", Text(), "who allowed it", required=True),
                Field("reason", Text(), "why", required=True),
                Field("expires", Day(), "the day from which it no longer holds", required=True),
            ),
        ),
        Record(
            "match",
            "What to find. Several keys beside each other are alternatives; `all`, `any` and `not` combine matches "
            "over the whole text.",
            (
                Field(
                    "phrases",
                    Either(Many(Text(TextKind.PHRASE), or_one=True), Ref("phraseList")),
                    "phrases, at word boundaries; a space matches any run of separators",
                ),
                Field("regex", Many(Text(TextKind.REGEX), or_one=True), "regular expressions in RE2 syntax"),
                Field(
                    "entities",
                    Many(Either(Text(TextKind.ID), Ref("entity")), or_one=True),
                    "identifiers such as `iban` or `email`, where their check digits hold",
                ),
                Field("near", Ref("near"), "texts that stand near each other"),
                Field("count", Ref("count"), "how often something is found, matches that do not overlap"),
                Field("length", Ref("length"), "how long the text is"),
                Field("script", Ref("script"), "letters by their script"),
                Field("exact", Flag(), "true: separators in phrases stand for themselves"),
                Field(
                    "squeeze",
                    Flag(),
                    "true: the letters of phrases may be set apart (`g u a r`); for phrases of two or more words and "
                    "ten or more letters",
                ),
                Field(
                    "views",
                    Many(Choice(VIEWS)),
                    "views of the text, any of which may match; [compat] if not said",
                ),
                Field(
                    "unescape",
                    Many(Choice(ESCAPE_NAMES)),
                    "escapes that a reader of the text decodes: what they say may match too, on each view",
                ),
                Field(
                    "within",
                    Choice(("auto", "text", "json.strings", "json.scalars"), later=("terminal",)),
                    "which text is read; `auto` is JSON strings under a JSON grammar (for entities numbers too) and "
                    "the whole text elsewhere",
                ),
                Field(
                    "join", Choice(("none", "array")), "`array`: a match may run across the strings of one JSON array"
                ),
                Field("before", Ref("context"), "text that must stand before the match"),
                Field("after", Ref("context"), "text that must stand after the match"),
                Field(
                    "predicate",
                    Either(Text(TextKind.ID), Ref("predicate")),
                    "a function by its name, of an installed package or of the deployment; it reads the whole text",
                ),
                Field("classifier", Ref("classifier"), "a model of the deployment, which reads the whole text"),
                Field("language", Ref("language"), "the natural language of the whole text"),
                Field("all", Many(Ref("match")), "finds something if all of these do"),
                Field("any", Many(Ref("match")), "finds something if any of these does"),
                Field("not", Ref("match"), "finds something if this finds nothing in the whole text"),
            ),
            later=("grammar", "strict"),
            any_of=(
                "phrases",
                "regex",
                "entities",
                *COMPOSED,
                "predicate",
                "classifier",
                "language",
                "all",
                "any",
                "not",
            ),
            alone=_ALONE,
            needs=(("exact", "phrases"), ("squeeze", "phrases")),
            noun="matcher",
        ),
        *CHAIN_RECORDS,
        Record(
            "predicate",
            "A function by its name.",
            (
                Field("name", Text(TextKind.ID), "the name of the function", required=True),
                Field("args", Data(of_mapping=True), "what it is given beside the text"),
                Field("version", Text(TextKind.VERSION), "the version that it must have"),
                _OPAQUE_VIEWS,
            ),
        ),
        Record(
            "entity",
            "A kind of identifier.",
            (
                Field("type", Text(TextKind.ID), "its name, such as `iban`", required=True),
                Field("region", Text(), "for `phone`: the country in which numbers are dialled, such as `GB`"),
                Field("pattern", Text(TextKind.REGEX), "for `mrn`: how the institution writes it, in RE2 syntax"),
                Field(
                    "context",
                    Choice(("required", "none")),
                    "whether a word for it must stand near; as the type says if not said",
                ),
                Field("strict", Flag(), "true: the mask forbids everything of its form, valid or not"),
            ),
        ),
        Record(
            "classifier",
            "A text-classification model, which finds something where it gives a label a high score.",
            (
                Field("model", Text(TextKind.ID), "its name in the configuration", required=True),
                Field("digest", Text(), "the digest of its content, such as `sha256:…`", required=True),
                Field("label", Text(), "the label", required=True),
                Field(
                    "threshold",
                    Number(0.0, 1.0, above=True),
                    "the least probability, above 0 and at most 1",
                    required=True,
                ),
                _OPAQUE_VIEWS,
            ),
        ),
        Record(
            "context",
            "Text beside a match.",
            (
                Field("regex", Text(TextKind.REGEX), "a regular expression in RE2 syntax", required=True),
                Field("within", Integer(0, MAX_WITHIN), "at most so many characters away", required=True),
            ),
        ),
        *ACTION_RECORDS,
        *TEST_RECORDS,
    )
}
