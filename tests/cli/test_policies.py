"""`check`, `new`, `compile` and `verify` on real files."""

import json
from pathlib import Path

import pytest

from .conftest import PROMISES, Run


def test_check_counts_what_is_fine(run: Run, promises: str) -> None:
    done = run("check", promises)
    assert (done.status, done.out, done.err) == (0, "1 document, 2 rules, 2 tests: no errors\n", "")


def test_check_reports_every_mistake_with_its_place(run: Run, tmp_path: Path) -> None:
    wrong = PROMISES.replace("severity: high", "severity: hihg").replace("phrases:", "phrasse:")
    (tmp_path / "wrong.policy.yaml").write_text(wrong, encoding="utf-8")
    done = run("check", "wrong.policy.yaml")
    assert done.status == 3
    assert "wrong.policy.yaml:6:" in done.out
    assert "    6 |     severity: hihg\n      |               ^^^^\n" in done.out
    assert "did you mean `phrases`?" in done.out
    assert done.out.endswith("2 errors\n")


@pytest.mark.parametrize("form", ["json", "sarif", "github"])
def test_check_for_machines(run: Run, tmp_path: Path, form: str) -> None:
    (tmp_path / "wrong.policy.yaml").write_text(PROMISES.replace("severity: high", "severity: hihg"), encoding="utf-8")
    done = run("check", "wrong.policy.yaml", "--format", form)
    assert done.status == 3
    match form:
        case "json":
            (found,) = json.loads(done.out)["diagnostics"]
            assert found["place"]["line"] == 6
        case "sarif":
            (found,) = json.loads(done.out)["runs"][0]["results"]
            assert found["locations"][0]["physicalLocation"]["region"]["startLine"] == 6
        case _:
            assert done.out.startswith("::error file=wrong.policy.yaml,line=6,")


def test_warnings_count_against_their_limit_only(run: Run, tmp_path: Path) -> None:
    untested = PROMISES[: PROMISES.index("tests:")]
    (tmp_path / "untested.policy.yaml").write_text(untested, encoding="utf-8")
    done = run("check", "untested.policy.yaml")
    assert done.status == 0
    assert "warning: PK" in done.out
    assert run("check", "untested.policy.yaml", "--max-warnings", "1").status == 0
    assert run("check", "untested.policy.yaml", "--max-warnings", "0").status == 2


def test_check_of_nothing_is_invalid_input(run: Run) -> None:
    done = run("check", "no-such-folder")
    assert done.status == 3
    assert "no-such-folder" in done.out


def test_new_writes_a_policy_whose_tests_pass_and_never_overwrites(run: Run, tmp_path: Path) -> None:
    done = run("new", "finance/promises")
    path = Path("policies/finance/promises.policy.yaml")
    assert (done.status, done.out) == (0, f"wrote {path}\nnext: policykit test {path}\n")
    assert run("check", path, "--max-warnings", "0").status == 0
    assert run("test", path).status == 0
    (tmp_path / path).write_text("mine", encoding="utf-8")
    again = run("new", "finance/promises")
    assert again.status == 3
    assert f"PK552: `{path}` exists and is not overwritten" in again.err
    assert (tmp_path / path).read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", ["../outside", "/root/x", "a b", "", "x: y", "a\nb"])
def test_new_refuses_what_is_no_policy_name(run: Run, tmp_path: Path, name: str) -> None:
    done = run("new", name, "--dir", "sub")
    assert done.status == 3
    assert "PK" in done.err
    assert list(tmp_path.rglob("*.yaml")) == []


def test_compile_writes_a_plan_that_says_what_it_enforces(run: Run, promises: str) -> None:
    done = run("compile", "--policies", promises, "-o", "plan.json")
    assert done.status == 0
    assert done.out.endswith("1 decode, 1 stream; wrote plan.json\n")
    shown = json.loads(run("compile", "--policies", promises, "--format", "json").out)
    assert shown["digest"] in done.out
    assert shown["bundle_digest"] in done.out


def test_compile_names_the_residue_of_a_grammar(run: Run, promises: str, tmp_path: Path) -> None:
    schema = {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}
    (tmp_path / "set.schema.json").write_text(json.dumps(schema), encoding="utf-8")
    done = run("compile", "--policies", promises, "--grammar", "set.schema.json")
    assert done.status == 0
    rows = [line.split() for line in done.out.splitlines()]
    assert ["grammar"] in rows
    assert any(row[:2] == ["output", "/uniqueItems"] for row in rows)
    assert any(row[:2] == ["/uniqueItems", "uniqueItems"] for row in rows)
    assert "found when the output is complete" in done.out
    verdict = run("verify", "--policies", promises, "--grammar", "set.schema.json", stdin=b"[1,1]\n")
    assert verdict.status == 1
    assert "<stdin>: high: grammar: " in verdict.out


def test_compile_says_where_a_plan_cannot_be_written(run: Run, promises: str) -> None:
    done = run("compile", "--policies", promises, "-o", "no/such/folder/plan.json")
    assert done.status == 3
    assert "PK553: `no/such/folder/plan.json`: No such file or directory" in done.err


