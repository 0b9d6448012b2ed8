"""Whatever is done to the file is found, at the record to which it was done."""

import hashlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings, strategies as st

from policykit.audit import (
    LogError,
    SqliteSettings,
    Tampering,
    open_log,
    open_reader,
    read_checkpoints,
    verify_log,
)
from policykit.audit.checkpoint import Checkpoint
from policykit.audit.ed25519 import Ed25519Signer, is_signed, load_public, load_signer
from tests.audit.records import only_segment, plain

N = 12


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "log"
    log = open_log(folder)
    for i in range(N):
        log.append(plain(i))
    log.close()
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "log")
    return tmp_path / "log"


Change = Callable[[sqlite3.Connection], object]


def tamper(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(only_segment(folder), isolation_level=None)) as connection:
        for trigger in ("entries_stay", "entries_last"):
            (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (trigger,)).fetchone()
            connection.execute(f"DROP TRIGGER {trigger}")
            statements = (*statements, sql)
        for statement in statements:
            connection.execute(statement)


def fault(folder: Path) -> tuple[int, Tampering] | None:
    found = verify_log(open_reader(folder)).fault
    return None if found is None else (found.sequence, found.kind)


SWAP = """UPDATE entries AS a SET hash = b.hash, at_us = b.at_us, tenant = b.tenant, request = b.request,
          record = b.record FROM (SELECT * FROM entries) AS b
          WHERE (a.sequence, b.sequence) IN (({0}, {1}), ({1}, {0}))"""


@pytest.mark.parametrize("n", [1, 5, N])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET record = replace(record, '200', '201') WHERE sequence = {n}",
        "UPDATE entries SET record = '' WHERE sequence = {n}",
        "UPDATE entries SET record = x'ff' WHERE sequence = {n}",
        "UPDATE entries SET hash = zeroblob(32) WHERE sequence = {n}",
        "UPDATE entries SET hash = 'text' WHERE sequence = {n}",
        "UPDATE entries SET at_us = at_us + 1 WHERE sequence = {n}",
        "UPDATE entries SET tenant = NULL WHERE sequence = {n}",
        "UPDATE entries SET profile = 'other' WHERE sequence = {n}",
        "UPDATE entries SET decision = 'block' WHERE sequence = {n}",
        "UPDATE entries SET request = request || 'x' WHERE sequence = {n}",
    ],
)
def test_a_changed_field_is_found_at_its_record(copy: Path, statement: str, n: int) -> None:
    tamper(copy, statement.format(n=n))
    assert fault(copy) == (n, Tampering.ALTERED)


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (("DELETE FROM entries WHERE sequence = 1",), (1, Tampering.REMOVED)),
        (("DELETE FROM entries WHERE sequence BETWEEN 4 AND 6",), (4, Tampering.REMOVED)),
        (("DELETE FROM entries WHERE sequence > 9",), (10, Tampering.TRUNCATED)),
        (("DELETE FROM entries",), (1, Tampering.TRUNCATED)),
        ((SWAP.format(4, 5),), (4, Tampering.REORDERED)),
        ((SWAP.format(2, 9),), (2, Tampering.REORDERED)),
        (("UPDATE entries SET sequence = -sequence WHERE sequence > 3", "UPDATE entries SET sequence = 1 - sequence "
          "WHERE sequence < 0", "INSERT INTO entries SELECT 4, hash, at_us, tenant, profile, decision, 'new', record "
          "FROM entries WHERE sequence = 1"), (4, Tampering.INSERTED)),
        (("INSERT INTO entries SELECT 13, hash, at_us, tenant, profile, decision, 'new', record FROM entries "
          "WHERE sequence = 1",), (13, Tampering.ALTERED)),
        (("INSERT INTO entries SELECT 0, hash, at_us, tenant, profile, decision, 'new', record FROM entries "
          "WHERE sequence = 1",), (0, Tampering.INSERTED)),
        (("UPDATE head SET sequence = 11",), (11, Tampering.ALTERED)),
        (("UPDATE head SET sequence = 13",), (13, Tampering.TRUNCATED)),
        (("UPDATE head SET hash = zeroblob(32)",), (12, Tampering.ALTERED)),
        (("UPDATE segment SET log_id = zeroblob(16)",), (0, Tampering.REMOVED)),
        (("UPDATE segment SET base_hash = zeroblob(32)",), (1, Tampering.ALTERED)),
    ],
)  # fmt: skip
def test_rows_that_were_taken_out_moved_or_added_are_found(
    copy: Path, statements: tuple[str, ...], expected: tuple[int, Tampering]
) -> None:
    tamper(copy, *statements)
    assert fault(copy) == expected


