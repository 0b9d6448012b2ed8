"""Structural tags: the mask and the reader, which share no code, agree, and so does xgrammar where it runs."""

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

import policykit as pk
from policykit import grammar
from policykit.diagnostics import Place, PolicyError
from policykit.ir.document import PolicySet
from policykit.ir.grammar import GrammarSpec

PLACE = Place("tag.json")
NUMBER = {"type": "json_schema", "json_schema": {"type": "integer", "minimum": 0, "maximum": 9}}
ONE = {"type": "tag", "begin": "<t>a", "content": NUMBER, "end": "</t>"}
TWO = {"type": "tag", "begin": "<t>b", "content": {"type": "any_text"}, "end": ["</t>", ";"]}
OTHER = {"type": "tag", "begin": "[", "content": {"type": "const_string", "value": "x"}, "end": "]"}
PAIR = {"type": "regex", "pattern": "[xa;]{2}"}
MANY = {"type": "star", "content": OTHER}
TRIGGERED: dict[str, Any] = {"type": "triggered_tags", "triggers": ["<t>", "["], "tags": [ONE, TWO, OTHER]}
FORMATS: dict[str, Any] = {
    "triggered": TRIGGERED,
    "at least one": TRIGGERED | {"at_least_one": True},
    "stop": TRIGGERED | {"stop_after_first": True},
    "exactly one": TRIGGERED | {"at_least_one": True, "stop_after_first": True},
    "excludes": TRIGGERED | {"excludes": ["x9"]},
    "in a tag": OTHER | {"content": TRIGGERED | {"triggers": ["<t>"], "tags": [ONE, TWO]}},
    "separated": {"type": "tags_with_separator", "tags": [ONE, TWO], "separator": ";"},
    "separated once": {"type": "tags_with_separator", "tags": [ONE], "separator": ";", "at_least_one": True},
    "sequence": {"type": "sequence", "elements": [ONE, {"type": "any_text", "excludes": ["a"]}]},
    "repeats": {"type": "plus", "content": {"type": "or", "elements": [ONE, PAIR]}},
    "optional": {"type": "sequence", "elements": [{"type": "optional", "content": ONE}, MANY]},
}  # fmt: skip
PIECES = ["<t>a", "<t>b", "</t>", "<t", ">", "[", "]", "x", "9", "a", ";", "1", "", "[x]", "<t>a3</t>", "<t>bx;"]


def made(form: object) -> GrammarSpec:
    return grammar.structural_tag(json.dumps({"type": "structural_tag", "format": form}), PLACE)


SPECS = {name: made(form) for name, form in FORMATS.items()}
texts = st.lists(st.sampled_from(PIECES), max_size=7).map("".join)


@settings(deadline=None, max_examples=600)
@given(st.sampled_from(sorted(FORMATS)), texts)
def test_the_mask_admits_what_the_reader_reads(name: str, text: str) -> None:
    reads = not grammar.GrammarValidator(SPECS[name]).check(text)
    assert grammar.matches(SPECS[name], text) == reads


@pytest.mark.parametrize("name", FORMATS)
def test_some_texts_are_of_it_and_some_are_not(name: str) -> None:
    """So that the law above is no law about nothing."""
    known = ["<t>a1</t>", "[<t>a1</t>]", "<t>a1</t>x", "x", "[x]", "<t>", "<t>a1</t>;<t>a2</t>", "x9[x]"]
    found = {text: grammar.matches(SPECS[name], text) for text in known}
    assert set(found.values()) == {True, False}, found


@pytest.mark.vllm
@settings(deadline=None, max_examples=2000)
@given(st.sampled_from(sorted(FORMATS)), texts)
def test_xgrammar_admits_the_same(name: str, text: str) -> None:
    from xgrammar import Grammar  # pyright: ignore[reportMissingImports]
    from xgrammar.testing import _is_grammar_accept_string  # pyright: ignore[reportMissingImports]

    theirs = Grammar.from_structural_tag(json.dumps({"type": "structural_tag", "format": FORMATS[name]}))
    assert _is_grammar_accept_string(theirs, text) == grammar.matches(SPECS[name], text)