def test_compile_passes_warnings_on(run: Run, tmp_path: Path) -> None:
    later = PROMISES.replace("rules:", "effective: {from: 2999-01-01}\nrules:", 1)
    (tmp_path / "later.policy.yaml").write_text(later, encoding="utf-8")
    done = run("compile", "--policies", "later.policy.yaml", "--at", "2026-06-01")
    assert done.status == 0
    assert "warning: PK302: " in done.err
    assert "2999-01-01" in done.out
    assert run("compile", "--policies", "later.policy.yaml", "--max-warnings", "0").status == 2


def test_verify_underlines_a_violation_and_shows_the_message(run: Run, promises: str) -> None:
    text = "Dear all,\n\tsure, Guaranteed\u200b  Returns!\n"
    done = run("verify", "--policies", promises, stdin=text.encode())
    assert done.status == 1
    assert "<stdin>:2:8: high: no-guarantees: " in done.out
    assert (
        "    2 |     sure, Guaranteed<U+200B>  Returns!\n"
        "      |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
    ) in done.out  # fmt: skip
    assert "blocked: 1 violation, cost 2" in done.out
    assert done.out.endswith("\nWe can't promise outcomes.\n")


def test_verify_prints_the_transformed_text(run: Run, promises: str, tmp_path: Path) -> None:
    (tmp_path / "reply.txt").write_text("pay acct 12345678 today\n", encoding="utf-8")
    done = run("verify", "--policies", promises, "reply.txt")
    assert done == run("verify", "reply.txt", "--policies", promises)
    assert done.status == 0
    assert "transformed: " in done.out
    assert done.out.endswith("\npay [account] today\n")


def test_verify_by_a_stored_plan_agrees(run: Run, promises: str) -> None:
    assert run("compile", "--policies", promises, "-o", "plan.json").status == 0
    reports = [
        json.loads(run("verify", *flags, "--format", "json", "-", stdin=b"guaranteed returns").out)
        for flags in (["--plan", "plan.json"], ["--policies", promises])
    ]
    assert reports[0] == reports[1]
    assert reports[0]["decision"] == "block"
    assert reports[0]["rules"] == ["no-guarantees"]


def test_verify_allows_what_breaks_nothing(run: Run, promises: str) -> None:
    done = run("verify", "--policies", promises, stdin=b"Delivery is guaranteed, returns are free.\n")
    assert done.status == 0
    assert done.out.startswith("allowed: no violations")


def test_verify_refuses_bytes_that_are_no_text(run: Run, promises: str) -> None:
    done = run("verify", "--policies", promises, stdin=b"guar\xc3anteed")
    assert done.status == 3
    assert "PK554: `-` is not UTF-8: byte 4 is 0xc3" in done.err
    done = run("verify", "--policies", promises, "gone.txt")
    assert done.status == 3
    assert "PK553: `gone.txt`: No such file or directory" in done.err


def test_golden_files_are_updated_on_a_desk_only(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expect = "expect: {decision: transform, golden: account.txt}"
    text = PROMISES.replace('expect: {decision: transform, output: "pay [account] today"}', expect)
    (tmp_path / "golden.policy.yaml").write_text(text, encoding="utf-8")
    assert run("test", "golden.policy.yaml").status == 1
    monkeypatch.setenv("CI", "true")
    refused = run("test", "golden.policy.yaml", "--update-golden")
    assert (refused.status, "PK509" in refused.err) == (3, True)
    assert not (tmp_path / "account.txt").exists()
    monkeypatch.delenv("CI")
    assert run("test", "golden.policy.yaml", "--update-golden").status == 0
    assert (tmp_path / "account.txt").read_text(encoding="utf-8") == "pay [account] today\n"
    assert run("test", "golden.policy.yaml").status == 0


@pytest.mark.parametrize("form", ["text", "json", "junit", "github", "sarif"])
def test_changes_that_no_test_notices_are_reported(run: Run, promises: str, form: str) -> None:
    done = run("test", promises, "--mutate", "--format", form)
    assert done.status == 0, done.err
    assert "exact: true" in done.out
    assert run("test", promises, "--mutate", "--min-score", "100").status == 2
    assert run("test", promises, "--mutate", "--min-score", "101").status == 3
    if form in ("github", "sarif"):
        assert "PK512" in done.out


def test_what_no_test_uses_is_listed(run: Run, tmp_path: Path) -> None:
    wider = PROMISES.replace("[guaranteed returns]", "[guaranteed returns, assured profits]")
    (tmp_path / "wider.policy.yaml").write_text(wider, encoding="utf-8")
    done = run("test", "wider.policy.yaml", "--coverage")
    assert done.status == 0
    assert "PK511: no passing test uses phrase `assured profits`" in done.out
    assert "PK511: no passing test uses rule `mask-accounts`" in done.out
    assert "guaranteed returns`" not in done.out
    assert "3 of 5 parts used by a test: coverage 60.0%" in done.out
    assert run("test", "wider.policy.yaml", "--min-coverage", "61").status == 2
    assert run("test", "wider.policy.yaml", "--min-coverage", "60").status == 0
    assert run("test", "wider.policy.yaml", "--coverage", "--format", "junit").status == 3
