"""Texts of requests' grammars are judged in another process as they would be here; and a stream that is fed waits for
no judge."""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

import policykit as pk
from policykit.diagnostics import Place, PolicyError
from policykit.grammar import GrammarViolation
from policykit.ir.document import PolicySet
from policykit.ir.grammar import GrammarSpec
from policykit.ir.verdict import Decision
from policykit.plan import Plan, may_take_long
from policykit.streaming import gates

POLICY = """apiVersion: policykit/v1
kind: Policy
metadata: {name: one/rule, version: 1.0.0, owner: a@example.org, why: to see it kept}
rules:
  - {id: no, match: {phrases: [bad]}, action: {block: {}}}
  - {id: other, match: {phrases: [was]}, action: {transform: {replace: {with: is}}}}
tests: [{name: t, given: {output: bad}, expect: {decision: block}}]
"""
TREE = """{"type": "array", "items": {"\\u0024ref": "#"}, "maxItems": 2, "uniqueItems": true,
"contains": {"$ref": "#"}, "minContains": 0}"""
WORDS = 'start: w (" " w)*\nw: "bad" | "good" | "was"'
GRAMMARS = {
    "tree": (pk.Grammar.from_json_schema(TREE), ["[]", "[[],[[]]]", "[[],[]]", "[[],[[]],[[[]]]]", "{", "7"]),
    "lark": (pk.Grammar.from_lark(WORDS), ["good", "good was", "good bad", "goo", "", "good  good", "w\u00e4s"]),
    "gbnf": (pk.Grammar.from_gbnf('root ::= "a" root | "b"'), ["aab", "b", "a", "ba"]),
    "tag": (
        pk.Grammar.from_structural_tag(
            {
                "type": "structural_tag",
                "format": {"type": "tag", "begin": "<a>", "end": "</a>", "content": {
                    "type": "json_schema", "json_schema": json.loads(TREE)}},
            }
        ),
        ["<a>[[]]</a>", "<a>[1]</a>", "<a>[]"],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def compilers() -> Iterator[pk.Compilers]:
    made = pk.Compilers(n_processes=1)
    yield made
    made.close()


def pair(compilers: pk.Compilers, grammar: GrammarSpec) -> tuple[Plan, Plan]:
    policies = PolicySet((pk.parse_document(POLICY, "one.yaml"),))
    return compilers.compile(policies, grammar), pk.compile(policies, grammar)


def streamed(plan: Plan, text: str, cut: int) -> tuple[str, Decision, tuple[str, ...]]:
    stream = plan.stream()
    shown = [stream.feed(text[at : at + cut]) for at in range(0, len(text), cut)]
    rest, verdict = stream.close()
    return "".join(shown) + rest, verdict.decision, verdict.rules


@pytest.mark.parametrize("name", GRAMMARS)
def test_verdicts_are_those_that_are_made_here(compilers: pk.Compilers, name: str) -> None:
    grammar, texts = GRAMMARS[name]
    there, here = pair(compilers, grammar)
    assert there.check_grammar is not None
    assert here.check_grammar is None
    for text in texts:
        assert there.verify(text) == here.verify(text)
        for cut in (1, 3, 100):
            shown, *verdict = streamed(there, text, cut)
            expected, *other = streamed(here, text, cut)
            assert verdict == other
            assert verdict[0] is Decision.BLOCK or shown == expected


@pytest.mark.parametrize(
    ("grammar", "is_long"),
    [
        (pk.Grammar.from_json_schema({"type": "array", "items": {"type": "integer"}}), False),
        (pk.Grammar.from_json_schema({"type": "string", "pattern": "^a+$"}), False),
        (pk.Grammar.from_json_schema({"type": "string", "pattern": "^(?=a)[a-z]+$"}), True),
        (pk.Grammar.from_json_schema({"unevaluatedProperties": False}), True),
        (pk.Grammar.from_json_schema({"items": {"$ref": "#"}}), False),
        (pk.Grammar.from_json_schema({"items": {"$ref": "#"}, "contains": {"$ref": "#"}, "minContains": 0}), True),
        (pk.Grammar.from_json_schema({"description": "a" * 50_000}), True),
        (pk.Grammar.from_regex("a+"), False),
        (pk.Grammar.from_choices(["a"]), False),
    ],
)
def test_what_is_read_once_is_judged_here(compilers: pk.Compilers, grammar: GrammarSpec, is_long: bool) -> None:
    assert may_take_long(grammar) is is_long
    assert (compilers.compile(None, grammar).check_grammar is not None) is is_long


def test_a_text_that_cannot_be_judged_is_errored_and_blocked(compilers: pk.Compilers) -> None:
    plan = pair(compilers, GRAMMARS["lark"][0])[0]

    def late(_: str) -> list[GrammarViolation]:
        raise PolicyError.of("PK209", "late", Place("<request>"))

    plan = replace(plan, check_grammar=late)
    (error,) = plan.verify("good").errors
    assert (error.rule, "PK209" in error.message) == ("grammar", True)
    assert plan.verify("good").decision is Decision.BLOCK
    assert streamed(plan, "good", 1)[1] is Decision.BLOCK


@pytest.mark.parametrize("name", GRAMMARS)
def test_who_feeds_a_stream_waits_for_no_judge(name: str, compilers: pk.Compilers) -> None:
    grammar, texts = GRAMMARS[name]
    plan, asked = pair(compilers, grammar)[0], list[str]()
    plan = replace(plan, check_grammar=lambda text: asked.append(text) or [])
    for text in texts:
        stream = plan.stream()
        for char in text:
            stream.feed(char)
        assert not asked
        stream.close()
        if "bad" not in text:
            assert asked.pop(0) == text
        asked.clear()


def test_what_takes_long_to_read_along_waits_for_the_end(
    compilers: pk.Compilers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no patience at all, nothing is shown before; the verdict and the whole text are the same."""
    monkeypatch.setattr(gates, "PIECE_S", 0.0)
    monkeypatch.setattr(gates, "OWED_S", 0.0)
    monkeypatch.setattr(gates.time, "thread_time", iter(range(10_000)).__next__)
    for grammar, texts in GRAMMARS.values():
        there, here = pair(compilers, grammar)
        for text in texts:
            stream = there.stream()
            early = "".join(stream.feed(char) for char in text[:-1])
            assert len(early) <= gates.PIECE
            shown, *verdict = streamed(there, text, 4)
            expected, *other = streamed(here, text, 4)
            assert verdict == other
            assert verdict[0] is Decision.BLOCK or shown == expected
