"""Predicates and classifiers that are given views of the text: what they read, and where that stands in the text."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, strategies as st

import policykit as pk
from policykit.predicates import FunctionClassifier, TextPredicate
from policykit.text import view
from tests.verify.test_facts import plan, rule

WIDE = "Pay ＢＡＤ\u200bＭＯＮＥＹ now"
MASKED = {"transform": {"replace": {"with": "…"}}}
PREDICATE = {"name": "word", "args": {"word": "badmoney"}}


def words(text: str, args: Mapping[str, Any], context: Mapping[str, str]) -> list[tuple[int, int]]:
    return [found.span() for found in re.finditer(re.escape(args["word"]), text)]


def deployed(match: dict[str, Any], **more: Any) -> pk.Plan:
    loud = FunctionClassifier(lambda text, label: float("badmoney" in text), ("bad",), "v1")
    resources = pk.Resources(predicates={"word": TextPredicate(words, "1.0.0", True)}, classifiers={"c": loud})
    return plan(rule(match=match, **more)).with_resources(resources)


def test_what_is_found_on_a_view_stands_in_the_text() -> None:
    assert deployed({"predicate": PREDICATE}).verify(WIDE).decision == "allow"
    (found,) = deployed({"predicate": {**PREDICATE, "views": ["compat"]}}).verify(WIDE).violations
    assert (found.view, WIDE[found.start : found.end]) == ("compat", "ＢＡＤ\u200bＭＯＮＥＹ")


def test_it_can_be_replaced() -> None:
    masked = deployed({"predicate": {**PREDICATE, "views": ["compat"]}}, action=MASKED)
    assert masked.verify(WIDE).text == "Pay … now"


def test_each_of_several_views_may_match_and_one_stretch_is_one_violation() -> None:
    both = deployed({"predicate": {**PREDICATE, "views": ["raw", "compat"]}})
    assert [v.view for v in both.verify("badmoney " + WIDE).violations] == ["raw", "compat"]


@pytest.mark.parametrize(("views", "decision"), [(None, "allow"), (["compat"], "block")])
def test_a_classifier_scores_the_view(views: list[str] | None, decision: str) -> None:
    classifier = {"model": "c", "digest": "v1", "label": "bad", "threshold": 0.5, **({"views": views} if views else {})}
    judged = deployed({"classifier": classifier})
    assert judged.verify(WIDE).decision == decision
    assert judged.verify("").decision == "allow"


def test_the_plan_names_the_views_and_its_digest_covers_them() -> None:
    plain, viewed = (deployed({"predicate": {**PREDICATE, **more}}) for more in ({}, {"views": ["compat"]}))
    assert plain.digest != viewed.digest
    assert "of the text on compat" in viewed.enforcements[0].why
    assert "of the text on" not in plain.enforcements[0].why


@given(st.text(st.sampled_from("aＡ\u200b\u0301ﬁb x"), max_size=12), st.sampled_from(["raw", "compat", "unmarked"]))
def test_a_find_is_what_the_view_was_read_from(text: str, name: str) -> None:
    """Against the view itself: a predicate that finds every `a` finds as many as the view has, each of them read from
    a stretch of the text whose view holds it."""
    found = deployed({"predicate": {"name": "word", "args": {"word": "a"}, "views": [name]}}).verify(text).violations
    assert len(found) == view(name).apply(text).count("a")
    assert all("a" in view(name).apply(text[one.start : one.end]) for one in found)
