"""What is weakened, where it is said, and that the mask still admits every valid instance."""

import json
from typing import Any

import jsonschema
import pytest

from policykit.diagnostics import Place
from policykit.grammar import CompiledGrammar, GrammarValidator, TokenTable, json_schema, matches
from policykit.grammar.engine import leaks_excluded_bounds, spells_names_freely
from policykit.grammar.relax import relax
from policykit.grammar.schema_document import Dialect, SchemaDocument
from policykit.ir.plan import Level

PLACE = Place("case.schema.json")
D7 = "http://json-schema.org/draft-07/schema#"
OBJECT = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
CLOSED = {**OBJECT, "additionalProperties": False}

# (schema, residue pointers, instances that the schema admits, instances that only the verifier refuses)
CASES: dict[str, tuple[dict[str, Any], set[str], list[Any], list[Any]]] = {
    "not": ({"type": "boolean", "not": {"const": True}}, set(), [False], []),
    "oneOf overlapping": (
        {"oneOf": [{"type": "integer", "multipleOf": 2}, {"type": "integer", "multipleOf": 3}]},
        {"/oneOf"}, [2, 3, 9], [6],
    ),
    "oneOf disjoint": ({"oneOf": [{"type": "boolean"}, {"type": "null"}]}, set(), [True, None], []),
    "one of two oneOf": (
        {"type": "array", "prefixItems": [
            {"oneOf": [{"type": "boolean"}, {"type": "null"}]},
            {"oneOf": [{"multipleOf": 2, "type": "integer"}, {"multipleOf": 3, "type": "integer"}]},
        ], "items": False, "minItems": 2},
        {"/prefixItems/1/oneOf"}, [[None, 4]], [[None, 6]],
    ),
    "oneOf beside anyOf": (
        {"anyOf": [{"type": "integer"}], "oneOf": [{"multipleOf": 2}, {"multipleOf": 3}]},
        {"/oneOf"}, [2, 3], [6],
    ),
    "if/then/else": (
        {**CLOSED, "if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"maxProperties": 0}},
        {"/if", "/then", "/else"}, [{}, {"a": 1, "b": 2}], [{"a": 1}, {"b": 1}],
    ),
    "dependentRequired": (
        {**CLOSED, "dependentRequired": {"a": ["b"]}}, set(), [{"b": 1}, {"a": 1, "b": 1}], [],
    ),
    "dependentSchemas": (
        {**CLOSED, "dependentSchemas": {"a": {"required": ["b"]}}}, set(), [{"b": 1}], [],
    ),
    "dependencies": (
        {"$schema": D7, **CLOSED, "dependencies": {"a": ["b"]}}, set(), [{"b": 1}], [],
    ),
    "uniqueItems": (
        {"type": "array", "items": {"enum": [*range(9)]}, "uniqueItems": True}, {"/uniqueItems"}, [[1, 2]], [[1, 2, 2]],
    ),
    "uniqueItems false": ({"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": False}, set(), [[1, 1]], []),
    "contains": (
        {"type": "array", "items": {"enum": [1, 2]}, "contains": {"const": 2}, "minContains": 2},
        {"/contains", "/minContains"}, [[2, 1, 2]], [[1, 1, 1, 1, 2]],
    ),
    "propertyNames": (
        {"type": "object", "patternProperties": {"^a": {"const": 1}}, "propertyNames": {"maxLength": 2}},
        {"/propertyNames", ""}, [{"ab": 1}], [{"abc": 1}],
    ),
    "unevaluatedProperties": (
        {**OBJECT, "unevaluatedProperties": False}, set(), [{"a": 1}], [],
    ),
    "pattern with lookahead": (
        {"type": "string", "pattern": "^a*(?!b)[ab]+$"}, {"/pattern"}, ["aba"], ["b"],
    ),
    "one of two patterns": (
        {"type": "array",
         "prefixItems": [{"type": "string", "pattern": "^a+$"}, {"type": "string", "pattern": "^b*(?=a)"}],
         "items": False, "minItems": 2},
        {"/prefixItems/1/pattern"}, [["a", "ab"]], [["a", "b"]],
    ),
    "patternProperties that overlap": (
        {"type": "object", "additionalProperties": False,
         "patternProperties": {"^a": {"const": 1}, "b$": {"const": 1}}},
        {"/patternProperties", "/additionalProperties", "/patternProperties/^a/const", "/patternProperties/b$/const"},
        [{"a": 1, "b": 1}], [{"a": 2}, {"c": 1}],
    ),
    "minProperties": ({**CLOSED, "minProperties": 1, "maxProperties": 1}, None, [{"a": 1}], []),
    "two of three properties and others": (
        {"type": "object", "properties": {k: {"const": 1} for k in "abc"}, "minProperties": 2},
        {"/minProperties", ""}, [{"a": 1, "b": 1}, {"c": 1, "d": 1}], [{"a": 1}],
    ),
    "const beyond 2^53": ({"const": 9007199254740993}, {"/const"}, [9007199254740993], [9007199254740992]),
    "bounds of 64 bits": (
        {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}, {"/minimum", "/maximum", ""},
        [-(2**63), 2**63 - 1], [-(2**63) - 1],
    ),
    "an excluded bound beyond 2^53": (
        {"type": "integer", "exclusiveMinimum": 2**53 + 2, "exclusiveMaximum": 2**60},
        {"/exclusiveMinimum", "/exclusiveMaximum"}, [2**53 + 3, 2**60 - 1], [2**53 + 1],
    ),
    "an excluded bound of draft 4 beyond 2^53": (
        {"$schema": "http://json-schema.org/draft-04/schema#", "type": "integer", "minimum": 2**53 + 2,
         "exclusiveMinimum": True},
        {"/minimum"}, [2**53 + 3], [2**53 + 2],
    ),
    "maximum out of range": ({"type": "number", "minimum": 0, "maximum": 1e300}, {"/maximum", ""}, [1, 0.5], []),
    "an excluded bound near the other": (
        {"type": "number", "exclusiveMinimum": 0, "allOf": [{"maximum": 0.5}]},
        {"/exclusiveMinimum"}, [0.25, 0.5], [0] if leaks_excluded_bounds() else [],
    ),
    "an excluded bound in a condition": (
        {"type": "number", "not": {"enum": [1, 1.5]}}, {"/not"}, [0, 1.25], [1] if leaks_excluded_bounds() else [],
    ),
    "format with a calendar": ({"type": "string", "format": "date"}, {"/format"}, ["2024-02-29"], ["2023-02-29"]),
    "format that is exact": ({"type": "string", "format": "ipv4"}, set(), ["127.0.0.1"], []),
    "an alternative with residue": (
        {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
        {"/anyOf", "/anyOf/0/format"}, [None, "2024-02-29"], ["2023-02-29"],
    ),
    "alternatives without residue": (
        {"anyOf": [{"type": "string", "format": "ipv4"}, {"type": "null"}]}, set(), [None, "127.0.0.1"], [],
    ),
    "an alternative with residue, disjoint": (
        {"oneOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
        {"/oneOf", "/oneOf/0/format"}, [None, "2024-02-29"], ["2023-02-29"],
    ),
    "an alternative with residue behind a reference": (
        {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/d"}, {"type": "null"}]},
         "$defs": {"d": {"$ref": "#/$defs/e"}, "e": {"type": "string", "format": "date"}}},
        {"/items/anyOf", "/$defs/e/format"}, [[], [None, "2024-02-29"]], [["2023-02-29"]],
    ),
    "a refused keyword in a disjoint alternative": (
        {"oneOf": [{"type": "object", "patternProperties": {"^a": {"const": 1}, "b$": True}}, {"type": "null"}]},
        {"/oneOf", "/oneOf/0/patternProperties", "/oneOf/0/patternProperties/^a/const"}, [None, {"a": 1}], [{"a": 2}],
    ),
    "what a dropped keyword applies": (
        {"type": "object", "additionalProperties": False, "patternProperties": {
            "^a": {"type": "integer", "maximum": 2}, "b$": {"$ref": "#/$defs/d"}},
         "$defs": {"d": {"type": "integer", "minimum": 1}}},
        {"/patternProperties", "/additionalProperties", "/patternProperties/^a/type", "/patternProperties/^a/maximum",
         "/patternProperties/b$/$ref", "/$defs/d/type", "/$defs/d/minimum"},
        [{"a": 1, "b": 1}, {"ab": 2}], [{"a": 3}, {"b": 0}, {"c": 1}],
    ),
    "a definition that a masked keyword applies too": (
        {"type": "object", "properties": {"k": {"$ref": "#/$defs/d"}}, "additionalProperties": False,
         "patternProperties": {"^a": {"$ref": "#/$defs/d"}, "b$": True}, "$defs": {"d": {"type": "boolean"}}},
        {"/patternProperties", "/additionalProperties", "/patternProperties/^a/$ref"},
        [{"k": True, "a": False}, {"xb": 1}], [{"a": 1}, {"c": 1}],
    ),
    "a condition that refuses what is behind a reference": (
        {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "string"}}, "required": ["k", "v"],
         "additionalProperties": False, "if": {"properties": {"k": {"const": "a"}}},
         "then": {"properties": {"v": {"$ref": "#/$defs/d"}}}, "$defs": {"d": {"pattern": "^b*(?=ab)[ab]+$"}}},
        {"/if", "/then"}, [{"k": "a", "v": "ab"}, {"k": "b", "v": "ba"}], [{"k": "a", "v": "ba"}],
    ),
    "a reference into a condition": (
        {"type": "array", "items": {"$ref": "#/if"}, "if": {"type": "boolean"}},
        None, [[], [True]], [],
    ),
    "a reference into a keyword beside a reference": (
        {"$schema": D7, "$ref": "#/properties/a", "properties": {"a": {"type": "boolean"}}, "maxProperties": 0},
        None, [True], [],
    ),
    "inside a definition": (
        {"$ref": "#/$defs/d", "$defs": {"d": {"type": "boolean", "not": {"const": True}}}}, set(), [False], [],
    ),
    "unreachable definition": ({"type": "boolean", "$defs": {"d": {"not": {}}}}, set(), [True], []),
}  # fmt: skip


def text_of(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("name", CASES)
def test_weakened_keywords_are_residue(name: str) -> None:
    schema, pointers, valid, only_judged = CASES[name]
    spec = json_schema(schema, PLACE)
    found = {r.pointer for r in spec.residue} - {""}
    if pointers is not None:
        assert found == pointers - {""}
    assert {e.name for e in spec.enforcements if e.level is Level.OUTPUT} == {r.pointer for r in spec.residue}
    oracle = jsonschema.validators.validator_for(schema)(schema, format_checker=jsonschema.FormatChecker())
    judge = GrammarValidator(spec)
    for value in valid:
        assert oracle.is_valid(value)
        assert matches(spec, text_of(value)), value
        assert judge.check(text_of(value)) == []
    for value in only_judged:
        assert not oracle.is_valid(value)
        assert matches(spec, text_of(value)), "not residue after all"
        assert judge.check(text_of(value))


CARRIED: dict[str, tuple[dict[str, Any], list[Any], list[Any]]] = {
    "/not": ({"type": ["boolean", "string"], "not": {"enum": [True, "a"]}}, [False, "aa"], [True, "a"]),
    "/dependentRequired": ({**CLOSED, "dependentRequired": {"a": ["b"]}}, [{}, {"b": 1}], [{"a": 1}]),
    "/dependentSchemas": ({**CLOSED, "dependentSchemas": {"a": {"required": ["b"]}}}, [{"a": 1, "b": 1}], [{"a": 1}]),
    "/dependencies": ({"$schema": D7, **CLOSED, "dependencies": {"a": ["b"]}}, [{"b": 1}], [{"a": 1}]),
    "/if": (
        {**CLOSED, "if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"properties": {"b": False}}},
        [{}, {"a": 1, "b": 1}], [{"a": 1}, {"b": 1}],
    ),
    "/oneOf": (
        {**CLOSED, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        [{"a": 1}, {"b": 1}], [{}, {"a": 1, "b": 1}],
    ),
    "/properties/k/oneOf": (
        {"type": "object", "additionalProperties": False, "required": ["k"], "properties": {"k": {"oneOf": [
            {"type": "string", "maxLength": 1}, {"type": "string", "minLength": 2, "pattern": "^b"},
            {"type": "integer"},
        ]}}},
        [{"k": "a"}, {"k": "bb"}, {"k": 1}], [{"k": "aa"}],
    ),
    "/propertyNames": (
        {"type": "object", "propertyNames": {"enum": ["a", "b"]}}, [{"b": 1, "a": 2}], [{"c": 1}],
    ),
    "/$defs/d/propertyNames": (
        {"$ref": "#/$defs/d", "$defs": {"k": {"minLength": 2, "maxLength": 3}, "d": {
            "type": "object", "properties": {"ab": {"type": "boolean"}, "a": {"type": "boolean"}},
            "propertyNames": {"$ref": "#/$defs/k"}, "additionalProperties": {"type": "null"},
        }}},
        [{"ab": True, "abc": None}, {}], [{"a": True}, {"abcd": None}, {"abc": True}],
    ),
    "/items/propertyNames": (
        {"type": "array", "items": {"propertyNames": {"$ref": "#/$defs/k"}, "type": "object"},
         "$defs": {"k": {"enum": [1]}}},
        [[{}]], [[{"": 1}]],
    ),
    "/minProperties": (
        {"type": "object", "properties": {k: {"type": "null"} for k in "abc"}, "additionalProperties": False,
         "minProperties": 2},
        [{"a": None, "c": None}, {"a": None, "b": None, "c": None}], [{}, {"b": None}],
    ),
    "/properties/o/minProperties": (
        {"type": "object", "required": ["o"], "additionalProperties": False, "properties": {"o": {
            "properties": {k: {"type": "null"} for k in "ab"}, "minProperties": 1,
            "additionalProperties": {"type": "null"}, "type": "object",
        }}},
        [{"o": {"b": None}}, {"o": {"c": None}}, {"o": {"a": None, "c": None}}], [{"o": {}}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("keyword", CARRIED)
def test_a_keyword_that_the_engine_has_not_is_masked_in_other_words(keyword: str) -> None:
    schema, valid, invalid = CARRIED[keyword]
    spec = json_schema(schema, PLACE)
    assert spec.residue == ()
    assert {e.name: e.level for e in spec.enforcements}[keyword] is Level.DECODE
    assert all(matches(spec, text_of(value)) for value in valid)
    assert not any(matches(spec, text_of(value)) for value in invalid)
    assert {bool(GrammarValidator(spec).check(text_of(value))) for value in invalid} == {True}


def test_a_bound_that_is_read_as_a_looser_one_stays_in_the_mask() -> None:
    spec = json_schema({"type": "integer", "minimum": 1, "maximum": 2**63 - 1}, PLACE)
    assert [r.pointer for r in spec.residue] == ["/maximum"]
    assert [matches(spec, text) for text in ("0", "1", str(2**63 - 1), str(10**20))] == [False, True, True, False]


def test_what_is_added_leaves_the_order_of_properties() -> None:
    schema = {"properties": {"b": {"const": 1}, "a": {"const": 2}}, "dependentRequired": {"a": ["b"]}, "type": "object"}
    spec = json_schema(schema, PLACE)
    assert matches(spec, '{"b":1,"a":2}')
    assert not matches(spec, '{"a":2,"b":1}')


def test_a_dropped_keyword_is_not_masked_by_what_stands_under_it() -> None:
    """An addition inside a keyword that the engine refuses is not in the mask, so it carries nothing."""
    inner = {"type": "object", "properties": {"k": {"const": 1}, "m": {"const": 1}}, "dependentRequired": {"k": ["m"]}}
    schema = {"type": "object", "patternProperties": {"^a": inner, "b$": True}}
    rows = {e.name: e.level for e in json_schema(schema, PLACE).enforcements}
    assert rows["/patternProperties"] is Level.OUTPUT
    assert rows["/patternProperties/^a/dependentRequired"] is Level.OUTPUT


def test_rows_name_every_keyword_once() -> None:
    schema = {"type": "object", "title": "t", "properties": {"a": {"type": "string", "format": "colour", "maxlen": 3}}}
    spec = json_schema(schema, PLACE)
    rows = {e.name: e.level for e in spec.enforcements if e.name}
    assert rows == {
        "/type": Level.DECODE,
        "/properties": Level.DECODE,
        "/properties/a/type": Level.DECODE,
        "/properties/a/format": Level.OBSERVE,
        "/properties/a/maxlen": Level.OBSERVE,
        "I-JSON": Level.STREAM,
    }


def test_an_unknown_format_is_an_annotation_in_mask_and_verifier() -> None:
    spec = json_schema({"type": "string", "format": "regex"}, PLACE)
    assert matches(spec, '"("')
    assert GrammarValidator(spec).check('"("') == []


def test_siblings_of_a_reference_are_ignored_where_the_dialect_says_so() -> None:
    schema = {
        "definitions": {"d": {"type": "string"}},
        "properties": {"a": {"$ref": "#/definitions/d", "maxLength": 1}},
    }
    old = json_schema({"$schema": D7, "type": "object", **schema}, PLACE)
    new = json_schema({"type": "object", **schema}, PLACE)
    assert (matches(old, '{"a":"xx"}'), matches(new, '{"a":"xx"}')) == (True, False)
    assert not GrammarValidator(old).check('{"a":"xx"}')
    assert GrammarValidator(new).check('{"a":"xx"}')


def test_the_schema_cannot_switch_checks_off() -> None:
    spec = json_schema({"type": "boolean", "x-guidance": {"lenient": True, "whitespace_flexible": True}}, PLACE)
    assert not matches(spec, " true")


@pytest.mark.parametrize("text", ['{"\\u0061":2}', '{"a":2}', '{"a": 1}', '{"\\u0062":1}'])
def test_defined_names_have_one_spelling(text: str) -> None:
    spec = json_schema({"type": "object", "properties": {"a": {"const": 1}}}, PLACE)
    if "\\" in text and spells_names_freely():  # then the plan says so, and the whole value is judged
        assert "escaped spellings of names that are defined" in spec.enforcements[-1].why
        assert bool(GrammarValidator(spec).check(text)) == (text == '{"\\u0061":2}')
    else:
        assert not matches(spec, text)


@pytest.mark.parametrize("keyword", ["properties", "patternProperties"])
def test_names_in_another_spelling_are_named(keyword: str) -> None:
    """Where strings may hold control characters, the engine spells names freely, and takes them for additional ones."""
    schema = {"properties": {"z": {"const": "\x07"}}, "patternProperties": {}}
    schema[keyword]["a"] = {"const": 1}
    spec = json_schema({"type": "object", **schema}, PLACE)
    text = '{"\\ua000\\u0061":2}' if keyword == "patternProperties" else '{"\\u0061":2}'
    row = spec.enforcements[-1]
    assert matches(spec, text)
    assert row.name == "I-JSON"
    assert "escaped spellings of names that are defined or in a pattern" in row.why
    assert GrammarValidator(spec).check(text)


def test_control_characters_of_a_constant_survive() -> None:
    spec = json_schema({"const": "a\x01\x7f\n"}, PLACE)
    assert matches(spec, '"a\\u0001\\u007f\\n"')
    assert GrammarValidator(spec).check('"a\\u0001\\u007f\\n"') == []


def test_branches_that_cannot_end_are_closed() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["next"]}
    spec = json_schema({"$defs": {"node": node}, "anyOf": [{"$ref": "#/$defs/node"}, {"const": 1}]}, PLACE)
    assert matches(spec, "1")
    assert not matches(spec, '{"next":')
    table = TokenTable((*(bytes([i]) for i in range(256)), b"<end>"), frozenset({256}), (256,))
    assert CompiledGrammar(spec, table).start().forced_bytes() == b"1"


@pytest.mark.parametrize(("reason", "most"), [("schema too large", 20), ("Unimplemented keys", 110)])
def test_what_is_too_large_is_not_tried_for_long(reason: str, most: int) -> None:
    """Each trial of such a schema costs the engine as much as any can."""
    schema = {"anyOf": [{"pattern": "a", "minimum": i, "maxItems": i} for i in range(40)]}
    asked = 0

    def refusal(found: dict[str, Any]) -> str | None:
        nonlocal asked
        asked += 1
        return reason if "pattern" in json.dumps(found) else None

    document = SchemaDocument.of({**schema, "oneOf": [{"minimum": 1}, {"minimum": 2}]}, Dialect.DRAFT_2020)
    relaxed = relax(document, refusal)
    assert "pattern" not in json.dumps(relaxed.schema)
    assert 2 < asked <= most
