"""What inline tests report, worked out by hand."""

from dataclasses import dataclass, field, replace

import pytest

from policykit.diagnostics import CATALOGUE, Place, PolicyError
from policykit.grammar import json_schema
from policykit.testing import Status, run_tests
from tests.testing.documents import RULES, document, policies, with_tests

PASSED, FAILED, ERRORED = Status.PASSED, Status.FAILED, Status.ERRORED


@dataclass(frozen=True)
class Case:
    """``test`` is a flow mapping in the document of `documents.RULES`; ``got`` are its mismatches (part, got)."""

    name: str
    test: str
    status: Status
    got: tuple[tuple[str, str], ...] = ()
    saw: tuple[tuple[str, str | None], ...] = ()
    missed: dict[str, str] = field(default_factory=dict[str, str])
    top: str = ""
    rules: str = RULES


OFF = RULES.replace("severity: high", "mode: off")
SHADOW = RULES.replace("severity: high", "mode: shadow")
SCOPED = RULES.replace("severity: high", "scope: {profiles: [agent]}")
CONDITION = """\
rules:
  - {id: refunds, match: {phrases: [refund]}, when: amount > 500, action: {block: {}}}
  - {id: other, match: {phrases: [x]}, action: {block: {}}}
"""
ABSENT = """\
rules:
  - id: both
    match: {all: [{phrases: [fund]}, {not: {phrases: [risk]}}]}
    action: {block: {}}
"""

