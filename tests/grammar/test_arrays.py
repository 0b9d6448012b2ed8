"""`contains` and `uniqueItems` in the mask: every short array over a few values, against the reference validator."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from policykit.diagnostics import Place, PolicyError
from policykit.grammar import json_schema, matches
from policykit.grammar.strengthen import MAX_SEEN
from policykit.ir.grammar import GrammarSpec

PLACE = Place("case.schema.json")
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
VALUES: list[Any] = [0, 1, "a"]


def arrays(longest: int) -> Iterator[list[Any]]:
    for n in range(longest + 1):
        yield from (list(items) for items in itertools.product(VALUES, repeat=n))


def compiled(schema: dict[str, Any]) -> GrammarSpec | None:
    try:
        return json_schema(schema, PLACE)
    except PolicyError as error:
        if [found.code for found in error.diagnostics] != ["PK208"]:
            raise
        return None


BOUNDS = [
    {}, {"minContains": 0}, {"minContains": 2}, {"maxContains": 1}, {"minContains": 2, "maxContains": 2},
    {"minContains": 0, "maxContains": 0}, {"minContains": 3, "maxContains": 1}, {"minContains": 6},
]  # fmt: skip


@pytest.mark.parametrize("longest", [None, 2, 5])
@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
def test_contains(bounds: dict[str, int], longest: int | None) -> None:
    schema = {"type": "array", "contains": {"const": 1}, **bounds}
    schema = schema if longest is None else {**schema, "maxItems": longest}
    oracle, spec = jsonschema.Draft202012Validator(schema), compiled(schema)
    for value in arrays(MAX_SEEN + 1):
        is_valid = oracle.is_valid(value)
        admitted = spec is not None and matches(spec, json.dumps(value, separators=(",", ":")))
        assert admitted or not is_valid, value
        short = len(value) <= MAX_SEEN
        if (spec is not None and not spec.residue) or short:
            assert is_valid or not admitted, value


@pytest.mark.parametrize("draft", [None, DRAFT_7])
@pytest.mark.parametrize("n", range(1, 6))
def test_unique_items(n: int, draft: str | None) -> None:
    members: list[Any] = [0, 1, "a", True, None][:n]
    schema = {"type": "array", "items": {"enum": members}, "uniqueItems": True}
    schema = schema if draft is None else {"$schema": draft, **schema}
    oracle, spec = jsonschema.validators.validator_for(schema)(schema), json_schema(schema, PLACE)
    assert bool(spec.residue) == (n > 3)
    for length in range(n + 2):
        for items in itertools.product(members, repeat=min(length, 4)):
            value = list(items)
            admitted = matches(spec, json.dumps(value, separators=(",", ":")))
            assert admitted or not oracle.is_valid(value), value
            if not spec.residue or len(value) < 3:
                assert oracle.is_valid(value) or not admitted, value


def test_flags_are_told_apart() -> None:
    spec = json_schema({"type": "array", "items": {"type": "boolean"}, "uniqueItems": True}, PLACE)
    assert spec.residue == ()
    assert [text for text in ("[]", "[true,false]", "[false]", "[true,true]") if matches(spec, text)] == [
        "[]", "[true,false]", "[false]",
    ]  # fmt: skip
