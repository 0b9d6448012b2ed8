"""Policy documents for tests of the test runner."""

from policykit.ir.document import Document, PolicySet
from policykit.policy import parse_document

HEAD = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: NAME, version: 1.0.0, owner: a@example.org, why: to try the runner}
"""
RULES = """\
rules:
  - id: no-guarantees
    severity: high
    match: {phrases: [guaranteed returns, risk-free profit of the year]}
    action: {block: {message: No promises.}}
  - id: pin
    match: {regex: ['\\b\\d{4}\\b'], before: {regex: pin, within: 3}}
    action: {transform: {mask: {with: "[{type}_{n}]"}}}
"""


def document(body: str, name: str = "a/b", file: str = "b.policy.yaml") -> Document:
    """``body`` from `scope` or `rules` on, below a fixed head of three lines."""
    return parse_document(HEAD.replace("NAME", name) + body, file)


def policies(*documents: Document) -> PolicySet:
    return PolicySet(documents)


def with_tests(*tests: str, rules: str = RULES, top: str = "") -> PolicySet:
    """One document with the rules above and one flow mapping per test."""
    return policies(document(f"{top}{rules}tests:\n" + "".join(f"  - {test}\n" for test in tests)))
