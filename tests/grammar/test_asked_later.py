"""A mask is made without what it does not need: that changes nothing in it, in what is refused, or in what is told."""

import pickle
import random
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

import policykit as pk
from policykit.diagnostics import Place, PolicyError
from policykit.grammar import json_schema
from policykit.grammar.json_schema import MAY_BE_ESCAPED, needs_control_characters
from policykit.grammar.judge import judge, may_fail
from policykit.grammar.productive import producible_types, without_dead_ends
from policykit.grammar.schema_check import checked_document
from policykit.grammar.schema_document import Dialect, SchemaDocument
from policykit.ir.grammar import GrammarSpec
from policykit.ir.later import Later
from tests.fuzz import made_schemas
from tests.length import at_length

JSON_SCHEMA = import_module("policykit.grammar.json_schema")
PLAN = import_module("policykit.compile.plan")
PLACE = Place("case.schema.json")
D7 = "http://json-schema.org/draft-07/schema#"

CASES: dict[str, dict[str, Any]] = {
    "typed properties": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
    "closed": {"type": "object", "properties": {"a": True}, "additionalProperties": False, "required": ["a"]},
    "a name that nothing may stand under": {"type": ["object", "null"], "properties": {"a": False}, "required": ["a"]},
    "a name that is not defined": {"type": ["object", "null"], "additionalProperties": False, "required": ["a"]},
    "a name that a pattern defines": {
        "type": "object", "patternProperties": {"^a": True}, "additionalProperties": False, "required": ["a"],
    },
    "items that nothing can be": {"type": ["array", "null"], "items": False, "minItems": 1},
    "first items that nothing can be": {"type": ["array", "null"], "prefixItems": [True, False], "minItems": 2},
    "further items that nothing can be": {
        "$schema": D7, "type": ["array", "null"], "items": [True], "additionalItems": False, "minItems": 2,
    },
    "members of no type": {"properties": {"a": {"type": "string", "enum": [1]}}},
    "a constant of no type": {"properties": {"a": {"type": "string", "const": 1}}},
    "a reference to a place that is no subschema": {
        "type": "object", "properties": {"a": {"$ref": "#/x-parts/b"}}, "x-parts": {"b": {"not": {"type": "null"}}},
    },
    "a pattern at such a place": {
        "oneOf": [{"$ref": "#/x-parts/b"}, {"type": "null"}], "x-parts": {"b": {"pattern": "a(?=b)"}},
    },
    "a format at such a place": {"$ref": "#/x-parts/b", "x-parts": {"b": {"format": "nobody knows it"}}},
    "a definition that nothing leads to": {"type": "null", "$defs": {"a": {"type": "string", "enum": [1]}}},
    "an expression that is none": {"type": "string", "pattern": "("},
    "names by an expression that is none": {"patternProperties": {"(": True}},
    "another dialect inside": {"properties": {"a": {"$schema": D7, "type": "null"}}},
    "an unknown dialect inside": {"properties": {"a": {"$schema": "http://example.com/mine", "type": "null"}}},
    "what is ignored beside a reference": {
        "$schema": D7, "properties": {"a": {"$ref": "#/definitions/b", "pattern": "("}}, "definitions": {"b": {}},
    },
    "vacuous": {"type": "array", "uniqueItems": False, "minContains": 2, "then": False},
    "large numbers": {"enum": [2**60, {"a": 2**60}]}, "small numbers": {"enum": [1.0, 0.5, 1e-7]},
    "leaking bounds": {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5},
    "a control character": {"const": "\x07"}, "a control character by its number": {"pattern": "^\\x07$"},
    "a letter by its number": {"pattern": "^\\u0061\\x62[\\u4e00-\\u9fff]$"}, "a range": {"pattern": "^[\\x21-\\xff]$"},
    "a control letter": {"pattern": "^\\cG$"}, "DEL": {"properties": {"a\x7f": True}, "required": ["a\x7f"]},
    "a backslash": {"const": "a\\x"}, "a condition": {"if": {"required": ["a"]}, "then": {"required": ["b"]}},
    "what is evaluated": {"if": {"properties": {"a": True}}, "unevaluatedProperties": False},
}  # fmt: skip


