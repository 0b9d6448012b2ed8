"""Retiring the oldest rows of a log in PostgreSQL: the work of the role that owns the tables, not of servers."""

from contextlib import suppress
from typing import Any

import psycopg
from psycopg import Connection

from policykit.audit.chain import Head
from policykit.audit.log import Draft
from policykit.audit.postgres import PostgresSettings, PostgresStore, translated_error

BATCH = 10_000
"""Rows that are removed in one transaction, during which servers wait for their turn to write."""
TIMEOUT_S = 60
_OLDEST = "SELECT sequence FROM policykit_audit_entries ORDER BY sequence LIMIT 1"
_FIRST_TO_KEEP = "SELECT min(sequence) FROM policykit_audit_entries WHERE at_us >= %s"
_END = "SELECT sequence, hash FROM policykit_audit_entries WHERE sequence <= %s ORDER BY sequence DESC LIMIT 1"


class RowsRetired:
    """A :class:`policykit.audit.retire.Retiring`. The trigger that refuses to delete is off only inside the transaction
    that deletes, which holds the turn to write. Raises LogError; LogReadOnly (PK663) for a role that does not own the
    tables."""

    def __init__(self, address: str, batch: int = BATCH) -> None:
        self._store = PostgresStore(address, PostgresSettings(timeout_s=TIMEOUT_S))
        self._batch = batch

    def close(self) -> None:
        with suppress(psycopg.Error):
            self._store.close()

    def prepare(self, before_us: int) -> None:
        """Rows need nothing."""

    def next(self, before_us: int) -> Head | None:
        try:
            connection = self._store.connected()
            oldest = connection.execute(_OLDEST).fetchone()
            if oldest is None:
                return None
            (keep,) = connection.execute(_FIRST_TO_KEEP, (before_us,)).fetchone() or (None,)
            last = oldest[0] + self._batch - 1
            last = last if keep is None else min(last, keep - 1)
            found = connection.execute(_END, (last,)).fetchone()
            return Head(found[0], bytes(found[1])) if found else None
        except psycopg.Error as error:
            raise translated_error(error) from error

    def remove(self, end: Head, says: Draft) -> None:
        def deleted(connection: Connection[Any]) -> None:
            connection.execute("ALTER TABLE policykit_audit_entries DISABLE TRIGGER policykit_audit_stay")
            connection.execute("DELETE FROM policykit_audit_entries WHERE sequence <= %s", (end.sequence,))
            connection.execute("ALTER TABLE policykit_audit_entries ENABLE TRIGGER policykit_audit_stay")

        self._store.write([says], deleted)
