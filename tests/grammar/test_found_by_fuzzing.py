"""What fuzzed schemas and grammars have shown once, so that it is not seen again; laws stand in the other files."""

import json
from typing import Any

import numpy as np
import pytest

import policykit as pk
from policykit.grammar import CompiledGrammar, GrammarValidator, TokenTable, matches
from policykit.grammar.schema_document import Dialect, SchemaDocument
from policykit.grammar.strict_json import JsonFault, parse
from policykit.grammar.turning import turning_reference
from policykit.grammar.values import Json
from policykit.grammar.weakening import overlapping
from tests.fuzz.held import READER
from tests.fuzz.made_schemas import turns_in_place


@pytest.mark.parametrize(
    "schema",
    [
        {"not": {"$ref": "#"}},
        {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        {"oneOf": [{"type": "number"}, {"$ref": "#/$defs/n"}], "$defs": {"n": {"$ref": "#/$defs/n"}}},
        {"if": {"$ref": "#/$defs/a"}, "then": {"$ref": "#"}, "$defs": {"a": {"not": {"$ref": "#"}}}},
        {"properties": {"a": {"not": {"$ref": "#/properties/a"}}}},
    ],
)
def test_a_reference_that_turns_in_place_is_refused(schema: dict[str, Json]) -> None:
    """The mask read it as nothing, the verifier as everything."""
    with pytest.raises(pk.PolicyError, match=r"PK204.*back to itself"):
        pk.Grammar.from_json_schema(schema)


def test_recursion_is_not_turning() -> None:
    tree: dict[str, Json] = {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"items": {"$ref": "#"}}}}
    unused: dict[str, Json] = {"type": "null", "$defs": {"n": {"$ref": "#/$defs/n"}}}
    twice: dict[str, Json] = {"allOf": [{"$ref": "#/$defs/x"}, {"$ref": "#/$defs/x"}], "$defs": {"x": {"minimum": 1}}}
    for schema in (tree, unused, twice):
        pk.Grammar.from_json_schema(schema)


DRAFT_7 = Dialect.DRAFT_7.value
DRAFT_2019 = Dialect.DRAFT_2019.value
TURNS: dict[str, Json] = {"$ref": "#"}
KEYED: dict[str, Json] = {"a": TURNS}


@pytest.mark.parametrize(
    ("dialect", "words", "is_refused"),
    [
        (Dialect.DRAFT_2020, {"then": TURNS}, False),
        (Dialect.DRAFT_7, {"else": TURNS}, False),
        (Dialect.DRAFT_2020, {"if": TURNS}, False),
        (Dialect.DRAFT_2020, {"then": {"$ref": "#/then"}}, False),
        (Dialect.DRAFT_6, {"if": TURNS, "then": TURNS, "else": TURNS}, False),
        (Dialect.DRAFT_4, {"if": {}, "else": TURNS}, False),
        (Dialect.DRAFT_7, {"dependentSchemas": KEYED}, False),
        (Dialect.DRAFT_2020, {"dependencies": KEYED}, False),
        (Dialect.DRAFT_7, {"if": TURNS, "else": {}}, True),
        (Dialect.DRAFT_2020, {"if": {}, "then": TURNS}, True),
        (Dialect.DRAFT_2019, {"dependentSchemas": KEYED}, True),
        (Dialect.DRAFT_7, {"dependencies": KEYED}, True),
    ],
)
def test_what_says_nothing_does_not_turn(dialect: Dialect, words: dict[str, Json], is_refused: bool) -> None:
    schema: dict[str, Json] = {"$schema": dialect.value, "type": "object", "properties": {"a": {"type": "null"}}}
    if is_refused:
        with pytest.raises(pk.PolicyError, match=r"PK204.*back to itself"):
            pk.Grammar.from_json_schema(schema | words)
        return
    spec = pk.Grammar.from_json_schema(schema | words)
    for text, is_valid in (('{"a":null}', True), ('{"b":1}', True), ('{"a":1}', False), ("null", False)):
        assert matches(spec, text) == is_valid
        assert (not GrammarValidator(spec).check(text)) == is_valid


