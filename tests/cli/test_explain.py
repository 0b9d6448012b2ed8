"""`explain` prints what the catalogue keeps."""

import json

import pytest

from policykit.diagnostics import CATALOGUE

from .conftest import Run


def test_a_code_is_explained_with_its_example(run: Run) -> None:
    done = run("explain", "pk552")
    assert done.status == 0
    assert done.out == (
        "PK552: the file exists and is not overwritten\n\n"
        "`policykit new` writes a file to start from. It never replaces one that is there.\n\n"
        "For example:\n\n"
        "    policykit new refunds && policykit new refunds\n"
    )


def test_an_unknown_code_is_invalid_input_with_a_near_miss(run: Run) -> None:
    done = run("explain", "PK55O")
    assert done.status == 3
    assert "PK551: unknown code `PK55O`\n  help: did you mean `PK550`?" in done.err
    assert "`policykit explain --codes` lists all codes" in run("explain", "nonsense").err


def test_all_codes_are_listed(run: Run) -> None:
    listed = run("explain", "--codes").out.splitlines()
    assert [line.split()[0] for line in listed] == sorted(CATALOGUE)


@pytest.mark.parametrize("argv", [["--codes"], ["PK550"]])
def test_codes_as_json(run: Run, argv: list[str]) -> None:
    report = json.loads(run("explain", *argv, "--format", "json").out)
    entry = report[0] if isinstance(report, list) else report
    assert set(entry) == {"code", "title", "explanation", "example"}


def test_a_plan_is_shown_as_a_table(run: Run, promises: str) -> None:
    done = run("explain", "--plan", "--policies", promises)
    assert done.status == 0
    rows = [line.split()[:2] for line in done.out.splitlines()]
    at = rows.index(["finance/promises"])
    assert rows[at + 1 : at + 3] == [["decode", "no-guarantees"], ["stream", "mask-accounts"]]
    assert "no date ends it" in done.out
    assert "cannot be generated" in done.out


def test_a_plan_as_json_and_from_a_file(run: Run, promises: str) -> None:
    fresh = run("explain", "--plan", "--policies", promises, "--format", "json")
    assert run("compile", "--policies", promises, "-o", "plan.json").status == 0
    stored = run("explain", "--plan", "plan.json", "--format", "json")
    assert fresh.status == stored.status == 0
    assert json.loads(fresh.out)["digest"] == json.loads(stored.out)["digest"]
    levels = {row["name"]: row["level"] for row in json.loads(stored.out)["enforcements"]}
    assert levels["finance/promises#no-guarantees"] == "decode"
