"""Old records go, whole parts at a time; what is kept verifies, and says from where and since when."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from policykit.audit import (
    LogError,
    Query,
    Record,
    Retired,
    SqliteSettings,
    Tampering,
    open_log,
    open_reader,
    parse,
    query_log,
    retire_log,
    verify_log,
)
from policykit.audit.chain import Head
from policykit.audit.log import Draft
from policykit.audit.segments_retired import SegmentsRetired
from policykit.cli.main import main
from tests.audit.records import BEGAN, plain

NOW = BEGAN + timedelta(days=100)


def write(folder: Path, *days: int, segment_bytes: int = 1) -> None:
    """One record of each day since BEGAN; each in a segment of its own, if nothing else is said."""
    log = open_log(folder, SqliteSettings(segment_bytes=segment_bytes))
    for number, day in enumerate(days):
        log.append(plain(number, at=BEGAN + timedelta(days=day)))
    log.close()


def kept(folder: Path) -> list[str]:
    found = [parse(row.record) for row in open_reader(folder).rows()]
    return [body.request for body in found if isinstance(body, Record)]


def retire(folder: Path, before_day: int, now: datetime = NOW) -> tuple[int, int]:
    done = retire_log(folder, BEGAN + timedelta(days=before_day), now)
    return done.removed, done.kept_from


def test_old_segments_go_and_the_rest_verifies_from_where_they_ended(tmp_path: Path) -> None:
    write(tmp_path, 0, 10, 20, 30)
    hashes = {row.sequence: row.hash for row in open_reader(tmp_path).rows()}
    done = retire_log(tmp_path, BEGAN + timedelta(days=20), NOW)
    assert (done.removed, done.last, done.kept_from) == (2, Head(2, hashes[2]), 3)
    assert done.oldest == BEGAN + timedelta(days=20)
    assert kept(tmp_path) == ["r2", "r3"]
    found = verify_log(open_reader(tmp_path))
    assert (found.fault, found.first, found.retired) == (None, 3, NOW)
    said = [parse(row.record) for row in open_reader(tmp_path).rows(4)]
    assert said == [Retired(NOW, 1, hashes[1].hex()), Retired(NOW, 2, hashes[2].hex())]


def test_a_log_goes_on_after_it_and_is_retired_again(tmp_path: Path) -> None:
    write(tmp_path, 0, 10)
    assert retire(tmp_path, 5) == (1, 2)
    write(tmp_path, 110, 120)
    assert retire(tmp_path, 115, NOW + timedelta(days=30)) == (3, 5)  # with what said that the first is gone
    assert next(parse(row.record) for row in open_reader(tmp_path).rows()).at == BEGAN + timedelta(days=120)
    found = verify_log(open_reader(tmp_path))
    assert (found.fault, found.first, found.retired) == (None, 5, NOW + timedelta(days=30))
    assert retire(tmp_path, 115) == (0, 5)


def test_a_segment_goes_when_its_newest_record_is_old(tmp_path: Path) -> None:
    """The last one too: it is sealed, and what says so stands in the next."""
    write(tmp_path, 0, 30, segment_bytes=1 << 20)
    assert retire(tmp_path, 20) == (0, 1)
    assert len(list(tmp_path.glob("segment-*.db"))) == 2
    assert retire(tmp_path, 31) == (2, 3)
    assert kept(tmp_path) == []
    assert verify_log(open_reader(tmp_path)).fault is None
    log = open_log(tmp_path)
    assert log.append(plain(9)).sequence == 4
    log.close()


def test_an_empty_log_has_nothing_to_retire(tmp_path: Path) -> None:
    open_log(tmp_path).close()
    assert retire(tmp_path, 50) == (0, 1)


def test_a_server_writes_on_meanwhile(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(plain(0))
    assert retire(tmp_path, 50) == (1, 2)
    assert log.append(plain(1, at=NOW)).sequence == 3
    log.close()
    assert kept(tmp_path) == ["r1"]
    assert verify_log(open_reader(tmp_path)).fault is None


@settings(max_examples=15, deadline=None)
@given(
    days=st.lists(st.integers(0, 99), min_size=1, max_size=8),
    per_segment=st.sampled_from([1, 1 << 20]),
    cuts=st.lists(st.integers(0, 101), min_size=1, max_size=3),
)
def test_whatever_is_retired_the_rest_is_as_written(
    tmp_path_factory: pytest.TempPathFactory, days: list[int], per_segment: int, cuts: list[int]
) -> None:
    """By arithmetic on the days: what goes is old, it is the beginning, and with one record a segment it is all of the
    beginning that is old."""
    folder = tmp_path_factory.mktemp("retired")
    write(folder, *days, segment_bytes=per_segment)
    n_gone = 0
    for cut in cuts:
        retire(folder, cut)
        left = kept(folder)
        assert left == [f"r{n}" for n in range(len(days) - len(left), len(days))]
        gone = len(days) - len(left)
        assert all(day < max(cuts) for day in days[:gone])
        if per_segment == 1:
            while n_gone < len(days) and days[n_gone] < cut:
                n_gone += 1
            assert gone == n_gone
        assert verify_log(open_reader(folder)).fault is None


@pytest.mark.parametrize("n_appended", [1, 2])
@pytest.mark.parametrize("n_removed", [0, 1, 2])
def test_a_crash_in_between_leaves_a_log_that_verifies(tmp_path: Path, n_appended: int, n_removed: int) -> None:
    write(tmp_path, 0, 10, 20)
    store = SegmentsRetired(tmp_path)
    before_us = round(NOW.timestamp()) * 1_000_000
    store.prepare(before_us)
    for number in range(n_appended):
        end = store.next(before_us)
        assert end is not None
        says = Draft.of(Retired(NOW, end.sequence, end.hash.hex()))
        if number < n_removed:
            store.remove(end, says)
        else:
            log = open_log(tmp_path)
            log.append(Retired(NOW, end.sequence, end.hash.hex()))  # and no more: here it died
            log.close()
    with pytest.raises(LogError) as caught:
        retire(tmp_path, 15)
    assert [d.code for d in caught.value.diagnostics] == ["PK661"]  # two do not retire at once
    store.close()
    assert verify_log(open_reader(tmp_path)).fault is None
    retire(tmp_path, 15)
    assert kept(tmp_path) == ["r2"]


Forgery = Callable[[Path], object]


def forget(folder: Path) -> None:
    """Takes the oldest segment away without a word."""
    sorted(folder.glob("segment-*.db"))[0].unlink()


def alter(folder: Path) -> None:
    with closing(sqlite3.connect(sorted(folder.glob("segment-*.db"))[0])) as connection:
        connection.execute("DROP TRIGGER entries_stay")
        connection.execute("UPDATE entries SET record = replace(record, 'tenant-0', 'tenant-9')")
        connection.commit()


@pytest.mark.parametrize("forge", [forget, alter])
def test_a_retirement_hides_nothing_that_was_done_before(tmp_path: Path, forge: Forgery) -> None:
    write(tmp_path, 0, 10, 20)
    forge(tmp_path)
    files = {path.name for path in tmp_path.glob("*.db")}
    with pytest.raises(LogError) as caught:
        retire(tmp_path, 15)
    assert [d.code for d in caught.value.diagnostics] == ["PK672"]
    assert files == {path.name for path in tmp_path.glob("*.db")}


def test_what_is_taken_away_after_a_retirement_is_found(tmp_path: Path) -> None:
    write(tmp_path, 0, 10, 20, 30)
    retire(tmp_path, 5)
    forget(tmp_path)
    fault = verify_log(open_reader(tmp_path)).fault
    assert fault is not None
    assert (fault.sequence, fault.kind) == (2, Tampering.REMOVED)


def test_a_retirement_of_another_hash_excuses_nothing(tmp_path: Path) -> None:
    write(tmp_path, 0, 10)
    log = open_log(tmp_path)
    log.append(Retired(NOW, 1, "00" * 32))
    log.close()
    forget(tmp_path)
    assert verify_log(open_reader(tmp_path)).fault is not None


def test_a_search_finds_no_retirement(tmp_path: Path) -> None:
    write(tmp_path, 0, 10)
    retire(tmp_path, 5)
    assert [record.request for _, record in query_log(open_reader(tmp_path), Query())] == ["r1"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    today = datetime.now(UTC)
    folder = tmp_path / "log"
    log = open_log(folder, SqliteSettings(segment_bytes=1))
    for number, age in enumerate((100, 95, 10)):
        log.append(plain(number, at=today - timedelta(days=age)))
    log.close()
    shutil.copytree(folder, tmp_path / "copy")
    assert main(["audit", "retire", str(folder), "--older-than", "90"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("2 records retired, up to 2 sha256:")
    assert f"kept from 3 on, which is of {(today - timedelta(days=10)).date()}" in out
    assert main(["audit", "verify", str(folder)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("3 records from 3 to 5: as written\nrecords 1 to 2 were retired by 20")
    assert main(["audit", "retire", str(folder), "--older-than", "90"]) == 0
    assert capsys.readouterr().out.startswith("nothing to retire: no part of the log is wholly older than 20")
    assert main(["audit", "retire", str(tmp_path / "copy"), "--older-than", "90", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["removed"], found["last"]["sequence"], found["first"]) == (2, 2, 3)
    assert main(["audit", "retire", str(tmp_path / "nothing"), "--older-than", "90"]) == 3
    assert "PK666" in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("days", ["0", "-1", "x", "1.5"])
def test_an_age_is_a_number_of_days(tmp_path: Path, days: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "retire", str(tmp_path), "--older-than", days]) == 3
    assert "PK550" in capsys.readouterr().err