def test_turning_is_what_an_independent_reading_says() -> None:
    """All ways in which three definitions may refer to each other, in place or by a step."""
    words = ("allOf", "items", "not")
    for code in range(3**3 * 3**3):
        parts: list[int] = []
        for _ in range(6):
            code, part = divmod(code, 3)
            parts.append(part)
        defs: dict[str, Any] = {}
        for i in range(3):
            to = {"$ref": f"#/$defs/d{parts[i]}"}
            word = words[parts[3 + i]]
            defs[f"d{i}"] = {word: [to] if word == "allOf" else to}
        root: dict[str, Any] = {"allOf": [{"$ref": f"#/$defs/d{i}"} for i in range(3)], "$defs": defs}
        found = turning_reference(SchemaDocument.of(root, Dialect.DRAFT_2020))
        assert (found is not None) == turns_in_place(root), root


@pytest.mark.parametrize(
    ("schema", "is_satisfied"),
    [
        ({"minProperties": 1, "properties": {"a": {"$ref": "#"}}, "additionalProperties": False}, False),
        ({"minProperties": 1, "properties": {"a": {"$ref": "#"}}, "patternProperties": {"": {"$ref": "#"}}}, False),
        ({"minProperties": 1, "patternProperties": {"": {"type": "null", "enum": [1]}}}, False),
        ({"minProperties": 1, "properties": {"a": {"$ref": "#"}}}, True),
        ({"minProperties": 1, "properties": {"a": {"type": "null"}}, "additionalProperties": False}, True),
        ({"minProperties": 1, "patternProperties": {"^b": {"type": "null"}}, "additionalProperties": False}, True),
        ({"minProperties": 0, "properties": {"a": {"$ref": "#"}}, "additionalProperties": False}, True),
    ],
)
def test_an_object_that_needs_a_member_and_can_have_none(schema: dict[str, Json], is_satisfied: bool) -> None:
    whole: dict[str, Json] = {"type": "object", **schema}
    if is_satisfied:
        pk.Grammar.from_json_schema(whole)
        return
    with pytest.raises(pk.PolicyError, match="PK208"):
        pk.Grammar.from_json_schema(whole)


TOKENS = (*(bytes([i]) for i in range(256)), b"ab", b"<tool>", b"<end>")
TOOL, END = 257, 258


@pytest.mark.parametrize(
    ("source", "text", "may_end", "takes_tool"),
    [
        ('start: T "!"\nT: ~/.*x.*/', b"", False, False),
        ('start: T "!"\nT: ~/.*x.*/', b"a", False, False),
        ("start: T\nT: ~/[ab]/", b"", True, False),
        ('start: "a" <tool> "b"', b"a", False, True),
        ('start: "a" <tool>?', b"a", True, True),
    ],
)
def test_special_tokens_are_no_text(source: str, text: bytes, may_end: bool, takes_tool: bool) -> None:
    """A complement held every special token, the end of text among them, wherever it might end or not."""
    table = TokenTable(TOKENS, frozenset({TOOL, END}), (END,))
    state = CompiledGrammar(pk.Grammar.from_lark(source), table).start()
    assert all(map(state.accept, text))
    row = np.zeros(table.row_words, np.int32)
    state.fill(row)
    bits = np.unpackbits(row.view(np.uint8), bitorder="little")
    assert (bool(bits[END]), bool(bits[TOOL])) == (may_end, takes_tool)
    assert state.copy().accept(END) == may_end
    assert state.copy().accept(TOOL) == takes_tool


@pytest.mark.parametrize("name", ["uuid", "duration"])
@pytest.mark.parametrize("dialect", [Dialect.DRAFT_4, Dialect.DRAFT_7, Dialect.DRAFT_2020])
def test_a_format_that_is_masked_is_verified_in_every_dialect(name: str, dialect: Dialect) -> None:
    spec = pk.Grammar.from_json_schema({"$schema": dialect.value, "type": "string", "format": name})
    good = {"uuid": "2eb8aa08-aa98-11ea-b4aa-73b441d16380", "duration": "P3DT2H"}[name]
    for text in ("123", good):
        written = json.dumps(text)
        assert matches(spec, written) == (not GrammarValidator(spec).check(written)) == (text == good)


