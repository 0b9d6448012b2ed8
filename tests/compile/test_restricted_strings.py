"""Restricted strings of a schema are analysed within one budget: a client may bring a schema with thousands of them."""

import json

import numpy as np
import pytest

import policykit as pk
from policykit.compile import plan as compiling
from policykit.compile.strings import representatives
from policykit.ir.document import PolicySet
from policykit.ir.plan import LivenessKind

POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: p, version: 1.0.0, owner: o@example.org, why: a test}
rules:
  - {id: r, severity: high, match: {phrases: [bad word]}, action: {block: {}}}
"""
POLICIES = PolicySet((pk.parse_document(POLICY, "p.policy.yaml"),))


def plan(n: int, pattern: str = "^a%d[a-z]{2,9}$") -> pk.Plan:
    properties = {f"p{i}": {"type": "string", "pattern": pattern % i} for i in range(n)}
    return pk.compile(POLICIES, pk.Grammar.from_json_schema(json.dumps({"type": "object", "properties": properties})))


def test_few_are_proved_and_the_rest_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plan(8).liveness.kind is LivenessKind.RESETS
    monkeypatch.setattr(compiling, "SITES_BUDGET", 3 * compiling.SITE_BUDGET // 10)
    found = plan(8).liveness
    assert found.kind is LivenessKind.BOUNDED
    assert "too many restricted strings before it" in found.why
    assert "`/properties/p0" not in found.why, "the first ones are still proved"


def test_what_is_not_looked_at_is_not_called_impossible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "SITES_BUDGET", 0)
    assert plan(2, "^bad word%d?$").liveness.kind is LivenessKind.BOUNDED


def test_the_representatives_are_the_first_of_each_number() -> None:
    rng = np.random.default_rng(3)
    key = rng.integers(0, 50, 0x110000) * 2
    expected = {int(key[p]): p for p in reversed([p for p in range(0x3000) if not 0xD800 <= p < 0xE000])}
    assert representatives(key) == [expected[k] for k in sorted(expected)]
