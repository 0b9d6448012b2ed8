"""Divisors that meet: the mask is what arithmetic says, and what the engine cannot count is left to the verifier."""

import itertools
from decimal import Decimal
from fractions import Fraction

import pytest

from policykit.diagnostics import Place
from policykit.grammar import GrammarValidator, json_schema, matches
from policykit.grammar.multiples import uncounted
from policykit.grammar.schema_document import Dialect, SchemaDocument
from policykit.grammar.values import Json
from policykit.ir.grammar import GrammarSpec

PLACE = Place("case.schema.json")
DIVISORS = ["0.00001", "0.01", "0.25", "1", "7.5", "97", "5000", "70000", "9999991"]
EACH = [f'{{"multipleOf":{divisor}}}' for divisor in DIVISORS]
FORMS = {
    "allOf": '{{"type":"number","allOf":[{0},{1}]}}',
    "beside": '{{"type":"number","anyOf":[{0}],"allOf":[{1}]}}',
    "reference": '{{"type":"number","allOf":[{{"$ref":"#/$defs/a"}},{1}],"$defs":{{"a":{0}}}}}',
}


def spellings(value: Fraction) -> list[str]:
    """With as many decimals as anybody may ask for."""
    scaled = ((n, value * 10**n) for n in range(6))
    return [f"{Decimal(whole.numerator).scaleb(-n):f}" for n, whole in scaled if whole.denominator == 1]


def is_written(spec: GrammarSpec, value: Fraction) -> bool:
    return any(matches(spec, text) for text in spellings(value))


@pytest.mark.parametrize("form", FORMS)
def test_two_divisors_are_what_arithmetic_says(form: str) -> None:
    for a, b in itertools.combinations_with_replacement(range(len(DIVISORS)), 2):
        if form != "allOf" and (a + b) % 3:
            continue
        spec = json_schema(FORMS[form].format(EACH[a], EACH[b]), PLACE)
        x, y = Fraction(DIVISORS[a]), Fraction(DIVISORS[b])
        common = Fraction(x.numerator * y.numerator)
        for value in (common, x, y, x + y, common + x, common + Fraction(1, 8)):
            is_valid = (value / x).denominator == (value / y).denominator == 1
            if is_valid or not spec.residue:
                assert is_written(spec, value) == is_valid, (spec.source, value)
            assert bool(GrammarValidator(spec).check(spellings(value)[-1])) != is_valid, (spec.source, value)


@pytest.mark.parametrize("divisor", [*DIVISORS, "2.4", "12.34", "99.9991", "1234.567", "12345.6", "99999.9"])
@pytest.mark.parametrize("form", ['{{"type":"integer","multipleOf":{0}}}', FORMS["reference"]])
def test_a_divisor_of_integers_is_what_arithmetic_says(form: str, divisor: str) -> None:
    spec = json_schema(
        form.format(f'{{"multipleOf":{divisor}}}' if "ref" in form else divisor, '{"type":"integer"}'), PLACE
    )
    step = Fraction(divisor)
    for value in (Fraction(step.numerator), step, 2 * step, Fraction(step.numerator + 1)):
        is_valid = (value / step).denominator == value.denominator == 1
        if is_valid or not spec.residue:
            assert is_written(spec, value) == is_valid, (spec.source, value)
        assert bool(GrammarValidator(spec).check(spellings(value)[-1])) != is_valid, (spec.source, value)


@pytest.mark.parametrize(
    ("schema", "left"),
    [
        ({"multipleOf": 100_000}, []),
        ({"multipleOf": 10**9}, []),
        ({"multipleOf": 997 * 10**6}, []),
        ({"multipleOf": 9_999_991}, [""]),
        ({"multipleOf": 12_345_000}, [""]),
        ({"multipleOf": 0.3333333333333333}, [""]),
        ({"multipleOf": 99_991, "allOf": [{"multipleOf": 97}]}, ["/allOf/0"]),
        ({"multipleOf": 99_991, "properties": {"a": {"multipleOf": 97}}}, []),
        ({"allOf": [{"multipleOf": 7.5}, {"multipleOf": 1e-9}]}, ["/allOf/1"]),
        ({"allOf": [{"multipleOf": 70_000}, {"multipleOf": 70_000}]}, ["/allOf/0", "/allOf/1"]),
        ({"allOf": [{"multipleOf": 70_000}, {"minimum": 1}]}, []),
        ({"allOf": [{"multipleOf": p} for p in (2, 3, 5, 7, 11, 13, 17)]}, ["/allOf/0", "/allOf/1"]),
        ({"multipleOf": True}, []),
        ({"multipleOf": 9999.9}, []),
        ({"multipleOf": 9999.9, "properties": {"a": {"type": "integer"}}}, []),
        ({"multipleOf": 12345.67}, [""]),
        ({"multipleOf": 9999.9999}, [""]),
        ({"type": "integer", "multipleOf": 0.01}, []),
        ({"type": "integer", "multipleOf": 2.5}, []),
        ({"type": "integer", "multipleOf": 9.99}, []),
        ({"type": "integer", "multipleOf": 1e-7}, []),
        ({"type": "integer", "multipleOf": 99.9991}, [""]),
        ({"type": "integer", "multipleOf": 10000.7}, [""]),
        ({"type": ["null", "integer"], "multipleOf": 99.9991}, [""]),
        ({"type": "integer", "multipleOf": 4_294_967_297}, [""]),
        ({"type": "integer", "allOf": [{"multipleOf": p} for p in (2, 3, 5, 7, 11, 13)]}, []),
        ({"allOf": [{"type": "integer"}, {"multipleOf": 10000.7}]}, ["/allOf/1"]),
    ],
)
def test_what_is_left_to_the_verifier(schema: dict[str, Json], left: list[str]) -> None:
    assert uncounted(SchemaDocument.of({"type": "number", **schema}, Dialect.DRAFT_2020)) == left
