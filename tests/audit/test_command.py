"""`policykit audit` on real logs."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from policykit.audit import SqliteSettings, open_log, render, retire_log
from policykit.cli.main import main
from policykit.ir.verdict import Decision
from tests.audit.records import BEGAN, only_segment, plain


@pytest.fixture
def log(tmp_path: Path) -> str:
    made = open_log(tmp_path / "log")
    for i in range(6):
        fired = ("finance#no-guarantees",) if i % 2 else ()
        made.append(plain(i, rules=fired, decision=Decision.BLOCK if fired else Decision.ALLOW))
    made.close()
    return str(tmp_path / "log")


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    status = main(["audit", *argv])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_whole_log_verifies(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "verify", log)
    assert status == 0
    assert out.startswith("6 records from 1 to 6: as written\nhead sha256:")
    status, out, _ = run(capsys, "verify", log, "--format", "json")
    found = json.loads(out)
    assert (status, found["records"], found["fault"]) == (0, 6, None)


def test_a_changed_record_is_named(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(only_segment(Path(log)))) as connection:
        connection.execute("DROP TRIGGER entries_stay")
        connection.execute("UPDATE entries SET record = replace(record, 'block', 'allow') WHERE sequence = 4")
        connection.commit()
    status, out, _ = run(capsys, "verify", log)
    assert status == 1
    assert out.startswith("record 4 (request `r3`): altered: its hash is not that of its content")
    assert out.endswith("3 records before it verified\n")
    status, out, _ = run(capsys, "verify", log, "--format", "json")
    assert (status, json.loads(out)["fault"]["sequence"]) == (1, 4)


@pytest.mark.parametrize(
    ("asked", "help"), [("verify", "restore it from a copy"), ("query", "run `policykit audit verify`")]
)
def test_whoever_verifies_a_damaged_log_is_not_told_to_verify_it(
    log: str, capsys: pytest.CaptureFixture[str], asked: str, help: str
) -> None:
    damaged = only_segment(Path(log))
    damaged.write_bytes(damaged.read_bytes()[:9000])
    status, out, err = run(capsys, asked, log)
    assert (status, out) == (3, "")
    assert "PK664" in err
    assert f"help: {help}" in err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [1, 2, 3, 4, 5, 6]),
        (["--tenant", "tenant-1"], [2, 5]),
        (["--profile", "answer", "--decision", "block"], [2, 4, 6]),
        (["--rule", "finance#no-guarantees", "--limit", "2"], [2, 4]),
        (["--rule", "finance#no"], []),
        (["--request", "r3"], [4]),
        (["--since", "2026-03-01T12:00:02"], [3, 4, 5, 6]),
        (["--since", "2026-03-01T13:00:02+01:00", "--until", "2026-03-01T12:00:04Z"], [3, 4]),
        (["--until", "2026-03-01"], []),
    ],
)
def test_records_are_found(
    log: str, capsys: pytest.CaptureFixture[str], options: list[str], expected: list[int]
) -> None:
    status, out, _ = run(capsys, "query", log, "--format", "jsonl", *options)
    assert status == 0
    assert [json.loads(line)["sequence"] for line in out.splitlines()] == expected
    _, out, _ = run(capsys, "query", log, "--format", "json", *options)
    found = json.loads(out)
    assert [entry["sequence"] for entry in found] == expected
    assert all(entry["record"]["request"] == f"r{entry['sequence'] - 1}" for entry in found)
    _, out, _ = run(capsys, "query", log, *options)
    assert [int(line.split()[0]) for line in out.splitlines()[1:]] == expected


def test_a_record_is_printed_as_it_is_chained(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "query", log, "--format", "jsonl", "--request", "r2")
    assert render(plain(2)).decode() in out


def test_what_is_no_time_is_refused(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "query", log, "--since", "yesterday")
    assert (status, "PK550" in err, "2026-03-01" in err) == (3, True, True)


def test_checkpoints_need_a_key(log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "points").write_text(
        '{"log":"00","sequence":1,"hash":"00","key":"00","signature":"00"}\n', encoding="utf-8"
    )
    status, _, err = run(capsys, "verify", log, "--checkpoints", str(tmp_path / "points"))
    assert (status, "--trusted" in err) == (3, True)


def test_where_there_is_no_log_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "verify", str(tmp_path))
    assert (status, "PK666" in err) == (3, True)


def test_what_was_retired_is_queried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "log"
    made = open_log(folder, SqliteSettings(segment_bytes=1))
    for i in range(4):
        made.append(plain(i))
    made.close()
    assert run(capsys, "query", str(folder), "--retired") == (0, "", "")
    done = retire_log(folder, BEGAN + timedelta(days=999), datetime(2027, 1, 2, tzinfo=UTC))
    assert done.last is not None
    status, out, _ = run(capsys, "query", str(folder), "--retired")
    assert status == 0
    lines = out.splitlines()
    gone = f"records up to {done.last.sequence} (sha256:{done.last.hash.hex()}) were retired"
    assert lines[-1].endswith(gone)
    assert "2027-01-02" in lines[-1]
    _, out, _ = run(capsys, "query", str(folder), "--retired", "--format", "json", "--since", "2027-01-01")
    found = json.loads(out)
    assert [one["record"]["last"] for one in found] == [int(line.split("up to ")[1].split()[0]) for line in lines]
    assert run(capsys, "query", str(folder), "--retired", "--until", "2027-01-01")[1] == ""
    status, _, err = run(capsys, "query", str(folder), "--retired", "--tenant", "acme")
    assert status == 3
    assert "--since" in err
