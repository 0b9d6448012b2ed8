"""How often a judge comes by one place of a value, held against a walk that applies every subschema to a value."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import assume, given, strategies as st

from policykit.diagnostics import InternalError, Place
from policykit.grammar import GrammarValidator, json_schema, most_visits

ME = {"$ref": "#"}
IN_PLACE = ("allOf", "anyOf", "oneOf")


def walked(root: Any, value: Any) -> int:
    """The most visits of one place of a value, where nothing is spared."""
    visits: Counter[tuple[str | int, ...]] = Counter()

    def walk(schema: Any, value: Any, at: tuple[str | int, ...]) -> None:
        visits[at] += 1
        if not isinstance(schema, dict):
            return
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            walk(root if name == "#" else root["$defs"][name], value, at)
        for below in (part for word in IN_PLACE for part in schema.get(word, ())):
            walk(below, value, at)
        for word in ("not", "if"):
            if word in schema:
                walk(schema[word], value, at)
        listed = schema.get("prefixItems", [])
        for i, item in enumerate(value if isinstance(value, list) else ()):
            if i < len(listed):
                walk(listed[i], item, (*at, i))
            elif "items" in schema:
                walk(schema["items"], item, (*at, i))
            if "contains" in schema:
                walk(schema["contains"], item, (*at, i))
        for name, item in value.items() if isinstance(value, dict) else ():
            if name in schema.get("properties", {}):
                walk(schema["properties"][name], item, (*at, name))
            elif "additionalProperties" in schema:
                walk(schema["additionalProperties"], item, (*at, name))
            for pattern in schema.get("patternProperties", {}):
                if pattern in name:
                    walk(schema["patternProperties"][pattern], item, (*at, name))

    walk(root, value, ())
    return max(visits.values())


def schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some, named = st.lists(inner, min_size=1, max_size=2), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    words: Any = dict.fromkeys((*IN_PLACE, "prefixItems"), some)
    words |= dict.fromkeys(("not", "if", "items", "contains", "additionalProperties"), inner)
    words |= {"properties": named, "patternProperties": named}
    one = st.sampled_from(sorted(words)).flatmap(lambda word: st.fixed_dictionaries({word: words[word]}))
    return st.lists(one, min_size=1, max_size=3).map(lambda found: {k: v for part in found for k, v in part.items()})


REFERENCES = st.sampled_from([{}, True, ME, {"$ref": "#/$defs/x"}, {"$ref": "#/$defs/y"}])
SCHEMAS = st.recursive(REFERENCES, schemas, max_leaves=5)
VALUES = st.recursive(
    st.just(1), lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from("abc"), v, max_size=3), max_leaves=8
)


@given(schemas(SCHEMAS), SCHEMAS, SCHEMAS, VALUES)
def test_no_place_of_a_value_is_visited_more_often(root: Any, x: Any, y: Any, value: Any) -> None:
    schema = {"$defs": {"x": x, "y": y}, **root}
    most = most_visits(json.dumps(schema))
    assume(most is not None)
    assert walked(schema, value) <= most  # type: ignore[operator]


@pytest.mark.parametrize(
    ("schema", "most"),
    [
        ({}, 1),
        ({"items": ME}, 2),
        ({"properties": {"left": ME, "right": ME}, "additionalProperties": ME}, 2),
        ({"prefixItems": [ME], "items": ME}, 2),
        ({"anyOf": [{"items": ME}, {"properties": {"a": ME}}, {"type": "string"}]}, 5),
        ({"$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"items": {"$ref": "#/$defs/a"}}}, "items": ME}, 2),
    ],
)
def test_a_tree_has_the_same_visits_at_all_levels(schema: Any, most: int) -> None:
    assert most_visits(json.dumps(schema)) == most


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"items": ME, "minItems": 1}, {"items": ME, "maxItems": 1}]},
        {"items": ME, "contains": ME},
        {"properties": {"a": ME}, "patternProperties": {"^a": ME}},
        {"if": {"items": ME}, "then": {"items": ME}},
        {"$defs": {f"n{i}": {"allOf": [{"$ref": f"#/$defs/n{i + 1}"}] * 2} for i in range(9)} | {"n9": {}},
         "$ref": "#/$defs/n0"},
        {"$defs": {f"n{i}": {"items": {"anyOf": [{"$ref": f"#/$defs/n{i}"}, {"$ref": f"#/$defs/n{min(i + 1, 9)}"}]}}
                   for i in range(10)}, "$ref": "#/$defs/n0"},
        {"unevaluatedItems": False, "items": ME},
        {"$dynamicRef": "#"},
        {"allOf": [ME]},
    ],
)  # fmt: skip
def test_what_branches_has_no_bound(schema: Any) -> None:
    assert most_visits(json.dumps(schema)) is None


@pytest.mark.parametrize("n", [10, 30_000])
def test_of_a_long_text_it_is_found_out_that_it_is_wrong(n: int) -> None:
    """And not everything that is: all of it would be looked for before the first is told."""
    schema: Any = {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}}
    judge = GrammarValidator(json_schema(schema, Place("<test>")))
    assert judge.check(json.dumps(["a"] * n)) == []
    found = judge.check(json.dumps([1] * n))
    assert (len(found), found[0].keyword) == ((10, "anyOf") if n == 10 else (1, "schema"))


def test_where_a_pattern_may_be_given_up_errors_are_asked() -> None:
    judge = GrammarValidator(json_schema({"type": "string", "pattern": "^((?!c)(a|aa))+$"}, Place("<test>")))
    with pytest.raises(InternalError):
        judge.check(json.dumps("a" * 60_000 + "b"))
