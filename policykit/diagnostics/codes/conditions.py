"""PK150–PK159: conditions over facts."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES = (
    CodeEntry(
        "PK150",
        "not a condition",
        "Conditions have the syntax of the Common Expression Language (CEL): comparisons, `&&`, `||`, `!`, `in`, "
        "arithmetic, fields, lists and maps.",
        "when: 'user.role = \"admin\"'",
    ),
    CodeEntry(
        "PK151",
        "not in the subset of CEL",
        "Conditions have size, startsWith, endsWith, contains, matches, int, double, string, has, and the macros all, "
        "exists, exists_one, filter and map. Bytes, unsigned integers, messages and timestamps are left out.",
        "when: 'timestamp(now) > user.since'",
    ),
    CodeEntry(
        "PK152",
        "an unknown fact",
        "The document's facts schema has no such name, so the condition could never be decided.",
        "when: 'user.rol == \"admin\"'",
    ),
    CodeEntry(
        "PK153",
        "types that do not go together",
        "The condition is checked against the facts schema when it is read: what could only ever fail is refused.",
        "when: 'args.amount > \"500\"'",
    ),
    CodeEntry("PK154", "not an RE2 expression", "The pattern of `matches` is an expression in RE2 syntax."),
    CodeEntry("PK155", "a condition over a limit", "Conditions are bounded in length and nesting, and in steps."),
    CodeEntry(
        "PK156",
        "not a schema of facts",
        "Facts are described by a JSON Schema that gives each of them a type: type, properties, items, enum, const, "
        "additionalProperties and bounds.",
    ),
)
