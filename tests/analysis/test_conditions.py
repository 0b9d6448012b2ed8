"""Conditions of documents: what is settled in them, with its place, and what is not analysed."""

import json
from typing import Any

from policykit.analysis import analyse_conditions
from policykit.ir.document import PolicySet
from policykit.policy import parse_document

FACTS = {
    "type": "object",
    "properties": {"role": {"enum": ["clerk", "agent"]}, "amount": {"type": "integer", "minimum": 0}},
}


def exception(when: str | None, **more: Any) -> dict[str, Any]:
    asked = {} if when is None else {"when": when}
    return {"id": "E", "approvedBy": "o", "reason": "r", "expires": "2999-01-01", **asked, **more}


def found(*rules: dict[str, Any], max_cases: int = 1_000) -> list[tuple[str, str, str, str]]:
    document = {
        "apiVersion": "policykit/v1",
        "kind": "Policy",
        "metadata": {"name": "x", "version": "1.0.0", "owner": "o", "why": "w"},
        "facts": {"inline": FACTS},
        "rules": [{"id": f"r{i}", "action": {"block": {}}, **rule} for i, rule in enumerate(rules)],
    }
    settled, outside = analyse_conditions(PolicySet((parse_document(json.dumps(document), "x"),)), max_cases)
    return [
        *((item.value.name, item.rule, item.exception, item.part) for item in settled),
        *(("OUTSIDE", item.rule, "", item.why) for item in outside),
    ]


def test_rules_and_exceptions() -> None:
    assert found({"when": "amount >= 0"}) == [("TRUE", "x#r0", "", "")]
    assert found({"when": 'role == "boss"'}) == [("FALSE", "x#r0", "", "")]
    assert found({"when": "amount > 5 && amount > 3"}) == [("IDLE", "x#r0", "", "amount > 3")]
    assert found({"when": "amount > 5", "except": [exception("amount > 3")]}) == [("TRUE", "x#r0", "E", "")]
    assert found({"when": "amount > 5", "except": [exception("amount < 3")]}) == [("FALSE", "x#r0", "E", "")]
    assert found({"match": {"phrases": ["a"]}, "except": [exception("1 == 1")]}) == [("TRUE", "x#r0", "E", "")]


def test_what_is_settled_in_every_context_only() -> None:
    assert found({"when": 'profile == "answer"'}) == []
    assert found({"when": 'target == "input"'}) == [("FALSE", "x#r0", "", "")]
    assert found({"when": 'target == "output"', "target": "json"}) == [("TRUE", "x#r0", "", "")]
    assert found({"when": 'tool == "refund"', "target": "tool_call", "tool": "refund"}) == [("TRUE", "x#r0", "", "")]
    assert found({"when": 'tool == "refund"', "target": "tool_call", "tool": ["refund", "re*"]}) == []


def test_what_is_not_analysed_is_said() -> None:
    assert found({"when": {"rego": "data.x.y"}}) == [
        ("OUTSIDE", "x#r0", "", "its condition asks an Open Policy Agent"),
    ]
    assert found({"when": "amount > limit"}) == [
        ("OUTSIDE", "x#r0", "", "in its condition, `amount > limit` may be anything"),
    ]
    many = " && ".join(f"f{i} > {i}" for i in range(20))
    assert found({"when": many}) == [("OUTSIDE", "x#r0", "", "its condition has more than 1000 cases")]


def test_what_is_off_or_has_no_condition_is_left_out() -> None:
    assert found({"when": "1 > 2", "mode": "off"}) == []
    assert found({"match": {"phrases": ["a"]}, "except": [exception(None)]}) == []
