"""The SQLite file of a vault: its form, its transactions, and what its errors mean.

Several processes and threads may use one file: write-ahead logging, one connection per process, and every change in
an immediate transaction (https://www.sqlite.org/wal.html, https://www.sqlite.org/lang_transaction.html).
"""

import os
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

from policykit.vault.errors import NoVault, VaultDamaged, VaultError, VaultUnreachable

APPLICATION_ID = 0x504B5654
FORMAT = 1
MEMORY = ":memory:"
_SCHEMA = """
CREATE TABLE header (id BLOB NOT NULL, nonce TEXT NOT NULL, key_check BLOB NOT NULL) STRICT;
CREATE TABLE tokens (
    number INTEGER PRIMARY KEY, tenant TEXT NOT NULL, kind TEXT NOT NULL, token TEXT NOT NULL, at INTEGER NOT NULL,
    lookup BLOB NOT NULL UNIQUE, sealed BLOB NOT NULL
) STRICT;
CREATE TABLE audit (sequence INTEGER PRIMARY KEY, line TEXT NOT NULL, seal BLOB NOT NULL) STRICT;
CREATE TRIGGER audit_keeps BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
"""
_RETRY_S = 0.01


class Store:
    """A vault's database, or one in memory that lives as long as this value."""

    def __init__(self, path: str | Path, busy_s: float, create: bool) -> None:
        self.path = str(path)
        self._busy_s = busy_s
        self._lock = RLock()
        self._connections: dict[int, sqlite3.Connection] = {}
        self._closed = False
        if self.path != MEMORY and not create and not Path(self.path).exists():
            raise VaultUnreachable.because(f"there is no vault `{self.path}`", "name the file that holds it")
        with self._lock, self._translated():
            self._prepare(self._connection())

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """The connection, for one statement at a time."""
        with self._lock, self._translated():
            yield self._connection()

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """The connection inside a transaction that no other writer shares; nothing is kept if the block raises."""
        with self._lock, self._translated():
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        with self._lock:
            self._closed = True
            connection = self._connections.pop(os.getpid(), None)
            if connection:
                connection.close()

    def _connection(self) -> sqlite3.Connection:
        """This process's connection: one must never be carried across a fork, nor be closed by the child."""
        if self._closed:
            raise VaultUnreachable.because(f"the vault `{self.path}` is closed", "open it again")
        connection = self._connections.get(os.getpid())
        if connection is None:
            if self._connections and self.path == MEMORY:
                raise VaultUnreachable.because("a vault in memory belongs to one process", "keep the vault in a file")
            connection = sqlite3.connect(self.path, timeout=self._busy_s, isolation_level=None, check_same_thread=False)
            self._connections[os.getpid()] = connection
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Check that the file is a vault, or make it one if there is nothing in it."""
        if not _is_empty(connection):
            self._check_form(connection)
            return
        if self.path != MEMORY:
            Path(self.path).chmod(0o600)
            self._write_ahead(connection)
        connection.execute("BEGIN IMMEDIATE")
        if _is_empty(connection):  # unless another process was faster
            for statement in _statements(_SCHEMA):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")
        self._check_form(connection)

    def _write_ahead(self, connection: sqlite3.Connection) -> None:
        """Switch the journal. SQLite does not wait for a lock here, so this does."""
        until = time.monotonic() + self._busy_s
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError:
                if time.monotonic() >= until:
                    raise
                time.sleep(_RETRY_S)

    def _check_form(self, connection: sqlite3.Connection) -> None:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION_ID:
            raise NoVault.because(f"`{self.path}` is a database of another program", "name a file of its own")
        if version != FORMAT:
            help = "use the version of policykit that wrote it"
            raise NoVault.because(f"the vault `{self.path}` has format {version}, this version reads {FORMAT}", help)
        names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"header", "tokens", "audit"} <= names:
            raise self._damaged("a table is missing")
        connection.execute("PRAGMA synchronous = FULL")

    @contextmanager
    def _translated(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._meaning(error) from error
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise VaultUnreachable.because(
                f"the vault `{self.path}`: {reason}", "check the path and its rights"
            ) from error

    def _meaning(self, error: sqlite3.Error) -> VaultError:
        code = getattr(error, "sqlite_errorcode", None)
        primary = code & 0xFF if isinstance(code, int) else None
        if primary == sqlite3.SQLITE_NOTADB:
            return NoVault.because(f"`{self.path}` is no SQLite database", "name the file that holds the vault")
        if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            help = "find out which process holds it, or wait longer for it"
            return VaultUnreachable.because(f"the vault `{self.path}` is locked by another process", help)
        reached = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY,
                   sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_NOMEM)  # fmt: skip
        if primary in reached:
            return VaultUnreachable.because(
                f"the vault `{self.path}`: {error}", "check the path, its rights and the disk"
            )
        return self._damaged(str(error))

    def _damaged(self, what: str) -> VaultDamaged:
        return VaultDamaged.because(f"the vault `{self.path}` is damaged: {what}", "restore it from a copy")


def _is_empty(connection: sqlite3.Connection) -> bool:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    return tables == 0 and application == 0


def _statements(script: str) -> list[str]:
    """The statements of a script; one that makes a trigger holds a semicolon of its own, within its line."""
    return [part for part in script.split(";\n") if part.strip()]
