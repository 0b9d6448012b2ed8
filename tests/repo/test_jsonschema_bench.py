"""The benchmark of JSON Schemas runs, and counts what it should: an engine that masks nothing, one that refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from policykit import embedded

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks"))  # benchmarks are scripts beside each other, no package
from jsonschema_data import broken_keywords, canonical, end_of, end_of_first_fault, end_tokens  # noqa: E402
from jsonschema_report import is_named  # noqa: E402

CASES: list[dict[str, Any]] = [
    {"schema": {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False},
     "tests": [{"valid": True, "data": {"a": 1}}, {"valid": False, "data": {"a": "x"}}, {"valid": True, "data": {}}]},
    {"schema": {"not": {"const": 1}, "type": ["integer", "string"]},
     "tests": [{"valid": True, "data": 2}, {"valid": False, "data": 1}]},
    {"schema": {"type": "string", "minLength": 2, "maxLength": 1}, "tests": [{"valid": False, "data": "ab"}]},
    {"schema": {"items": {"$ref": "#/$defs/d"}, "$defs": {"d": {"type": "string", "format": "date"}}, "type": "array"},
     "tests": [{"valid": True, "data": ["2024-02-29"]}, {"valid": False, "data": ["2023-02-29"]}]},
]  # fmt: skip


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("bench")
    lines = (json.dumps({"name": f"case {i}", **case}) for i, case in enumerate(CASES))
    (folder / "cases.jsonl").write_text("\n".join(lines))
    run = [sys.executable, "benchmarks/jsonschema_bench.py", "--data", str(folder / "cases.jsonl")]
    run += ["--tokenizer", str(embedded.model_path() / "tokenizer.json"), "--out", str(folder / "out.json")]
    run += ["--engines", "policykit,llguidance,nothing"]
    subprocess.run(run, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    return json.loads((folder / "out.json").read_text())


def test_each_engine_is_counted_by_what_it_does(measured: dict[str, Any]) -> None:
    ours, theirs, nothing = (measured["engines"][name] for name in ("policykit", "llguidance", "nothing"))
    assert (ours["passing end to end"], ours["outcomes"]) == (4, {"compiled": 3, "unsat": 1})
    assert (theirs["passing by the mask alone"], theirs["outcomes"]) == (2, {"compiled": 2, "refused": 1, "unsat": 1})
    assert (nothing["invalid accepted by the mask"], nothing["passing by the mask alone"]) == (4, 0)
    assert measured["policykit"]["admitted by keyword"] == {"format": 1}
    assert measured["policykit"]["admitted, and not named as residue"] == []
    assert ours["ttfm_ms"]["p50"] > 0


def test_a_fault_is_noticed_where_its_value_ends() -> None:
    value = {"a": "é", "b": [1, {"c": 2}], "d": 3}
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert text[: end_of(value, ["b", 1, "c"])] == '{"a":"é","b":[1,{"c":2'
    assert text[: end_of(value, ["b"])] == '{"a":"é","b":[1,{"c":2}]'
    schema = {"properties": {"b": {"items": {"type": "integer"}}, "d": {"type": "string"}}}
    assert end_of_first_fault(schema, value) == ("type", end_of(value, ["b", 1]))
    assert end_of_first_fault({}, value) is None
    assert end_tokens([(0, 2), (2, 5), (5, 9)], 5) == 2


def test_what_is_broken_is_named_by_a_keyword_on_the_way() -> None:
    definitions = {"$defs": {"d": {"properties": {"k": {"maxLength": 1}}}, "e": {"maxItems": 0}}}
    schema = {"properties": {"a": {"$ref": "#/$defs/d"}}, "if": True, "then": {"$ref": "#/$defs/e"}, **definitions}
    way = ["/properties", "/properties/a", "/properties/a/$ref", "/$defs/d", "/$defs/d/properties"]
    way += ["/$defs/d/properties/k", "/$defs/d/properties/k/maxLength"]
    assert broken_keywords(schema, {"a": {"k": "xy"}}) == [way]
    assert broken_keywords(schema, [1]) == [["/then", "/then/$ref", "/$defs/e", "/$defs/e/maxItems"]]
    assert broken_keywords(schema, {"a": {"k": "x"}}) == []
    assert is_named([way], ["/$defs/d/properties/k/maxLength"])
    assert is_named([way, ["/then"]], ["/then", "/properties"])
    assert not is_named([way, ["/then"]], ["/then", "/$defs/e"])
    assert not is_named([], ["/then"])


def test_names_in_the_order_of_their_definition() -> None:
    schema = {
        "properties": {"b": {"$ref": "#/$defs/d"}, "a": True},
        "anyOf": [{"properties": {"z": {"const": 2}}}, {"properties": {"y": True, "z": True}}],
        "$defs": {"d": {"items": {"properties": {"q": True, "p": True}}}},
    }
    value = {"x": 1.5, "z": 1.0, "y": 0, "a": 2, "b": [{"p": 1, "q": 2}]}
    assert list(canonical(schema, value)) == ["b", "a", "y", "z", "x"]
    assert json.dumps(canonical(schema, value)["b"]) == '[{"q": 2, "p": 1}]'
    assert repr(canonical(schema, value)["z"]) == "1"
    old = {"$schema": "http://json-schema.org/draft-07/schema#", "$ref": "#/definitions/d", "properties": {"b": True}}
    assert list(canonical({**old, "definitions": {"d": {"properties": {"a": True}}}}, {"b": 1, "a": 2})) == ["a", "b"]
