"""`fmt` on real files."""

import os
from pathlib import Path

from .conftest import PROMISES, Run

UNTIDY = PROMISES.replace("    severity: high\n", "").replace(
    "    cost: 2.0\n", "    cost: 2.0  # twice\n    severity: high\n\n\n    # closed by counsel\n"
)


def test_it_writes_only_what_changes(run: Run, tmp_path: Path) -> None:
    done = run("fmt", ".")
    assert done.status == 3
    assert "PK002" in done.err
    (tmp_path / "a.policy.yaml").write_text(UNTIDY, encoding="utf-8")
    (tmp_path / "b.policy.yaml").write_text(PROMISES, encoding="utf-8")
    before = (tmp_path / "b.policy.yaml").stat().st_mtime_ns
    check = run("fmt", ".", "--check")
    assert (check.status, check.out) == (1, "would format a.policy.yaml\n")
    assert check.err == "would change: 1 of 2 files\n"
    shown = run("fmt", ".", "--diff")
    assert shown.status == 0
    assert "     cost: 2.0  # twice\n-    severity: high\n" in shown.out
    assert (tmp_path / "a.policy.yaml").read_text("utf-8") == UNTIDY
    os.chmod(tmp_path / "a.policy.yaml", 0o640)
    done = run("fmt", ".")
    assert (done.status, done.out) == (0, "formatted a.policy.yaml\n")
    tidy = (tmp_path / "a.policy.yaml").read_text("utf-8")
    assert "    severity: high\n    cost: 2.0  # twice\n\n    # closed by counsel\n" in tidy
    assert (tmp_path / "a.policy.yaml").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "b.policy.yaml").stat().st_mtime_ns == before
    assert run("fmt", ".", "--check").status == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.policy.yaml", "b.policy.yaml"]


def test_nothing_is_written_where_one_file_is_wrong(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.policy.yaml").write_text(UNTIDY, encoding="utf-8")
    (tmp_path / "b.policy.yaml").write_text("a: [1\n", encoding="utf-8")
    done = run("fmt", ".")
    assert done.status == 3
    assert "PK006" in done.err
    assert "b.policy.yaml:2:1" in done.err
    assert (tmp_path / "a.policy.yaml").read_text("utf-8") == UNTIDY


def test_standard_input(run: Run) -> None:
    done = run("fmt", "-", stdin=b"kind: Tests\r\napiVersion: policykit/v1\r\n")
    assert (done.status, done.out) == (0, "apiVersion: policykit/v1\nkind: Tests\n")
    assert run("fmt", "-", "--check", stdin=b"b: 1\n\n").status == 1
    assert "PK554" in run("fmt", "-", stdin=b"\xff").err
    assert "PK550" in run("fmt", "-", ".").err
