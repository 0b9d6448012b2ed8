"""The files of a log in SQLite: a folder of segments, each a database of its own that goes on where the last ends."""

import errno
import os
import re
import secrets
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from policykit.audit.chain import Head, genesis, new_id
from policykit.audit.errors import (
    LogDamaged,
    LogError,
    LogFull,
    LogLocked,
    LogReadOnly,
    LogUnreachable,
    NoLog,
)

APPLICATION_ID = 0x504B4C47
FORMAT = 1
_NAME = re.compile(r"segment-([0-9]{8})\.db")
_SCHEMA = """
CREATE TABLE segment (
    id INTEGER PRIMARY KEY CHECK (id = 1), log_id BLOB NOT NULL, number INTEGER NOT NULL,
    base_sequence INTEGER NOT NULL, base_hash BLOB NOT NULL, made_s INTEGER NOT NULL, sealed INTEGER NOT NULL
);
CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), sequence INTEGER NOT NULL, hash BLOB NOT NULL);
CREATE TABLE entries (
    sequence INTEGER PRIMARY KEY, hash BLOB NOT NULL, at_us INTEGER NOT NULL, tenant TEXT, profile TEXT,
    decision TEXT, request TEXT, record TEXT NOT NULL
);
CREATE TABLE checkpoints (sequence INTEGER PRIMARY KEY, hash BLOB NOT NULL, key BLOB NOT NULL, signature BLOB NOT NULL);
CREATE INDEX entries_at ON entries (at_us);
CREATE INDEX entries_tenant ON entries (tenant, at_us);
CREATE INDEX entries_request ON entries (request);
CREATE TRIGGER entries_stay BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER entries_last BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
"""


@dataclass(frozen=True, slots=True)
class Segment:
    """One file. ``base`` is the head before its first entry; a sealed one takes no more."""

    log_id: bytes
    number: int
    base: Head
    made_s: int
    sealed: bool


def segment_files(folder: Path) -> tuple[Path, ...]:
    """The segments of a log, oldest first. Raises LogUnreachable (PK665)."""
    try:
        return tuple(sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name)))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise LogUnreachable.because(f"`{folder}` cannot be listed: {error.strerror}", "check its rights") from error


def number_of(path: Path) -> int:
    """The number in a segment's name."""
    found = _NAME.fullmatch(path.name)
    return int(found[1]) if found else 0


def make_folder(folder: Path, now_s: int) -> None:
    """A log in a folder, which only this user may read. Another process may do the same at the same time."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LogUnreachable.because(f"`{folder}` cannot be made: {error.strerror}", "check path and rights") from error
    log_id = new_id()
    make_segment(folder, Segment(log_id, 1, genesis(log_id), now_s, sealed=False))


def make_segment(folder: Path, segment: Segment) -> None:
    """Make a segment's file, whole before it has its name; one that is there already stays."""
    target = folder / f"segment-{segment.number:08}.db"
    made = folder / f".new-{secrets.token_hex(8)}"
    with translated(target):
        try:
            os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            with closing(sqlite3.connect(made, isolation_level=None)) as connection:
                _fill(connection, segment)
            with suppress(FileExistsError):
                os.link(made, target)
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        finally:
            made.unlink(missing_ok=True)


def _fill(connection: sqlite3.Connection, segment: Segment) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    connection.executescript(f"BEGIN; {_SCHEMA}")
    parts = (segment.log_id, segment.number, segment.base.sequence, segment.base.hash, segment.made_s)
    connection.execute("INSERT INTO segment VALUES (1, ?, ?, ?, ?, ?, 0)", parts)
    connection.execute("INSERT INTO head VALUES (1, ?, ?)", (segment.base.sequence, segment.base.hash))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT}")
    connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode = WAL")


def open_segment(path: Path, busy_s: float, *, write: bool) -> sqlite3.Connection:
    """A connection to a segment, for one thread. Raises LogError."""
    with translated(path):
        mode = "rw" if write else "ro"
        uri = f"{path.absolute().as_uri()}?mode={mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=busy_s, isolation_level=None, check_same_thread=False)
        try:
            application = connection.execute("PRAGMA application_id").fetchone()
            version = connection.execute("PRAGMA user_version").fetchone()
            if (application, version) != ((APPLICATION_ID,), (FORMAT,)):
                raise NoLog.because(f"`{path}` belongs to another program or version", "name the folder of a log")
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
        return connection


def read_segment(connection: sqlite3.Connection, path: Path) -> Segment:
    """What a segment says of itself. Raises LogDamaged (PK664)."""
    row = connection.execute("SELECT log_id, number, base_sequence, base_hash, made_s, sealed FROM segment").fetchone()
    kinds = (bytes, int, int, bytes, int, int)
    if row is None or tuple(map(type, row)) != kinds or row[1] != number_of(path):
        raise LogDamaged.because(f"`{path}` is not the segment that its name says", "restore it from a copy")
    return Segment(row[0], row[1], Head(row[2], row[3]), row[4], bool(row[5]))


def read_head(connection: sqlite3.Connection) -> Head:
    """The newest entry's number and hash, as the segment states it."""
    row = connection.execute("SELECT sequence, hash FROM head").fetchone()
    return Head(*row) if row and isinstance(row[0], int) and isinstance(row[1], bytes) else Head(-1, b"")


@contextmanager
def translated(path: Path) -> Generator[None]:
    """SQLite's errors and the system's, as those of a log."""
    try:
        yield
    except sqlite3.Error as error:
        raise _error(path, error) from error
    except UnicodeDecodeError as error:
        message = f"`{path}` is damaged: a text in it is no UTF-8"
        raise LogDamaged.because(message, "run `policykit audit verify`") from error
    except OSError as error:
        raise _unusable(path, error) from error


def _error(path: Path, error: sqlite3.Error) -> LogError:
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return LogLocked.because(f"`{path}` is locked by another process", "find the process that holds it")
        case sqlite3.SQLITE_FULL:
            return LogFull.because(f"there is no room for `{path}`", "make room on the disk, or retire old segments")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return LogReadOnly.because(f"`{path}` cannot be written: {error}", "check its rights and the mount")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CONSTRAINT | sqlite3.SQLITE_MISMATCH:
            return LogDamaged.because(f"`{path}` is damaged: {error}", "run `policykit audit verify`")
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_NOMEM | sqlite3.SQLITE_PROTOCOL:
            return LogUnreachable.because(
                f"`{path}` cannot be used: {error}", "check the disk, the path and its rights"
            )
        case _:
            return LogDamaged.because(f"`{path}` is not as it was made: {error}", "run `policykit audit verify`")


def _unusable(path: Path, error: OSError) -> LogError:
    message = f"`{path}` cannot be used: {(error.strerror or type(error).__name__).lower()}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LogFull.because(message, "make room on the disk, or retire old segments")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return LogReadOnly.because(message, "check its rights and the mount")
    return LogUnreachable.because(message, "check the disk, the path and its rights")
