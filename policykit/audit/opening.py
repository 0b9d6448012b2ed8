"""A log by its address: a folder, or a PostgreSQL server."""

from pathlib import Path

from policykit.audit.log import GroupCommit, Log, Reader
from policykit.audit.sqlite import SqliteReader, SqliteSettings, SqliteStore


def open_log(folder: str | Path, settings: SqliteSettings | None = None) -> Log:
    """A log to write to, in a folder, which is made if it is not there. Raises LogError."""
    return GroupCommit(SqliteStore(folder, settings))


def open_reader(address: str | Path) -> Reader:
    """A log to read. Raises NoLog (PK666), LogError."""
    return SqliteReader(address)
