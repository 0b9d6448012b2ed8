"""A part of a schema that no value satisfies makes the whole unsatisfiable only where every value needs it."""

import itertools
import json
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, seed, settings, strategies as st

from policykit.diagnostics import Place, PolicyError
from policykit.grammar import GrammarValidator, json_schema, matches
from tests.length import at_length

PLACE = Place("case.schema.json")
PARTS: dict[str, dict[str, Any]] = {
    "lengths": {"type": "string", "minLength": 3, "maxLength": 2},
    "bounds": {"type": "integer", "minimum": 3, "maximum": 2},
    "a pattern and a length": {"type": "string", "pattern": "^a$", "minLength": 2},
    "a required property": {"type": "object", "required": ["q"], "properties": {"q": {"$ref": "#/$defs/other"}}},
    "no common type": {"type": "string", "$ref": "#/$defs/list"},
    "a part of a part": {"allOf": [{"$ref": "#/$defs/other"}]},
}
OTHERS: dict[str, Any] = {"other": {"type": "integer", "minimum": 3, "maximum": 2}, "list": {"type": "array"}}
# context of a reference -> a text that needs nothing of what it leads to
AROUND: dict[str, tuple[dict[str, Any], str]] = {
    "items": ({"type": "array", "items": {"$ref": "#/$defs/p"}}, "[]"),
    "a property": ({"type": "object", "properties": {"a": {"$ref": "#/$defs/p"}}}, "{}"),
    "other properties": ({"type": "object", "additionalProperties": {"$ref": "#/$defs/p"}}, "{}"),
    "an alternative": ({"anyOf": [{"$ref": "#/$defs/p"}, {"type": "null"}]}, "null"),
    "one of two": ({"oneOf": [{"$ref": "#/$defs/p"}, {"type": "null"}]}, "null"),
    "deeper": (
        {"type": "object", "properties": {"a": {"type": "array", "items": {"$ref": "#/$defs/p"}}}}, '{"a":[]}',
    ),
}  # fmt: skip


@pytest.mark.parametrize("context", AROUND)
@pytest.mark.parametrize("part", PARTS)
def test_what_does_not_need_it_is_left(part: str, context: str) -> None:
    schema, text = AROUND[context]
    spec = json_schema({**schema, "$defs": {"p": PARTS[part], **OTHERS}}, PLACE)
    assert matches(spec, text)
    assert GrammarValidator(spec).check(text) == []
    for other in ('["aaa"]', "[3]", '{"a":"aaa"}', '{"a":3}', '{"a":{}}', '{"a":[3]}', '"aaa"'):
        assert bool(GrammarValidator(spec).check(other)) or matches(spec, other)
        assert not matches(spec, other) or not GrammarValidator(spec).check(other)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/p"},
        {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/p"}},
        {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#/$defs/p"}}},
        {"anyOf": [{"$ref": "#/$defs/p"}, {"$ref": "#/$defs/other"}]},
    ],
)  # fmt: skip
def test_what_needs_it_is_unsatisfiable(part: str, schema: dict[str, Any]) -> None:
    with pytest.raises(PolicyError, match="PK208"):
        json_schema({**schema, "$defs": {"p": PARTS[part], **OTHERS}}, PLACE)


