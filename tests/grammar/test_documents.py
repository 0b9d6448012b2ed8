"""References across documents: against the reference validator, by hand, and what is refused."""

import itertools
import json
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import pytest
import referencing
from hypothesis import HealthCheck, given, seed, settings, strategies as st
from referencing.jsonschema import DRAFT202012

from policykit.cli.main import main
from policykit.diagnostics import Place, PolicyError
from policykit.grammar import GrammarValidator, folder_documents, json_schema, load_grammar, matches, read_grammar
from policykit.grammar.uri import resolve
from policykit.ir.grammar import GrammarSpec
from tests.length import at_length

PLACE = Place("case.schema.json")
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
META = "https://json-schema.org/draft/2020-12/schema"
VALUES: list[Any] = [
    None, True, 0, 1, 2, "", "a", "ab", [], [0], ["a"], [1, "a"], [[1]], [["a"]], {}, {"a": 1}, {"a": "a"},
    {"a": {"a": 1}}, {"a": {"a": "a"}}, {"a": [1]}, {"b": 0}, {"a": 1, "b": "a"}, {"a": {"b": [0]}}, [{"a": 0}],
]  # fmt: skip


def text_of(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def refused(schema: Any, documents: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(PolicyError) as caught:
        json_schema(schema, PLACE, documents)
    return [(found.code, found.message) for found in caught.value.diagnostics]


# The examples of RFC 3986, section 5.4, and what a base has that is relative or not hierarchical.
RESOLVED = {
    "http://a/b/c/d;p?q": {
        "g:h": "g:h", "g": "http://a/b/c/g", "./g": "http://a/b/c/g", "g/": "http://a/b/c/g/", "/g": "http://a/g",
        "//g": "http://g", "?y": "http://a/b/c/d;p?y", "g?y": "http://a/b/c/g?y", "#s": "http://a/b/c/d;p?q#s",
        "g#s": "http://a/b/c/g#s", "g?y#s": "http://a/b/c/g?y#s", ";x": "http://a/b/c/;x", "g;x": "http://a/b/c/g;x",
        "g;x?y#s": "http://a/b/c/g;x?y#s", "": "http://a/b/c/d;p?q", ".": "http://a/b/c/", "./": "http://a/b/c/",
        "..": "http://a/b/", "../": "http://a/b/", "../g": "http://a/b/g", "../..": "http://a/", "../../": "http://a/",
        "../../g": "http://a/g", "../../../g": "http://a/g", "/./g": "http://a/g", "/../g": "http://a/g",
        "g.": "http://a/b/c/g.", "..g": "http://a/b/c/..g", "./../g": "http://a/b/g", "./g/.": "http://a/b/c/g/",
        "g/./h": "http://a/b/c/g/h", "g/../h": "http://a/b/c/h", "g;x=1/../y": "http://a/b/c/y",
        "g?y/../x": "http://a/b/c/g?y/../x", "g#s/../x": "http://a/b/c/g#s/../x", "http:g": "http:g",
    },
    "urn:example:a": {"#x": "urn:example:a#x", "": "urn:example:a", "urn:example:b": "urn:example:b"},
    "tag:example.org,2026:/a/b": {"c": "tag:example.org,2026:/a/c", "#x": "tag:example.org,2026:/a/b#x"},
    "http://a": {"g": "http://a/g"},
    "": {"a.json": "a.json", "../a.json": "../a.json", "#x": "#x"},
    "a/b.json": {"c.json": "a/c.json", "../c.json": "c.json", "../../c.json": "../c.json", "#/x": "a/b.json#/x"},
}  # fmt: skip


@pytest.mark.parametrize("base", RESOLVED)
def test_references_are_resolved_as_the_standard_says(base: str) -> None:
    assert {written: resolve(base, written) for written in RESOLVED[base]} == RESOLVED[base]


# name -> (schema, documents, valid, invalid)
CASES: dict[str, tuple[Any, dict[str, Any], list[Any], list[Any]]] = {
    "a document by its URI": (
        {"$ref": "https://example.com/n.json"}, {"https://example.com/n.json": {"type": "integer"}}, [1], ["a"],
    ),
    "a pointer into a document": (
        {"items": {"$ref": "n.json#/$defs/n"}, "type": "array"}, {"n.json": {"$defs": {"n": {"const": 1}}}}, [[1]],
        [[2]],
    ),
    "an anchor in a document": (
        {"$id": "https://example.com/a/s.json", "$ref": "../n.json#n"},
        {"https://example.com/n.json": {"$defs": {"x": {"$anchor": "n", "type": "null"}}}}, [None], [1],
    ),
    "documents that refer to each other": (
        {"$ref": "a.json"},
        {"a.json": {"type": ["object", "null"], "properties": {"b": {"$ref": "b.json"}}, "additionalProperties": False},
         "b.json": {"type": "array", "items": {"$ref": "a.json"}}},
        [None, {}, {"b": []}, {"b": [{"b": [None]}]}], [1, {"b": {}}, {"b": [1]}, {"b": [{"b": [[]]}]}],
    ),
    "a document that names itself otherwise": (
        {"$ref": "https://example.com/here"},
        {"https://example.com/here": {"$id": "https://example.org/there/", "$ref": "next"},
         "https://example.org/there/next": {"type": "boolean"}},
        [True], [1],
    ),
    "a resource inside the schema": (
        {"$id": "urn:example:s", "$ref": "urn:example:n#/$defs/x",
         "$defs": {"n": {"$id": "urn:example:n", "$defs": {"x": {"$ref": "#y"}, "y": {"$anchor": "y", "const": "a"}}}}},
        {}, ["a"], ["b"],
    ),
    "an anchor as draft 7 writes it": (
        {"$schema": DRAFT_7, "$ref": "d.json#n"}, {"d.json": {"definitions": {"x": {"$id": "#n", "type": "null"}}}},
        [None], [1],
    ),
    "draft 7, where a reference stands alone at the root of a document": (
        {"$schema": DRAFT_7, "$ref": "d.json"},
        {"d.json": {"$ref": "#/definitions/x", "maxLength": 1, "definitions": {"x": {"type": "string"}}}},
        ["abc"], [1],
    ),
    "the same tree, closed by the one that extends it": (
        {"$id": "https://example.com/strict", "$dynamicAnchor": "node", "$ref": "tree", "unevaluatedProperties": False},
        {"https://example.com/tree": {
            "$id": "https://example.com/tree", "$dynamicAnchor": "node", "type": "object",
            "properties": {"kids": {"type": "array", "items": {"$dynamicRef": "#node"}}}}},
        [{}, {"kids": [{"kids": []}]}], [{"kid": []}, {"kids": [{"kid": []}]}],
    ),
    "one list, entered under two scopes": (
        {"$id": "https://example.com/s", "type": "object", "additionalProperties": False,
         "properties": {"n": {"$ref": "numbers"}, "s": {"$ref": "strings"}},
         "$defs": {
             "list": {"$id": "list", "type": "array", "items": {"$dynamicRef": "#item"},
                      "$defs": {"any": {"$dynamicAnchor": "item"}}},
             "n": {"$id": "numbers", "$ref": "list", "$defs": {"i": {"$dynamicAnchor": "item", "type": "integer"}}},
             "s": {"$id": "strings", "$ref": "list", "$defs": {"i": {"$dynamicAnchor": "item", "type": "string"}}}}},
        {}, [{"n": [1], "s": ["a"]}, {}], [{"n": ["a"]}, {"s": [1]}],
    ),
    "a plain reference to a dynamic anchor": (
        {"$id": "https://example.com/s", "$ref": "list", "$defs": {
            "mine": {"$dynamicAnchor": "item", "type": "integer"},
            "list": {"$id": "list", "type": "array", "items": {"$ref": "#item"},
                     "$defs": {"theirs": {"$dynamicAnchor": "item", "type": "string"}}}}},
        {}, [["a"]], [[1]],
    ),
    "a reference into a condition": (
        {"type": "array", "items": {"$ref": "#/if"}, "if": {"type": ["array", "integer"]}, "then": True},
        {}, [[1], [[]]], [["a"]],
    ),
    "the recursive reference of 2019-09": (
        {"$schema": "https://json-schema.org/draft/2019-09/schema", "$id": "https://example.com/strict",
         "$recursiveAnchor": True, "$ref": "tree", "unevaluatedProperties": False},
        {"https://example.com/tree": {
            "$schema": "https://json-schema.org/draft/2019-09/schema", "$id": "https://example.com/tree",
            "$recursiveAnchor": True, "type": "object",
            "properties": {"kids": {"type": "array", "items": {"$recursiveRef": "#"}}}}},
        [{"kids": [{"kids": []}]}], [{"kids": [{"kid": []}]}],
    ),
    "the meta-schema": ({"$ref": META}, {}, [{"type": "array"}, True], [{"type": "arra"}, {"minLength": -1}, 1]),
    "a part of a meta-schema": (
        {"$schema": DRAFT_7, "$ref": f"{DRAFT_7}/definitions/simpleTypes"}, {}, ["array"], ["arra"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_a_reference_means(name: str) -> None:
    schema, documents, valid, invalid = CASES[name]
    spec = json_schema(schema, PLACE, documents)
    judge = GrammarValidator(spec)
    for value in valid:
        assert matches(spec, text_of(value)), value
        assert judge.check(text_of(value)) == []
    for value in invalid:
        assert judge.check(text_of(value)), value
        assert spec.residue or not matches(spec, text_of(value)), value
    again = json_schema(spec.source, PLACE)  # the source needs no document any more
    assert (again.source, again.lowered) == (spec.source, spec.lowered)


def test_what_is_masked_across_documents_is_no_residue() -> None:
    schema, documents, *_ = CASES["one list, entered under two scopes"]
    spec = json_schema(schema, PLACE, documents)
    assert spec.residue == ()
    assert not matches(spec, '{"n":["a"]}')
    assert not matches(spec, '{"s":[1]}')
    assert "/$defs/n/$ref" in {row.name for row in spec.enforcements}


def test_every_document_that_is_used_is_in_the_source_and_no_other() -> None:
    documents = {"a.json": {"type": "integer"}, "b.json": {"type": "string"}}
    first = json_schema({"$ref": "a.json"}, PLACE, documents)
    changed = json_schema({"$ref": "a.json"}, PLACE, {**documents, "a.json": {"type": "integer", "minimum": 0}})
    more = json_schema({"$ref": "a.json"}, PLACE, {**documents, "b.json": False})
    assert first.source != changed.source
    assert first.source == more.source


def test_a_schema_in_one_piece_stays_as_it_is() -> None:
    schema = {"$id": "https://example.com/s", "$defs": {"n": {"$anchor": "n", "type": "null"}}, "$ref": "#n"}
    assert json.loads(json_schema(schema, PLACE).source) == schema


@pytest.mark.parametrize(
    ("schema", "documents", "code", "shown"),
    [
        ({"$ref": "a.json"}, {}, "PK203", "`a.json` at `/$ref` is in another document"),
        ({"$ref": "a.json"}, {"a.json": {"$ref": "b.json"}}, "PK203", "`b.json` at `/$defs/a.json/$ref`"),
        ({"$ref": "a.json#/x"}, {"a.json": {}}, "PK204", "`a.json#/x` at `/$ref` leads nowhere"),
        ({"$ref": "a.json"}, {"a.json": {"type": "strin"}}, "PK202", "not a schema at `/$defs/a.json/type`"),
        ({"$ref": "a.json"}, {"a.json": [1]}, "PK202", "the document `a.json` is no schema"),
        ({"$ref": "a.json"}, {"a.json": "{"}, "PK201", "the document `a.json` is not JSON"),
        ({"$ref": "a.json"}, {"a.json": {"$schema": DRAFT_7}}, "PK205", "is written in draft-7"),
    ],
)  # fmt: skip
def test_what_is_refused(schema: Any, documents: dict[str, Any], code: str, shown: str) -> None:
    found = refused(schema, documents)
    assert [c for c, _ in found] == [code]
    assert shown in found[0][1]


def test_scopes_beyond_the_limit_are_refused() -> None:
    """Every scope is another set of who came first: as many as there are subsets."""
    names = [f"d{i}" for i in range(14)]
    everywhere = {"anyOf": [{"$ref": name} for name in names]}
    resources = {
        name: {"$id": name, "$defs": {name: {"$dynamicAnchor": name}}, "properties": {"x": everywhere}}
        for name in names
    }
    asks = {"$id": "asks", "allOf": [{"$dynamicRef": f"{name}#{name}"} for name in names]}
    schema = {"$id": "https://example.com/", **everywhere, "properties": {"y": {"$ref": "asks"}},
              "$defs": {**resources, "asks": asks}}  # fmt: skip
    for resource in resources.values():
        resource["properties"]["z"] = {"$ref": "asks"}
    assert [code for code, _ in refused(schema, {})] == ["PK206"]


# Laws against two validators that read the documents themselves, on documents that refer to each other at random. (Both
# follow a plain `$ref` to a dynamic anchor dynamically, which the specification does not: that is a case of its own.)
NAMES = ("r", "s", "t")
plain = st.sampled_from([
    True, {"type": "integer"}, {"type": "string"}, {"const": "a"}, {"type": ["object", "array"]}, {"minimum": 1},
])  # fmt: skip
anchor = st.one_of(
    st.builds(lambda n: {"$ref": n}, st.sampled_from(["#n", "s#n", "#/$defs/x", "t#/$defs/y"])),
    st.builds(lambda n: {"$dynamicRef": n}, st.sampled_from(["#x", "#y", "s#x", "t#y", "#/$defs/x", "r#x"])),
)
anywhere = st.one_of(anchor, st.builds(lambda n: {"$ref": n}, st.sampled_from([*NAMES, "#"])))
inside = st.one_of(
    plain.filter(lambda s: isinstance(s, dict)),
    st.builds(lambda s: {"properties": {"a": s}}, anywhere),
    st.builds(lambda s: {"items": s}, anywhere),
    st.builds(lambda s, t: {"type": ["object", "array"], "items": s, "additionalProperties": t}, anywhere, anywhere),
)


def in_place(later: list[str]) -> st.SearchStrategy[Any]:
    """What a document says of the value itself: it leads on to later documents only, so that it comes to an end."""
    further = st.one_of(anchor, *[st.just({"$ref": name}) for name in later])
    return st.one_of(
        further,
        inside,
        st.builds(lambda a, b: {"anyOf": [a, b]}, further, inside),
        st.builds(lambda a, b: {"if": a, "then": b}, inside, further),
        st.builds(lambda a, b: {**a, **b}, inside, further),
    )


@st.composite
def documents_of(draw: st.DrawFn) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for i, name in enumerate(NAMES):
        anchors = {key: draw(st.sampled_from(["$dynamicAnchor", "$anchor"])) for key in ("x", "y")}
        definitions = {key: {**draw(inside), kind: key} for key, kind in anchors.items()}
        definitions["n"] = {**draw(inside), "$anchor": "n"}
        body = draw(in_place(list(NAMES[i + 1 :])))
        found[name] = {"$schema": META, "$id": f"https://example.com/{name}", **body, "$defs": definitions}
    return found


@pytest.mark.parametrize("number", range(3))
def test_documents_mean_what_validators_say(number: int) -> None:
    @seed(number)
    @settings(max_examples=at_length(2000, 50), deadline=None, suppress_health_check=list(HealthCheck))
    @given(documents_of())
    def holds(documents: dict[str, Any]) -> None:
        resources = [DRAFT202012.create_resource(document) for document in documents.values()]
        registry = referencing.Registry().with_resources((r.id() or "", r) for r in resources)
        root, others = documents["r"], {d["$id"]: d for d in documents.values()}
        first = jsonschema.Draft202012Validator(root, registry=registry)
        second = jsonschema_rs.validator_for(root, registry=jsonschema_rs.Registry(list(others.items())))
        expected = [first.is_valid(value) for value in VALUES]
        if expected != [second.is_valid(value) for value in VALUES]:
            return  # the first keeps its base where a dynamic reference has led to another resource
        spec = satisfiable(root, others)
        if spec is None:
            assert not any(expected)
            return
        judge = GrammarValidator(spec)
        for value, is_one in zip(VALUES, expected, strict=True):
            assert (judge.check(text_of(value)) == []) == is_one, value
            assert not is_one or any(matches(spec, text) for text in spellings(value)), value

    holds()


def spellings(value: Any) -> list[str]:
    orders = itertools.permutations(value.items()) if isinstance(value, dict) else [None]
    return [text_of(value if order is None else dict(order)) for order in orders]


def satisfiable(root: Any, documents: dict[str, Any]) -> GrammarSpec | None:
    try:
        return json_schema(root, PLACE, documents)
    except PolicyError as error:
        if [found.code for found in error.diagnostics] != ["PK208"]:
            raise
        return None


# Files.
POLICY = """apiVersion: policykit/v1
kind: Policy
metadata: {name: p, version: 1.0.0, owner: o@example.org, why: a case}
rules:
  - {id: r, match: {phrases: [never said]}, action: {block: {}}}
"""
ORDER = {"type": "object", "properties": {"price": {"$ref": "common/money.json"}}, "required": ["price"]}
MONEY = {"type": "object", "properties": {"in": {"$ref": "currency.json"}}, "required": ["in"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "api" / "common").mkdir(parents=True)
    (tmp_path / "api/order.schema.json").write_text(json.dumps(ORDER))
    (tmp_path / "api/common/money.json").write_text(json.dumps(MONEY))
    (tmp_path / "api/common/currency.json").write_text('{"enum": ["EUR", "JPY"]}')
    (tmp_path / "secret.json").write_text("true")
    return tmp_path


def test_files_beside_a_schema_are_read_by_their_paths(folder: Path) -> None:
    spec, files = read_grammar(folder / "api/order.schema.json")
    assert matches(spec, '{"price":{"in":"EUR"}}')
    assert not matches(spec, '{"price":{"in":"USD"}}')
    assert {file.name for file in files} == {"order.schema.json", "money.json", "currency.json"}


@pytest.mark.parametrize(
    "reference", ["../secret.json", "/secret.json", "common/../../secret.json", "link.json", "%2e%2e/secret.json"]
)
def test_files_outside_the_folder_are_not_read(folder: Path, reference: str) -> None:
    (folder / "api/link.json").symlink_to(folder / "secret.json")
    (folder / "api/s.json").write_text(json.dumps({"$ref": reference}))
    with pytest.raises(PolicyError, match="is in another document"):
        load_grammar(folder / "api/s.json")


def test_an_identifier_stands_for_the_folder(folder: Path) -> None:
    path = folder / "api/order.schema.json"
    path.write_text(json.dumps({"$id": "https://example.com/api/order", **ORDER}))
    assert matches(load_grammar(path), '{"price":{"in":"EUR"}}')
    (folder / "api/common/currency.json").write_text('{"$id": "https://example.org/else", "enum": ["EUR"]}')
    with pytest.raises(PolicyError, match=r"`currency\.json` at"):
        load_grammar(path)


def test_a_folder_of_documents(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (folder / "api/common/currency.json").write_text('{"$id": "https://example.com/c", "const": "EUR"}')
    found = folder_documents(folder / "api")
    assert set(found) == {"order.schema.json", "common/money.json", "common/currency.json", "https://example.com/c"}
    path = tmp_path_factory.mktemp("else") / "s.json"
    path.write_text('{"$ref": "https://example.com/c"}')
    assert matches(load_grammar(path, found), '"EUR"')
    plan = path.with_name("plan.json")
    policies = tmp_path_factory.getbasetemp() / "p.policy.yaml"
    policies.write_text(POLICY)
    arguments = ["compile", "--policies", str(policies), "-o", str(plan)]
    assert main([*arguments, "--grammar", str(path), "--documents", str(folder / "api")]) == 0
    assert "EUR" in plan.read_text()
    assert main([*arguments, "--grammar", str(path)]) == 3
    assert main([*arguments, "--documents", str(folder)]) == 3
    (folder / "api/broken.json").write_text("{")
    with pytest.raises(PolicyError, match=r"broken\.json` is not JSON"):
        folder_documents(folder / "api")
    with pytest.raises(PolicyError, match="is no folder"):
        folder_documents(folder / "none")
