"""Codes PK080–PK089: approvals of tool calls."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = (
    CodeEntry(
        "PK080",
        "the arguments have no digest",
        "An approval is bound to the digest of the exact arguments; only JSON values have one: no NaN, no infinity, "
        "no half of a surrogate pair, names that are text.",
        "args: {amount: .nan}",
    ),
    CodeEntry(
        "PK081",
        "the approval's signature is wrong",
        "The approval was not issued with the key that it names, or was changed since.",
    ),
    CodeEntry(
        "PK082",
        "the approval cannot be read",
        "The text is not one that issuing an approval gives, or an approval with impossible content: no user, no role, "
        "times without a zone, an end before its beginning.",
        "approval: yes",
    ),
    CodeEntry(
        "PK083",
        "no usable key for approvals",
        "Approvals are signed with a key of at least 32 bytes that the configuration gives by name.",
        "issue(approval, 'managers', {})",
    ),
    CodeEntry(
        "PK084",
        "the store of spent approvals cannot be used",
        "An approval counts once. Where the store that remembers it is locked, damaged, full or another program's, "
        "no approval counts.",
    ),
    CodeEntry(
        "PK085",
        "an impossible requirement",
        "A requirement needs a role, at least one approval, and a lifetime that is longer than nothing.",
        "require: {approvals: {role: manager, count: 0}}",
    ),
)