def test_an_enum_that_is_given_up_bounds_no_number() -> None:
    spec = pk.Grammar.from_json_schema({"enum": [{"a": 1}, 10**20]})
    why = next(row.why for row in spec.enforcements if row.name == "I-JSON")
    assert "numbers beyond a double" in why
    assert "nesting" in why


def test_many_more_than_are_told_apart() -> None:
    spec = pk.Grammar.from_json_schema({"type": "array", "minContains": 10**30, "contains": {"type": "string"}})
    assert "minContains" in {one.keyword for one in spec.residue}


@pytest.mark.parametrize(
    "names",
    [
        {"enum": [3, {"a": "b"}]},
        {"const": 1},
        {"type": "integer"},
        {"enum": []},
        False,
        {"const": 1, "enum": ["a"]},
        {"not": {}},
        {"minLength": 1, "allOf": [{"maxLength": 2}, {"type": "integer"}]},
    ],
)
def test_names_that_no_string_is_are_none(names: Json) -> None:
    """The mask let the empty name be written."""
    spec = pk.Grammar.from_json_schema({"type": "object", "propertyNames": names})
    assert spec.residue == ()
    assert matches(spec, "{}")
    assert not matches(spec, '{"":1}')
    assert not matches(spec, '{"a":1}')


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "array", "items": {"type": "null"}}, ""),
        ({"type": "array", "prefixItems": [{"type": "null"}], "maxItems": 1}, ""),
        ({"type": "object", "additionalProperties": {"type": "null"}}, '{"a":null,"a":null}'),
        ({"type": "array"}, "[1e999]"),
        ({"type": "array"}, '[{"a":1,"a":1}]'),
        ({"type": "array", "prefixItems": [{"type": "null"}]}, "[null,1e999]"),
        ({"$schema": DRAFT_7, "type": "array", "items": [{"type": "null"}], "additionalItems": False}, ""),
        ({"$schema": DRAFT_7, "type": "array", "items": [{"type": "null"}]}, "[null,1e999]"),
        ({"$schema": DRAFT_7, "type": "array", "prefixItems": [{"type": "null"}], "maxItems": 1}, "[1e999]"),
        ({"$schema": DRAFT_2019, "type": "array", "prefixItems": [{"type": "null"}], "maxItems": 1}, "[1e999]"),
        ({"type": "object", "properties": {"a": {"type": "null"}}}, '{"b":1e999}'),
        ({"minimum": 0, "maximum": 1}, "[1e999]"),
        ({"properties": {"a": {"type": "null"}}}, "[" * 300 + "]" * 300),
    ],
)
def test_what_a_reader_refuses_of_values_of_which_nothing_is_said_is_named(schema: dict[str, Json], text: str) -> None:
    spec = pk.Grammar.from_json_schema(schema)
    named = " ".join(row.why for row in spec.enforcements if row.name == "I-JSON")
    if not text:
        assert "numbers" not in named
        return
    fault = parse(text)
    assert isinstance(fault, JsonFault)
    assert matches(spec, text)
    assert any(words in named for words in READER[fault.keyword])


NO_NUMBER: dict[str, Json] = {"not": {"type": "number"}}
TWICE: dict[str, Json] = {"oneOf": [NO_NUMBER, {"not": {"type": ["number", "null"]}}]}


def test_alternatives_that_are_given_up_are_not_multiplied_out() -> None:
    """What is left of them admits everything; the engine copied what stands beside them for each, in turn."""
    beside: list[Json] = [{"anyOf": [{"minimum": i * k} for k in range(12)]} for i in range(3)]
    schema: dict[str, Json] = {"type": "string", "allOf": [*beside, *[TWICE] * 14]}
    spec = pk.Grammar.from_json_schema(schema)
    assert {f"/allOf/{i}/oneOf" for i in range(3, 17)} <= {residue.pointer for residue in spec.residue}
    assert matches(spec, '"a"')
    assert not matches(spec, "1")
    assert GrammarValidator(spec).check('"a"')


