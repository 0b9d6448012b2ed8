"""Structural tags: the mask and the reader, which share no code, agree, and so does xgrammar where it runs."""

import itertools
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

import policykit as pk
from policykit import grammar
from policykit.diagnostics import Place, PolicyError
from policykit.grammar.tag_parameters import STYLES
from policykit.ir.document import PolicySet
from policykit.ir.grammar import GrammarSpec

PLACE = Place("tag.json")
NUMBER = {"type": "json_schema", "json_schema": {"type": "integer", "minimum": 0, "maximum": 9}}
ONE = {"type": "tag", "begin": "<t>a", "content": NUMBER, "end": "</t>"}
TWO = {"type": "tag", "begin": "<t>b", "content": {"type": "any_text"}, "end": ["</t>", ";"]}
OTHER = {"type": "tag", "begin": "[", "content": {"type": "const_string", "value": "x"}, "end": "]"}
PAIR = {"type": "regex", "pattern": "[xa;]{2}"}
CLOSE = {"type": "const_string", "value": ")"}
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
ORDER = {
    "type": "object",
    "properties": {
        "what": {"type": "string"},
        "n": {"type": "integer", "minimum": 0},
        "how": {"enum": ["a b", 3]},
        "rest": {},
    },
    "required": ["what"],
    "additionalProperties": False,
}
XML = {
    f"{style}, {name}": {"type": "json_schema", "json_schema": schema, "style": style}
    for style in STYLES
    for name, schema in (("any", True), ("listed", ORDER))
}
XML_SPECS = {name: made(OTHER | {"content": form}) for name, form in XML.items()}


def pieces(style: str) -> list[str]:
    """Parts of what may stand there, and of what may not."""
    one = STYLES[style]
    names = [f"{one.before}{name}{one.behind}" for name in ("what", "n", "how", "rest", "other")]
    kinds = [one.text, one.value] if one.text else [""]
    values = ["tea", "3", "a b", '{"a":1}', "&lt;", "", " ", "-1"]
    whole = [f"{name}{kind}{value}{one.close}" for name in names[:4] for kind in kinds for value in values[:4]]
    return [*names, *kinds, *values, one.close, "[", "]", "\n", *whole, *whole]


def shown(schema: object) -> dict[str, Any]:
    """A parameter of a schema, in XML."""
    return {"type": "json_schema", "json_schema": {"properties": {"a": schema}}, "style": "qwen_xml"}


xml_texts = st.sampled_from(sorted(XML)).flatmap(
    lambda name: st.tuples(
        st.just(name),
        st.lists(st.sampled_from(pieces(name.partition(",")[0])), max_size=6).map(
            lambda parts: "[" + "".join(parts) + "]"
        ),
    )
)


@settings(deadline=None, max_examples=600)
@given(st.sampled_from(sorted(FORMATS)), texts)
def test_the_mask_admits_what_the_reader_reads(name: str, text: str) -> None:
    reads = not grammar.GrammarValidator(SPECS[name]).check(text)
    assert grammar.matches(SPECS[name], text) == reads


@settings(deadline=None, max_examples=600)
@given(xml_texts)
def test_of_parameters_in_xml_too(drawn: tuple[str, str]) -> None:
    name, text = drawn
    reads = not grammar.GrammarValidator(XML_SPECS[name]).check(text)
    assert grammar.matches(XML_SPECS[name], text) == reads


CALL = "[{0}what{1}{t}tea & <b>\n{2}{0}n{1}{v}3{2}\n{0}how{1}{t}a b{2}]"


@pytest.mark.parametrize("style", STYLES)
def test_a_call_in_xml(style: str) -> None:
    one = STYLES[style]
    text = CALL.format(one.before, one.behind, one.close, t=one.text, v=one.value)
    assert grammar.matches(XML_SPECS[f"{style}, any"], text)
    listed = XML_SPECS[f"{style}, listed"]
    assert grammar.matches(listed, text)
    wrong = (("3", "-1"), ("3", "x"), ("a b", "b"), ("what", "why"), (one.before, one.before + " "))
    for old, new in wrong:
        assert not grammar.matches(listed, text.replace(old, new, 1)), (old, new)
    first = text.index(one.before, 1 + len(one.before))
    assert not grammar.matches(listed, "[" + text[first:]), "what is required"


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


