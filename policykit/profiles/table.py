"""The field table of profiles and of key files: what each of them may say, in one place.

The reader follows it, and the exported JSON Schemas are generated from it.
"""

from policykit.policy.shapes import Choice, Data, Day, Field, Flag, Integer, Many, Number, Record, Ref, Text, TextKind

API_VERSION = "policykit/v1"
TASKS = ("answer", "summarize", "extract", "agent")
CLIENT_TOOLS = ("refuse", "allow")
REASONING = ("forbidden", "covered")
STRATEGIES = ("mask", "reject", "exact", "block", "auto")
LATER_STRATEGIES = ("weighted",)
ON_REWARD_ERROR = ("refuse", "fallback")

MAX_TEMPERATURE = 2.0
MAX_TOKENS = 1 << 20
MAX_CHARACTERS = 1 << 26
MAX_CHOICES = 128
MAX_CANDIDATES = 64
MAX_ATTEMPTS = 64
MAX_CLIENT_TOOLS = 128
MAX_CLIENT_TOOL_CHARACTERS = 1 << 16
MAX_SECONDS = 86_400.0

_VERSION_FIELD = Field("apiVersion", Choice((API_VERSION,)), "the version of the language", required=True)


def _table(*records: Record) -> dict[str, Record]:
    return {record.name: record for record in records}


PROFILE_RECORDS = _table(
    Record(
        "profile",
        "One way of using a model: under which policies, grammar, settings and limits, and for whom.",
        (
            _VERSION_FIELD,
            Field("kind", Choice(("Profile",)), "what the file holds", required=True),
            Field("metadata", Ref("metadata"), "identity", required=True),
            Field("task", Choice(TASKS), "what it is for", required=True),
            Field("model", Text(), "the model, as the server calls it; the one that is served if not said"),
            Field("adapter", Text(), "the LoRA adapter, as the server calls it; none if not said"),
            Field(
                "policies",
                Many(Text(TextKind.PATH)),
                "policy files and folders of them, by their path from this file",
                required=True,
            ),
            Field("grammar", Text(TextKind.PATH), "the grammar of every output, by its path from this file"),
            Field("clientGrammar", Flag(), "true: a request may bring a grammar of its own"),
            Field("decoding", Ref("decoding"), "how tokens are chosen"),
            Field("systemPrompt", Ref("systemPrompt"), "the instruction that every request begins with"),
            Field("tenants", Many(Text(TextKind.GLOB)), "the tenants that may use it; all if not said"),
            Field("limits", Ref("limits"), "what one request, and one key, may cost"),
            Field("fallback", Text(), "the text that is shown where no attempt is fit to be shown", required=True),
            Field("escalation", Text(TextKind.ID), "the queue that escalations without one of their own go to"),
            Field("retrieval", Ref("retrieval"), "how many passages are looked up, and where"),
            Field("tools", Many(Ref("tool")), "the tools that the model may call; none if not said"),
            Field(
                "clientTools",
                Choice(CLIENT_TOOLS),
                "whether a request may define tools that `tools` has not: `refuse` (default) or `allow`",
            ),
            Field("reasoning", Choice(REASONING), "`forbidden` (default), or `covered` by the same policies"),
        ),
    ),
    Record(
        "metadata",
        "The profile's identity: it is what keys and logs refer to.",
        (
            Field("name", Text(TextKind.ID), "unique name, such as `answer`", required=True),
            Field("version", Text(TextKind.VERSION), "semantic version, such as 1.4.0", required=True),
            Field("owner", Text(), "who answers for it", required=True),
            Field("why", Text(), "the reason that it exists", required=True),
        ),
    ),
    Record(
        "decoding",
        "How tokens are chosen. A request may say less than a maximum, and nothing beyond it.",
        (
            Field("strategy", Choice(STRATEGIES, LATER_STRATEGIES), "`mask` if not said"),
            Field("failures", Integer(1, 64), "of a sentence, before `block` goes further back; 2 if not said"),
            Field("minLegal", Number(0.0, 1.0), "`block` goes back from where less is legal; 0.1 if not said"),
            Field(
                "minLegalMass",
                Number(0.0, 1.0),
                "of what the model would write; where less can be legal, the fallback is the answer; 0.02 if not said",
            ),
            Field("exactFailures", Integer(1, 64), "of a text, before `auto` goes on as `block`; 3 if not said"),
            Field("temperature", Number(0.0, MAX_TEMPERATURE), "if a request does not say; 1.0 if not said"),
            Field(
                "maxTemperature", Number(0.0, MAX_TEMPERATURE), "the most that a request may ask for; 2.0 if not said"
            ),
            Field("topP", Number(0.0, 1.0, above=True), "if a request does not say; 1.0 if not said"),
            Field("maxTopP", Number(0.0, 1.0, above=True), "the most that a request may ask for; 1.0 if not said"),
            Field("maxTokens", Integer(1, MAX_TOKENS), "tokens of an output, if a request does not say"),
            Field("maxChoices", Integer(1, MAX_CHOICES), "outputs that one request may ask for; 1 if not said"),
            Field("seed", Integer(0, (1 << 63) - 1), "if a request does not say; none if not said"),
            Field(
                "best", Ref("best"), "of several answers that pass, the best by reward; the first that does if not said"
            ),
        ),
        any_of=(
            "strategy",
            "failures",
            "minLegal",
            "minLegalMass",
            "exactFailures",
            "temperature",
            "maxTemperature",
            "topP",
            "maxTopP",
            "maxTokens",
            "maxChoices",
            "seed",
            "best",
        ),
    ),
    Record(
        "best",
        "Each output is the best of several that pass, by the rewards of a model.",
        (
            Field("of", Integer(2, MAX_CANDIDATES), "outputs that pass, of which one is chosen", required=True),
            Field("reward", Text(TextKind.ID), "the reward model, as the server calls it", required=True),
            Field("digest", Text(), "the digest of its folder, `sha256:` and 64 digits", required=True),
            Field(
                "onError",
                Choice(ON_REWARD_ERROR),
                "where there is no reward: `refuse` the request (default), or show the `fallback`",
            ),
        ),
    ),
    Record(
        "systemPrompt",
        "The instruction that every request begins with.",
        (
            Field("id", Text(TextKind.ID), "its name in logs, such as `answer-v3`", required=True),
            Field("text", Text(), "the instruction"),
            Field("file", Text(TextKind.PATH), "a text file that holds it, by its path from this file"),
        ),
        any_of=("text", "file"),
    ),
    Record(
        "limits",
        "What one request, and one key, may cost.",
        (
            Field("timeoutSeconds", Number(0.0, MAX_SECONDS, above=True), "for all attempts together; 60 if not said"),
            Field("inputCharacters", Integer(1, MAX_CHARACTERS), "of all messages together; 32000 if not said"),
            Field("outputTokens", Integer(1, MAX_TOKENS), "the most that one output may have; 1024 if not said"),
            Field("requestsPerMinute", Integer(1, 10_000_000), "of one key; no limit if not said"),
            Field("concurrent", Integer(1, 1_000_000), "requests of one key at a time; no limit if not said"),
            Field("attempts", Integer(1, MAX_ATTEMPTS), "the first included; 3 if not said"),
            Field("inputPrice", Number(0.0), "of a million input tokens, in any currency"),
            Field("outputPrice", Number(0.0), "of a million output tokens, in the same currency"),
            Field("clientTools", Integer(1, MAX_CLIENT_TOOLS), "tools that a request may define; 16 if not said"),
            Field(
                "clientToolCharacters",
                Integer(64, MAX_CLIENT_TOOL_CHARACTERS),
                "of one of them: its name, description and schema together; 8192 if not said",
            ),
            Field("maxCost", Number(0.0, above=True), "of all attempts together, in the same currency"),
        ),
        any_of=(
            "timeoutSeconds",
            "inputCharacters",
            "outputTokens",
            "requestsPerMinute",
            "concurrent",
            "attempts",
            "inputPrice",
            "outputPrice",
            "clientTools",
            "clientToolCharacters",
        ),
        needs=(("maxCost", "outputPrice"),),
    ),
    Record(
        "retrieval",
        "How many passages are looked up, and where.",
        (
            Field("depth", Integer(0, 1_000), "passages at most", required=True),
            Field("sources", Many(Text(TextKind.ID)), "collections, by name; all if not said"),
        ),
    ),
    Record(
        "tool",
        "A tool that the model may call.",
        (
            Field("name", Text(TextKind.LABEL), "its name, such as `issue_refund`", required=True),
            Field("description", Text(), "what it does, for the model"),
            Field(
                "arguments",
                Data(of_mapping=True),
                "the JSON Schema of its arguments",
                required=True,
                elsewhere="parameters",
            ),
            Field(
                "outputRules",
                Choice(("apply", "block", "ignore")),
                "what rules about outputs do to its arguments: as to answers, if not said; stop them only; or nothing",
            ),
        ),
    ),
)

