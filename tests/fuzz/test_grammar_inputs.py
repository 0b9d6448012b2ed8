"""A few inputs of every kind, and a planted fault for each way in which something may disagree."""

import random
from decimal import Decimal

import pytest

import policykit as pk
from tests.fuzz import held, made_grammars, made_schemas
from tests.fuzz.grammar_inputs import KINDS, case, compiled
from tests.length import at_length

QUICK = [kind for kind in KINDS if not kind.endswith("hostile")]


@pytest.mark.parametrize("kind", QUICK)
def test_what_compiles_is_held(kind: str) -> None:
    tried(kind, range(5, 8))


@pytest.mark.slow
@pytest.mark.parametrize("kind", QUICK)
def test_more_of_what_compiles_is_held(kind: str) -> None:
    tried(kind, range(100, 100 + at_length(60, 10)))


def tried(kind: str, numbers: range) -> None:
    for number in numbers:
        try:
            said = compiled(kind, number)
        except pk.PolicyError:
            continue
        assert said == "held", f"{kind} {number}: {said}"


def test_a_number_names_an_input() -> None:
    for kind in KINDS:
        assert case(kind, 3).source == case(kind, 3).source
        assert len({case(kind, n).source for n in range(12)}) > 1


def test_an_input_is_the_same_behind_any_others() -> None:
    """What is spoilt shares nothing with what is made after it."""
    first = case("json_schema made", 40).source
    for number in range(60):
        assert case("json_schema spoilt", number).source
    assert case("json_schema made", 40).source == first


def test_another_language_would_be_noticed() -> None:
    language = made_grammars.Language({"root": ("any", (("text", "ab"), ("times", ("text", "a"), 2, None)))})
    spec = pk.Grammar.from_gbnf('root ::= "ab" | "a"{2,}')
    assert not any(held.language_fault(spec, language, random.Random(seed)) for seed in range(20))
    for other in ('root ::= "ab" | "a"+', 'root ::= "aa"'):
        spec = pk.Grammar.from_gbnf(other)
        assert any(held.language_fault(spec, language, random.Random(seed)) for seed in range(20))


def test_another_schema_would_be_noticed() -> None:
    root = {"type": "integer", "minimum": 3}
    assert not faults_of(root, root)
    assert faults_of({"type": "integer"}, root)
    assert faults_of({"type": "integer", "minimum": 5}, root)


def faults_of(compiled_from: dict[str, object], root: dict[str, object]) -> list[str]:
    spec = pk.Grammar.from_json_schema(compiled_from)
    found = [held.schema_fault(spec, root, random.Random(seed)) for seed in range(10)]
    return [fault for fault in found if fault is not None]


def test_what_the_judge_is_told_is_what_jsonschema_reads() -> None:
    integers: dict[str, object] = {"if": {"type": "integer"}, "then": {"type": "array"}}
    assert held.Judge(integers).valid(Decimal(0)) is False  # as `0E0` is read
    halves: dict[str, object] = {"items": {"multipleOf": 0.5}}
    assert held.Judge(halves).keywords([Decimal("0.75")]) == {"items", "multipleOf"}


def test_the_judge_names_the_reference_behind_which_a_value_fails() -> None:
    direct: dict[str, object] = {"items": {"items": {"type": "null"}}}
    assert held.Judge(direct).keywords([[1]]) == {"items", "type"}
    behind: dict[str, object] = {"items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"type": "null"}}}
    assert held.Judge(behind).keywords([1]) == {"items", "type", "$ref"}
    beside: dict[str, object] = {"type": "array", "items": {"type": "array", "items": {"type": "number"}, "$ref": "#"}}
    assert held.Judge(beside).keywords([[1]]) == {"items", "type", "$ref"}


def test_a_satisfied_schema_would_be_noticed() -> None:
    assert held.unsatisfied({"type": "integer"}, random.Random(3)) is not None
    assert held.unsatisfied({"enum": [1], "not": {"const": 1}}, random.Random(3)) is None


def test_a_reference_that_turns_in_place_is_not_judged() -> None:
    assert made_schemas.turns_in_place({"anyOf": [{"$ref": "#"}]})
    assert not made_schemas.turns_in_place({"items": {"$ref": "#"}})