OVERLAPPING: list[tuple[dict[str, Json], bool]] = [
    ({"oneOf": [True, {}]}, True),
    ({"oneOf": [True, {"minimum": 1}]}, False),
    ({"oneOf": [{"title": "a"}, {"allOf": [{}, True]}]}, True),
    ({"oneOf": [{"anyOf": [{"minimum": 1}, {}]}, {"$ref": "#/$defs/any"}], "$defs": {"any": {}}}, True),
    ({"oneOf": [{"oneOf": [{}, {"minimum": 1}]}, {"oneOf": [{"maximum": 1}, {}]}]}, True),
    ({"oneOf": [{"$ref": "#/$defs/a"}, {}], "$defs": {"a": {"$ref": "#/$defs/a"}}}, False),
    ({"oneOf": [{"$ref": "#/$defs/a"}, {}], "$defs": {"a": {"$ref": "other"}}}, False),
    ({"oneOf": [{"type": "null", "allOf": [{}]}, {}]}, False),
    ({"items": {"prefixItems": [{"oneOf": [{}, {}]}]}}, True),
    ({"$ref": "#/$defs/a", "$defs": {"a": {"oneOf": [{}, {}]}}}, True),
    ({"$defs": {"a": {"oneOf": [{}, {}]}}}, False),
    ({"properties": {"a": {"oneOf": [{}, {}], "enum": []}}}, False),
    ({"const": {"oneOf": [{}, {}]}, "properties": {"oneOf": {}}}, False),
    ({"$schema": DRAFT_7, "$ref": "#/definitions/a", "oneOf": [{}, {}], "definitions": {"a": {}}}, False),
]


@pytest.mark.parametrize(("schema", "is_refused"), OVERLAPPING)
def test_two_alternatives_that_admit_everything(schema: dict[str, Json], is_refused: bool) -> None:
    dialect = Dialect.DRAFT_7 if "$schema" in schema else Dialect.DRAFT_2020
    assert (overlapping(schema, dialect) is not None) == is_refused


@pytest.mark.parametrize(
    ("source", "void"),
    [
        ('start: "x" A\nA: /a+/ & /b+/\n', ["2:1 `A`"]),
        ('start: "x" A\nA: /a+/ & \n', ["2:1 `A`"]),
        ('start: x A\nx: "start" | start2\nstart2: "b"~2..3\nA: "a" & "b" // C: "a"\n', ["4:1 `A`"]),
        ('start: "x" A B\nA: "a"\n\nB: "a" & ~"a"\n', ["4:1 `B`"]),
        ('start: "x" C\nA: /a+/ & /b+/\nC: A | "y"\n', []),
        ('start: "x" "A&B"\nA: /a+/ & /b+/\n', []),
        ('start: "x" A~2\nA: /[a-c]+/ & ~/a/\n', []),
    ],
)
def test_a_terminal_that_no_text_is_is_named(source: str, void: list[str]) -> None:
    """The mask offered what stands before it, and then nothing."""
    if not void:
        pk.Grammar.from_lark(source)
        return
    with pytest.raises(pk.PolicyError, match="PK208") as refused:
        pk.Grammar.from_lark(source)
    found = [(d.place, d.message.split()[2]) for d in refused.value.diagnostics]
    assert [f"{place.line}:{place.column} {name}" for place, name in found if place is not None] == void


def test_many_terminals_are_not_compared_without_end() -> None:
    """Every two of them share words; what is not compared is opaque to the analysis, and masked all the same."""
    n = 700
    named = [f"T{i}: /a*[b-z]{{{i % 20}}}{i}/" for i in range(n)]
    source = "start: " + " | ".join(f"T{i}" for i in range(n)) + "\n" + "\n".join(named) + "\n"
    spec = pk.Grammar.from_lark(source)
    assert spec.shape is None
    assert matches(spec, "aabc2")
    assert not matches(spec, "aabc3")
