"""The shipped policies and grammars, judged by their own cases and by validators that share no code with policykit."""

import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path

import jsonschema
import lark
import pytest

from policykit.analysis import analyse, analyse_conditions
from policykit.compile import resolve
from policykit.grammar import load_grammar, matches
from policykit.ir.document import Document, Phrases, PolicySet, Rule
from policykit.ir.grammar import GrammarKind, GrammarSpec
from policykit.ir.plan import CompileContext, Level
from policykit.policy import load_policies
from policykit.testing import run_tests
from policykit.testing.coverage import coverage_of
from policykit.verify import Verifier

ROOT = Path(__file__).resolve().parents[2]
POLICY_FILES = sorted((ROOT / "policies").rglob("*.policy.yaml"))
GRAMMAR_FILES = sorted(p for p in (ROOT / "grammars").iterdir() if not p.name.endswith(".cases.json"))
EXPECTED_POLICIES = {
    "agent/destructive-actions",
    "agent/payment-actions",
    "finance/cite-before-you-say",
    "finance/consumer-credit",
    "finance/no-speculative-promises",
    "finance/no-speculative-promises-de",
    "finance/no-speculative-promises-ja",
    "finance/personal-recommendations",
    "health/high-risk-advice",
    "health/high-risk-advice-de",
    "health/high-risk-advice-ja",
    "health/no-cure-claims",
    "health/phi-masking",
    "hr/fair-hiring",
    "hr/personnel-confidentiality",
    "legal/no-legal-advice",
    "legal/privileged-material",
    "privacy/data-subject-requests",
    "privacy/payment-and-identity-numbers",
    "privacy/secrets",
    "service/consumer-rights",
    "service/consumer-rights-de",
    "service/consumer-rights-ja",
    "service/no-competitor-disparagement",
    "service/refusal-wording",
}


def _name(path: Path) -> str:
    return path.name.split(".")[0]


@cache
def _document(path: Path) -> Document:
    (document,) = load_policies(path).documents
    return document


@cache
def _spec(path: Path) -> GrammarSpec:
    return load_grammar(path)


@cache
def _verifier(path: Path) -> Verifier:
    return Verifier((), _spec(path), _name(path))


def _cases(path: Path) -> tuple[list[str], list[str]]:
    cases = json.loads((path.parent / f"{_name(path)}.cases.json").read_text(encoding="utf-8"))
    assert set(cases) == {"valid", "invalid"}
    assert all(set(case) == {"text", "why"} and case["why"] for case in cases["invalid"])
    return cases["valid"], [case["text"] for case in cases["invalid"]]


def test_every_policy_is_found_without_a_diagnostic() -> None:
    policies = load_policies(ROOT / "policies")
    assert {document.name for document in policies.documents} == EXPECTED_POLICIES
    assert not policies.warnings


@pytest.mark.parametrize("path", POLICY_FILES, ids=_name)
def test_the_tests_of_a_policy_pass(path: Path) -> None:
    report = run_tests(load_policies(path))
    assert [(r.name, r.mismatches, r.errors) for r in report.results if r.status != "passed"] == []
    assert report.passed
    assert report.coverage == 1


@pytest.mark.parametrize("path", POLICY_FILES, ids=_name)
def test_every_part_of_a_policy_is_used_by_a_test(path: Path) -> None:
    coverage = coverage_of(load_policies(path))
    assert [f"{part.place}: {part.kind} `{part.name}`" for part in coverage.uncovered] == []


def test_a_phrase_that_no_test_uses_would_be_seen() -> None:
    (document,) = load_policies(ROOT / "policies" / "health" / "high-risk-advice-ja.policy.yaml").documents
    fewer = replace(document, tests=tuple(test for test in document.tests if "寝れば治ります" not in test.given.text))
    assert [part.name for part in coverage_of(PolicySet((fewer,))).uncovered] == ["寝れば治ります"]


@pytest.mark.parametrize("path", POLICY_FILES, ids=_name)
def test_a_policy_names_itself_after_its_file(path: Path) -> None:
    document = _document(path)
    assert document.name == f"{path.parent.name}/{_name(path)}"
    assert len(document.why) > 100
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", rule.id) for rule in document.rules)
    assert all(rule.why for rule in document.rules)


@pytest.mark.parametrize("path", POLICY_FILES, ids=_name)
def test_codes_are_unique(path: Path) -> None:
    codes = re.findall(r"\bcode: ([A-Z]{3}-\d{3})\b", path.read_text(encoding="utf-8"))
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("path", POLICY_FILES, ids=_name)
def test_no_phrase_is_listed_twice_for_a_target(path: Path) -> None:
    phrases = [(rule.target, phrase) for rule in _document(path).rules for phrase in _phrases(rule)]
    assert len(set(phrases)) == len(phrases)


@pytest.mark.parametrize("path", POLICY_FILES, ids=_name)
def test_every_rule_has_a_test_that_expects_it_and_a_hard_negative(path: Path) -> None:
    document = _document(path)
    allowed = [
        _shape(test.given.text) for test in document.tests if test.expect.decision == "allow" and not test.expect.rules
    ]
    for rule in document.rules:
        firing = [_shape(test.given.text) for test in document.tests if rule.id in (test.expect.rules or ())]
        assert firing, f"no test expects {rule.id}"
        near = [words for words in allowed if any(words & fired for fired in firing)]
        assert near, f"no allowed text comes near {rule.id}"


