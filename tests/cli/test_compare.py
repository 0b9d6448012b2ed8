"""`compare` on real files."""

import json
from pathlib import Path

from .conftest import PROMISES, Run


def other(tmp_path: Path, old: str, new: str) -> str:
    """A second policy file that differs in one place."""
    (tmp_path / "other.policy.yaml").write_text(PROMISES.replace(old, new), encoding="utf-8")
    return "other.policy.yaml"


def test_a_narrower_rule_implies_the_wider(run: Run, tmp_path: Path, promises: str) -> None:
    wider = other(tmp_path, "[guaranteed returns]", "[guaranteed returns, risk-free]")
    done = run("compare", promises, wider)
    assert done.status == 0
    assert "output: implies: wherever A acts, B does, at least as strongly; not the other way round" in done.out
    assert "B but not A, shortest text: risk free" in done.out
    assert "    B: block by finance/promises#no-guarantees" in done.out
    assert run("compare", promises, wider, "--expect", "implies").status == 0
    assert run("compare", promises, wider, "--expect", "equal").status == 1
    assert run("compare", wider, promises, "--expect", "implied").status == 0


def test_two_rules_as_json(run: Run, tmp_path: Path, promises: str) -> None:
    changed = other(tmp_path, "acct", "account")
    done = run("compare", f"{promises}#mask-accounts", f"{changed}#mask-accounts", "--format", "json")
    report = json.loads(done.out)
    assert report["relation"] == "neither"
    only = report["comparisons"][0]["a_only"]
    assert (only["answer"], only["ascii"], only["is_shortest"]) == ("example", "acct 00000000", True)
    assert len(only["text"]) < len(only["ascii"])


def test_beyond_the_budget_it_is_not_proven(run: Run, tmp_path: Path, promises: str) -> None:
    changed = other(tmp_path, "acct", "account")
    done = run("compare", promises, changed, "--max-states", "3")
    assert done.status == 2
    assert "A but not B: not proven within 3 states" in done.out
    assert run("compare", promises, changed, "--max-states", "3", "--expect", "equal").status == 1


def test_what_is_left_out_is_said(run: Run, tmp_path: Path, promises: str) -> None:
    off = other(tmp_path, "  - id: mask-accounts", "  - id: mask-accounts\n    mode: 'off'")
    assert "B: finance/promises#mask-accounts is off" in run("compare", promises, off).out
    elsewhere = other(tmp_path, "  - id: mask-accounts", "  - id: mask-accounts\n    scope: {tenants: [acme]}")
    done = run("compare", promises, elsewhere, "--tenant", "other", "--at", "2026-01-01")
    assert "B: finance/promises#mask-accounts does not apply in this context on 2026-01-01" in done.out
    assert run("compare", f"{promises}#mask-accounts", f"{off}#mask-accounts", "--expect", "equal").status == 0


def test_a_view_and_json(run: Run, promises: str) -> None:
    done = run("compare", promises, promises, "--view", "raw", "--json", "--expect", "equal")
    assert done.status == 0
    assert "as if every rule read the view `raw` alone" in done.out
    assert "output, JSON strings: equal" in done.out


def test_wrong_names_are_invalid_input(run: Run, tmp_path: Path, promises: str) -> None:
    done = run("compare", f"{promises}#mask-acounts", promises)
    assert done.status == 3
    assert "PK700" in done.err
    assert "did you mean `mask-accounts`?" in done.err
    facts = other(tmp_path, "    severity: high", "    when: user.vip")
    done = run("compare", f"{facts}#no-guarantees", promises)
    assert done.status == 3
    assert "PK701" in done.err
    assert "`finance/promises#no-guarantees` depends on facts or people" in done.err
