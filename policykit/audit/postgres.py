"""The log in PostgreSQL: one chain that many servers write. It and its retirement alone import `psycopg`.

Writers take turns at the row of the head, which they lock; the database itself refuses to change or delete entries, or
to move the head back. The role that servers write with needs no more than::

    GRANT SELECT, INSERT ON policykit_audit_entries, policykit_audit_checkpoints TO writer;
    GRANT SELECT, UPDATE ON policykit_audit_head TO writer;

The tables are made by the first that opens the log and may make them; they belong to that role, which servers should
not use afterwards: an owner can drop a trigger, and verification says when one is missing.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection, errors

from policykit.audit.chain import Columns, Head, Receipt, Row, following, genesis, new_id
from policykit.audit.checkpoint import Checkpoint, Signer, checkpoint, is_due, keep_line
from policykit.audit.coding import parse
from policykit.audit.errors import (
    LogDamaged,
    LogError,
    LogFull,
    LogLocked,
    LogReadOnly,
    LogUnreachable,
    NoLog,
    RecordUnusable,
)
from policykit.audit.log import ALL, Draft, Filter, Stored
from policykit.audit.record import Retired

_LOCK = 0x504B4C47
"""The advisory lock under which the tables are made."""
_TRIGGERS = {"policykit_audit_stay", "policykit_audit_keep", "policykit_audit_onward", "policykit_audit_hold"}
_SCHEMA = """
CREATE TABLE policykit_audit_head (
    id integer PRIMARY KEY CHECK (id = 1), log_id bytea NOT NULL, sequence bigint NOT NULL, hash bytea NOT NULL
);
CREATE TABLE policykit_audit_entries (
    sequence bigint PRIMARY KEY, hash bytea NOT NULL, at_us bigint NOT NULL, tenant text, profile text, decision text,
    request text, record text NOT NULL
);
CREATE TABLE policykit_audit_checkpoints (
    sequence bigint PRIMARY KEY, hash bytea NOT NULL, key bytea NOT NULL, signature bytea NOT NULL
);
CREATE INDEX policykit_audit_at ON policykit_audit_entries (at_us);
CREATE INDEX policykit_audit_tenant ON policykit_audit_entries (tenant, at_us);
CREATE INDEX policykit_audit_request ON policykit_audit_entries (request);
CREATE FUNCTION policykit_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the log is append-only' USING ERRCODE = '42501'; END $$;
CREATE FUNCTION policykit_audit_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.sequence <= OLD.sequence OR NEW.log_id <> OLD.log_id THEN
        RAISE EXCEPTION 'the log is append-only' USING ERRCODE = '42501';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER policykit_audit_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON policykit_audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION policykit_audit_refuse();
CREATE TRIGGER policykit_audit_keep BEFORE UPDATE OR DELETE OR TRUNCATE ON policykit_audit_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION policykit_audit_refuse();
CREATE TRIGGER policykit_audit_hold BEFORE DELETE OR TRUNCATE ON policykit_audit_head
    FOR EACH STATEMENT EXECUTE FUNCTION policykit_audit_refuse();
CREATE TRIGGER policykit_audit_onward BEFORE UPDATE ON policykit_audit_head
    FOR EACH ROW EXECUTE FUNCTION policykit_audit_forward();
