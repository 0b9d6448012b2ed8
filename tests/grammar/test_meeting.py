"""Strings that two subschemas restrict: what is shown of each restriction alone says nothing of them."""

from typing import Any

import pytest

import policykit as pk
from policykit.grammar.json_schema import sites_of

SHORT, WORD = {"type": "string", "maxLength": 3}, {"type": "string", "pattern": "^[a-z]+$"}
HELD = {"type": "object", "properties": {"a": SHORT}}
MEET: dict[str, Any] = {
    "two parts of one string": {"allOf": [SHORT, WORD]},
    "a part beside its own": {**SHORT, "allOf": [WORD]},
    "a reference with siblings": {"$defs": {"w": WORD}, "$ref": "#/$defs/w", **SHORT},
    "alternatives beside its own": {**SHORT, "anyOf": [WORD, {"type": "string", "pattern": "^x"}]},
    "alternatives of two kinds": {"anyOf": [SHORT, {"type": "null"}], "oneOf": [WORD, {"type": "null"}]},
    "one property of two parts": {"allOf": [HELD, {"type": "object", "properties": {"a": WORD}}]},
    "a property and a pattern": {"type": "object", "properties": {"a": SHORT}, "patternProperties": {"^a": WORD}},
    "a property and other properties": {"allOf": [HELD, {"type": "object", "additionalProperties": WORD}]},
    "names of two parts": {
        "allOf": [
            {"type": "object", "patternProperties": {"^a": True}},
            {"type": "object", "patternProperties": {"b$": True}},
        ]
    },
    "items of two parts": {"allOf": [{"type": "array", "items": SHORT}, {"type": "array", "items": WORD}]},
    "further inside": {"type": "object", "properties": {"p": {"type": "array", "items": {"allOf": [SHORT, WORD]}}}},
}
APART: dict[str, Any] = {
    "one restriction": SHORT,
    "two properties": {"type": "object", "properties": {"a": SHORT, "b": WORD}},
    "two alternatives": {"anyOf": [SHORT, WORD]},
    "alternatives of one property": {"anyOf": [HELD, {"type": "object", "properties": {"a": WORD}}]},
    "properties of two parts": {"allOf": [HELD, {"type": "object", "properties": {"b": WORD}}]},
    "a property and a pattern of numbers": {
        "type": "object", "properties": {"a": SHORT, "b": WORD}, "patternProperties": {"^x": {"type": "integer"}},
    },
    "a property and the others": {"type": "object", "properties": {"a": SHORT}, "additionalProperties": WORD},
    "a reference that leads back": {
        "type": "object", "properties": {"a": SHORT, "b": WORD, "c": {"$ref": "#"}}, "required": ["a"],
    },
}  # fmt: skip


def meets(schema: dict[str, Any]) -> bool:
    return any("may meet" in site.why for site in sites_of(pk.Grammar.from_json_schema(schema)).strings)


@pytest.mark.parametrize("name", MEET)
def test_restrictions_that_meet_are_found(name: str) -> None:
    assert meets(MEET[name])


@pytest.mark.parametrize("name", APART)
def test_restrictions_that_do_not_meet_are_left_alone(name: str) -> None:
    assert not meets(APART[name])
