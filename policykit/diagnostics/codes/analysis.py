"""Codes PK700–PK719: exact analysis of what rules find."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = (
    CodeEntry(
        "PK700",
        "no such rule",
        "`FILE#RULE` names one rule of a policy file by its id.",
        "policykit compare promises.policy.yaml#no-garantees promises.policy.yaml",
    ),
    CodeEntry(
        "PK701",
        "nothing to compare",
        "Two sides are compared by the texts on which they act. A side without a rule that finds texts (all its rules "
        "depend on facts, judge whole texts, or do not apply in the context) would be equal to any other such side, "
        "which would say nothing.",
        "policykit compare refunds.policy.yaml promises.policy.yaml",
    ),
    CodeEntry(
        "PK702",
        "a rule, or a part of one, finds nothing in any text",
        "`policykit check --analyse` proved that no text matches: an expression that contradicts itself, a context "
        "that cannot stand beside the match, a `not` that excludes everything. The rule looks like protection and is "
        "none.",
        "match: {all: [{phrases: [fee]}, {not: {regex: ['e']}}]}",
    ),
    CodeEntry(
        "PK703",
        "a rule never changes a decision",
        "Wherever the rule finds something, other rules that are named decide at least as strongly, and depend on "
        "nothing but the text. It can go, or it was meant to say something else.",
        "rules: [{id: a, match: {phrases: [risk]}, action: {block: {}}},"
        " {id: b, match: {phrases: [no risk]}, action: {block: {}}}]",
    ),
    CodeEntry(
        "PK704",
        "a phrase or an expression adds nothing to its list",
        "Wherever it finds something, other entries of the same list that are named find something too.",
        "match: {phrases: [risk, no risk]}",
    ),
    CodeEntry(
        "PK705",
        "a condition is always true",
        "`policykit check --analyse` proved that the condition is true for all facts for which it has a value. An "
        "exception with it excuses everything, so the rule never acts; a rule with it has no condition, but blocks "
        "where a fact is missing. An exception is asked only where the condition of its rule is true.",
        'when: user.role != "clerk" || user.role != "agent"',
    ),
    CodeEntry(
        "PK706",
        "a condition is never true",
        "`policykit check --analyse` proved that no facts that the schema admits make the condition true: the rule "
        "never acts, or the exception excuses nothing. (Where it has no value, that is still an error.)",
        'when: user.role == "clerk" && user.role == "agent"',
    ),
    CodeEntry(
        "PK707",
        "a part of a condition changes nothing",
        "Wherever the condition has a value, it has the same one without this operand of `&&` or `||`. All operands "
        "that are named can go at once.",
        "when: args.amount > 500 && args.amount > 100",
    ),
)
