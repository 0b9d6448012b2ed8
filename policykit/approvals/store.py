"""Which approvals were used: each counts once, also where two processes ask at the same time."""

import sqlite3
from collections.abc import Collection, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Protocol

from policykit.approvals.approval import Approval
from policykit.diagnostics import PolicyError

APPLICATION_ID = 0x504B4150
FORMAT = 1
BUSY_S = 5.0
_TABLE = """CREATE TABLE IF NOT EXISTS spent (
    nonce TEXT PRIMARY KEY, digest TEXT NOT NULL, user TEXT NOT NULL, at TEXT NOT NULL, expires REAL NOT NULL
) WITHOUT ROWID"""


class Spent(Protocol):
    """Remembers used approvals."""

    def among(self, nonces: Collection[str]) -> frozenset[str]:
        """Those of the nonces that were used."""
        ...

    def spend(self, approvals: Collection[Approval], at: datetime) -> bool:
        """Use all of the approvals, or none of them and False where one was used before. Atomic."""
        ...


class SpentInMemory:
    """For one process; forgets when it ends, and then an approval that has not expired counts again."""

    def __init__(self) -> None:
        self._spent: set[str] = set()
        self._lock = Lock()

    def among(self, nonces: Collection[str]) -> frozenset[str]:
        with self._lock:
            return frozenset(nonces) & self._spent

    def spend(self, approvals: Collection[Approval], at: datetime) -> bool:
        nonces = {approval.nonce for approval in approvals}
        with self._lock:
            if self._spent & nonces:
                return False
            self._spent |= nonces
            return True


class SpentInFile:
    """An SQLite file that threads and processes share.

    Every call raises PolicyError (PK084) where the file is locked, damaged, out of reach or another program's.
    """

    def __init__(self, path: str | Path, busy_s: float = BUSY_S) -> None:
        self._path = str(path)
        self._busy_s = busy_s
        with self._open() as connection:
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if tables == 0:
                self._make(connection)
            application = connection.execute("PRAGMA application_id").fetchone()
            version = connection.execute("PRAGMA user_version").fetchone()
            if (application, version) != ((APPLICATION_ID,), (FORMAT,)):
                raise _unusable(self._path, "it belongs to another program or version")

    def among(self, nonces: Collection[str]) -> frozenset[str]:
        with self._open() as connection:
            query = "SELECT 1 FROM spent WHERE nonce = ?"
            return frozenset(nonce for nonce in nonces if connection.execute(query, (nonce,)).fetchone())

    def spend(self, approvals: Collection[Approval], at: datetime) -> bool:
        when = at.astimezone(UTC).isoformat()
        rows = [(a.nonce, a.digest, a.user, when, a.expires_at.timestamp()) for a in approvals]
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany("INSERT INTO spent VALUES (?, ?, ?, ?, ?)", rows)
            except sqlite3.IntegrityError:
                connection.execute("ROLLBACK")
                return False
            connection.execute("COMMIT")
            return True

    def forget(self, before: datetime) -> int:
        """Drop the approvals that expired before a time, and say how many. They count no more anyway."""
        with self._open() as connection:
            return connection.execute("DELETE FROM spent WHERE expires < ?", (before.timestamp(),)).rowcount

    def _make(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_TABLE)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")

    @contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        """A connection for one call: nothing is shared between threads or carried across a fork."""
        try:
            connection = sqlite3.connect(self._path, timeout=self._busy_s, isolation_level=None)
            try:
                connection.execute("PRAGMA synchronous = FULL")
                yield connection
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise _unusable(self._path, str(error)) from error


def _unusable(path: str, why: str) -> PolicyError:
    help = "check the path, its rights and which process holds it"
    return PolicyError.of("PK084", f"the store of spent approvals `{path}` cannot be used: {why}", help=help)
