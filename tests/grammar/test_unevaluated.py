"""`unevaluatedProperties` and `unevaluatedItems` without annotations: against the reference validator."""

import itertools
import json
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, seed, settings, strategies as st

from policykit.diagnostics import Place, PolicyError
from policykit.grammar import GrammarValidator, json_schema, matches
from policykit.grammar.schema_document import Dialect, SchemaDocument
from policykit.grammar.unevaluated import unevaluated
from policykit.ir.plan import Level
from tests.length import at_length

PLACE = Place("case.schema.json")
DRAFT_2019 = "https://json-schema.org/draft/2019-09/schema"
OBJECTS: list[Any] = [
    {}, {"a": 0}, {"a": "x"}, {"b": 0}, {"c": 0}, {"a": 0, "b": 0}, {"a": 0, "b": "x"}, {"a": 0, "c": 0},
    {"b": 0, "c": 1}, {"a": 1, "b": 1, "c": 1}, {"d": 0}, {"a": 0, "d": 0}, {"d": "x"}, 0, "x", [], None,
]  # fmt: skip
ARRAYS: list[Any] = [
    [], [0], ["x"], [0, 0], [0, "x"], ["x", 0], ["x", "x"], [0, 0, 0], ["x", 0, 1], [0, 1, "x"], [1, "x", "x", 0],
    [None], [0, None], 0, {}, "x",
]  # fmt: skip

leaf = st.sampled_from([True, {"type": "integer"}, {"type": "string"}, {"const": 0}])
names = st.sampled_from("abc")
keyed = st.one_of(
    st.builds(lambda n, s: {"properties": {n: s}}, names, leaf),
    st.builds(lambda n, m, s: {"properties": {n: s, m: True}}, names, names, leaf),
    st.builds(lambda s: {"patternProperties": {"^[ab]$": s}}, leaf),
    st.builds(lambda s: {"additionalProperties": s}, leaf),
    st.builds(lambda n: {"required": [n]}, names),
    st.builds(lambda s: {"unevaluatedProperties": s}, leaf),
)
listed = st.one_of(
    st.builds(lambda s: {"prefixItems": s}, st.lists(leaf, min_size=1, max_size=2)),
    st.builds(lambda s: {"items": s}, leaf),
    st.builds(lambda s: {"contains": s}, leaf),
    st.builds(lambda s: {"contains": s, "minContains": 0}, leaf),
    st.builds(lambda n: {"minItems": n}, st.integers(0, 2)),
    st.builds(lambda s: {"unevaluatedItems": s}, leaf),
)