VALUES = [None, 0, 3, "a", "aa", [], [0], ["aa"], {}, {"a": 0}, {"a": "aa"}]
bounded = st.one_of(
    st.builds(lambda a, b: {"type": "string", "minLength": a, "maxLength": b}, st.integers(0, 2), st.integers(0, 2)),
    st.builds(lambda a, b: {"type": "integer", "minimum": a, "maximum": b}, st.integers(0, 3), st.integers(0, 3)),
    st.builds(lambda a, b: {"minItems": a, "maxItems": b}, st.integers(0, 2), st.integers(0, 2)),
    st.builds(lambda a, b: {"minLength": a, "maxLength": b}, st.integers(0, 2), st.integers(0, 2)),
    st.builds(lambda a, b: {"minimum": a, "exclusiveMaximum": b}, st.integers(0, 3), st.integers(0, 3)),
)
referring = st.builds(
    lambda key, name: {**key, "$ref": f"#/$defs/{name}"} if key else {"$ref": f"#/$defs/{name}"},
    st.one_of(st.just({}), bounded),
    st.sampled_from("abc"),
)
shape = st.one_of(
    bounded,
    st.builds(lambda s: {"type": "array", "items": s}, referring),
    st.builds(lambda s: {"type": "object", "properties": {"a": s}}, referring),
    st.builds(lambda s: {"type": "object", "properties": {"a": s}, "required": ["a"]}, referring),
    st.builds(lambda s, t: {"anyOf": [s, t]}, referring, bounded),
)


@seed(1)
@settings(max_examples=at_length(3000, 100), deadline=None, suppress_health_check=list(HealthCheck))
@given(shape, shape, bounded, bounded)
def test_no_valid_value_is_lost(root: Any, first: Any, second: Any, third: Any) -> None:
    schema = {**root, "$defs": {"a": first, "b": second, "c": third}}
    oracle = jsonschema.Draft202012Validator(schema)

    def is_valid(value: Any) -> bool:
        try:
            return oracle.is_valid(value)
        except RecursionError:  # a reference that leads to itself at once has no meaning
            return False

    try:
        spec = json_schema(schema, PLACE)
    except PolicyError as error:
        codes = [found.code for found in error.diagnostics]
        if codes == ["PK204"]:  # only the first of the definitions can lead to itself at once
            assert first["anyOf"][0]["$ref"] == "#/$defs/a"
            return
        assert codes == ["PK208"]
        assert not [value for value in VALUES if is_valid(value)]
        return
    for value in VALUES:
        text = json.dumps(value, separators=(",", ":"))
        assert not is_valid(value) or matches(spec, text), value


ENDLESS = {"a": {"$ref": "#"}, "b": {"type": "null"}}
BESIDE: list[dict[str, Any]] = [
    {},
    {"anyOf": [{"properties": {"b": False}}, {"required": ["b"], "type": "null"}]},
    {"allOf": [{"properties": {"b": False}}]},
    {"dependentSchemas": {"b": {"enum": [1]}}},
    {"dependentRequired": {"b": ["a"]}},
    {"not": {"required": ["b"]}},
    {"oneOf": [{"required": ["a"]}, {"required": ["b"], "minProperties": 2}]},
    {"if": {"required": ["b"]}, "then": {"required": ["a"]}},
    {"propertyNames": {"const": "a"}},
    {"$ref": "#/$defs/closed", "$defs": {"closed": {"type": "object", "additionalProperties": {"type": "object"}}}},
]
SMALL: list[Any] = [{}, {"b": None}, {"a": {}}, {"a": {"b": None}}, {"a": {"b": None}, "b": None}]


@pytest.mark.parametrize("needed", [{"minProperties": 1}, {"required": ["a"]}, {"required": ["b"]}, {}])
def test_what_can_only_be_written_without_end_is_unsatisfiable(needed: dict[str, Any]) -> None:
    """An object that needs a member, and has one that leads back to it and one that other keywords take away."""
    for first, second in itertools.combinations(BESIDE, 2):
        schema = {"type": "object", "properties": ENDLESS, "additionalProperties": False, **needed, **first, **second}
        valid = [value for value in SMALL if jsonschema.Draft202012Validator(schema).is_valid(value)]
        if not valid and "propertyNames" not in first | second:  # which is residue here
            with pytest.raises(PolicyError, match="PK208"):
                json_schema(schema, PLACE)
        if valid:
            spec = json_schema(schema, PLACE)
            assert all(matches(spec, json.dumps(value, separators=(",", ":"))) for value in valid), schema
