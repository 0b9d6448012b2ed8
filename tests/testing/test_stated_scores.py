"""What a test says that a classifier would say: used without the model, and held against a model that is there."""

from collections.abc import Callable
from pathlib import Path

import pytest

import policykit as pk
from policykit.diagnostics import PolicyError
from policykit.policy import load_policies
from policykit.predicates import FunctionClassifier
from policykit.testing import Status, run_tests
from policykit.testing.mutation import mutate
from tests.testing.documents import HEAD, with_tests

RULES = """\
rules:
  - id: no-toxic-answers
    match: {classifier: {model: toxicity, digest: v1, label: toxic, threshold: 0.8}}
    action: {block: {}}
"""
TOXIC = "{name: a, given: {output: x, scores: {toxicity: {toxic: SCORE}}}, expect: {decision: DECISION}}"


def toxic(score: float, decision: str) -> str:
    return TOXIC.replace("SCORE", str(score)).replace("DECISION", decision)


def model(score: Callable[[str, str], float], digest: str = "v1") -> pk.Resources:
    return pk.Resources(classifiers={"toxicity": FunctionClassifier(score, ("toxic",), digest)})


@pytest.mark.parametrize(("score", "decision"), [(0.8, "block"), (1, "block"), (0.79, "allow"), (0, "allow")])
def test_a_stated_score_stands_for_the_model(score: float, decision: str) -> None:
    (result,) = run_tests(with_tests(toxic(score, decision), rules=RULES)).results
    assert result.status is Status.PASSED, result
    other = "allow" if decision == "block" else "block"
    (result,) = run_tests(with_tests(toxic(score, other), rules=RULES)).results
    assert result.status is Status.FAILED


def test_every_spelling_and_chunking_has_the_stated_score() -> None:
    test = toxic(0.9, "block").replace("expect:", "variants: {chunking: all}, expect:")
    (result,) = run_tests(with_tests(test.replace("output: x", "output: some text"), rules=RULES)).results
    assert (result.status, result.n_variants) == (Status.PASSED, 10)


def test_a_score_that_is_not_stated_is_an_error_and_not_a_guess() -> None:
    (result,) = run_tests(with_tests("{name: a, given: {output: x}, expect: {decision: allow}}", rules=RULES)).results
    assert result.status is Status.ERRORED
    assert "the test does not say its score" in result.errors[0]


def test_a_model_that_is_there_is_asked_and_must_say_the_same() -> None:
    policies = with_tests(toxic(0.95, "block"), rules=RULES)
    agrees = run_tests(policies, deployment=model(lambda text, label: 0.81))
    assert agrees.results[0].status is Status.PASSED
    differs = run_tests(policies, deployment=model(lambda text, label: 0.2)).results[0]
    assert differs.status is Status.FAILED
    assert ("score of toxicity: toxic", "0.95", "below 0.8") in [
        (mismatch.part, mismatch.want, mismatch.got) for mismatch in differs.mismatches
    ]


def test_another_model_is_still_refused() -> None:
    policies = with_tests(toxic(0.95, "block"), rules=RULES)
    (result,) = run_tests(policies, deployment=model(lambda text, label: 0.9, "v2")).results
    assert (result.status, "PK175" in str(result.errors)) == (Status.ERRORED, True)


@pytest.mark.parametrize("said", ["{toxicity: {toxic: 1.5}}", "{toxicity: {toxic: true}}", "{toxicity: {toxc: 0.5}}",
                                  "{toxicity: 0.5}", "{toxicity: {}}", "{other: {toxic: 0.5}}"])  # fmt: skip
def test_scores_that_are_none_or_of_nobody_are_refused(said: str, tmp_path: Path) -> None:
    test = f"{{name: a, given: {{output: x, scores: {said}}}, expect: {{decision: block}}}}"
    with pytest.raises(PolicyError, match="PK177"):
        with_tests(test, rules=RULES)
    (tmp_path / "a.policy.yaml").write_text(HEAD.replace("NAME", "a") + RULES, encoding="utf-8")
    side = f"apiVersion: policykit/v1\nkind: Tests\ndocument: a\ntests:\n  - {test}\n"
    (tmp_path / "a.tests.yaml").write_text(side, encoding="utf-8")
    with pytest.raises(PolicyError, match="PK177"):
        load_policies(tmp_path)


def test_a_table_states_scores_for_all_its_cases(tmp_path: Path) -> None:
    (tmp_path / "a.policy.yaml").write_text(HEAD.replace("NAME", "a") + RULES, encoding="utf-8")
    table = "tables: [{name: t, given: {scores: {toxicity: {toxic: 0.9}}}, cases: [[x, block, [no-toxic-answers]]]}]\n"
    side = "apiVersion: policykit/v1\nkind: Tests\ndocument: a\n" + table
    (tmp_path / "a.tests.yaml").write_text(side, encoding="utf-8")
    assert [result.status for result in run_tests(load_policies(tmp_path)).results] == [Status.PASSED]


@pytest.mark.parametrize("deployed", [False, True])
def test_changes_of_a_classifier_are_noticed_with_stated_scores_and_with_a_model(
    deployed: bool, tmp_path: Path
) -> None:
    tests = [
        toxic(0.8, "block").replace("output: x", "output: loud"),
        toxic(0.79, "allow").replace("name: a", "name: b"),
    ]
    text = HEAD.replace("NAME", "a") + RULES + "tests:\n" + "".join(f"  - {test}\n" for test in tests)
    (tmp_path / "a.policy.yaml").write_text(text, encoding="utf-8")
    policies = load_policies(tmp_path)
    loud = model(lambda text, label: 0.8 if text == "loud" else 0.79)
    report = mutate(policies, deployment=loud) if deployed else mutate(policies)
    assert [survivor.what for survivor in report.survivors] == []
    assert report.n_mutants >= 2
