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
)
