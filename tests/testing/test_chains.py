"""How tests of policies speak about `near`, `count` and `length`: what is not covered, and why a rule did not fire."""

import json
from typing import Any

import pytest

import policykit as pk
from policykit.analysis import compare_rules
from policykit.ir.document import Document, PolicySet
from policykit.testing.bench import Bench
from policykit.testing.coverage import coverage_of

NEAR = {"near": {"of": [{"phrases": ["sure", "certain"]}, {"phrases": ["gain"]}], "words": 1}}
COUNT = {"count": {"phrases": ["now", "hurry"], "atLeast": 3}}
MANY = {"count": {"entities": ["email", "iban"], "atLeast": 3, "distinct": True}}
LONG = {"length": {"unit": "words", "atLeast": 4}}


def document(match: dict[str, Any], *texts: str, decision: str = "block") -> Document:
    rules = [] if decision == "allow" else ["r"]
    tests = [
        {"name": text, "given": {"output": text}, "expect": {"decision": decision, "rules": rules}} for text in texts
    ]
    metadata = {"name": "t/chains", "version": "1.0.0", "owner": "a@example.org", "why": "to be tried"}
    rule = {"id": "r", "match": match, "action": {"block": {}}}
    content = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": [rule], "tests": tests}
    return pk.parse_document(json.dumps(content), "chains.policy.yaml")


@pytest.mark.parametrize(
    ("match", "texts", "uncovered"),
    [
        (NEAR, ["a sure gain", "gain, certain"], []),
        (NEAR, ["a sure gain"], ["certain"]),
        (COUNT, ["now now now"], []),
        (COUNT, [], ["r", "at least 3 of `now`/`hurry`"]),
        (LONG, ["a b c d"], []),
        (MANY, ["a@x.org b@x.org GB29NWBK60161331926819"], []),
        (MANY, ["a@x.org b@x.org c@x.org"], ["iban"]),
        (MANY, [], ["r", "email", "iban"]),
    ],
)
def test_what_no_test_uses_is_listed(match: dict[str, Any], texts: list[str], uncovered: list[str]) -> None:
    coverage = coverage_of(PolicySet((document(match, *texts),)))
    assert [part.name for part in coverage.uncovered] == uncovered


@pytest.mark.parametrize(
    ("match", "text", "why"),
    [
        (NEAR, "a sure thing", "nothing in the text matches `gain`"),
        (NEAR, "a sure and early gain", "all are there, but not `sure`/`certain` and `gain` within 1 words"),
        (COUNT, "now, hurry", "the text has 2, not at least 3 of `now`/`hurry`"),
        (COUNT, "later", "nothing in the text matches `now`, `hurry`"),
        (MANY, "a@x.org b@x.org a@x.org", "the text has 2, not at least 3 different of `email`, `iban`"),
        (MANY, "a@x", "nothing in the text"),
        (LONG, "a b c", "the text does not have at least 4 words"),
    ],
)
def test_a_rule_that_did_not_fire_is_explained(match: dict[str, Any], text: str, why: str) -> None:
    made = document(match, text)
    result = Bench(made, None).run(made.tests[0])
    assert why in str(result)


@pytest.mark.parametrize(
    ("first", "second", "relation"),
    [
        (NEAR, {"near": {**NEAR["near"], "of": NEAR["near"]["of"][::-1]}}, "equal"),
        (NEAR, {"near": {**NEAR["near"], "words": 0}}, "implied"),
        (NEAR, {"near": {**NEAR["near"], "ordered": True}}, "implied"),
        (COUNT, {"count": {**COUNT["count"], "atLeast": 2}}, "implies"),
        ({"length": {"unit": "words", "atMost": 3}}, {"not": LONG}, "equal"),
        ({"length": {"unit": "words", "atLeast": 1}}, {"regex": r"[\pL\pM\pN]", "views": ["raw"]}, "equal"),
    ],
)
def test_rules_are_compared(first: dict[str, Any], second: dict[str, Any], relation: str) -> None:
    one, other = (pk.compile(PolicySet((document(match),))).spec.rules[0] for match in (first, second))
    assert compare_rules(one, other).relation.value == relation
