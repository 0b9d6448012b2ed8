"""Residue that is judged where its value closes: sound against the judge of whole texts, and as early as it can be."""

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

import policykit as pk
from policykit.grammar import ClosedValues, ClosingRules, EarlyFault, GrammarValidator
from policykit.grammar.schema_document import Dialect, SchemaDocument
from policykit.ir.plan import Residue

DIALECTS = ["http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2020-12/schema"]


def everything_of(schema: dict[str, Any], dialect: str) -> ClosingRules:
    """As if no mask carried anything: every keyword is residue."""
    document = SchemaDocument.of(schema, Dialect(dialect.rstrip("#")))
    said = document.reachable(keywords=None).items()
    pointers = [f"{at}/{keyword}" for at, below in said if isinstance(below, dict) for keyword in below]
    return ClosingRules(document, tuple(Residue(pointer, "", "") for pointer in pointers))


def read(schema: dict[str, Any], text: str, dialect: str = DIALECTS[1]) -> EarlyFault | None:
    return ClosedValues(everything_of(schema, dialect)).read(text)


LIST = {"type": "array", "uniqueItems": True}
ORDER = {"properties": {"lines": LIST, "to": {"anyOf": [{"type": "string"}, {"required": ["zip"]}]}}}


@pytest.mark.parametrize(
    ("schema", "text", "shown", "pointer", "keyword"),
    [
        pytest.param(ORDER, '{"lines":[1,2,1],"to":"x"}', '{"lines":[1,2,1]', "/lines", "uniqueItems", id="list"),
        pytest.param(ORDER, '{"to":{},"lines":[]}', '{"to":{}', "/to", "anyOf", id="what decides, as a whole"),
        pytest.param({"items": LIST}, "[[1],[[],[]],7]", "[[1],[[],[]]", "/1", "uniqueItems", id="item"),
        pytest.param({"items": {"multipleOf": 2}}, "[2,31 ,4]", "[2,31 ", "/1", "multipleOf", id="number"),
        pytest.param({"items": {"multipleOf": 2}}, "[2,3]", "[2,3]", "/1", "multipleOf", id="last number"),
        pytest.param({"items": {"maxLength": 1}}, '["\\"b"]', '["\\"b"', "/0", "maxLength", id="escaped"),
        pytest.param(
            {"additionalProperties": {"minItems": 1}, "properties": {"a\"/~": {}}},
            '{"a\\"/~":[],"b/~":[]}', '{"a\\"/~":[],"b/~":[]', "/b~1~0", "minItems", id="other names",
        ),
        pytest.param(
            {"$defs": {"n": {"items": {"$ref": "#/$defs/n"}, "maxItems": 1}}, "items": {"$ref": "#/$defs/n"}},
            "[[[1,2]]]", "[[[1,2]", "/0/0", "maxItems", id="recursive",
        ),
        pytest.param(
            {"allOf": [{"properties": {"a": {"not": {"const": 1}}}}]}, '{"a":1}', '{"a":1}', "/a", "not", id="all of",
        ),
        pytest.param(
            {"prefixItems": [{}, {"const": 1}], "items": {"const": 2}}, "[3,1,2,3,2]", "[3,1,2,3,", "/3", "const",
            id="positions",
        ),
    ],
)  # fmt: skip
def test_a_value_that_closes_wrong_is_found_there(
    schema: dict[str, Any], text: str, shown: str, pointer: str, keyword: str
) -> None:
    found = read(schema, text)
    assert found is not None
    assert (text[: found.end], found.pointer, found.keyword) == (shown, pointer, keyword)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        pytest.param({"anyOf": [{"items": LIST}, {"minItems": 3}]}, "[[1,1],2,3]", id="an alternative"),
        pytest.param({"not": {"items": {"const": 1}}}, "[1,2]", id="negated"),
        pytest.param({"if": {"items": {"const": 1}}, "then": {"maxItems": 1}}, "[2,1]", id="condition"),
        pytest.param({"contains": {"const": 1}}, "[2,1]", id="contains"),
        pytest.param(
            {"patternProperties": {"b": LIST}, "additionalProperties": {"const": 1}}, '{"ab":[1]}', id="names"
        ),
        pytest.param({"items": [{"const": 1}], "additionalItems": {"const": 2}}, "[1,2,2]", id="old positions"),
        pytest.param({"uniqueItems": True}, "[1,1]", id="the whole value is the judge's"),
        pytest.param({"items": LIST}, "[[1,1", id="nothing has closed"),
        pytest.param({"items": LIST}, '{"a":[1,1]]', id="no JSON"),
        pytest.param({"items": LIST}, "]]] [[1,1]]", id="no JSON at all"),
        pytest.param({"items": LIST}, "[] [[1,1]]", id="behind the end"),
        pytest.param({"items": {"$dynamicRef": "#n"}, "$defs": {"n": {"$dynamicAnchor": "n"}}}, "[1]", id="dynamic"),
    ],
)
def test_nothing_is_said_of_what_may_still_be_right(schema: dict[str, Any], text: str) -> None:
    old = isinstance(schema.get("items"), list)
    assert read(schema, text, DIALECTS[0] if old else DIALECTS[1]) is None


