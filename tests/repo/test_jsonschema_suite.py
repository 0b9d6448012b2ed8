"""The run of the official suite counts what it should, and the README shows the committed one."""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
RESULTS = json.loads((ROOT / "benchmarks/results/jsonschema_suite.json").read_text(encoding="utf-8"))
WRONG = "is only an annotation by default"


def group(description: str, schema: Any, tests: list[tuple[str, Any, bool]]) -> dict[str, Any]:
    rows = [{"description": name, "data": data, "valid": valid} for name, data, valid in tests]
    return {"description": description, "schema": schema, "tests": rows}


GROUPS = [
    group("remote", {"$ref": "http://localhost:1234/n.json"}, [("one", 1, True), ("text", "a", False)]),
    group("mislabelled", {"type": "null"}, [("valid, it says", 1, True), ("invalid, it says", None, False)]),
    group("residue", {"type": "array", "uniqueItems": True}, [("twice", [1, 1], False)]),
    group("nothing", {"type": "string", "minLength": 2, "maxLength": 1}, [("any", "a", False)]),
    group("no such document", {"$ref": "http://localhost:1234/none.json"}, [("one", 1, True)]),
    group("format", {"format": "ipv4"}, [(f"a text {WRONG}", "x", True)]),
    group("order", {"const": {"a": 1.0, "b": [True]}}, [("turned", {"b": [True], "a": 1}, True)]),
]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("suite")
    files = {"tests/draft2020-12/a.json": GROUPS, "remotes/n.json": {"type": "integer"}}
    with tarfile.open(folder / "suite.tar.gz", "w:gz") as archive:
        for name, content in files.items():
            data = json.dumps(content).encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    run = [sys.executable, "benchmarks/jsonschema_suite.py", "--suite", str(folder / "suite.tar.gz")]
    run += ["--drafts", "draft2020-12", "--out", str(folder / "out.json")]
    subprocess.run(run, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    return json.loads((folder / "out.json").read_text())


def test_every_departure_is_counted_and_listed(measured: dict[str, Any]) -> None:
    figures, listed = measured["drafts"]["draft2020-12"], measured["departures"]
    assert (figures["groups"], figures["compiled"], figures["unsatisfiable"], figures["refused"]) == (7, 5, 1, 1)
    assert (figures["valid"], figures["invalid"], figures["format as an annotation"]) == (3, 3, 1)
    assert (figures["disagreements end to end"], figures["valid rejected by the mask"]) == (2, 1)
    assert (figures["invalid admitted by the mask"], figures["admitted where nothing is residue"]) == (2, 1)
    assert [name.split(": ")[1] for name in listed["disagrees end to end"]] == ["mislabelled", "mislabelled"]
    assert "PK203" in listed["refused"][0]
    assert listed["unsatisfiable, and an instance is valid"] == []


def test_the_readme_shows_the_committed_run() -> None:
    shown = (ROOT / "README.md").read_text(encoding="utf-8")
    for draft, found in RESULTS["drafts"].items():
        assert (
            f"| {draft} | {found['groups']} | {found['refused']} "
            f"| {found['disagreements end to end']} of {found['instances']:,} "
            f"| {found['valid rejected by the mask']} of {found['valid']} "
            f"| {found['invalid admitted by the mask']} of {found['invalid']} |"
        ) in shown
        assert found["admitted where nothing is residue"] == 0
    unsatisfiable = sum(found["unsatisfiable"] for found in RESULTS["drafts"].values())
    assert f"The {unsatisfiable} groups that are called unsatisfiable have invalid instances only" in shown
    assert RESULTS["departures"]["unsatisfiable, and an instance is valid"] == []
