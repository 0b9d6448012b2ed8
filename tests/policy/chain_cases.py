"""Mistakes in matchers that are put together of others."""

from tests.policy.case import PHRASES, Case

CHAIN_CASES = (
    Case("list elsewhere", "PK133", PHRASES, "{phrases: {csv: «../phrases.csv»}}", "folder of this one"),
    Case("list of another kind", "PK133", PHRASES, "{phrases: {csv: «phrases.txt»}}", "phrases.csv"),
    Case("list that is not there", "PK001", PHRASES, "{phrases: {csv: «no-such-list.csv»}}", "check the path"),
    Case(
        "phrase twice in a list",
        "PK133",
        PHRASES,
        "{phrases: {entries: [{phrase: a b}, {phrase: «a b»}]}}",
        "keep one",
    ),
    Case("near alone", "PK130", PHRASES, "{near: {«of»: [{phrases: [a]}], words: 3}}", "in twos"),
    Case(
        "two distances",
        "PK130",
        PHRASES,
        "{near: {of: [{phrases: [a]}, {phrases: [b]}], words: 3, «characters»: 9}}",
        "keep one",
    ),
    Case("no distance", "PK028", PHRASES, "{«near»: {of: [{phrases: [a]}, {phrases: [b]}]}}", "`words`"),
    Case("empty count", "PK130", PHRASES, "{count: {phrases: [a], atLeast: 3, «atMost»: 2}}", "exchange"),
    Case("empty in a count", "PK120", PHRASES, "{count: {regex: «'a*'», atLeast: 3}}", "`+`"),
    Case(
        "context of a count",
        "PK131",
        PHRASES,
        "{count: {phrases: [a], atLeast: 3}, «after»: {regex: b, within: 3}}",
        "under `any`",
    ),
    Case("view of a length", "PK131", PHRASES, "{length: {unit: words, atMost: 9}, «views»: [compat]}", "remove"),
    Case("unknown script to look for", "PK132", PHRASES, "{script: {in: [«Cyrilic»]}}", "did you mean `Cyrillic`?"),
    Case("shared script", "PK132", PHRASES, "{script: {notIn: [«Common»]}}", "Unicode name"),
    Case(
        "nothing to replace in a length",
        "PK058",
        "match: {phrases: [guaranteed returns]}\n    action: {block: {message: no}}",
        "match: {length: {unit: words, atLeast: 9}}\n    action: {«transform»: {replace: {with: x}}}",
        "`block`",
    ),
)
