"""The language of a text: told by a library, never guessed for short texts, and named in plan and verdict."""

import json
import sys
from dataclasses import replace
from typing import Any

import pytest

import policykit as pk
from policykit.ir.document import PolicySet
from policykit.ir.opaque import Language
from policykit.predicates import language as told_by_library
from policykit.verify import Verifier

ENGLISH = "Your refund was approved yesterday and will arrive within a week."
GERMAN = "Ihre Rückzahlung wurde gestern genehmigt und kommt innerhalb einer Woche an."
JAPANESE = "返金は昨日承認されました。一週間以内にお受け取りいただけます。"


def plan_of(spec: dict[str, Any]) -> pk.Plan:
    metadata = {"name": "t/language", "version": "1.0.0", "owner": "a@example.org", "why": "to be tried"}
    rule = {"id": "r", "match": {"language": spec}, "action": {"block": {}}}
    content = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": [rule]}
    return pk.compile(PolicySet((pk.parse_document(json.dumps(content), "language.policy.yaml"),)))


@pytest.mark.parametrize(
    ("spec", "blocked", "passed"),
    [
        ({"notIn": ["en"]}, [GERMAN, JAPANESE], [ENGLISH]),
        ({"in": ["de", "ja"]}, [GERMAN, JAPANESE], [ENGLISH]),
        ({"notIn": ["en"], "letters": 1, "confidence": 0.01}, [GERMAN, "Auf Wiedersehen"], ["How are you today?"]),
    ],
)
def test_languages_are_told(spec: dict[str, Any], blocked: list[str], passed: list[str]) -> None:
    plan = plan_of(spec)
    assert [plan.verify(text).decision.value for text in (*blocked, *passed)] == ["block"] * len(blocked) + [
        "allow"
    ] * len(passed)


@pytest.mark.parametrize(
    ("text", "why"), [("Nein.", "too short"), ("1234567890 x y z a b c d e f g h i", "confidence")]
)
def test_what_cannot_be_told_is_named(text: str, why: str) -> None:
    verdict = plan_of({"notIn": ["en"]}).verify(text)
    assert verdict.decision == "allow"
    assert [row.rule for row in verdict.not_applicable] == ["r"]
    assert why in verdict.not_applicable[0].why


def test_the_plan_names_the_library_and_its_digest_covers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of({"notIn": ["en"]})
    (row,) = plan.enforcements
    assert (row.level.value, "py3langid" in row.why) == ("output", True)
    monkeypatch.setattr(sys.modules["policykit.compile.predicates"], "library", lambda: "py3langid 9.9.9")
    assert plan_of({"notIn": ["en"]}).digest != plan.digest


def test_another_library_is_an_error_and_blocks() -> None:
    plan = plan_of({"notIn": ["en"]})
    (rule,) = plan.spec.rules
    assert isinstance(rule.matcher, Language)
    other = replace(rule, matcher=replace(rule.matcher, identity="py3langid 0.0.1"))
    verdict = Verifier((other,), None, plan.digest).verify(ENGLISH)
    assert verdict.decision == "block"
    assert "0.0.1" in verdict.errors[0].message


def test_without_the_library_nothing_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told_by_library, "PACKAGE", "no-such-library")
    with pytest.raises(pk.PolicyError, match="PK134") as caught:
        plan_of({"notIn": ["en"]})
    assert "policykit[language]" in str(caught.value)


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(pk.PolicyError, match="PK134"):
        plan_of({"in": ["english"]})
