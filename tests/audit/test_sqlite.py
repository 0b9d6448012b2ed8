"""The log in SQLite: what is acknowledged is there, in order, for every thread, process and segment."""

import asyncio
import hashlib
import os
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from policykit.audit import (
    LogError,
    Record,
    SqliteSettings,
    Tampering,
    open_log,
    open_reader,
    parse,
    render,
    verify_log,
)
from tests.audit.records import only_segment, plain


def written(folder: Path) -> list[Record]:
    found = [parse(row.record) for row in open_reader(folder).rows()]
    assert all(isinstance(body, Record) for body in found)
    return [body for body in found if isinstance(body, Record)]


def codes(error: LogError) -> list[str]:
    return [diagnostic.code for diagnostic in error.diagnostics]


def test_records_are_there_in_order_and_the_chain_is_what_it_says(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    receipts = [log.append(plain(i)) for i in range(5)]
    assert written(tmp_path / "log") == [plain(i) for i in range(5)]  # while it is open
    log.close()
    with closing(sqlite3.connect(only_segment(tmp_path / "log"))) as connection:
        (log_id,) = connection.execute("SELECT log_id FROM segment").fetchone()
    hash = hashlib.sha256(b"policykit/audit/genesis/1\0" + log_id).digest()
    for number, receipt in enumerate(receipts, 1):
        part = b"policykit/audit/entry/1\0" + hash + number.to_bytes(8, "big") + render(plain(number - 1))
        hash = hashlib.sha256(part).digest()
        assert (receipt.sequence, receipt.hash) == (number, hash.hex())
    verified = verify_log(open_reader(tmp_path / "log"))
    assert (verified.fault, verified.n_entries, verified.head.hash) == (None, 5, hash)


def test_a_log_goes_on_where_it_ended(tmp_path: Path) -> None:
    for i in range(3):
        log = open_log(tmp_path)
        assert log.append(plain(i)).sequence == i + 1
        log.close()
    assert verify_log(open_reader(tmp_path)).fault is None


def test_two_logs_have_chains_of_their_own(tmp_path: Path) -> None:
    hashes = set()
    for name in ("a", "b"):
        log = open_log(tmp_path / name)
        hashes.add(log.append(plain()).hash)
        log.close()
    assert len(hashes) == 2


def test_threads_and_tasks_append_at_once(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    got: list[int] = []

    def work(first: int) -> None:
        got.extend(log.append(plain(first + i)).sequence for i in range(20))

    async def tasks() -> None:
        receipts = await asyncio.gather(*(log.aappend(plain(1000 + i)) for i in range(100)))
        got.extend(receipt.sequence for receipt in receipts)

    threads = [threading.Thread(target=work, args=(n * 20,)) for n in range(8)]
    for thread in threads:
        thread.start()
    asyncio.run(tasks())
    for thread in threads:
        thread.join()
    log.close()
    assert sorted(got) == list(range(1, 261))
    assert sorted(r.request for r in written(tmp_path)) == sorted(
        [f"r{i}" for i in range(160)] + [f"r{i}" for i in range(1000, 1100)]
    )
    assert verify_log(open_reader(tmp_path)).n_entries == 260


def test_nobody_else_may_read_the_files(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        log = open_log(tmp_path / "deep" / "log")
        log.append(plain())
        files = list((tmp_path / "deep" / "log").iterdir())
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        assert len(files) == 3  # the database, its write-ahead log, its index
        assert stat.S_IMODE((tmp_path / "deep" / "log").stat().st_mode) == 0o700
        log.close()
    finally:
        os.umask(before)


def test_full_segments_are_sealed_and_the_next_goes_on(tmp_path: Path) -> None:
    log = open_log(tmp_path, SqliteSettings(segment_bytes=100_000))
    for i in range(400):
        log.append(plain(i))
    log.close()
    files = sorted(tmp_path.glob("segment-*.db"))
    assert len(files) > 2
    assert all(path.stat().st_size < 200_000 for path in files)
    verified = verify_log(open_reader(tmp_path))
    assert (verified.fault, verified.n_entries) == (None, 400)
    assert [r.request for r in written(tmp_path)] == [f"r{i}" for i in range(400)]


def test_old_segments_are_sealed(tmp_path: Path) -> None:
    now = 1000.0
    log = open_log(tmp_path, SqliteSettings(segment_s=60, clock=lambda: now))
    log.append(plain(0))
    now = 1059.0
    log.append(plain(1))
    now = 1061.0
    log.append(plain(2))
    log.close()
    assert len(list(tmp_path.glob("segment-*.db"))) == 2
    assert verify_log(open_reader(tmp_path)).fault is None


def test_a_sealed_segment_without_a_next_one_is_gone_on_with(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(plain(0))
    log.close()
    with closing(sqlite3.connect(only_segment(tmp_path))) as connection:  # as a crash between the two leaves it
        connection.execute("UPDATE segment SET sealed = 1")
        connection.commit()
    log = open_log(tmp_path)
    assert log.append(plain(1)).sequence == 2
    log.close()
    assert verify_log(open_reader(tmp_path)).n_entries == 2


def test_a_segment_that_is_gone_is_missed(tmp_path: Path) -> None:
    log = open_log(tmp_path, SqliteSettings(segment_bytes=60_000))
    for i in range(200):
        log.append(plain(i))
    log.close()
    files = sorted(tmp_path.glob("segment-*.db"))
    assert len(files) > 2
    files[1].unlink()
    fault = verify_log(open_reader(tmp_path)).fault
    assert fault is not None
    assert fault.kind is Tampering.REMOVED
    files[0].unlink()
    fault = verify_log(open_reader(tmp_path)).fault
    assert fault is not None
    assert fault.kind is Tampering.REMOVED


def test_the_first_segment_gone_is_missed(tmp_path: Path) -> None:
    log = open_log(tmp_path, SqliteSettings(segment_bytes=60_000))
    for i in range(200):
        log.append(plain(i))
    log.close()
    sorted(tmp_path.glob("segment-*.db"))[0].unlink()
    fault = verify_log(open_reader(tmp_path)).fault
    assert fault is not None
    assert (fault.kind, fault.why[:21]) == (Tampering.REMOVED, "the log begins later ")


def test_a_closed_log_takes_nothing(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.close()
    log.close()
    with pytest.raises(LogError) as caught:
        log.append(plain())
    assert codes(caught.value) == ["PK667"]


def test_a_record_without_spelling_spoils_no_other(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    with pytest.raises(LogError, match="PK660"):
        log.append(plain(tenant="\ud800"))
    assert log.append(plain(1)).sequence == 1
    log.close()


def test_a_locked_log_fails_and_goes_on(tmp_path: Path) -> None:
    log = open_log(tmp_path, SqliteSettings(busy_s=0.1))
    with closing(sqlite3.connect(only_segment(tmp_path), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogError) as caught:
            log.append(plain(0))
        assert codes(caught.value) == ["PK661"]
        other.execute("ROLLBACK")
    assert log.append(plain(1)).sequence == 1
    log.close()
    assert [r.request for r in written(tmp_path)] == ["r1"]


def test_a_log_that_was_taken_away_takes_nothing(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    log.append(plain(0))
    for path in (tmp_path / "log").iterdir():
        path.unlink()
    for _ in range(2):
        with pytest.raises(LogError) as caught:
            log.append(plain(1))
        assert codes(caught.value) == ["PK665"]
    log.close()


def test_a_log_that_was_put_back_to_an_older_state_takes_nothing(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(plain(0))
    path = only_segment(tmp_path)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(tmp_path / "old")) as copy:
        source.backup(copy)
    log.append(plain(1))
    with closing(sqlite3.connect(tmp_path / "old")) as copy, closing(sqlite3.connect(path)) as target:
        copy.backup(target)
    with pytest.raises(LogError) as caught:
        log.append(plain(2))
    assert codes(caught.value) == ["PK664"]
    log.close()


def test_bytes_that_are_no_database_are_damage(tmp_path: Path) -> None:
    (tmp_path / "segment-00000001.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(LogError) as caught:
        open_log(tmp_path)
    assert codes(caught.value) == ["PK664"]


def test_another_programs_database_is_no_log(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "segment-00000001.db")) as other:
        other.execute("CREATE TABLE x (y)")
    with pytest.raises(LogError) as caught:
        open_log(tmp_path)
    assert codes(caught.value) == ["PK666"]
    with pytest.raises(LogError) as caught:
        open_reader(tmp_path / "nothing")
    assert codes(caught.value) == ["PK666"]


def test_a_file_where_the_folder_should_be_is_out_of_reach(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(LogError) as caught:
        open_log(tmp_path / "file")
    assert codes(caught.value) == ["PK665"]


def test_a_read_only_database_takes_nothing(tmp_path: Path) -> None:
    open_log(tmp_path).close()
    # root may write any file: what is left is a format that SQLite may not write
    data = bytearray(only_segment(tmp_path).read_bytes())
    data[18] = 3  # the "file format write version" (SQLite file format, 1.3.3): one that is not known is only read
    only_segment(tmp_path).write_bytes(data)
    log = open_log(tmp_path)
    with pytest.raises(LogError) as caught:
        log.append(plain())
    assert codes(caught.value) == ["PK663"]
    log.close()


def test_entries_can_neither_be_changed_nor_deleted_in_passing(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(plain())
    log.close()
    with closing(sqlite3.connect(only_segment(tmp_path))) as connection:
        for statement in ("DELETE FROM entries", "UPDATE entries SET tenant = 'x'"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)


def test_a_fork_does_not_write_with_its_parents_connection(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(plain(0))
    child = os.fork()
    if child == 0:
        try:
            log.append(plain(1))
        except LogError as error:
            os._exit(0 if codes(error) == ["PK667"] else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    log.close()