def inside(base: st.SearchStrategy[Any], with_names: bool) -> Any:
    def extend(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        some = st.lists(schemas, min_size=1, max_size=3)
        parts = [
            st.builds(lambda s, k: {k: s}, some, st.sampled_from(["allOf", "anyOf", "oneOf"])),
            st.builds(lambda i, t: {"if": i, "then": t}, schemas, schemas),
            st.builds(lambda i, e: {"if": i, "else": e}, schemas, schemas),
            st.builds(lambda i: {"if": i}, schemas),
            st.builds(lambda s: {"not": s}, schemas),
            st.just({"$ref": "#/$defs/d"}),
            base,
        ]
        if with_names:
            parts.append(st.builds(lambda n, s: {"dependentSchemas": {n: s}}, names, schemas))
        part = st.one_of(*parts)
        return st.builds(lambda a, b: {**a, **b}, part, part)

    return extend


def asking(keyword: str) -> st.SearchStrategy[dict[str, Any]]:
    base = keyed if keyword == "unevaluatedProperties" else listed
    bodies = st.recursive(base, inside(base, keyword == "unevaluatedProperties"), max_leaves=4)
    return st.builds(
        lambda body, definition, rest: {**body, keyword: rest, "$defs": {"d": definition}}, bodies, base, leaf
    )


@pytest.mark.parametrize("keyword", ["unevaluatedProperties", "unevaluatedItems"])
def test_what_follows_is_what_the_keyword_says(keyword: str) -> None:
    @seed(len(keyword))
    @settings(max_examples=at_length(20_000, 200), deadline=None, suppress_health_check=list(HealthCheck))
    @given(asking(keyword))
    def holds(schema: dict[str, Any]) -> None:
        found = unevaluated(SchemaDocument.of(schema, Dialect.DRAFT_2020), schema, keyword)
        without = {k: v for k, v in schema.items() if k != keyword}
        instead = {**without, "allOf": [*without.get("allOf", []), found.schema]}
        whole, other = jsonschema.Draft202012Validator(schema), jsonschema.Draft202012Validator(instead)
        for value in OBJECTS if keyword == "unevaluatedProperties" else ARRAYS:
            if whole.is_valid(value):
                assert other.is_valid(value), value
            elif found.is_exact:
                assert not other.is_valid(value), value

    holds()


@pytest.mark.parametrize("keyword", ["unevaluatedProperties", "unevaluatedItems"])
def test_the_mask_offers_every_valid_value_and_no_other_without_a_residue(keyword: str) -> None:
    @seed(len(keyword))
    @settings(max_examples=at_length(3000, 60), deadline=None, suppress_health_check=list(HealthCheck))
    @given(asking(keyword))
    def holds(schema: dict[str, Any]) -> None:
        oracle = jsonschema.Draft202012Validator(schema)
        values = OBJECTS if keyword == "unevaluatedProperties" else ARRAYS
        try:
            spec = json_schema(schema, PLACE)
        except PolicyError as error:
            if [found.code for found in error.diagnostics] != ["PK208"]:
                raise
            assert not [value for value in values if oracle.is_valid(value)]
            return
        judge = GrammarValidator(spec)
        for value in values:
            admitted = [text for text in spellings(value) if matches(spec, text)]
            assert (judge.check(text_of(value)) == []) == oracle.is_valid(value), value
            if oracle.is_valid(value):
                assert admitted, value
            elif not spec.residue:
                assert not admitted, value

    holds()


def text_of(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def spellings(value: Any) -> list[str]:
    orders = itertools.permutations(value.items()) if isinstance(value, dict) else [None]
    return [text_of(value if order is None else dict(order)) for order in orders]


CASES: dict[str, tuple[dict[str, Any], list[Any], list[Any]]] = {
    "every member of allOf": (
        {"type": "object", "allOf": [{"properties": {"a": True}}, {"$ref": "#/$defs/b"}],
         "unevaluatedProperties": False, "$defs": {"b": {"properties": {"b": {"const": 1}}}}},
        [{"a": 1, "b": 1}], [{"c": 1}],
    ),
    "the alternatives that hold": (
        {"type": "object", "unevaluatedProperties": False, "required": ["k"], "anyOf": [
            {"properties": {"k": {"const": "a"}, "a": True}}, {"properties": {"k": {"const": "b"}, "b": True}}]},
        [{"k": "a", "a": 1}, {"k": "b", "b": 1}], [{"k": "a", "b": 1}, {"k": "b", "a": 1}, {"k": "c"}],
    ),
    "a condition": (
        {"type": "object", "properties": {"k": {"type": "integer"}}, "required": ["k"], "unevaluatedProperties": False,
         "if": {"properties": {"k": {"const": 1}}}, "then": {"properties": {"a": True}},
         "else": {"properties": {"b": True}}},
        [{"k": 1, "a": 0}, {"k": 2, "b": 0}], [{"k": 1, "b": 0}, {"k": 2, "a": 0}],
    ),
    "another schema for what is left": (
        {"type": "object", "properties": {"a": True}, "unevaluatedProperties": {"type": "integer"}},
        [{"a": "x", "b": 1}], [{"b": "x"}],
    ),
    "items behind the longest prefix": (
        {"type": "array", "prefixItems": [True], "allOf": [{"prefixItems": [True, {"const": 1}]}],
         "unevaluatedItems": False},
        [[0, 1], []], [[0, 1, 2]],
    ),
    "items that contains has seen": (
        {"type": "array", "prefixItems": [True], "contains": {"type": "string"}, "unevaluatedItems": {"const": 1}},
        [[0, "x", 1]], [[0, 2, "x"]],
    ),
    "items as 2019-09 writes them": (
        {"$schema": DRAFT_2019, "type": "array", "items": [True], "unevaluatedItems": False}, [[0]], [[0, 1]],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_it_is_in_the_mask(name: str) -> None:
    schema, valid, invalid = CASES[name]
    spec = json_schema(schema, PLACE)
    keyword = next(word for word in schema if word.startswith("unevaluated"))
    assert {row.name: row.level for row in spec.enforcements}[f"/{keyword}"] is Level.DECODE
    oracle = jsonschema.validators.validator_for(schema)(schema)
    for value in valid:
        assert oracle.is_valid(value)
        assert matches(spec, text_of(value)), value
    for value in invalid:
        assert not oracle.is_valid(value)
        assert not matches(spec, text_of(value)), value
