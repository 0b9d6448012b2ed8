"""What is said in other keywords never refuses a valid value, and where no residue is left admits no other."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, seed, settings, strategies as st

from policykit.diagnostics import Place, PolicyError
from policykit.grammar import json_schema
from policykit.grammar.complement import complement, words_refused
from policykit.grammar.emptiness import are_disjoint
from policykit.grammar.matcher import matches
from policykit.grammar.schema_document import Dialect, SchemaDocument
from policykit.grammar.values import join
from policykit.ir.grammar import GrammarSpec
from tests.length import at_length

PLACE = Place("case.schema.json")
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
SCALARS: list[Any] = [None, True, False, 0, 1, 2, 1.5, "", "a", "ab", "b"]
VALUES: list[Any] = [
    *SCALARS, [], [0], [1], ["a"], [0, 1], [1, 1], ["a", 0], [None, True, "b"], {}, {"a": 1}, {"a": "a"}, {"b": 0},
    {"a": 0, "b": 1}, {"a": "a", "b": "b"}, {"c": 1}, {"a": 1, "c": "a"}, {"ab": 1}, {"a": [0]}, {"a": {"b": 0}},
    {"b": 1, "c": 2}, {"a": 0, "b": 1, "c": 2}, {"": 1}, {"": "a", "a": 1},
]  # fmt: skip

leaves = st.one_of(
    st.sampled_from([True, False]),
    st.builds(
        lambda t: {"type": t}, st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
    ),
    st.builds(lambda v: {"const": v}, st.sampled_from(SCALARS)),
    st.builds(lambda v: {"enum": v}, st.lists(st.sampled_from(SCALARS), min_size=1, max_size=3, unique_by=repr)),
    st.builds(lambda k, n: {k: n}, st.sampled_from(["minimum", "maximum", "exclusiveMinimum"]), st.integers(0, 2)),
    st.builds(lambda k, n: {k: n}, st.sampled_from(["minLength", "maxLength"]), st.integers(0, 2)),
    st.builds(lambda k, n: {k: n}, st.sampled_from(["minItems", "maxItems"]), st.integers(0, 2)),
    st.builds(lambda n: {"required": n}, st.lists(st.sampled_from("abc"), min_size=1, max_size=2, unique=True)),
)  # fmt: skip


def inside(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    one, some = schemas, st.lists(schemas, min_size=1, max_size=3)
    part = st.one_of(
        st.builds(lambda s: {"not": s}, one),
        st.builds(lambda s, k: {k: s}, some, st.sampled_from(["anyOf", "oneOf", "allOf"])),
        st.builds(lambda i, t: {"if": i, "then": t}, one, one),
        st.builds(lambda i, t, e: {"if": i, "then": t, "else": e}, one, one, one),
        st.builds(lambda s: {"properties": s}, st.dictionaries(st.sampled_from("abc"), one, min_size=1, max_size=2)),
        st.builds(lambda s: {"additionalProperties": s}, one),
        st.builds(lambda s: {"prefixItems": s}, some),
        st.builds(lambda s: {"items": s}, one),
        st.builds(lambda s: {"contains": s}, one),
        st.builds(lambda n: {"dependentRequired": {"a": n}}, st.lists(st.sampled_from("bc"), max_size=2, unique=True)),
        st.builds(lambda s: {"dependentSchemas": {"a": s}}, one),
        st.builds(lambda s: {"propertyNames": s}, one),
        st.just({"uniqueItems": True}),
        st.builds(lambda n: {"minProperties": n}, st.integers(1, 2)),
        leaves.filter(lambda s: isinstance(s, dict)),
    )
    return st.builds(lambda a, b: {**a, **b}, part, part)


schemas = st.recursive(leaves, inside, max_leaves=5).filter(lambda s: isinstance(s, dict))


def spellings(value: Any) -> Iterator[str]:
    """The value with its names in every order (of the outermost object)."""
    orders = itertools.permutations(value.items()) if isinstance(value, dict) else [None]
    for order in orders:
        written = value if order is None else dict(order)
        yield json.dumps(written, separators=(",", ":"))


def satisfiable(schema: dict[str, Any]) -> GrammarSpec | None:
    try:
        return json_schema(schema, PLACE)
    except PolicyError as error:
        if [d.code for d in error.diagnostics] != ["PK208"]:
            raise
        return None


def oracle(schema: Any, value: Any) -> bool:
    return jsonschema.Draft202012Validator(schema).is_valid(value)


@pytest.mark.parametrize("part", range(4))
def test_the_mask_offers_every_valid_value_and_no_other_without_a_residue(part: int) -> None:
    @seed(part)
    @settings(max_examples=at_length(1000, 60), deadline=None, suppress_health_check=list(HealthCheck))
    @given(schemas)
    def holds(schema: dict[str, Any]) -> None:
        spec = satisfiable(schema)
        if spec is None:
            assert not [value for value in VALUES if oracle(schema, value)]
            return
        is_whole = not [r for r in spec.residue if r.keyword in schema_keywords(schema)]
        for value in VALUES:
            admitted = any(matches(spec, text) for text in spellings(value))
            if oracle(schema, value):
                assert admitted, f"the mask refuses {value}: {schema}"
            elif is_whole:
                assert not admitted, f"the mask admits {value}: {schema}"

    holds()


overlapping = st.builds(
    lambda a, b, least, rest: {
        "patternProperties": {"^a": a, "b$": b},
        **({} if least is None else {"minProperties": least}),
        **({} if rest is None else {"additionalProperties": rest}),
    },
    leaves, leaves, st.sampled_from([None, 1, 2]), st.sampled_from([None, False, {"type": "integer"}]),
)  # fmt: skip
refused_in_part = st.recursive(leaves | overlapping, inside, max_leaves=6).filter(lambda s: isinstance(s, dict))


def spelled_out(schema: Any) -> Any:
    """The schema with `false` as a keyword, which an error can name."""
    if isinstance(schema, dict):
        return {key: spelled_out(value) if key not in ("const", "enum") else value for key, value in schema.items()}
    if isinstance(schema, list):
        return [spelled_out(item) for item in schema]
    return {"not": True} if schema is False else schema


@pytest.mark.parametrize("part", range(4))
def test_a_value_that_only_the_mask_admits_breaks_what_is_named_as_residue(part: int) -> None:
    @seed(part)
    @settings(max_examples=at_length(1000, 60), deadline=None, suppress_health_check=list(HealthCheck))
    @given(refused_in_part.map(spelled_out).filter(lambda s: s is not True))
    def holds(schema: dict[str, Any]) -> None:
        spec = satisfiable(schema)
        if spec is None:
            return
        named = {row.pointer for row in spec.residue}
        for value in VALUES:
            errors = list(jsonschema.Draft202012Validator(schema).iter_errors(value))
            if errors and any(matches(spec, text) for text in spellings(value)):
                for error in errors:
                    assert not named.isdisjoint(on_the_way(error)), (value, error.json_path, schema)

    holds()


def on_the_way(error: jsonschema.ValidationError) -> set[str]:
    """The pointers of the keyword that an error names and of those that led to it."""
    tokens = [str(token) for token in error.absolute_schema_path]
    pointer, found = "", set[str]()
    for token, after in zip(tokens, [*tokens[1:], ""], strict=True):
        if token == "if" and after in ("then", "else"):
            continue  # where an error's path passes through one, it starts with `if`
        pointer = join(pointer, token)
        found.add(pointer)
    return found


def schema_keywords(schema: Any) -> set[str]:
    found = set(schema) if isinstance(schema, dict) else set()
    for item in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        found |= schema_keywords(item)
    return found


@pytest.mark.parametrize("part", range(2))
def test_a_complement_admits_what_is_refused(part: int) -> None:
    @seed(part)
    @settings(max_examples=at_length(4000, 200), deadline=None, suppress_health_check=list(HealthCheck))
    @given(schemas)
    def holds(schema: dict[str, Any]) -> None:
        found = complement(SchemaDocument.of(schema, Dialect.DRAFT_2020), schema)
        for value in VALUES:
            if not oracle(schema, value):
                assert oracle(found.schema, value), value
            elif found.is_exact:
                assert not oracle(found.schema, value), value

    holds()


@seed(1)
@settings(max_examples=at_length(6000, 300), deadline=None, suppress_health_check=list(HealthCheck))
@given(schemas, schemas)
def test_disjoint_schemas_have_no_value_in_common(first: dict[str, Any], second: dict[str, Any]) -> None:
    document = SchemaDocument.of({"$defs": {"a": first, "b": second}}, Dialect.DRAFT_2020)
    if are_disjoint(document, first, second):
        assert not [value for value in VALUES if oracle(first, value) and oracle(second, value)]


@pytest.mark.parametrize("words", [[], [""], ["a"], ["a", "ab", "b"], ["é-", "\n"]])
def test_every_other_text(words: list[str]) -> None:
    pattern = words_refused(words)
    spec = json_schema({"type": "string", "pattern": "^[ab\né-]{0,3}$"}, PLACE)
    assert pattern is not None
    other = json_schema({"type": "string", "allOf": [{"not": {"enum": words or ["zzz"]}}]}, PLACE)
    assert not other.residue
    for n in range(4):
        for letters in itertools.product("ab\né-", repeat=n):
            text = json.dumps("".join(letters), ensure_ascii=False)
            assert matches(spec, text)
            assert matches(other, text) == ("".join(letters) not in words)