def test_what_no_mask_carries_is_found_by_the_reader() -> None:
    schema = {"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": True, "maxItems": 3}
    spec = made({"type": "tag", "begin": "(", "content": {"type": "json_schema", "json_schema": schema}, "end": ")"})
    assert [row.pointer for row in spec.residue] == ["format.content.json_schema/uniqueItems"]
    assert grammar.matches(spec, "([1,1])")
    (found,) = grammar.GrammarValidator(spec).check("([1,1])")
    assert (found.pointer, found.keyword) == ("format.content.json_schema", "uniqueItems")
    assert not grammar.GrammarValidator(spec).check("([2, 1])"), "JSON may be written with spaces"


def test_the_older_form_is_read() -> None:
    source = {"structures": [{"begin": "<f>", "schema": {"const": 1}, "end": "</f>"}], "triggers": ["<f"]}
    spec = grammar.structural_tag(json.dumps({"type": "structural_tag", **source}), PLACE)
    for text, expected in (("a <f>1</f> b", True), ("a <f>2</f>", False), ("a <g", True), ("<f", False)):
        assert grammar.matches(spec, text) is expected
        assert bool(grammar.GrammarValidator(spec).check(text)) is not expected


def test_policies_hold_in_all_of_the_text(tmp_path: Any) -> None:
    metadata = {"name": "p", "version": "1.0.0", "owner": "o@example.org", "why": "a test"}
    rule = {"id": "r", "match": {"phrases": ["bad word"]}, "action": {"block": {}}}
    document = {"apiVersion": "policykit/v1", "kind": "Policy", "metadata": metadata, "rules": [rule]}
    content = {"type": "json_schema", "json_schema": {"type": "string", "maxLength": 20}}
    form = TRIGGERED | {"triggers": ["<t>"], "tags": [ONE | {"content": content}]}
    tagged = pk.Grammar.from_structural_tag({"type": "structural_tag", "format": form})
    plan = pk.compile(PolicySet((pk.parse_document(json.dumps(document), "p.policy.yaml"),)), tagged)
    constraint = plan.constraint(pk.Vocabulary.from_tokens([*(bytes([i]) for i in range(256)), b"<end>"], [256]))
    for text, expected in (
        ('x <t>a"a bad wish"</t> bad', True), ('<t>a"a bad word"</t>', False), ("a bad word", False),
    ):  # fmt: skip
        state = constraint.start()
        admitted = all(state.accept(byte) for byte in text.encode()) and state.accepting
        assert admitted is expected
        assert (plan.verify(text).decision is pk.Decision.ALLOW) is expected
    path = tmp_path / "plan.json"
    plan.save(path)
    assert pk.load_plan(path).digest == plan.digest


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("no json", "one JSON object"),
        ("[]", "is no object"),
        ({"type": "structural_tag"}, "`format` is no object"),
        ({"type": "json", "format": NUMBER}, "is not `structural_tag`"),
        ({"format": NUMBER, "more": 1}, "`more` is not supported"),
        ({"format": {"type": "any_tokens"}}, "no format"),
        ({"format": {"type": "any_text", "max_tokens": 3}}, "`format.max_tokens`"),
        ({"format": NUMBER | {"style": "qwen_xml"}}, "`format.style`"),
        ({"format": ONE | {"begin": {"type": "token", "token": 1}}}, "`format.begin` is no text"),
        ({"format": ONE | {"end": []}}, "`format.end`"),
        ({"format": {"type": "sequence", "elements": [{"type": "any_text"}, NUMBER]}}, "free text"),
        ({"format": {"type": "tag", "begin": "a", "content": {"type": "any_text"}, "end": ""}}, "free text"),
        ({"format": TRIGGERED | {"triggers": ["<x>"]}}, "none of its triggers"),
        ({"format": TRIGGERED | {"triggers": ["<t>", "<", "["]}}, "several"),
        ({"format": TRIGGERED | {"excludes": ["<t>a"]}}, "one is in another"),
        ({"structures": [], "triggers": ["a"]}, "`structures`"),
        ({"format": json.loads('{"type":"plus","content":' * 40 + json.dumps(NUMBER) + "}" * 40)}, "too deeply"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_path(document: object, says: str) -> None:
    source = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(PolicyError, match="PK217") as refused:
        grammar.structural_tag(source, PLACE)
    assert says in str(refused.value)