def test_an_entry_that_was_added_with_its_right_hash_is_found(copy: Path) -> None:
    """Whoever knows the chain can go on with it; but not without moving the head."""
    with closing(sqlite3.connect(only_segment(copy))) as connection:
        hash, record = connection.execute("SELECT hash, record FROM entries WHERE sequence = 12").fetchone()
        new = hashlib.sha256(b"policykit/audit/entry/1\0" + hash + (13).to_bytes(8, "big") + record.encode()).digest()
        connection.execute(
            "INSERT INTO entries SELECT 13, ?, at_us, tenant, profile, decision, request, record FROM entries "
            "WHERE sequence = 12",
            (new,),
        )
        connection.commit()
    assert fault(copy) == (13, Tampering.INSERTED)


def contents(folder: Path) -> list[object]:
    """What can be read of a log, whatever it is worth."""
    try:
        return [*open_reader(folder).rows(), open_reader(folder).stored()]
    except LogError as error:
        return [str(error)]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_bit_that_was_flipped_is_found_or_changes_nothing(
    data: st.DataObject, made: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every bit of the file counts for something or for nothing: never for another log that verifies."""
    folder = tmp_path_factory.mktemp("flipped")
    raw = bytearray(only_segment(made).read_bytes())
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    (folder / only_segment(made).name).write_bytes(raw)
    try:
        found = verify_log(open_reader(folder)).fault
    except LogError:
        return
    if found is None:
        assert contents(folder) == contents(made)


@pytest.mark.parametrize("at", [b"base_hash BLOB", b"segment (", b"entries ("])
def test_a_name_that_is_no_utf8_any_more_is_damage(made: Path, tmp_path: Path, at: bytes) -> None:
    """What SQLite says of it quotes it, which Python cannot read."""
    raw = bytearray(only_segment(made).read_bytes())
    raw[raw.index(at)] ^= 0x80
    (tmp_path / only_segment(made).name).write_bytes(raw)
    with pytest.raises(LogError) as caught:
        verify_log(open_reader(tmp_path))
    assert [d.code for d in caught.value.diagnostics] == ["PK664"]


def test_a_flipped_bit_of_a_record_is_found_at_the_record(made: Path, tmp_path: Path) -> None:
    """In every record, where it stands in the file."""
    raw = only_segment(made).read_bytes()
    chance = random.Random(1)
    for n in range(1, N + 1):
        at = raw.index(f'"request":"r{n - 1}"'.encode())
        flipped = bytearray(raw)
        flipped[at + chance.randrange(10)] ^= 1 << chance.randrange(7)
        folder = tmp_path / str(n)
        folder.mkdir()
        (folder / only_segment(made).name).write_bytes(flipped)
        assert fault(folder) == (n, Tampering.ALTERED)


def test_progress_is_told(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(log.append, (plain(i) for i in range(2100))))
    log.close()
    told: list[int] = []
    assert verify_log(open_reader(tmp_path), progress=told.append).n_entries == 2100
    assert told == [1000, 2000]


# checkpoints


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    private, public = tmp_path / "key.pem", tmp_path / "key.pub"
    for command in (
        ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(private)],
        ["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(public)],
    ):
        subprocess.run(command, check=True, capture_output=True)
    return private, public


def test_what_was_cut_off_is_found_by_a_checkpoint_that_was_kept(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    private, public = keys
    file = tmp_path / "checkpoints"
    log = open_log(
        tmp_path / "log", SqliteSettings(signer=load_signer(private), checkpoint_every=4, checkpoint_file=file)
    )
    for i in range(4):
        log.append(plain(i))
    early = tmp_path / "early"
    with closing(sqlite3.connect(only_segment(tmp_path / "log"))) as source:
        early.mkdir()
        with closing(sqlite3.connect(early / "segment-00000001.db")) as target:
            source.backup(target)
    for i in range(4, 10):
        log.append(plain(i))
    log.close()
    trusted = frozenset([load_public(public)])

    def is_trusted(point: Checkpoint) -> bool:
        return is_signed(point, trusted)

    points = read_checkpoints(file)
    assert [point.head.sequence for point in points] == [4, 8]
    whole = verify_log(open_reader(tmp_path / "log"), points, is_trusted)
    assert (whole.fault, whole.n_checkpoints) == (None, 4)
    assert verify_log(open_reader(early)).fault is None  # by itself it is a log like another
    cut = verify_log(open_reader(early), points, is_trusted).fault
    assert cut is not None
    assert (cut.sequence, cut.kind) == (5, Tampering.TRUNCATED)

    other = replace(points[1], head=replace(points[1].head, hash=bytes(32)))
    forged = verify_log(open_reader(tmp_path / "log"), [other], is_trusted).fault
    assert forged is not None
    assert (forged.sequence, "not signed" in forged.why) == (8, True)
    stranger = Ed25519Signer(Ed25519PrivateKey.generate())
    again = replace(points[0], key=stranger.public, signature=stranger.sign(points[0].message))
    assert verify_log(open_reader(tmp_path / "log"), [again], is_trusted).fault is not None
    assert is_signed(again, frozenset([stranger.public]))


def test_a_chain_that_was_made_anew_is_found_by_a_checkpoint(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    private, public = keys
    trusted = frozenset([load_public(public)])
    signed = SqliteSettings(signer=load_signer(private), checkpoint_every=4)
    log = open_log(tmp_path / "log", signed)
    for i in range(10):
        log.append(plain(i))
    log.close()
    with closing(sqlite3.connect(only_segment(tmp_path / "log"))) as connection:
        (log_id,) = connection.execute("SELECT log_id FROM segment").fetchone()
        rows = connection.execute("SELECT sequence, record FROM entries ORDER BY sequence").fetchall()
        connection.execute("DROP TRIGGER entries_stay")
        hash = hashlib.sha256(b"policykit/audit/genesis/1\0" + log_id).digest()
        for sequence, record in rows:
            changed = record.replace('"status":200', '"status":500') if sequence == 3 else record
            part = b"policykit/audit/entry/1\0" + hash + sequence.to_bytes(8, "big") + changed.encode()
            hash = hashlib.sha256(part).digest()
            connection.execute("UPDATE entries SET record = ?, hash = ? WHERE sequence = ?", (changed, hash, sequence))
        connection.execute("UPDATE head SET hash = ?", (hash,))
        connection.commit()
    assert fault(tmp_path / "log") is None
    found = verify_log(open_reader(tmp_path / "log"), (), lambda point: is_signed(point, trusted)).fault
    assert found is not None
    assert (found.sequence, found.kind) == (4, Tampering.ALTERED)


@pytest.mark.parametrize("content", ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "key").write_text(content)
    for load in (load_signer, load_public):
        with pytest.raises(LogError) as caught:
            load(tmp_path / "key")
        assert [d.code for d in caught.value.diagnostics] == ["PK669"]


def test_what_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "points").write_text("{}\n")
    with pytest.raises(LogError, match="PK669: line 1"):
        read_checkpoints(tmp_path / "points")


def test_a_missing_package_is_named() -> None:
    program = """
import sys
sys.modules["psycopg"] = None
from policykit.audit import LogError, open_log, open_reader
for open_it in (open_log, open_reader):
    try:
        open_it("postgresql://nowhere/x")
    except LogError as error:
        print(error.diagnostics[0].code)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )  # fmt: skip
    assert done.stdout.split() == ["PK670", "PK670"]
