"""What a schema forces to be written, and the same schema without some of it."""

from typing import Any

import pytest
import re2

from policykit.automata import unparse
from policykit.diagnostics import Place
from policykit.grammar import EmptyGrammar, GrammarValidator, json_schema, lark, matches, without_fixed
from policykit.ir.grammar import GrammarSpec, JsonSites

PLACE = Place("case")
TICKET = {
    "type": "object",
    "properties": {
        "queue": {"enum": ["billing", "guaranteed returns", "other"]},
        "kind": {"$ref": "#/$defs/kind"},
        "no/te": {"type": "string", "pattern": "^[a-z]{2,5}$"},
        "meta": {"const": {"source": ["web"]}},
    },
    "required": ["queue", "kind", "lang"],
    "additionalProperties": {"type": "string", "maxLength": 2},
    "$defs": {"kind": {"anyOf": [{"const": "bug"}, {"const": "wish"}]}},
}


def sites(spec: GrammarSpec) -> JsonSites:
    assert isinstance(spec.shape, JsonSites)
    return spec.shape


def test_fixed_texts() -> None:
    found = {(f.pointer, f.text, f.role, f.required) for f in sites(json_schema(TICKET, PLACE)).fixed}
    assert found == {
        ("/properties/queue", "queue", "key", True),
        ("/properties/kind", "kind", "key", True),
        ("/properties/no~1te", "no/te", "key", False),
        ("/properties/meta", "meta", "key", False),
        ("/required/2", "lang", "key", True),
        ("/properties/queue/enum/0", "billing", "enum", False),
        ("/properties/queue/enum/1", "guaranteed returns", "enum", False),
        ("/properties/queue/enum/2", "other", "enum", False),
        ("/$defs/kind/anyOf/0/const", "bug", "const", False),
        ("/$defs/kind/anyOf/1/const", "wish", "const", False),
        ("/properties/meta/const/source", "source", "const", False),
        ("/properties/meta/const/source/0", "web", "const", False),
    }


@pytest.mark.parametrize(
    ("schema", "required"),
    [
        ({"const": "a"}, True),
        ({"enum": ["a"]}, True),
        ({"enum": ["a", 1]}, False),
        ({"allOf": [{"const": "a"}]}, True),
        ({"anyOf": [{"const": "a"}]}, True),
        ({"anyOf": [{"const": "a"}, {"type": "null"}]}, False),
        ({"type": "array", "items": {"const": "a"}, "minItems": 1}, True),
        ({"type": "array", "items": {"const": "a"}}, False),
        ({"type": "object", "properties": {"a": True}, "required": ["a"]}, True),
        ({"properties": {"a": True}, "required": ["a"]}, False),  # a value that is no object needs no name
        ({"type": ["object", "null"], "properties": {"a": True}, "required": ["a"]}, False),
    ],
)
def test_required_means_that_nothing_is_left_without_it(schema: dict[str, Any], required: bool) -> None:
    spec = json_schema(schema, PLACE)
    fixed = sites(spec).fixed[0]
    assert (fixed.text, fixed.required) == ("a", required)
    if required:
        with pytest.raises(EmptyGrammar):
            without_fixed(spec, [fixed.pointer])
    else:
        without_fixed(spec, [fixed.pointer])


@pytest.mark.parametrize(
    ("schema", "inside", "outside"),
    [
        ({"pattern": "^[a-z]{2,5}$"}, ["ab", "abcde"], ["a", "abcdef", "AB"]),
        ({"pattern": "b+"}, ["b", "xbx\n"], ["", "x"]),
        ({"pattern": "^a"}, ["a", "ab"], ["ba"]),
        ({"pattern": "a$"}, ["a", "ba"], ["ab"]),
        ({"pattern": "^\\d$"}, ["1"], ["٣"]),
        ({"pattern": "^\\w$"}, ["_"], ["é"]),
        ({"minLength": 2}, ["ab", "abc\n"], ["a"]),
        ({"minLength": 1, "maxLength": 2}, ["a", "éé"], ["", "abc"]),
        ({"pattern": "^[a-z]*$", "maxLength": 2}, ["", "ab"], ["abc", "A"]),
        ({"pattern": "^[a-z]{3}$", "maxLength": 5}, ["abc"], ["ab"]),
    ],
)
def test_string_sites(schema: dict[str, Any], inside: list[str], outside: list[str]) -> None:
    spec = json_schema({"type": "string", **schema}, PLACE)
    (site,) = sites(spec).strings
    assert site.regex is not None
    source = unparse(site.regex)
    for text in inside + outside:
        assert (re2.fullmatch(f"(?s:{source})", text) is not None) == (text in inside), (source, text)
        assert GrammarValidator(spec).check('"' + text.replace("\n", "\\n") + '"') == [] or text in outside