CASES = (
    Case("a block as expected",
         "{name: t, given: {output: guaranteed returns}, expect: {decision: block, rules: [no-guarantees]}}", PASSED),
    Case("an allow as expected",
         "{name: t, given: {output: x}, expect: {decision: allow, rules: [], output: x}}", PASSED),
    Case("a transform as expected",
         "{name: t, given: {output: pin 1234}, expect: {decision: transform, rules: [pin], output: 'pin [PIN_1]'}}",
         PASSED),
    Case("the output of a block is its message",
         "{name: t, given: {output: guaranteed returns}, expect: {decision: block, output: No promises.}}", PASSED),
    Case("a wrong decision", "{name: t, given: {output: guaranteed returns}, expect: {decision: allow}}", FAILED,
         (("decision", "block"),), (("no-guarantees", "guaranteed returns"),)),
    Case("a wrong output", "{name: t, given: {output: pin 1234}, expect: {decision: transform, output: 'pin'}}", FAILED,
         (("output", "pin [PIN_1]"),), (("pin", "1234"),)),
    Case("a rule too many",
         "{name: t, given: {output: guaranteed returns pin 1234}, expect: {decision: block, rules: [no-guarantees]}}",
         FAILED, (("rules", "no-guarantees, pin"),), (("no-guarantees", "guaranteed returns"), ("pin", "1234"))),
    Case("a rule too few",
         "{name: t, given: {output: guaranteed results}, expect: {decision: block, rules: [no-guarantees]}}", FAILED,
         (("decision", "allow"), ("rules", "none")),
         missed={"no-guarantees": "nearest is `guaranteed returns`, of which the text has `guaranteed re`"}),
    Case("the phrase with the longest word prefix is nearest",
         "{name: t, given: {output: 'Risk-free, guaranteed profit of the day'}, expect: {decision: block, rules: "
         "[no-guarantees]}}", FAILED, (("decision", "allow"), ("rules", "none")),
         missed={"no-guarantees": "nearest is `risk-free profit of the year`, of which the text has `risk free`"}),
    Case("nothing near", "{name: t, given: {output: hello}, expect: {decision: block, rules: [no-guarantees]}}", FAILED,
         (("decision", "allow"), ("rules", "none")),
         missed={"no-guarantees":
                 "nothing in the text begins like `guaranteed returns`, `risk-free profit of the year`"}),
    Case("words without their separators or bounds",
         "{name: t, given: {output: 'guaranteed, returns'}, expect: {decision: block, rules: [no-guarantees]}}", FAILED,
         (("decision", "allow"), ("rules", "none")),
         missed={"no-guarantees":
                 "nearest is `guaranteed returns`: its words are there, but separated or bounded differently"}),
    Case("a match without its context",
         "{name: t, given: {output: 'pin is 1234'}, expect: {decision: transform, rules: [pin]}}", FAILED,
         (("decision", "allow"), ("rules", "none")),
         missed={"pin": "an expression matches, but not with its `before`"}),
    Case("an expression that finds nothing",
         "{name: t, given: {output: 'pin 123'}, expect: {decision: transform, rules: [pin]}}", FAILED,
         (("decision", "allow"), ("rules", "none")), missed={"pin": "nothing in the text matches `\\b\\d{4}\\b`"}),
    Case("without named rules all are explained", "{name: t, given: {output: pin 123}, expect: {decision: transform}}",
         FAILED, (("decision", "allow"),),
         missed={"no-guarantees":
                 "nothing in the text begins like `guaranteed returns`, `risk-free profit of the year`",
                 "pin": "nothing in the text matches `\\b\\d{4}\\b`"}),
    Case("a rule that is off", "{name: t, given: {output: guaranteed returns}, expect: {decision: block, rules: "
         "[no-guarantees]}}", FAILED, (("decision", "allow"), ("rules", "none")),
         missed={"no-guarantees": "its mode is `off`"}, rules=OFF),
    Case("a shadow rule may be named",
         "{name: t, given: {output: guaranteed returns}, expect: {decision: allow, rules: [no-guarantees]}}", PASSED,
         rules=SHADOW),
    Case("a shadow rule need not be named", "{name: t, given: {output: guaranteed returns}, expect: {decision: allow, "
         "rules: []}}", PASSED, rules=SHADOW),
    Case("a shadow rule that is named must fire", "{name: t, given: {output: x}, expect: {decision: allow, rules: "
         "[no-guarantees]}}", FAILED, (("rules", "none"),),
         missed={"no-guarantees":
                 "nothing in the text begins like `guaranteed returns`, `risk-free profit of the year`"}, rules=SHADOW),
    Case("a rule of another profile", "{name: t, given: {profile: answer, output: guaranteed returns}, expect: "
         "{decision: block, rules: [no-guarantees]}}", FAILED, (("decision", "allow"), ("rules", "none")),
         missed={"no-guarantees": "it does not apply to profile `answer`, at `2026-01-01`"}, rules=SCOPED),
    Case("a rule of the given profile", "{name: t, given: {profile: agent, output: guaranteed returns}, expect: "
         "{decision: block}}", PASSED, rules=SCOPED),
    Case("a profile that is not given is the document's",
         "{name: t, given: {output: guaranteed returns}, expect: {decision: allow}}", PASSED,
         top="scope: {profiles: [answer, agent]}\n", rules=SCOPED),
    Case("a glob of the document's scope stands for a name in it",
         "{name: t, given: {output: guaranteed returns}, expect: {decision: block}}", PASSED,
         top="scope: {tenants: [acme-*]}\n", rules=RULES.replace("severity: high", "scope: {tenants: [acme-x]}")),
    Case("outside the scope nothing applies",
         "{name: t, given: {tenant: other, output: guaranteed returns}, expect: {decision: allow}}", PASSED,
         top="scope: {tenants: [acme-*]}\n"),
    Case("the day is the document's first", "{name: t, given: {output: guaranteed returns}, expect: {decision: block}}",
         PASSED, top="effective: {from: 2031-01-01, until: 2032-01-01}\n"),
    Case("the day is before the document's end",
         "{name: t, given: {output: guaranteed returns}, expect: {decision: block}}", PASSED,
         top="effective: {until: 2001-01-01}\n"),
    Case("the last day is not effective",
         "{name: t, given: {at: 2032-01-01, output: guaranteed returns}, expect: {decision: allow}}", PASSED,
         top="effective: {from: 2031-01-01, until: 2032-01-01}\n"),
    Case("a rule whose id verdicts use for something else",
         "{name: t, given: {output: x}, expect: {decision: block, rules: [grammar]}}", PASSED,
         rules="rules:\n  - {id: grammar, match: {phrases: [x]}, action: {block: {}}}\n"),
    Case("a condition that cannot be decided blocks, as expected",
         "{name: t, given: {output: refund, facts: {amount: '900'}}, expect: {decision: block, rules: [], errors: "
         "[refunds]}}", PASSED, rules=CONDITION),
    Case("a condition that cannot be decided, of which the test says nothing",
         "{name: t, given: {output: refund, facts: {amount: '900'}}, expect: {decision: block}}", ERRORED,
         rules=CONDITION),
    Case("a fact that is missing, as expected",
         "{name: t, given: {output: refund}, expect: {decision: block, errors: [refunds]}}", PASSED, rules=CONDITION),
    Case("an error that does not come",
         "{name: t, given: {output: refund, facts: {amount: 900}}, expect: {decision: block, errors: [refunds]}}",
         FAILED, (("errors", "none"),), (("refunds", "refund"),), rules=CONDITION),
    Case("an error of another rule",
         "{name: t, given: {output: refund, facts: {amount: '900'}}, expect: {decision: block, errors: [other]}}",
         FAILED, (("errors", "refunds"),), rules=CONDITION),
    Case("an error of one rule, and another fires",
         "{name: t, given: {output: refund x, facts: {amount: '900'}}, expect: {decision: block, rules: [other], "
         "errors: [refunds]}}", PASSED, rules=CONDITION),
    Case("an error is one however the text arrives",
         "{name: t, given: {output: a refund, facts: {amount: '900'}}, expect: {decision: block, errors: [refunds]}, "
         "variants: {chunking: all, evasion: claimed}}", PASSED, rules=CONDITION),
    Case("a decision that an error does not make",
         "{name: t, given: {output: refund, facts: {amount: '900'}}, expect: {decision: allow, errors: [refunds]}}",
         FAILED, (("decision", "block"),), rules=CONDITION),
    Case("a combination says what is missing",
         "{name: t, given: {output: our funds}, expect: {decision: block, rules: [both]}}", FAILED,
         (("decision", "allow"), ("rules", "none")),
         missed={"both": "nearest is `fund`, of which the text has `fund`"}, rules=ABSENT),
    Case("a combination says what is unwanted",
         "{name: t, given: {output: our fund has Risk}, expect: {decision: block, rules: [both]}}", FAILED,
         (("decision", "allow"), ("rules", "none")),
         missed={"both": "found `Risk`, which it wants absent"}, rules=ABSENT),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case) -> None:
    report = run_tests(with_tests(case.test, rules=case.rules, top=case.top))
    (result,) = report.results
    assert result.status is case.status
    assert tuple((mismatch.part, mismatch.got) for mismatch in result.mismatches) == case.got
    assert {missed.rule: missed.why for missed in result.missed} == case.missed
    if case.saw:
        assert tuple((seen.violation.rule, seen.text) for seen in result.saw) == case.saw
    assert report.passed == (case.status is PASSED)


