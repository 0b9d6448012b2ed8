"""What a tool is called with says nothing that no output may say."""

import json

import pytest
from hypothesis import given, settings, strategies as st

import policykit as pk
from policykit.ir.document import PolicySet

RULES = [
    {"id": "words", "match": {"phrases": ["a b"]}, "action": {"block": {}}},
    {"id": "shown", "match": {"regex": ["c{2}"]}, "action": {"block": {"onMatch": "stop"}}},
    {"id": "asked", "match": {"phrases": ["dd"]}, "action": {"escalate": {"queue": "q", "ttl": "5m"}}},
    {"id": "silent", "mode": "shadow", "match": {"phrases": ["e"]}, "action": {"block": {}}},
    {"id": "changed", "match": {"phrases": ["f"]}, "action": {"transform": {"replace": {"with": "x"}}}},
    {"id": "absent", "match": {"all": [{"phrases": ["g"]}, {"not": {"phrases": ["h"]}}]}, "action": {"block": {}}},
    {"id": "long", "match": {"length": {"unit": "characters", "atLeast": 200}}, "action": {"block": {}}},
    {"id": "calls", "target": "tool_call", "match": {"phrases": ["i"]}, "action": {"block": {}}},
]


@pytest.fixture(scope="module")
def plan() -> pk.Plan:
    metadata = {"name": "p", "version": "1.0.0", "owner": "o@example.org", "why": "a test"}
    document = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": RULES}
    return pk.compile(PolicySet((pk.parse_document(json.dumps(document), "p.policy.yaml"),)))


def test_rules_that_find_something_and_stop_it_are_asked(plan: pk.Plan) -> None:
    assert [check.rule.rule_id for check in plan.argument_verifier.checks] == [
        *("words", "shown", "asked", "silent", "changed")
    ]
    assert [check.rule.rule_id for check in plan.argument_guard.checks] == ["words", "shown", "asked", "silent"]
    verdict = plan.argument_verifier.verify('{"x": "e g i and long"}')
    assert verdict.decision is pk.Decision.ALLOW
    assert [found.rule for found in verdict.shadow] == ["silent"]


def test_a_rule_has_the_name_that_it_has_in_the_plan() -> None:
    def document(name: str, **more: object) -> str:
        metadata = {"name": name, "version": "1.0.0", "owner": "o@example.org", "why": "a test"}
        rule = {"id": "same", "match": {"phrases": ["a b"]}, "action": {"block": {"onMatch": "stop"}}, **more}
        return json.dumps({"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": [rule]})

    texts = (document("p"), document("q", target="input"))
    plan = pk.compile(PolicySet(tuple(pk.parse_document(text, "p.policy.yaml") for text in texts)))
    assert plan.argument_verifier.verify('"a b"').rules == plan.verify("a b").rules == ("p#same",)


@settings(deadline=None, max_examples=300)
@given(st.text('aAb -cdfß\n\\"', max_size=8), st.sampled_from(["{}", '{"k": [1, {}]}', '{{}: "v"}']), st.booleans())
def test_arguments_are_judged_as_the_texts_in_them(plan: pk.Plan, text: str, shape: str, ascii: bool) -> None:
    """The oracle judges the decoded text by itself; keys count like values."""
    written = json.dumps(text, ensure_ascii=ascii)
    escaped = '"' + "".join(f"\\u{ord(c):04x}" for c in text) + '"'
    alone = plan.verify(text)
    whole = shape.replace("{}", "%s", 1) if shape != "{}" else "%s"
    for spelled in (written, escaped):
        verdict = plan.argument_verifier.verify(whole % spelled)
        assert sorted(verdict.rules) == sorted(alone.rules)
        assert verdict.decision is alone.decision
        if alone.decision is pk.Decision.TRANSFORM:
            assert json.loads(verdict.text) == json.loads(whole % json.dumps(alone.text))
