"""What a text may cite comes with the request: where it does not come, the text is blocked."""

import json
from typing import Any

import pytest

import policykit as pk
from policykit.ir.document import PolicySet

CITED = {"format": "[{id}]", "sources": "retrieved.ids"}


def plan_of(
    cited: dict[str, Any] = CITED, grammar: Any = None, action: dict[str, Any] | None = None, **more: Any
) -> pk.Plan:
    rule = {"id": "cite", "require": {"citations": cited}, "action": action or {"block": {"message": "(no)"}}}
    metadata = {"name": "x", "version": "1.0.0", "owner": "a@example.org", "why": "to be tried"}
    document = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": [rule], **more}
    return pk.compile(PolicySet((pk.parse_document(json.dumps(document), "x.policy.yaml"),)), grammar)


PLAN = plan_of()


def judge(text: str, facts: dict[str, Any], plan: pk.Plan = PLAN) -> pk.Verdict:
    """The verdict on a text, which a stream of its characters shares."""
    subject = pk.Subject(text, facts=facts)
    verdict = plan.verify(subject)
    stream = plan.stream(pk.Subject("", facts=facts))
    shown = "".join(map(stream.feed, text))
    rest, streamed = stream.close()
    assert (streamed.decision, streamed.violations, streamed.errors) == (
        verdict.decision,
        verdict.violations,
        verdict.errors,
    )
    assert shown + rest == verdict.text
    return verdict


def test_a_source_that_was_not_retrieved_is_named_with_its_place() -> None:
    text = "It is so [K1]. It is [K2], or [K1]."
    assert judge(text, {"retrieved": {"ids": ["K1", "K2"]}}).decision.value == "allow"
    verdict = judge(text, {"retrieved": {"ids": ["K1"]}})
    assert verdict.text == "(no)"
    (wrong,) = verdict.violations
    assert (wrong.rule, text[wrong.start : wrong.end]) == ("cite-sources", "[K2]")
    assert wrong.matched == "a source that `retrieved.ids` does not list"


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({}, "the fact `retrieved` is not known"),
        ({"retrieved": {}}, "the fact `retrieved.ids` is not known"),
        ({"retrieved": ["K1"]}, "the fact `retrieved.ids` is not known"),
        ({"retrieved": {"ids": None}}, "the fact `retrieved.ids` is no list"),
        ({"retrieved": {"ids": "K1"}}, "the fact `retrieved.ids` is no list"),
        ({"retrieved": {"ids": {"K1": {}}}}, "the fact `retrieved.ids` is no list"),
        ({"retrieved": {"ids": ["K1", 2]}}, "the fact `retrieved.ids` lists what is no text and has no text `id`"),
        ({"retrieved": {"ids": [{"id": 1}]}}, "the fact `retrieved.ids` lists what is no text and has no text `id`"),
    ],
    ids=str,
)
def test_without_a_list_of_ids_what_is_cited_is_blocked(facts: dict[str, Any], why: str) -> None:
    verdict = judge("It is so [K1].", facts)
    assert verdict.decision.value == "block"
    assert [(error.rule, error.message) for error in verdict.errors] == [("cite-sources", f"UnknownSources: {why}")]


def test_sources_may_be_documents_that_have_an_id() -> None:
    plan = plan_of({"sources": "retrieved"})  # and the form of a citation, where none is said, is `[{id}]`
    facts = {"retrieved": [{"id": "K1", "text": "Rates rose."}, "K2"]}
    assert judge("It is so [K1]. It is [K2].", facts, plan).decision.value == "allow"
    assert [v.rule for v in judge("It is so [K3].", facts, plan).violations] == ["cite-sources"]


@pytest.mark.parametrize("where", ["append", "prepend"])
def test_a_notice_is_added_once_where_a_citation_or_its_source_is_missing(where: str) -> None:
    plan = plan_of({"sources": "ids"}, action={"transform": {where: "No advice."}})
    facts = {"ids": ["K1"]}
    texts = "It rose.", "It rose [K2].", "It rose. It fell [K2]."
    shown = [f"{t} No advice." if where == "append" else f"No advice. {t}" for t in texts]
    assert [judge(t, facts, plan).text for t in texts] == shown
    assert [judge(t, facts, plan).text for t in shown] == shown
    assert judge("It rose [K1].", facts, plan).decision.value == "allow"


def test_no_list_is_needed_where_nothing_is_cited() -> None:
    verdict = judge("It is so.", {})
    assert ([v.rule for v in verdict.violations], verdict.errors) == (["cite"], ())
    assert judge("…", {}).decision.value == "allow"


def test_ids_are_compared_as_they_are_written() -> None:
    facts = {"retrieved": {"ids": ["k1", "K1 ", "K１"]}}
    assert [v.rule for v in judge("It is so [K1].", facts).violations] == ["cite-sources"]


def test_the_plan_says_what_the_mask_holds_and_what_it_does_not() -> None:
    rows = {row.name: (row.level.value, row.why) for row in PLAN.enforcements}
    assert rows["x#cite"] == ("decode", "mask: regular on views raw of text")
    level, why = rows["x#cite-sources"]
    assert level == "output"
    assert why.endswith("holds the ids of citations against the fact `retrieved.ids`, which a mask does not know")
    assert [(wait.name, wait.why) for wait in PLAN.stream().buffers] == [
        ("x#cite-sources", "what the text cites is held against facts as a whole")
    ]


def test_facts_are_held_against_their_schema() -> None:
    ids = {"type": "array", "items": {"type": "string"}}
    schema = {"type": "object", "required": ["retrieved"], "properties": {"retrieved": {"type": "object"}}}
    schema["properties"] = {"retrieved": {"type": "object", "properties": {"ids": ids}}}
    verdict = plan_of(facts={"inline": schema}).verify("It is so [K1].")
    assert verdict.decision.value == "block"
    assert verdict.errors


def test_an_output_that_is_json_by_its_grammar_is_refused() -> None:
    grammar = pk.Grammar.from_json_schema({"type": "object", "properties": {"answer": {"type": "string"}}})
    with pytest.raises(pk.PolicyError) as caught:
        plan_of(grammar=grammar)
    found = caught.value.diagnostics
    assert [(one.code, one.message) for one in found] == [
        ("PK142", "rule `cite` demands citations of an output that is JSON"),
    ]
    assert all(one.place and one.place.line == 1 and "list of sources" in (one.help or "") for one in found)


def test_a_rule_on_sources_has_what_its_author_said_of_both() -> None:
    text = """
apiVersion: policykit/v1
kind: Policy
metadata: {name: x, version: 1.0.0, owner: o, why: w}
rules:
  - id: cite
    severity: high
    cost: 3
    mode: shadow
    match: {phrases: [the fund]}
    require: {citations: {format: "({id})", sources: ids}}
    action: {escalate: {queue: desk}}
"""
    shape, sources = pk.parse_document(text, "x.policy.yaml").rules
    assert (shape.id, sources.id) == ("cite", "cite-sources")
    same = ("severity", "cost", "mode", "action", "place", "scope", "target", "when", "exceptions")
    assert all(getattr(shape, name) == getattr(sources, name) for name in same)
    plan = pk.compile(PolicySet((pk.parse_document(text.replace("shadow", "enforce"), "x.policy.yaml"),)))
    verdicts = [plan.verify(pk.Subject(t, facts={"ids": ["1"]})) for t in ("The fund rose (2).", "It rose (2).")]
    assert [v.decision.value for v in verdicts] == ["escalate", "allow"]
