"""Named predicates: found by entry point or given, asked in time, and what they answer is checked."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

import policykit as pk
from policykit.predicates import PredicateError, TextPredicate, TookTooLong, Workers, checked
from policykit.testing import run_tests
from policykit.testing.coverage import coverage_of
from tests.predicates.package import installed_package, write_package
from tests.verify.test_facts import plan, policies, rule

MASKED = {"transform": {"replace": {"with": "…"}}}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with installed_package(tmp_path_factory.mktemp("package")) as folder:
        yield folder


def asks(name: str, args: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    more = more if args is None else {"args": args, **more}
    return {"predicate": {"name": name, **more} if more else name}


def deployed(*rules: dict[str, Any], deadline_s: float = 2.0, **functions: TextPredicate) -> pk.Plan:
    return plan(*rules).with_resources(pk.Resources(predicates=functions, deadline_s=deadline_s))


def spans_of(verdict: pk.Verdict) -> list[tuple[int | None, int | None]]:
    return [(violation.start, violation.end) for violation in verdict.violations]


# -- what they do


def test_an_installed_predicate_finds_spans(package: Path) -> None:
    verdict = deployed(rule(match=asks("spans", {"words": ["iamb", "spondee"]}))).verify("an iamb, a spondee")
    assert (verdict.decision, spans_of(verdict)) == ("block", [(3, 7), (11, 18)])
    assert verdict.violations[0].matched == "predicate spans"
    assert deployed(rule(match=asks("spans"))).verify("prose").decision == "allow"


def test_what_it_finds_can_be_replaced(package: Path) -> None:
    verdict = deployed(rule(action=MASKED, match=asks("spans"))).verify("an iamb, an iamb")
    assert (verdict.decision, verdict.text) == ("transform", "an …, an …")


def test_a_predicate_about_the_whole_text(package: Path) -> None:
    checked = deployed(rule(match=asks("shouts")))
    assert spans_of(checked.verify("HELP")) == [(0, 4)]
    assert checked.verify("help").decision == "allow"


def test_predicates_combine_like_other_matchers(package: Path) -> None:
    both = {"all": [asks("shouts"), {"not": {"phrases": ["help"]}}]}
    checked = deployed(rule(match=both))
    assert [checked.verify(text).decision.value for text in ("HELP", "FIRE", "fire")] == ["allow", "block", "allow"]


def test_a_predicate_reads_the_context_of_the_plan(package: Path) -> None:
    for profile, decision in (("answer", "block"), ("extract", "allow")):
        checked = plan(rule(match=asks("profile")), profile=profile).with_resources(pk.Resources())
        assert checked.verify("x").decision == decision


def test_a_predicate_of_the_deployment() -> None:
    even = TextPredicate(lambda text, args, context: len(text) % args["by"] == 0, "2.1")
    checked = deployed(rule(match=asks("divisible", {"by": 2}, version="2.1")), divisible=even)
    assert [checked.verify(text).decision.value for text in ("ab", "abc")] == ["block", "allow"]


def test_an_allow_rule_admits_by_predicate(package: Path) -> None:
    allow = {"id": "a", "match": asks("shouts"), "action": {"allow": {}}}
    checked = plan(allow, default="block").with_resources(pk.Resources())
    assert [checked.verify(text).decision.value for text in ("YES", "no")] == ["allow", "block"]
    assert [row.level.value for row in checked.enforcements] == ["output"]
    assert plan({**allow, "match": asks("raises")}, default="block").verify("YES").decision == "block"


def test_a_predicate_is_asked_once_for_a_text() -> None:
    asked: list[str] = []
    counted = TextPredicate(lambda text, args, context: not asked.append(text), "1")
    assert deployed(rule("a", match=asks("c")), rule("b", match=asks("c")), c=counted).verify("x").rules == ("a", "b")
    assert asked == ["x"]


# -- faults: each is an error of the rule, and blocks


ENDS = st.integers(-2, 6)
FAULTS = [
    ("raises", {}, "ZeroDivisionError"),
    ("hangs", {}, "no answer within"),
    ("holds", {}, "no answer within"),
    ("exits", {}, "its process ended"),
    *(("says", {"say": answer}, "not true or false") for answer in (None, 1, "yes", [], [[0, 1]])),
    *(("says_spans", {"say": answer}, "not spans") for answer in (None, True, 1, "ab")),
    *(
        ("says_spans", {"say": [span]}, "a span that is none")
        for span in (
            None,
            "ab",
            [0],
            [0, 1, 2],
            [1, 1],
            [2, 1],
            [-1, 1],
            [0, 99],
            [0.0, 1.0],
            [False, True],
            ["0", 1],
        )
    ),
]
TEXT = "hang exit " + "a" * 40 + "!"


@pytest.mark.parametrize(("name", "args", "why"), FAULTS, ids=lambda value: str(value)[:20])
def test_a_fault_of_an_installed_predicate_blocks_in_time(
    package: Path, name: str, args: dict[str, Any], why: str
) -> None:
    checked = deployed(rule(match=asks(name, args)), deadline_s=0.5)
    text = "a" * 40 + "!" if name == "holds" else TEXT
    started = time.monotonic()
    verdict = checked.verify(text)
    assert time.monotonic() - started < 5
    assert (verdict.decision, verdict.text, [e.rule for e in verdict.errors]) == ("block", "", ["r"])
    assert why in verdict.errors[0].message
    assert f"predicate `{name}`" in verdict.errors[0].message


def test_after_a_fault_the_next_text_is_judged(package: Path) -> None:
    checked = deployed(rule(match=asks("exits")), rule("h", match=asks("hangs")), deadline_s=0.5)
    assert [e.rule for e in checked.verify("exit hang").errors] == ["r", "h"]
    verdict = plan(rule(match=asks("exits"))).with_resources(pk.Resources(deadline_s=10)).verify("fine")
    assert (verdict.decision, verdict.errors) == ("block", ())


@pytest.mark.parametrize("mode", ["enforce", "shadow"])
def test_a_fault_below_a_negation_does_not_pass(package: Path, mode: str) -> None:
    verdict = deployed(rule(match={"not": asks("raises")}, mode=mode)).verify("x")
    assert verdict.decision == ("block" if mode == "enforce" else "allow")
    assert [e.rule for e in verdict.errors] == ["r"]


def test_faults_of_functions_of_the_deployment() -> None:
    def crash(text: str, args: object, context: object) -> bool:
        raise RecursionError

    def late(text: str, args: object, context: object) -> Iterator[tuple[int, int]]:
        yield (0, 1)
        raise KeyError("late")

    for function, spans in ((crash, False), (late, True), (lambda text, args, context: text, False)):
        checked = deployed(rule(match=asks("f")), f=TextPredicate(function, "1", spans))
        verdict = checked.verify("x")
        assert (verdict.decision, [e.rule for e in verdict.errors]) == ("block", ["r"])


def test_functions_that_hang_are_bounded_in_number() -> None:
    over = threading.Event()
    hanging = TextPredicate(lambda text, args, context: over.wait(20), "1")
    workers = Workers(max_stuck=3)
    resources = pk.Resources(predicates={"f": hanging}, deadline_s=0.05, workers=workers)
    checked = plan(rule(match=asks("f"))).with_resources(resources)
    before = threading.active_count()
    verdicts = [checked.verify(f"text {i}") for i in range(10)]
    assert {verdict.decision.value for verdict in verdicts} == {"block"}
    assert threading.active_count() - before <= 3
    assert "have not come back" in verdicts[-1].errors[0].message
    over.set()  # and once they have come back, texts are judged again
    until = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert workers.run(lambda: 7, 1.0) == 7


def test_a_call_that_is_late_is_given_up() -> None:
    started = time.monotonic()
    with pytest.raises(TookTooLong):
        Workers().run(lambda: time.sleep(3), 0.05)
    assert time.monotonic() - started < 2


@given(st.one_of(st.booleans(), st.none(), st.integers(), st.text(), st.lists(st.tuples(ENDS, ENDS))))
def test_what_counts_as_spans_lies_in_the_text(answer: Any) -> None:
    try:
        found = checked(answer, 4, True)
    except PredicateError:
        legal = isinstance(answer, list) and all(i in range(4) and j in range(i + 1, 5) for i, j in answer)
        assert not legal
    else:
        assert isinstance(found, tuple)
        assert set(found) == set(answer)
        assert all(text in ("abcd"[i:j],) and text for i, j in found for text in ["abcd"[i:j]])


# -- which function is meant


def test_the_installed_function_is_in_the_digest(tmp_path: Path) -> None:
    with installed_package(tmp_path):
        made = plan(rule(match=asks("shouts")))
        made.save(tmp_path / "p.json")
        assert pk.load_plan(tmp_path / "p.json").digest == made.digest
        write_package(tmp_path, "1.0.1")
        assert plan(rule(match=asks("shouts"))).digest != made.digest
        with pytest.raises(pk.PolicyError, match="PK313"):
            pk.load_plan(tmp_path / "p.json")
        with pytest.raises(pk.PolicyError, match=r"PK171.*verses 1.0.0.*verses 1.0.1"):
            made.with_resources(pk.Resources())
        verdict = made.verify("HELP")
        assert (verdict.decision, [e.rule for e in verdict.errors]) == ("block", ["r"])


def test_a_rule_asks_for_a_version(package: Path) -> None:
    assert plan(rule(match=asks("shouts", version="1.0.0"))).digest != plan(rule(match=asks("shouts"))).digest
    with pytest.raises(pk.PolicyError, match=r"PK171.*version 9.9.9.*1.0.0"):
        plan(rule(match=asks("shouts", version="9.9.9")))
    wrong = {"f": TextPredicate(lambda text, args, context: True, "1.0.0")}
    with pytest.raises(pk.PolicyError, match="PK171"):
        plan(rule(match=asks("f", version="2.0.0"))).with_resources(pk.Resources(predicates=wrong))


def test_a_function_of_the_deployment_does_not_replace_the_installed_one(package: Path) -> None:
    harmless = {"shouts": TextPredicate(lambda text, args, context: False, "1.0.0")}
    checked = plan(rule(match=asks("shouts")))
    with pytest.raises(pk.PolicyError, match="PK171"):
        checked.with_resources(pk.Resources(predicates=harmless))


def test_two_packages_with_one_name(tmp_path: Path) -> None:
    with installed_package(tmp_path / "a"), installed_package(tmp_path / "b"):
        plan(rule(match=asks("shouts")))  # the same object twice is one
        write_package(tmp_path / "b", name="odes")
        with pytest.raises(pk.PolicyError, match=r"PK171.*odes 1.0.0 and verses 1.0.0"):
            plan(rule(match=asks("shouts")))


def test_a_missing_predicate_is_told_when_resources_are_given_and_blocks(package: Path) -> None:
    checked = plan(rule(match=asks("shoutz")))
    with pytest.raises(pk.PolicyError, match="PK170") as caught:
        checked.with_resources(pk.Resources())
    (found,) = caught.value.diagnostics
    assert found.place is not None
    assert found.help == "did you mean `shouts`?"
    verdict = checked.verify("x")
    assert (verdict.decision, [e.rule for e in verdict.errors]) == ("block", ["r"])


@pytest.mark.parametrize("name", ["function", "missing", "unimportable"])
def test_an_entry_point_that_is_no_predicate(package: Path, name: str) -> None:
    checked = plan(rule(match=asks(name)))
    with pytest.raises(pk.PolicyError, match="PK172"):
        checked.with_resources(pk.Resources())
    verdict = checked.verify("x")
    assert (verdict.decision, [e.rule for e in verdict.errors]) == ("block", ["r"])


def test_a_transform_needs_spans(package: Path) -> None:
    checked = plan(rule(action=MASKED, match=asks("shouts")))
    with pytest.raises(pk.PolicyError, match="PK173"):
        checked.with_resources(pk.Resources())
    verdict = checked.verify("HELP")
    assert (verdict.decision, verdict.text, [e.rule for e in verdict.errors]) == ("block", "", ["r"])


# -- the plan, and tests of policies


@pytest.mark.parametrize("action", [{"block": {}}, {"block": {"onMatch": "stop"}}, MASKED])
def test_the_row_names_the_predicate(package: Path, action: dict[str, Any]) -> None:
    (row,) = plan(rule(action=action, match=asks("spans"))).enforcements
    assert row.level == "output"
    assert "predicate `spans`, verses 1.0.0: verses_predicates:spans" in row.why
    (row,) = plan(rule(match=asks("ours"))).enforcements
    assert "predicate `ours`, a function of the deployment, no version of which is stated" in row.why


def test_tests_of_policies_ask_installed_predicates(package: Path) -> None:
    def case(name: str, text: str, decision: str) -> dict[str, Any]:
        return {"name": name, "given": {"output": text}, "expect": {"decision": decision, "rules": ["r"]}}

    tests = [case("a", "HELP", "block"), case("b", "help", "block")]
    report = run_tests(policies(rule(match=asks("shouts")), tests=tests))
    assert [result.status for result in report.results] == ["passed", "failed"]
    assert report.results[1].missed[0].why == "the predicate `shouts` finds nothing"
    ours = policies(rule(match=asks("ours")), tests=tests[:1])
    assert [result.status for result in run_tests(ours).results] == ["errored"]
    shouts = {"ours": TextPredicate(lambda text, args, context: text.isupper(), "1")}
    assert run_tests(ours, deployment=pk.Resources(predicates=shouts)).passed


def test_coverage_lists_predicates_that_find_nothing_in_any_test(package: Path) -> None:
    def case(text: str) -> dict[str, Any]:
        return {"name": text, "given": {"output": text}, "expect": {"decision": "block", "rules": ["r"]}}

    either = {"any": [asks("shouts"), asks("spans", {"words": ["iamb"]}), {"not": asks("ours")}]}
    ours = pk.Resources(predicates={"ours": TextPredicate(lambda text, args, context: True, "1")})

    def uncovered(*texts: str) -> list[tuple[str, str]]:
        documents = policies(rule(match=either), tests=[case(text) for text in texts])
        return [(part.kind, part.name) for part in coverage_of(documents, deployment=ours).uncovered]

    iamb = ("predicate", 'spans {"words":["iamb"]}')
    assert uncovered("HELP") == [iamb]
    assert uncovered("an iamb") == [("predicate", "shouts")]
    assert uncovered("an iamb", "HELP") == []
    documents = policies(rule(match=asks("ours")), tests=[case("HELP")])
    assert [part.kind for part in coverage_of(documents).uncovered] == ["rule", "predicate"]