def test_what_draft_7_writes_beside_a_reference_does_not_count() -> None:
    schema: dict[str, Any] = {"definitions": {"a": {}}, "items": {"$ref": "#/definitions/a", "const": 1}}
    assert read(schema, "[2]", DIALECTS[0]) is None
    assert read(schema, "[2]", DIALECTS[1]) is not None


VALUES = st.recursive(
    st.sampled_from([None, True, 0, 1, 1.5, "", "a", "ab"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", 'c"/']), below, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["a", "b", 'c"/'])


def _schemas(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(below, min_size=1, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(NAMES, below, max_size=2),
            "patternProperties": st.dictionaries(st.sampled_from(["a", "^c"]), below, max_size=1),
            "additionalProperties": below, "items": below, "prefixItems": several, "contains": below,
            "allOf": several, "anyOf": several, "oneOf": several, "not": below, "if": below, "then": below,
            "propertyNames": below, "unevaluatedProperties": below, "unevaluatedItems": below,
            "dependentSchemas": st.dictionaries(NAMES, below, max_size=1),
            "$ref": st.sampled_from(["#/$defs/a", "#/$defs/b"]),
        },
    )  # fmt: skip


PLAIN = st.fixed_dictionaries(
    {},
    optional={
        "uniqueItems": st.just(True), "minItems": st.just(1), "maxItems": st.just(2), "minimum": st.just(1),
        "type": st.sampled_from(["array", "object", "number", "string"]), "const": VALUES, "maxLength": st.just(1),
        "required": st.lists(NAMES, max_size=1), "maxProperties": st.just(1), "multipleOf": st.just(1),
    },
)  # fmt: skip
SCHEMAS = st.recursive(PLAIN | st.booleans(), lambda below: _schemas(below) | PLAIN, max_leaves=6)
ROOTS = st.tuples(_schemas(SCHEMAS), SCHEMAS, SCHEMAS).map(lambda t: {**t[0], "$defs": {"a": t[1], "b": t[2]}})


@given(ROOTS, st.lists(VALUES, min_size=1, max_size=4), st.sampled_from(DIALECTS), st.data())
def test_what_is_found_early_is_wrong_whatever_follows(
    schema: dict[str, Any], values: list[Any], dialect: str, data: st.DataObject
) -> None:
    """Every keyword is residue here, and each text that shares the beginning which shows the fault is one that the
    judge of whole texts refuses. How the text is cut into pieces makes no difference."""
    schema = {"$schema": dialect, **schema}
    rules = everything_of(schema, dialect)
    try:
        validator = GrammarValidator(pk.Grammar.from_json_schema(schema))
    except pk.PolicyError:
        return  # it refers to itself for ever, or has no value at all
    texts = {json.dumps(value, separators=(",", ":")) for value in values}
    texts |= {json.dumps([*values[:i], other]) for i, other in enumerate(values)}
    for text in sorted(texts):
        found = ClosedValues(rules).read(text)
        pieces, at = ClosedValues(rules), 0
        while at < len(text):
            size = data.draw(st.integers(1, 6))
            pieces.read(text[at : at + size])
            at += size
        assert pieces.fault == found
        if found is not None:
            shares = [other for other in texts if other[: found.end] == text[: found.end]]
            assert all(validator.check(other) for other in shares)


@given(SCHEMAS, VALUES)
def test_what_is_wrong_with_an_item_is_found_before_the_text_ends(item: Any, value: Any) -> None:
    """Where nothing but `items` leads to a schema, whatever is wrong with a value is found where it closes."""
    schema: dict[str, Any] = {"$schema": DIALECTS[1], "items": item, "$defs": {"a": {}, "b": {}}}
    try:
        validator = GrammarValidator(pk.Grammar.from_json_schema(schema))
    except pk.PolicyError:
        return
    found = ClosedValues(everything_of(schema, DIALECTS[1])).read(f"[{json.dumps(value)} ")
    is_wrong = bool(validator.check(f"[{json.dumps(value)}]"))
    assert (found is not None) == (is_wrong and item is not False)


def test_what_a_text_costs_does_not_grow_with_its_depth() -> None:
    """Of values in one another only so many are judged; the whole text is always."""
    schema: dict[str, Any] = {"$defs": {"n": {"items": {"$ref": "#/$defs/n"}, "maxItems": 1}}, "$ref": "#/$defs/n"}
    rules = everything_of(schema, DIALECTS[1])
    wrong = "[[[[[1]],1]]]"
    assert ClosedValues(rules, budget=20).read(wrong) is not None
    assert ClosedValues(rules, budget=9).read(wrong) is None