@pytest.mark.vllm
@settings(deadline=None, max_examples=1500)
@given(xml_texts)
def test_xgrammar_admits_what_is_admitted_of_parameters(drawn: tuple[str, str]) -> None:
    """And more: white space in more places."""
    from xgrammar import Grammar  # pyright: ignore[reportMissingImports]
    from xgrammar.testing import _is_grammar_accept_string  # pyright: ignore[reportMissingImports]

    name, text = drawn
    form = OTHER | {"content": XML[name]}
    theirs = Grammar.from_structural_tag(json.dumps({"type": "structural_tag", "format": form}))
    assert not grammar.matches(XML_SPECS[name], text) or _is_grammar_accept_string(theirs, text)


def test_free_text_before_a_known_one_ends_where_that_first_stands() -> None:
    free: dict[str, Any] = {"type": "any_text"}
    spec = made({"type": "sequence", "elements": [{"type": "const_string", "value": "("}, free, CLOSE, NUMBER]})
    for text, expected in (("(a)1", True), ("()1", True), ("(a)", False), ("(a)b)1", False), ("(a", False)):
        assert grammar.matches(spec, text) is expected
        assert bool(grammar.GrammarValidator(spec).check(text)) is not expected


regular = st.lists(st.sampled_from(["a*", "[^a]", "ab?", "(b|ba)", "const b", "star a|b", "plus a?b"]), max_size=4)


@given(regular.filter(bool))
@settings(max_examples=30)
def test_expressions_side_by_side_may_share_what_they_match_in_every_way(drawn: list[str]) -> None:
    """What the longest match of one has taken the next may need: the whole is what `re` reads in one expression."""
    forms: list[Any] = []
    sources: list[str] = []
    for name in drawn:
        kind, _, rest = name.partition(" ")
        pattern = {"type": "regex", "pattern": rest or name}
        match kind:
            case "const":
                forms.append({"type": "const_string", "value": rest})
            case "star" | "plus":
                forms.append({"type": kind, "content": pattern})
            case _:
                forms.append({"type": "sequence", "elements": [pattern]})
        sources.append({"star": f"({rest})*", "plus": f"({rest})+"}.get(kind, rest or name))
    spec = made({"type": "sequence", "elements": forms})
    check = grammar.GrammarValidator(spec).check
    for text in ("".join(t) for n in range(5) for t in itertools.product("ab", repeat=n)):
        is_right = re.fullmatch("".join(f"({source})" for source in sources), text) is not None
        assert bool(check(text)) is not is_right, text
        assert is_right or not grammar.matches(spec, text), text


@pytest.mark.parametrize("excluded", [")>", ")", ">"])
@pytest.mark.parametrize("in_tag", [False, True])
def test_free_text_may_exclude_its_own_end_or_a_part_of_it(in_tag: bool, excluded: str) -> None:
    free: dict[str, Any] = {"type": "any_text", "excludes": ["<b", excluded]}
    ends = [{"type": "const_string", "value": "("}, free, {"type": "const_string", "value": ")>"}]
    tag = {"type": "tag", "begin": "(", "content": free, "end": ")>"}
    spec = made(tag if in_tag else {"type": "sequence", "elements": ends})
    known = (("(a)>", True), ("()>", True), ("(a", False), ("(a)>)>", False), ("(<b)>", False), ("(a<)>", True))
    for text, expected in (*known, ("(a))>", excluded != ")"), ("(a>)>", excluded != ">")):
        assert grammar.matches(spec, text) is expected
        assert bool(grammar.GrammarValidator(spec).check(text)) is not expected


def test_what_no_mask_carries_is_found_by_the_reader() -> None:
    schema = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True, "maxItems": 3}
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
        ({"format": NUMBER | {"style": "qwen_xml"}}, "`type` is not `object`"),
        ({"format": NUMBER | {"style": "kimi_k3_xml"}}, "`format.style`"),
        ({"format": shown({"type": "string", "pattern": "a"})}, "`pattern` of a text"),
        ({"format": shown({"$ref": "#"})}, "`$ref` of a parameter"),
        ({"format": shown({"type": ["string", "null"]})}, "`type` of a parameter"),
        ({"format": shown({"const": "</parameter>"})}, "ends its own parameter"),
        ({"format": XML["qwen_xml, listed"] | {"json_schema": ORDER | {"minProperties": 1}}}, "`minProperties`"),
        ({"format": XML["qwen_xml, listed"] | {"json_schema": ORDER | {"required": ["x"]}}}, "`x` is required"),
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