def _phrases(rule: Rule) -> list[str]:
    matcher = rule.matcher
    items = getattr(matcher, "items", (matcher,))
    return [p.text.casefold() for item in items if isinstance(item, Phrases) for p in item.phrases]


_COMMON = frozenset(
    {"with", "that", "this", "from", "have", "will", "would", "there", "what", "when", "which", "they", "them"}
    | {"than", "then", "was", "are", "the", "and", "you", "your", "for", "our"}
)


def _shape(text: str) -> frozenset[str]:
    """The telling words of a text (pairs of characters where a script sets no spaces), its commands and marks, and its
    digit groups as shapes (`9999`), which is all that tells numbers apart."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    words = {word for word in re.findall(r"[a-z]{2,}", folded) if word not in _COMMON}
    runs = re.findall(r"[\u3040-\u30ff\u4e00-\u9fff]{2,}", folded)
    pairs = {run[i : i + 2] for run in runs for i in range(len(run) - 1)}
    return frozenset(words | pairs | {"9" * len(digits) for digits in re.findall(r"[0-9]{2,}", folded)})


def test_every_grammar_has_cases() -> None:
    assert {_name(path) for path in GRAMMAR_FILES} == {
        "cited-answer", "product-quality-report", "read-only-sql", "support-ticket",
    }  # fmt: skip
    for path in GRAMMAR_FILES:
        valid, invalid = _cases(path)
        assert len(valid) >= 12
        assert len(invalid) >= 15
        assert len({*valid, *invalid}) == len(valid) + len(invalid)


@pytest.mark.parametrize("path", GRAMMAR_FILES, ids=_name)
def test_the_verifier_judges_the_cases(path: Path) -> None:
    valid, invalid = _cases(path)
    verdicts = {text: _verifier(path).verify(text) for text in (*valid, *invalid)}
    assert [text for text in valid if verdicts[text].decision != "allow"] == []
    assert [text for text in invalid if verdicts[text].decision != "block"] == []
    assert [text for text in (*valid, *invalid) if verdicts[text].errors] == []


@pytest.mark.parametrize("path", [p for p in GRAMMAR_FILES if p.suffix == ".json"], ids=_name)
def test_jsonschema_agrees(path: Path) -> None:
    schema = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    oracle = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    _agrees(path, lambda text: _is_json(text) and oracle.is_valid(json.loads(text)))


@pytest.mark.parametrize("path", [p for p in GRAMMAR_FILES if p.suffix == ".lark"], ids=_name)
def test_lark_agrees(path: Path) -> None:
    oracle = lark.Lark(path.read_text(encoding="utf-8"), parser="earley", lexer="dynamic_complete")
    _agrees(path, lambda text: _parses(oracle, text))


@pytest.mark.parametrize("path", [p for p in GRAMMAR_FILES if p.suffix == ".lark"], ids=_name)
def test_every_terminal_is_told_apart_greedily(path: Path) -> None:
    """The longest match at every position gives the same language as trying all of them."""
    greedy = lark.Lark(path.read_text(encoding="utf-8"), parser="lalr")
    _agrees(path, lambda text: _parses(greedy, text))


def test_the_mask_carries_the_conditions_of_a_quality_report() -> None:
    path = ROOT / "grammars" / "product-quality-report.schema.json"
    spec = _spec(path)
    assert spec.kind is GrammarKind.JSON_SCHEMA
    assert [residue.pointer for residue in spec.residue] == ["/properties/inspected_on/format"]
    levels = {row.name: row.level for row in spec.enforcements}
    assert {levels[f"/allOf/{i}/{word}"] for i in (0, 1) for word in ("if", "then")} == {Level.DECODE}
    valid, invalid = _cases(path)
    assert all(matches(spec, json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))) for text in valid)
    conditions = [text for text in invalid if _is_json(text) and _breaks_a_condition(path, text)]
    assert conditions
    assert not any(matches(spec, text) for text in conditions)


def _breaks_a_condition(path: Path, text: str) -> bool:
    schema = json.loads(path.read_text(encoding="utf-8"))
    return not jsonschema.Draft202012Validator({"allOf": schema["allOf"]}).is_valid(json.loads(text))


def test_the_mask_carries_all_of_a_support_ticket() -> None:
    assert _spec(ROOT / "grammars" / "support-ticket.schema.json").residue == ()


def _agrees(path: Path, accepts: Callable[[str], bool]) -> None:
    valid, invalid = _cases(path)
    assert [text for text in valid if not accepts(text)] == []
    assert [text for text in invalid if accepts(text)] == []


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


def _parses(parser: lark.Lark, text: str) -> bool:
    try:
        parser.parse(text)
    except lark.exceptions.LarkError:
        return False
    return True


def test_no_shipped_condition_is_settled() -> None:
    settled, _ = analyse_conditions(load_policies(ROOT / "policies"))
    assert settled == ()


@pytest.mark.slow
def test_no_shipped_rule_and_no_phrase_is_covered_by_others() -> None:
    rules = resolve(load_policies(ROOT / "policies"), CompileContext(at=date(2026, 11, 1)))
    found = analyse(rules)
    assert [(idle.rule, idle.part) for idle in found.idle] == []
    assert {outside.why for outside in found.outside} <= {
        "validates entities, by more than their form",
        "depends on facts or people",
        "stands for `default: block`, which judges texts as a whole",
    }