@pytest.mark.parametrize(
    "schema",
    [
        {"format": "email"},
        {"format": "date", "maxLength": 20},
        {"pattern": "(?=a)b"},
        {"pattern": "^(ab)*$", "maxLength": 3},
        {"pattern": "a", "minLength": 3},
    ],
)
def test_languages_that_are_not_plain_are_left_open(schema: dict[str, Any]) -> None:
    found = sites(json_schema({"type": "string", **schema}, PLACE)).strings
    assert [site.regex for site in found] in ([None], [None, None])  # lookaround is masked in other words, besides


def test_strings_everywhere() -> None:
    found = {site.pointer for site in sites(json_schema(TICKET, PLACE)).strings}
    assert found == {"/properties/no~1te", "/additionalProperties"}
    keys = sites(json_schema({"type": "object", "patternProperties": {"^x": True}}, PLACE)).strings
    assert [site.pointer for site in keys] == ["/patternProperties/^x"]


BASE = '{"queue":"billing","kind":"bug","lang":"en"}'


def test_removing_members_branches_and_names() -> None:
    spec = json_schema(TICKET, PLACE)
    assert matches(spec, BASE)
    less = without_fixed(spec, ["/properties/queue/enum/1", "/$defs/kind/anyOf/0/const", "/properties/no~1te"])
    assert not matches(less, BASE)
    assert matches(less, BASE.replace("bug", "wish"))
    assert not matches(less, '{"queue":"guaranteed returns"')
    assert matches(spec, '{"queue":"other","kind":"wish","no/te":"ab","lang":"en"}')
    assert not matches(less, '{"queue":"other","kind":"wish","no/te":"ab","lang":"en"}')
    assert GrammarValidator(less).check(BASE) == [], "the verifier judges by the original"
    assert less.source == spec.source
    assert {f.pointer for f in sites(spec).fixed} - {f.pointer for f in sites(less).fixed} == {
        "/properties/queue/enum/1", "/$defs/kind/anyOf/0/const", "/properties/no~1te",
    }  # fmt: skip
    assert {e.name for e in less.enforcements[len(spec.enforcements) :]} >= {"/properties/queue/enum/1"}


def test_removing_twice_removes_both() -> None:
    spec = json_schema({"enum": ["a", "b", "c"]}, PLACE)
    less = without_fixed(without_fixed(spec, ["/enum/0"]), ["/enum/1"])
    assert [matches(less, f'"{text}"') for text in "abc"] == [False, False, True]
    with pytest.raises(EmptyGrammar) as caught:
        without_fixed(less, ["/enum/2"])
    assert caught.value.pointer == "/enum/2"


@pytest.mark.parametrize(
    ("pointers", "fatal"),
    [
        (["/properties/queue"], "/properties/queue"),
        (["/required/2"], "/required/2"),
        ([f"/properties/queue/enum/{i}" for i in range(3)], "/properties/queue/enum/2"),
        (["/properties/meta", "/$defs/kind/anyOf/0/const", "/$defs/kind/anyOf/1/const"], "/$defs/kind/anyOf/1/const"),
    ],
)
def test_nothing_left(pointers: list[str], fatal: str) -> None:
    with pytest.raises(EmptyGrammar) as caught:
        without_fixed(json_schema(TICKET, PLACE), pointers)
    assert caught.value.pointer == fatal


def test_a_text_inside_a_member_takes_the_member() -> None:
    spec = json_schema({"enum": [{"a": "x"}, {"b": "y"}]}, PLACE)
    less = without_fixed(spec, ["/enum/0/a"])
    assert (matches(less, '{"a":"x"}'), matches(less, '{"b":"y"}')) == (False, True)
    assert {f.text for f in sites(less).fixed} == {"b", "y"}


@pytest.mark.parametrize("pointer", ["/enum/7", "/nowhere", ""])
def test_only_fixed_texts_are_removed(pointer: str) -> None:
    with pytest.raises(ValueError, match="not a fixed text"):
        without_fixed(json_schema({"enum": ["a", "b"]}, PLACE), [pointer])
    with pytest.raises(ValueError, match="JSON Schema"):
        without_fixed(lark('start: "a"', PLACE), [pointer])


def opaque(schema: dict[str, Any]) -> list[str]:
    """The pointers of what the analysis of strings does not look at."""
    return [site.pointer for site in sites(json_schema({"type": "object", **schema}, PLACE)).strings if not site.regex]


def test_names_that_an_object_defines_are_no_restricted_strings_where_some_must_be_there() -> None:
    properties: dict[str, Any] = {"properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "minProperties": 1}
    assert opaque({**properties, "additionalProperties": False}) == []
    assert opaque({**properties, "additionalProperties": False, "allOf": [{"minProperties": 2}]}) == []
    assert opaque(properties) == ["/minProperties"], "any name but these is one way"
    assert opaque({**properties, "dependentRequired": {"a": ["c"]}}) == ["/minProperties", "/dependentRequired"]
    assert opaque({"properties": {"a": {"type": "string", "not": {"pattern": "x"}}}}) == ["/properties/a/not"]
