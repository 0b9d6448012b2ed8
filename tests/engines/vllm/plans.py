"""The policy of these tests, and plans of it."""

import policykit as pk
from policykit.constraint import Vocabulary
from policykit.embedded import tokenizer_path
from policykit.ir.document import PolicySet

PHRASES = ("guaranteed returns", "promise a return", "risk-free", "safe bet")
POLICY = f"""\
apiVersion: policykit/v1
kind: Policy
metadata: {{name: demo, version: 1.0.0, owner: tests, why: a test of engines}}
rules:
  - id: no-guarantees
    severity: high
    match: {{phrases: [{", ".join(PHRASES)}], views: [compat]}}
    action: {{block: {{message: We promise nothing.}}}}
tests:
  - name: none
    given: {{output: hello}}
    expect: {{decision: allow}}
"""
POLICIES = PolicySet((pk.parse_document(POLICY, "demo.policy.yaml"),))


def plan() -> pk.Plan:
    return pk.compile(POLICIES)


def embedded_vocabulary() -> Vocabulary:
    return Vocabulary.from_file(tokenizer_path())