"""
_INSERT = "INSERT INTO policykit_audit_entries VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
_OLDEST = "SELECT sequence FROM policykit_audit_entries ORDER BY sequence LIMIT 1"
_LAST = "SELECT sequence, hash FROM policykit_audit_entries ORDER BY sequence DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """``timeout_s`` bounds each step: connecting, waiting for the turn, writing. Checkpoints as in SQLite."""

    timeout_s: int = 10
    signer: Signer | None = None
    checkpoint_every: int = 1000
    checkpoint_file: Path | None = None


class PostgresStore:
    """Writes; a :class:`policykit.audit.log.Store`. Makes the tables if they are not there. Raises LogError."""

    def __init__(self, address: str, settings: PostgresSettings | None = None) -> None:
        self._address = address
        self._settings = settings or PostgresSettings()
        self._connection: Connection[Any] | None = None
        self._seen: Head | None = None
        try:
            _make(self.connected())
        except psycopg.Error as error:
            self.close()
            raise translated_error(error) from error

    def close(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def write(
        self, drafts: Sequence[Draft], then: Callable[[Connection[Any]], None] = lambda connection: None
    ) -> Sequence[Receipt]:
        """See :class:`policykit.audit.log.Store`. Where the connection broke while the server committed, the entries
        may stand in the log although they were not acknowledged. ``then`` is done in the same transaction."""
        try:
            connection = self.connected()
            with connection.transaction():
                receipts, head, signed = self._appended(connection, drafts)
                then(connection)
            self._seen = head
        except psycopg.Error as error:
            self.close()
            raise translated_error(error) from error
        except BaseException:
            self.close()
            raise
        if signed is not None and self._settings.checkpoint_file is not None:
            keep_line(self._settings.checkpoint_file, signed)
        return receipts

    def check(self) -> None:
        """See :class:`policykit.audit.log.Store`."""
        try:
            if self.connected().execute("SELECT 1 FROM policykit_audit_head").fetchone() is None:
                raise LogDamaged.because("the log has lost its head", "run `policykit audit verify`")
        except psycopg.Error as error:
            self.close()
            raise translated_error(error) from error

    def connected(self) -> Connection[Any]:
        """The connection, made anew where it broke."""
        if self._connection is None:
            self._connection = _connect(self._address, self._settings.timeout_s)
            (fsync,) = self._connection.execute("SHOW fsync").fetchone() or ("off",)
            if fsync != "on":
                self.close()
                message = "the server does not wait for its disk: `fsync` is off"
                raise NoLog.because(message, "set `fsync = on`: what a log acknowledges must be durable")
        return self._connection

    def _appended(
        self, connection: Connection[Any], drafts: Sequence[Draft]
    ) -> tuple[Sequence[Receipt], Head, Checkpoint | None]:
        log_id, before = self._locked_head(connection)
        head = before
        rows: list[tuple[object, ...]] = []
        receipts: list[Receipt] = []
        for draft in drafts:
            head = following(head, draft.record)
            c = draft.columns
            text = draft.record.decode("utf-8")
            rows.append((head.sequence, head.hash, c.at_us, c.tenant, c.profile, c.decision, c.request, text))
            receipts.append(Receipt(head.sequence, head.hash.hex()))
        with connection.cursor() as cursor:
            cursor.executemany(_INSERT, rows)
            cursor.execute("UPDATE policykit_audit_head SET sequence = %s, hash = %s", (head.sequence, head.hash))
            signed = None
            if self._settings.signer and is_due(before, head, self._settings.checkpoint_every):
                signed = checkpoint(self._settings.signer, log_id, head)
                parts = (head.sequence, head.hash, signed.key, signed.signature)
                cursor.execute("INSERT INTO policykit_audit_checkpoints VALUES (%s, %s, %s, %s)", parts)
        return receipts, head, signed

    def _locked_head(self, connection: Connection[Any]) -> tuple[bytes, Head]:
        """The head, locked until the transaction ends, if the newest entry is what it says."""
        row = connection.execute("SELECT log_id, sequence, hash FROM policykit_audit_head FOR UPDATE").fetchone()
        if row is None:
            raise LogDamaged.because("the log has lost its head", "run `policykit audit verify`")
        log_id, head = bytes(row[0]), Head(row[1], bytes(row[2]))
        last = connection.execute(_LAST).fetchone()
        stands = Head(last[0], bytes(last[1])) if last else genesis(log_id)
        is_older = self._seen is not None and head != self._seen and head.sequence <= self._seen.sequence
        if head != stands or is_older:
            raise LogDamaged.because("the log does not end where it was written to", "run `policykit audit verify`")
        return log_id, head


class PostgresReader:
    """Reads a log as it stood when the reader was made, also while it is written. Raises NoLog (PK666), LogError."""

    def __init__(self, address: str, timeout_s: int = 10) -> None:
        try:
            self._connection = _connect(address, timeout_s, statement_s=0)
            self._connection.autocommit = False
            self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self._connection.read_only = True
            if not _is_made(self._connection):
                self._connection.close()
                raise NoLog.because("there is no log in this database", "name the database that the servers write to")
        except psycopg.Error as error:
            raise translated_error(error) from error
        self._n_cursors = 0

    def close(self) -> None:
        with suppress(psycopg.Error):
            self._connection.close()

    def stored(self) -> Stored:
        for log_id, sequence, hash in self._selected("SELECT log_id, sequence, hash FROM policykit_audit_head"):
            return Stored(bytes(log_id), self._base(bytes(log_id)), Head(sequence, bytes(hash)))
        raise LogDamaged.because("the log has lost its head", "restore the database from a copy")

    def _base(self, log_id: bytes) -> Head:
        """What stood before the oldest row: where older ones were retired the log says so itself."""
        for (first,) in self._selected(_OLDEST):
            said = f'"kind":"retired","last":{first - 1},'
            for row in self._entries("decision IS NULL AND strpos(record, %s) > 0", (said,)):
                with suppress(LogError, ValueError):  # whatever was done to it, verification names it
                    body = parse(row.record)
                    if isinstance(body, Retired):
                        return Head(body.last, bytes.fromhex(body.hash))
        return genesis(log_id)

    def rows(self, after: int = ALL) -> Iterator[Row]:
        yield from self._entries("sequence > %s", (after,))

    def find(self, wanted: Filter) -> Iterator[Row]:
        tests = (
            ("at_us >= %s", wanted.since_us),
            ("at_us < %s", wanted.until_us),
            ("tenant = %s", wanted.tenant),
            ("profile = %s", wanted.profile),
            ("decision = %s", wanted.decision),
            ("request = %s", wanted.request),
            ("strpos(record, %s) > 0", wanted.holding),
        )
        given = [(test, value) for test, value in tests if value is not None]
        yield from self._entries(" AND ".join(test for test, _ in given) or "true", tuple(value for _, value in given))

    def checkpoints(self) -> Iterator[Checkpoint]:
        log_id = self.stored().log_id
        query = "SELECT sequence, hash, key, signature FROM policykit_audit_checkpoints ORDER BY sequence"
        for sequence, hash, key, signature in self._selected(query):
            yield Checkpoint(log_id, Head(sequence, bytes(hash)), bytes(key), bytes(signature))

    def problems(self) -> Sequence[str]:
        """Triggers that are not there or switched off."""
        query = "SELECT tgname FROM pg_trigger WHERE tgenabled IN ('O', 'A') AND tgname LIKE 'policykit_audit_%%'"
        missing = _TRIGGERS - {name for (name,) in self._selected(query, ())}
        return tuple(f"the trigger `{name}` is missing or switched off" for name in sorted(missing))

    def _entries(self, test: str, values: tuple[object, ...]) -> Iterator[Row]:
        columns = "sequence, hash, at_us, tenant, profile, decision, request, convert_to(record, 'UTF8')"
        query = f"SELECT {columns} FROM policykit_audit_entries WHERE {test} ORDER BY sequence"
        for sequence, hash, *rest, record in self._selected(query, values):
            yield Row(sequence, bytes(hash), Columns(*rest), bytes(record))

    def _selected(self, query: str, values: tuple[object, ...] | None = None) -> Iterator[tuple[Any, ...]]:
        """Rows as the server sends them, some at a time."""
        self._n_cursors += 1
        try:
            with self._connection.cursor(name=f"policykit_{self._n_cursors}") as cursor:
                cursor.itersize = 500
                cursor.execute(query.encode(), values)
                yield from cursor
        except psycopg.Error as error:
            raise translated_error(error) from error


def _connect(address: str, timeout_s: int, statement_s: int | None = None) -> Connection[Any]:
    limit_ms = (timeout_s if statement_s is None else statement_s) * 1000
    options = f"-c synchronous_commit=on -c statement_timeout={limit_ms} -c lock_timeout={timeout_s * 1000}"
    options += f" -c idle_in_transaction_session_timeout={limit_ms}"
    return psycopg.connect(
        address,
        autocommit=True,
        connect_timeout=timeout_s,
        options=options,
        client_encoding="utf8",
        tcp_user_timeout=timeout_s * 1000,
        application_name="policykit",
    )


def _is_made(connection: Connection[Any]) -> bool:
    """Asks the catalogue itself: what a session has cached of it may be older than the lock that it holds."""
    found = "SELECT 1 FROM pg_tables WHERE tablename = 'policykit_audit_head'"
    found += " AND schemaname = ANY (current_schemas(false))"
    return connection.execute(found.encode()).fetchone() is not None


def _make(connection: Connection[Any]) -> None:
    """The tables, if they are not there; servers that start at the same time take turns."""
    if _is_made(connection):
        return
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        if _is_made(connection):
            return
        connection.execute(_SCHEMA.encode())
        log_id = new_id()
        connection.execute("INSERT INTO policykit_audit_head VALUES (1, %s, 0, %s)", (log_id, genesis(log_id).hash))


def translated_error(error: psycopg.Error) -> LogError:
    """The server's errors as those of a log. No part of the address, which may hold a password, is in the message."""
    why = (error.diag.message_primary or type(error).__name__).lower()
    match error:
        case errors.LockNotAvailable() | errors.QueryCanceled():
            return LogLocked.because(f"the turn to write did not come in time: {why}", "find the session that holds it")
        case errors.DiskFull():
            return LogFull.because(f"the server has no room: {why}", "make room on its disk")
        case errors.InsufficientPrivilege() | errors.ReadOnlySqlTransaction():
            return LogReadOnly.because(f"the server refuses: {why}", "check the role's rights")
        case psycopg.DataError():
            return RecordUnusable.because(f"the server cannot store the record: {why}", "look at its ids")
        case psycopg.OperationalError() | psycopg.InterfaceError():
            return LogUnreachable.because(f"the server cannot be used: {why}", "check that it runs, and the address")
        case _:
            return LogDamaged.because(f"the log is not as it was made: {why}", "run `policykit audit verify`")
