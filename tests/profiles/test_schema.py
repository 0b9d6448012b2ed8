"""The exported JSON Schemas say what the loaders say, judged by `jsonschema` on YAML read by a stock loader."""

import datetime
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from policykit.profiles import keys_schema, profile_schema
from tests.profiles import test_keys, test_load
from tests.profiles.case import KEYS, PROFILE, Case

ROOT = Path(__file__).resolve().parents[2]
FORM = {f"PK0{number}" for number in (*range(20, 27), *range(28, 33), 40, 55, 56)} - {"PK029"}
SCHEMAS = {"profile.v1.json": profile_schema(), "keys.v1.json": keys_schema()}


def read(text: str) -> Any:
    value = YAML(typ="safe", pure=True).load(text.replace("«", "").replace("»", ""))
    return json.loads(json.dumps(value, default=lambda day: day.isoformat() if isinstance(day, datetime.date) else day))


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_shipped_schema_is_the_generated_one(name: str) -> None:
    shipped = files("policykit.profiles").joinpath("schemas", name).read_text("utf-8")
    assert json.loads(shipped) == SCHEMAS[name]
    Draft202012Validator.check_schema(SCHEMAS[name])


def test_they_accept_what_the_loaders_accept() -> None:
    Draft202012Validator(profile_schema()).validate(read(PROFILE))
    Draft202012Validator(keys_schema()).validate(read(KEYS))
    for path in (ROOT / "policies" / "profiles").glob("*.profile.yaml"):
        Draft202012Validator(profile_schema()).validate(read(path.read_text()))


@pytest.mark.parametrize("case", [c for c in test_load.CASES if c.code in FORM], ids=lambda case: case.name)
def test_it_refuses_mistakes_of_form(case: Case) -> None:
    assert not Draft202012Validator(profile_schema()).is_valid(read(case.marked(PROFILE)))


@pytest.mark.parametrize("case", [c for c in test_keys.CASES if c.code in FORM], ids=lambda case: case.name)
def test_the_schema_of_keys_refuses_mistakes_of_form(case: Case) -> None:
    assert not Draft202012Validator(keys_schema()).is_valid(read(case.marked(KEYS)))
