"""What a comparison says about decisions, about rules that it leaves out, and beyond its budget."""

import json
from typing import Any
from unicodedata import normalize

import pytest

from policykit.analysis import Example, Nothing, NotProven, Relation, Report, compare, compare_rules, on_view
from policykit.compile import resolve
from policykit.ir.document import PolicySet, Target, Within
from policykit.ir.plan import CompileContext, ResolvedRule
from policykit.ir.verdict import Decision
from policykit.policy import parse_document

ACTIONS: dict[str, Any] = {
    "block": {"block": {}},
    "escalate": {"escalate": {"queue": "q"}},
    "transform": {"transform": {"replace": {"with": "x"}}},
}


def rules(*given: tuple[str, dict[str, Any], dict[str, Any]]) -> tuple[ResolvedRule, ...]:
    document = {
        "apiVersion": "policykit/v1",
        "kind": "Policy",
        "metadata": {"name": "x", "version": "1.0.0", "owner": "o", "why": "w"},
        "rules": [
            {"id": f"r{i}", "match": match, "action": ACTIONS[action], **more}
            for i, (action, match, more) in enumerate(given)
        ],
    }
    return resolve(PolicySet((parse_document(json.dumps(document), "x"),)), CompileContext())


def phrases(action: str, *texts: str, **more: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    return action, {"phrases": list(texts)}, more


def relation(report: Report) -> Relation:
    (comparison,) = report.comparisons
    assert comparison.relation is report.relation
    return comparison.relation


def test_a_stronger_decision_about_the_same_texts_implies_the_weaker() -> None:
    report = compare(rules(phrases("transform", "fee")), rules(phrases("block", "fee")))
    assert relation(report) is Relation.IMPLIES
    found = report.comparisons[0].second_only
    assert isinstance(found, Example)
    assert (found.shortest.text, found.by, found.against) == ("fee", Decision.BLOCK, Decision.TRANSFORM)
    assert (found.by_rules, found.against_rules) == (("x#r0",), ("x#r0",))


@pytest.mark.parametrize("phrase", ["副作用", "ひとつ", "été"])
def test_examples_are_written_plainly(phrase: str) -> None:
    """Other characters that a view reads alike (⽤ for 用) say the same, and nobody writes them."""
    report = compare(rules(phrases("block", phrase)), rules(phrases("block", "fee")))
    found = report.comparisons[0].first_only
    assert isinstance(found, Example)
    assert normalize("NFKC", found.shortest.text) == found.shortest.text
    if phrase == "副作用":
        assert found.shortest.text == phrase


def test_rules_split_or_joined_decide_alike() -> None:
    joined = rules(phrases("block", "fee", "risk"))
    split = rules(phrases("block", "risk"), phrases("block", "fee"), phrases("transform", "hidden fee"))
    assert relation(compare(joined, split)) is Relation.EQUAL


def test_both_sides_differ_with_a_shortest_text_each() -> None:
    report = compare(rules(phrases("block", "aa", "long fee")), rules(phrases("block", "aa", "free")))
    assert relation(report) is Relation.NEITHER
    first, second = report.comparisons[0].first_only, report.comparisons[0].second_only
    assert isinstance(first, Example)
    assert isinstance(second, Example)
    assert (first.shown.text, second.shown.text) == ("long fee", "free")


def test_texts_that_only_other_spellings_separate_are_found() -> None:
    """On the view `compat` the regex sees the same; only a mark beside the phrase makes it another word."""
    report = compare(
        rules(("block", {"phrases": ["ß"], "views": ["compat"]}, {})),
        rules(("block", {"regex": ["ss"], "views": ["raw"]}, {})),
    )
    found = report.comparisons[0].first_only
    assert isinstance(found, Example)
    assert len(found.shortest.text) == 1
    assert found.readable is not None
    assert found.readable.text.casefold() == "ss"
    assert "ss" not in found.readable.text


def test_what_cannot_be_compared_is_named() -> None:
    side = rules(
        phrases("block", "fee"),
        phrases("block", "a", mode="shadow"),
        phrases("block", "b", when="user.role == 'x'"),
        ("block", {"phrases": ["c"], "within": "json.strings", "join": "array"}, {}),
        ("block", {"all": [{"phrases": ["c"], "within": "json.strings"}, {"phrases": ["d"]}]}, {}),
        ("block", {"any": [{"phrases": ["c"]}, {"entities": ["iban"]}]}, {}),
        ("block", {"any": [{"phrases": ["c"]}, {"predicate": {"name": "p"}}]}, {}),
    )
    report = compare(side, rules(phrases("block", "fee")))
    assert relation(report) is Relation.EQUAL
    assert [(row.rule, row.why.split()[0]) for row in report.outside_first] == [
        ("x#r1", "is"), ("x#r2", "depends"), ("x#r3", "joins"), ("x#r4", "reads"),
        ("x#r5", "validates"), ("x#r6", "asks"),
    ]  # fmt: skip


def test_rules_about_different_tools_are_not_compared() -> None:
    side = rules(
        phrases("block", "fee", target="tool_call"), phrases("block", "x", target="tool_call", tool="issue_refund")
    )
    report = compare(side, rules(phrases("block", "fee", target="tool_call")))
    assert [row.rule for row in report.outside_first] == ["x#r1"]
    assert report.comparisons[0].target is Target.TOOL_CALL
    assert report.comparisons[0].within is Within.JSON_STRINGS
    assert report.relation is Relation.EQUAL


def test_strings_are_texts_of_their_own() -> None:
    both = {"all": [{"phrases": ["aa"], "within": "json.strings"}, {"phrases": ["bb"], "within": "json.strings"}]}
    one = {"regex": ["(?s)aa.*bb", "(?s)bb.*aa"], "within": "json.strings"}
    (first,), (second,) = rules(("block", both, {})), rules(("block", one, {}))
    (comparison,) = compare_rules(first, second).comparisons
    assert isinstance(comparison.first_only, Example)
    assert json.loads(comparison.first_only.shortest.text) == ["aa", "bb"]


@pytest.mark.parametrize("n_states", [1, 5])
def test_beyond_the_budget_nothing_is_claimed(n_states: int) -> None:
    (first,), (second,) = rules(phrases("block", "abcdefgh")), rules(("block", {"regex": ["abcdefg"]}, {}))
    (comparison,) = compare_rules(first, second, max_states=n_states).comparisons
    assert comparison.first_only == NotProven(n_states)
    assert comparison.relation is Relation.NOT_PROVEN
    (comparison,) = compare_rules(first, second).comparisons
    assert comparison.first_only == Nothing()


def test_what_both_sides_have_needs_no_product() -> None:
    """Twenty expressions whose product has millions of states, in another order."""
    shared = [f"{c}.{{8}}{c}" for c in "abcdefghijklmnopqrst"]
    (first,), (second,) = rules(("block", {"regex": shared}, {})), rules(("block", {"regex": shared[::-1]}, {}))
    assert compare_rules(first, second, max_states=1).relation is Relation.EQUAL


def test_a_view_can_stand_for_all() -> None:
    (first,) = rules(("block", {"phrases": ["fee"], "views": ["raw"]}, {}))
    (second,) = rules(phrases("block", "fee"))
    found = compare_rules(first, second).comparisons[0].first_only
    assert isinstance(found, Example)  # what is erased on `compat` is no boundary there
    assert found.readable is None
    assert compare_rules(on_view(first, "raw"), on_view(second, "raw")).relation is Relation.EQUAL