@contextmanager
def the_long_way() -> Iterator[None]:
    """Every subschema counts as one that may have any keyword, so that nothing is passed over."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SchemaDocument, "may_have", lambda *_: True)
        patch.setattr(SchemaDocument, "strays", lambda _: True)
        patch.setattr(JSON_SCHEMA, "MAY_BE_ESCAPED", _Everything())
        yield


class _Everything:
    @staticmethod
    def search(_: str) -> bool:
        return True


def told(schema: dict[str, Any]) -> GrammarSpec | tuple[object, ...]:
    """The grammar with all that is known of it, or why there is none."""
    try:
        return json_schema(schema, PLACE)
    except PolicyError as error:
        return error.diagnostics


def check(schema: dict[str, Any]) -> None:
    found = told(schema)
    with the_long_way():
        assert told(schema) == found  # rows, residue and shape are compared too
    try:
        source, document = checked_document(schema, PLACE)
    except PolicyError:
        return
    if not may_fail(document):
        judge(document)
    if needs_control_characters(document, PLACE):
        assert MAY_BE_ESCAPED.search(source)


@pytest.mark.parametrize("schema", CASES.values(), ids=CASES)
def test_the_short_way_gives_the_same(schema: dict[str, Any]) -> None:
    check(schema)


@settings(max_examples=at_length(600, 50), deadline=None)
@given(st.integers(0, 2**32))
def test_the_short_way_gives_the_same_for_any_schema(seed: int) -> None:
    check(made_schemas.schema(random.Random(seed)))


def test_a_way_that_is_too_short_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SchemaDocument, "may_have", lambda *_: False)
    with pytest.raises(AssertionError):
        check(CASES["a condition"])


@pytest.mark.parametrize("schema", CASES.values(), ids=CASES)
def test_nothing_is_closed_but_what_has_no_value(schema: dict[str, Any]) -> None:
    """The fixpoint is the judge of the way around it."""
    dialect = Dialect.DRAFT_7 if "$schema" in schema else Dialect.DRAFT_2020
    document = SchemaDocument.of(schema, dialect)
    if without_dead_ends(document) is document.root:
        assert all(types or document.at(p) is False for p, types in producible_types(document).items())


def test_the_mask_waits_for_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object) -> None:
        raise AssertionError("nobody has asked for it")

    vocabulary = pk.Vocabulary.from_tokens([*(bytes([i]) for i in range(256)), b""], special_ids=[256], eos_ids=[256])
    with monkeypatch.context() as patch:
        for module, name in ((JSON_SCHEMA, "keyword_rows"), (JSON_SCHEMA, "json_sites"), (PLAN, "digests")):
            patch.setattr(module, name, asked)
        plan = pk.compile(None, pk.Grammar.from_json_schema(CASES["closed"]))
        state = plan.constraint(vocabulary).start()
        assert all(map(state.accept, b'{"a":'))
    again = pk.compile(None, pk.Grammar.from_json_schema(CASES["closed"]))
    assert plan.digest == again.digest == plan.constraint(vocabulary).digest
    assert plan.enforcements == again.enforcements
    assert plan.spec.grammar == again.spec.grammar


def test_what_another_process_gets_is_whole() -> None:
    spec = json_schema({"type": "array", "items": {"type": "string", "pattern": "^a+$"}, "uniqueItems": True}, PLACE)
    sent = pickle.loads(pickle.dumps(spec))
    assert sent == spec
    assert hash(sent) == hash(spec)
    assert [row.keyword for row in sent.residue] == ["uniqueItems"]


def test_a_value_is_made_once() -> None:
    calls: list[int] = []
    value = Later(lambda: calls.append(1) or (1, 2))
    assert not calls
    assert value() == value() == (1, 2)
    assert calls == [1]
    assert value == Later.of((1, 2)) != Later.of((1, 3))
    assert value != (1, 2)
    assert repr(value) == "Later.of((1, 2))"


@pytest.mark.parametrize("schema", [{"a": object()}, {"minimum": float("nan")}, {"const": "\ud800"}, {1: 2, "1": 3}])
def test_what_is_not_json_is_refused(schema: Any) -> None:
    with pytest.raises(PolicyError, match="PK201"):
        pk.Grammar.from_json_schema(schema)


@pytest.mark.parametrize(
    ("pattern", "needs"),
    [
        (r"^\u0061\x62\u{63}[\u4e00-\u9fff]$", False), (r"^[\x20-\x7e]$", False), (r"\n", False),
        (r"\x07", True), (r"\u{7}", True), (r"\cG", True), (r"\u007F", True), (r"[\x21-\xff]", True),
        (r"\u{110000}", True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("keyword", ["pattern", "patternProperties"])
def test_only_control_characters_need_to_be_written_as_numbers(pattern: str, needs: bool, keyword: str) -> None:
    schema = {keyword: pattern if keyword == "pattern" else {pattern: True}}
    assert needs_control_characters(checked_document(schema, PLACE)[1], PLACE) is needs
