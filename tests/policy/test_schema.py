"""The exported JSON Schema says what the loader says, judged by `jsonschema` on YAML read by a stock loader."""

import datetime
import json
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from policykit.policy import document_schema
from tests.policy.cases import BASE, CASES, Case
from tests.policy.documents import documents

VALIDATOR = Draft202012Validator(document_schema())
# What concerns the form of a document, and so is the schema's business too.
FORM = {f"PK0{number}" for number in (*range(20, 27), *range(28, 33), 40, 55)}
# Forms that a JSON Schema cannot see or that a stock loader reads otherwise.
UNSEEN = {
    "nothing to count",
    "truth value as text",
    "version of one number",
    "empty expression",
    "infinite cost",
    "cost beyond floats",
}


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list():
            return [_plain(item) for item in value]
        case datetime.date():
            return value.isoformat()
        case _:
            return value


def _read(text: str) -> Any:
    return _plain(YAML(typ="safe", pure=True).load(text))


def test_the_shipped_schema_is_the_generated_one() -> None:
    shipped = files("policykit.policy").joinpath("schemas", "policy.v1.json").read_text("utf-8")
    assert json.loads(shipped) == document_schema()


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(document_schema())


def test_it_accepts_the_example() -> None:
    VALIDATOR.validate(_read(BASE))
    VALIDATOR.validate(_read(BASE.replace("version: 1.0.0", "version: 1.10")))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_it_accepts_what_the_loader_accepts(value: dict[str, Any]) -> None:
    VALIDATOR.validate(value)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.code in FORM and case.name not in UNSEEN], ids=lambda case: case.name
)
def test_it_refuses_mistakes_of_form(case: Case) -> None:
    assert not VALIDATOR.is_valid(_read(case.text.replace("«", "").replace("»", "")))
