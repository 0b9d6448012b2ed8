"""Masks of JSON Schemas against `jsonschema`: instances in definition order, byte by byte."""

import json
from typing import Any

import jsonschema
import pytest

from policykit.diagnostics import Place
from policykit.grammar import CompiledGrammar, GrammarValidator, TokenTable, json_schema

BYTES = TokenTable((*(bytes([i]) for i in range(256)), b"<end>"), frozenset({256}), (256,))
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 5, 10, 1.5, 0.25, 100, "", "a", "ab", "abc", "b", "x y", "12", "é", "\n", '"\\',
    "2024-02-29", "user@example.com", "127.0.0.1", "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    [], [1], [1, 2], ["a"], ["a", "b"], [1, "a"], [[1]], [None], [1, 1],
    {}, {"a": 1}, {"a": "x"}, {"a": 1, "b": 2}, {"b": 2}, {"a": {"a": 1}}, {"a": None}, {"x1": 1}, {"a": 1, "x1": 2},
    {"a": [1, 2]}, {"kind": "p", "p": 1}, {"kind": "q", "q": "s"}, {"kind": "p", "q": "s"}, {"é": 1},
]  # fmt: skip
SCHEMAS: list[dict[str, Any]] = [
    {},
    {"type": "null"},
    {"type": "boolean"},
    {"type": "integer"},
    {"type": "number"},
    {"type": "string"},
    {"type": "array"},
    {"type": "object"},
    {"type": ["string", "null"]},
    {"const": "ab"},
    {"const": {"a": 1}},
    {"const": [1, 2]},
    {"enum": [1, "a", None, [1], {"a": 1}]},
    {"type": "integer", "minimum": 1, "maximum": 5},
    {"type": "number", "exclusiveMinimum": 0, "maximum": 2},
    {"type": "integer", "multipleOf": 5},
    {"type": "number", "multipleOf": 0.5, "minimum": 0, "maximum": 10},
    {"type": "string", "minLength": 1, "maxLength": 2},
    {"type": "string", "pattern": "^[ab]+$"},
    {"type": "string", "pattern": "b"},
    {"type": "string", "pattern": "^\\d+$"},
    {"type": "string", "pattern": "a", "maxLength": 2},
    {"type": "array", "items": {"type": "integer"}},
    {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False},
    {"type": "array", "prefixItems": [{"type": "integer"}], "items": {"type": "string"}},
    {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "integer"}], "additionalItems": False},
    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
    {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False},
    {"type": "object", "properties": {"a": True, "b": True}, "required": ["b"], "additionalProperties": False},
    {"type": "object", "additionalProperties": {"type": "integer"}},
    {"type": "object", "patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": False},
    {"type": "object", "patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": {"type": "string"}},
    {"type": "object", "minProperties": 1},
    {"type": "object", "maxProperties": 1},
    {"type": "object", "required": ["a"], "additionalProperties": {"type": "integer"}},
    {"anyOf": [{"type": "integer"}, {"type": "string", "maxLength": 1}]},
    {"allOf": [{"type": "integer"}, {"minimum": 2}, {"maximum": 5}]},
    {"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}}, {"required": ["a"]}]},
    {
        "oneOf": [
            {
                "properties": {"kind": {"const": "p"}, "p": {"type": "integer"}},
                "required": ["kind", "p"],
                "type": "object",
            },
            {
                "properties": {"kind": {"const": "q"}, "q": {"type": "string"}},
                "required": ["kind", "q"],
                "type": "object",
            },
        ]
    },
    {"$defs": {"n": {"type": "integer"}}, "type": "array", "items": {"$ref": "#/$defs/n"}},
    {"$defs": {"t": {"type": "object", "properties": {"a": {"$ref": "#/$defs/t"}}}}, "$ref": "#/$defs/t"},
    {"$id": "https://example.org/s", "$defs": {"n": {"$anchor": "num", "type": "integer"}}, "$ref": "#num"},
    {"$id": "https://example.org/s", "$defs": {"n": {"$id": "n", "type": "string"}}, "$ref": "n"},
    {"type": "array", "contains": {"type": "string"}},
    {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
    {"not": {"type": "string"}},
    {"type": "object", "dependentRequired": {"a": ["b"]}},
    {"$schema": "http://json-schema.org/draft-04/schema#", "type": "integer", "minimum": 1, "exclusiveMinimum": True},
    {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "dependencies": {"a": {"required": ["b"]}},
    },
    {"if": {"type": "integer"}, "then": {"minimum": 2}, "else": {"type": "string"}},
]


def in_order(value: Any, schema: Any) -> bool:
    """Whether the text's names come in the order that the mask writes: all cases above are written so."""
    return not (isinstance(value, dict) and "oneOf" not in schema and list(value) != sorted(value))


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda s: json.dumps(s)[:60])
def test_mask_and_validator_agree_with_the_oracle(schema: dict[str, Any]) -> None:
    spec = json_schema(json.dumps(schema), Place("case"))
    oracle = jsonschema.validators.validator_for(schema)(schema)
    judge = GrammarValidator(spec)
    compiled = CompiledGrammar(spec, BYTES)
    keywords = {r.keyword for r in spec.residue}
    admitted = 0
    for value in VALUES:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        valid = oracle.is_valid(value)
        assert (judge.check(text) == []) == valid, text
        state = compiled.start()
        masked = all(map(state.accept, text.encode())) and state.accepting
        admitted += masked
        if valid and in_order(value, schema):
            assert masked, f"the mask refuses the valid {text}"
        if masked and not valid:
            assert keywords, f"the mask admits the invalid {text} and nothing is said"
    assert admitted


@pytest.mark.parametrize(
    ("text", "keyword"),
    [
        ('{"a":1,"a":1}', "unique keys"),
        ('[{"a":{"b":1,"b":2}}]', "unique keys"),
        ("NaN", "number"),
        ("-Infinity", "number"),
        ("1e999", "number"),
        ("1e-999999999", "number"),
        ("0.5e8721725736308237335537268884", "number"),
        ("-1E-8721725736308237335537268884", "number"),
        ("9" * 5000, "number"),
        ("[" * 300 + "]" * 300, "depth"),
        ("[" * 100_000, "depth"),
        ('"\\ud800"', "unicode"),
        ('{"\\udc00":1}', "unicode"),
        ("{'a':1}", "syntax"),
        ("", "syntax"),
        ("1 2", "syntax"),
        ("\ufeff1", "syntax"),
        ('"\n"', "syntax"),
        ("01", "syntax"),
    ],
)
def test_strict_json(text: str, keyword: str) -> None:
    found = GrammarValidator(json_schema({}, Place("case"))).check(text)
    assert [violation.keyword for violation in found] == [keyword]


@pytest.mark.parametrize(
    "text",
    [
        "0e999999999",
        "-0.0E8721725736308237335537268884",
        "1e300",
        "123456789012345678901234567890",
        '"\\ud83d\\ude00"',
        " 1 ",
    ],
)
def test_json_that_is_fine(text: str) -> None:
    assert GrammarValidator(json_schema({}, Place("case"))).check(text) == []


def test_violations_say_where() -> None:
    schema = {"properties": {"a/b": {"items": {"type": "string"}}}, "required": ["c"]}
    found = GrammarValidator(json_schema(schema, Place("case"))).check('{"a/b":["x",1]}')
    assert {(v.pointer, v.keyword) for v in found} == {("/a~1b/1", "type"), ("", "required")}
