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
)