KEY_RECORDS = _table(
    Record(
        "keys",
        "Which key may use which profiles. A key itself is never written down, only its SHA-256.",
        (
            _VERSION_FIELD,
            Field("kind", Choice(("Keys",)), "what the file holds", required=True),
            Field("keys", Many(Ref("key")), "keys of clients", required=True),
            Field("admins", Many(Ref("admin")), "keys for the admin address; none if not said"),
        ),
    ),
    Record(
        "key",
        "One key of a client, and what it grants.",
        (
            Field("id", Text(TextKind.ID), "its name in logs and metrics", required=True),
            Field("sha256", Text(), "the SHA-256 of the key, 64 hexadecimal digits", required=True),
            Field("tenant", Text(TextKind.ID), "whose it is", required=True),
            Field("profiles", Many(Text(TextKind.ID)), "the profiles that it may use", required=True),
            Field("default", Text(TextKind.ID), "the profile if a request names none; the only one if not said"),
            Field("locale", Text(), "the locale that rules are resolved for, such as `en-GB`"),
            Field("jurisdiction", Text(), "the jurisdiction that rules are resolved for, such as `GB`"),
            Field("expires", Day(), "the day from which it no longer works"),
        ),
    ),
    Record(
        "admin",
        "One key of an operator.",
        (
            Field("id", Text(TextKind.ID), "its name in logs", required=True),
            Field("sha256", Text(), "the SHA-256 of the key, 64 hexadecimal digits", required=True),
            Field("expires", Day(), "the day from which it no longer works"),
        ),
    ),
)
