"""A policy without mistakes, and one mistake in it."""

from dataclasses import dataclass

BASE = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: finance/x, version: 1.0.0, owner: a@b.c, why: because}
scope: {profiles: [answer]}
effective: {from: 2026-01-01, until: 2028-01-01}
rules:
  - id: no-guarantees
    severity: high
    cost: 2.0
    match: {phrases: [guaranteed returns]}
    action: {block: {message: no}}
tests:
  - name: blocks
    given: {output: guaranteed returns}
    expect: {decision: block, rules: [no-guarantees]}
"""
PHRASES = "{phrases: [guaranteed returns]}"
BLOCK = "{block: {message: no}}"
RULE = "rules:\n  - id: no-guarantees\n    severity: high"
FACTS = (
    "facts: {inline: {type: object, additionalProperties: false, properties: {limits: {type: object, properties: "
    "{refund: {type: number}}}, user: {type: object, additionalProperties: false, properties: {role: {type: string}, "
    "id: {type: string}}}}}}\nrules:\n  - id: no-guarantees\n    when: 'CONDITION'"
)


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    code: str
    old: str
    new: str
    help: str

    @property
    def text(self) -> str:
        assert BASE.count(self.old) == 1, "the changed part must be unique"
        return BASE.replace(self.old, self.new)
