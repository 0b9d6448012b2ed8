"""Everything an author can get wrong, by code, and where it is shown."""

import json
from pathlib import Path
from typing import Any

import pytest

import policykit as pk
from policykit import grammar
from policykit.diagnostics import CATALOGUE, Place, PolicyError

PLACE = Place("case")
NODE = {"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}}

SCHEMA_CASES: list[tuple[str, Any, str]] = [
    ("PK201", '{"type": }', "case:1:10"),
    ("PK201", '{"type": "null", "type": "null"}', "occurs twice"),
    ("PK201", '{"minimum": NaN}', "NaN"),
    ("PK201", {"const": float("inf")}, "not JSON"),
    ("PK201", "[" * 400 + "]" * 400, "deeper"),
    ("PK202", {"type": "strin"}, "`/type`"),
    ("PK202", {"properties": {"a": {"minLength": -1}}}, "`/properties/a/minLength`"),
    ("PK202", "[]", "object or a boolean"),
    ("PK202", {"pattern": "("}, "regex"),
    ("PK203", {"properties": {"a": {"$ref": "https://example.com/x.json"}}}, "`/properties/a/$ref`"),
    ("PK204", {"$ref": "#/$defs/x"}, "leads nowhere"),
    ("PK204", {"$ref": "#x"}, "leads nowhere"),
    ("PK205", {"$schema": "https://example.com/dialect"}, "not a known dialect"),
    ("PK206", {"enum": ["x" * 1_100_000]}, "characters"),
    ("PK206", {"allOf": [{}] * 20_001}, "subschemas"),
    ("PK207", {"not": {"pattern": "(?=a)b"}}, "`/not/pattern`"),
    ("PK207", {"if": {"$ref": "#/$defs/p"}, "then": {}, "$defs": {"p": {"pattern": "(a)\\1"}}}, "`/$defs/p/pattern`"),
    ("PK208", False, "false"),
    ("PK208", NODE, "no finite value"),
    ("PK208", {"type": "string", "minLength": 3, "maxLength": 2}, "minLength"),
    ("PK208", {"allOf": [{"type": "string"}, {"type": "null"}]}, "no finite value"),
    ("PK208", {"type": "array", "minItems": 1, "items": False}, "no finite value"),
]
LARK_CASES: list[tuple[str, str, str]] = [
    ("PK210", 'start: "a', "case:1:10"),
    ("PK210", 'a: "x"', "start"),
    ("PK210", 'start: "a"\nstart: "b"', "case:2:8"),
    ("PK211", 'start: "a" b', "unknown name: `b`"),
    ("PK211", "start: A\nA: foo", "case:2:4"),
    ("PK212", 'start: "a"\n  | /a(?=b)/', "case:1:8"),
    ("PK212", "start: /(/", "unclosed group"),
    ("PK216", 'start.2: "a"', "priority"),
    ("PK216", 'start: %json {"not": {}}', "case:1:8"),
    ("PK216", 'start: %json {"x-guidance": {"lenient": true}, "not": {}}', "x-guidance"),
    ("PK208", "start: start", "`start` can never be completed"),
    ("PK208", 'start: "a" | b\nb: "x" b', "case:2:1"),
    ("PK206", 'start: "a"{9000000000}', "too large"),
    ("PK206", "start: " + "(" * 3000 + '"a"' + ")" * 3000, "nested"),
    ("PK206", "//" + "x" * 1_000_001, "characters"),
]
REGEX_CASES = [("PK212", "a\\bb", ""), ("PK1", "a(?=b)", ""), ("PK1", "(a)\\1", ""), ("PK1", "(", "")]
CHOICE_CASES: list[tuple[list[Any], str]] = [
    ([], "no choices"), (["a", "b", "a"], "`a`"), (["a", 1], "choice 2"), (["\ud800"], "choice 1"),
]  # fmt: skip


def refused(call: Any, *args: Any) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        call(*args)
    for diagnostic in caught.value.diagnostics:
        assert diagnostic.code in CATALOGUE
        assert diagnostic.place is not None
        assert not diagnostic.message.endswith(".")
        assert "\n" not in diagnostic.message
    return caught.value


@pytest.mark.parametrize(("code", "schema", "shown"), SCHEMA_CASES)
def test_schemas(code: str, schema: Any, shown: str) -> None:
    error = refused(grammar.json_schema, schema, PLACE)
    assert error.diagnostics[0].code == code
    assert shown in str(error)


@pytest.mark.parametrize(("code", "source", "shown"), LARK_CASES)
def test_lark(code: str, source: str, shown: str) -> None:
    error = refused(grammar.lark, source, PLACE)
    assert error.diagnostics[0].code == code
    assert shown in str(error)


@pytest.mark.parametrize(("code", "source", "shown"), REGEX_CASES)
def test_expressions(code: str, source: str, shown: str) -> None:
    error = refused(grammar.regex, source, PLACE)
    assert error.diagnostics[0].code.startswith(code)
    assert shown in str(error)


@pytest.mark.parametrize(("texts", "shown"), CHOICE_CASES)
def test_choices(texts: list[Any], shown: str) -> None:
    error = refused(grammar.choices, texts, PLACE)
    assert error.diagnostics[0].code == "PK213"
    assert shown in str(error)


def test_several_mistakes_are_reported_together() -> None:
    schema = {"allOf": [{"$ref": "#/$defs/x"}, {"$ref": "http://example.com/y"}, {"not": {"pattern": "(?=a)"}}]}
    assert [d.code for d in refused(grammar.json_schema, schema, PLACE).diagnostics] == ["PK203", "PK204", "PK207"]


FILES = {
    "a.schema.json": ('{"type":"boolean"}', "true", "1"),
    "a.json": ("{}", "[1]", "["),
    "a.lark": ('start: "x"\n', "x", "y"),
    "a.plain.lark": ('start: _one{"x"}\n_one{x}: x\n', "x", "y"),
    "a.ebnf": ('root ::= "x"\n  | "z"\n', "z", "y"),
    "a.regex": ("a+\n", "aa", "a\n"),
    "a.choices.json": ('["yes","no"]', "no", "maybe"),
    "a.choices.txt": ("yes\nno\n", "yes", ""),
}


@pytest.mark.parametrize("name", FILES)
def test_files_by_extension(name: str, tmp_path: Path) -> None:
    content, inside, outside = FILES[name]
    (tmp_path / name).write_text(content)
    spec = grammar.load_grammar(tmp_path / name)
    assert spec.place.file == str(tmp_path / name)
    assert grammar.matches(spec, inside)
    assert not grammar.matches(spec, outside)


def test_files_that_are_not_grammars(tmp_path: Path) -> None:
    (tmp_path / "a.bnf").write_text("a")
    (tmp_path / "b.lark").write_bytes(b"\xff\xfe")
    (tmp_path / "c.choices.json").write_text('{"a": 1}')
    (tmp_path / "d.choices.json").write_text("[")
    found = [("a.bnf", "PK214"), ("b.lark", "PK215"), ("none.lark", "PK215"), ("c.choices.json", "PK213")]
    for name, code in [*found, ("d.choices.json", "PK213")]:
        assert refused(grammar.load_grammar, tmp_path / name).diagnostics[0].code == code


def test_every_code_of_this_part_has_a_failing_case() -> None:
    elsewhere = {"PK209", "PK212", "PK213", "PK214", "PK215", "PK217", "PK218", "PK219"}
    cases = {code for code, *_ in (*SCHEMA_CASES, *LARK_CASES)} | elsewhere
    assert {code for code in CATALOGUE if code.startswith("PK2")} == cases


def test_whole_numbers_are_whole_however_they_are_written() -> None:
    spec = grammar.json_schema('{"type": "array", "maxItems": 1.0, "items": {"enum": [2.0, 0.5]}}', PLACE)
    assert spec.residue == ()
    assert grammar.matches(spec, "[2]")
    assert not grammar.matches(spec, "[2,2]")
    assert spec.source == '{"type":"array","maxItems":1,"items":{"enum":[2,0.5]}}'


def test_source_is_canonical() -> None:
    spaced = grammar.json_schema('{ "type" : "object",\n "properties": {"b": true, "a": true} }', PLACE)
    assert spaced.source == '{"type":"object","properties":{"b":true,"a":true}}'
    assert json.loads(spaced.source) == {"type": "object", "properties": {"a": True, "b": True}}


def test_an_unpaired_surrogate_is_refused_in_every_notation() -> None:
    for read in (pk.Grammar.from_lark, pk.Grammar.from_plain_lark, pk.Grammar.from_gbnf, pk.Grammar.from_ebnf):
        with pytest.raises(PolicyError) as refused:
            read('start: "\ud800"')
        assert refused.value.diagnostics[0].code == "PK210"