def test_case_names_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


TWO = (
    "{name: good one, given: {output: x}, expect: {decision: allow}}",
    "{name: it's bad, given: {output: x}, expect: {decision: block, rules: [no-guarantees]}}",
)


def test_a_result_has_a_place_and_a_replay_command() -> None:
    good, bad = run_tests(with_tests(*TWO)).results
    assert (good.status, bad.status) == (PASSED, FAILED)
    assert (bad.place.file, bad.place.line) == ("b.policy.yaml", 14)
    assert bad.replay == "policykit test b.policy.yaml --only 'it'\"'\"'s bad'"


@pytest.mark.parametrize(("select", "names"), [
    ("good one", ["good one"]), ("*", ["good one", "it's bad"]), ("*bad", ["it's bad"]), ("g*o*e", ["good one"]),
])  # fmt: skip
def test_selecting_tests(select: str, names: list[str]) -> None:
    report = run_tests(with_tests(*TWO), select=select)
    assert [result.name for result in report.results] == names
    assert report.uncovered == ()


def test_selecting_nothing_is_an_error() -> None:
    with pytest.raises(PolicyError) as caught:
        run_tests(with_tests(*TWO), select="good won")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "PK500"
    assert diagnostic.help == "did you mean `good one`?"


def test_a_document_without_tests_is_a_failure() -> None:
    alone = document(RULES, name="un/tested", file="u.policy.yaml")
    report = run_tests(policies(*with_tests(TWO[0]).documents, alone))
    assert not report.passed
    assert report.count(PASSED) == len(report.results) == 1
    assert [(row.document, row.place.file) for row in report.untested] == [("un/tested", "u.policy.yaml")]


def test_nothing_at_all_is_no_pass() -> None:
    assert not run_tests(policies()).passed


def test_coverage_lists_rules_that_no_test_expects() -> None:
    report = run_tests(with_tests(*TWO))
    assert [row.rule for row in report.uncovered] == ["pin"]
    assert (report.n_rules, report.coverage) == (2, 0.5)


def test_rules_that_are_off_are_not_counted() -> None:
    report = run_tests(with_tests(TWO[0], rules=OFF))
    assert ([row.rule for row in report.uncovered], report.n_rules) == (["pin"], 1)


def test_documents_are_tested_apart() -> None:
    test = "{name: t, given: {output: guaranteed returns}, expect: {decision: allow}}"
    rules = RULES.replace("guaranteed returns", "something else")
    other = document(f"{rules}tests:\n  - {test}\n", name="c/d", file="d.policy.yaml")
    blocking = with_tests("{name: t, given: {output: guaranteed returns}, expect: {decision: block}}").documents
    assert run_tests(policies(*blocking, other)).passed


def test_a_text_that_cannot_be_judged_is_errored() -> None:
    broken = with_tests('{name: t, given: {output: "x"}, expect: {decision: block}}').documents[0]
    (test,) = broken.tests
    surrogate = replace(broken, tests=(replace(test, given=replace(test.given, text="\ud800")),))
    report = run_tests(policies(surrogate))
    (result,) = report.results
    assert (result.status, report.passed) == (ERRORED, False)
    assert result.errors == ("input: no valid Unicode text: unpaired surrogate at 0",)


def test_under_a_json_grammar_the_strings_are_read() -> None:
    schema = json_schema({"type": "array", "items": {"type": "string"}}, Place("g.json"))
    blocked = r"""{name: escaped, given: {output: '["guaranteed\u0020returns"]'}, expect: {decision: block}}"""
    tests = with_tests(
        blocked,
        "{name: no array, given: {output: '{}'}, expect: {decision: block}}",
        "{name: fine, given: {output: '[\"a\"]'}, expect: {decision: allow}}",
    )  # fmt: skip
    report = run_tests(tests, grammar=schema)
    assert [result.status for result in report.results] == [PASSED, PASSED, PASSED]


def test_codes_are_in_the_catalogue() -> None:
    assert {"PK500", "PK501", "PK502", "PK503", "PK504"} <= set(CATALOGUE)
