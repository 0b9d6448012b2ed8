"""A log by its address: a folder, or a PostgreSQL server."""

from dataclasses import replace
from pathlib import Path

from policykit.audit.checkpoint import Signer
from policykit.audit.errors import PackageMissing
from policykit.audit.log import GroupCommit, Log, Reader, Store
from policykit.audit.sqlite import SqliteReader, SqliteSettings, SqliteStore


def open_log(
    address: str | Path,
    settings: SqliteSettings | None = None,
    *,
    signer: Signer | None = None,
    checkpoint_file: Path | None = None,
) -> Log:
    """A log to write to: a folder, which is made if it is not there, or `postgresql://…`.

    ``settings`` are those of a folder; ``signer`` and ``checkpoint_file`` may be given for both. Raises LogError.
    """
    if is_postgres(address):
        return GroupCommit(_postgres_store(str(address), signer, checkpoint_file))
    chosen = settings or SqliteSettings()
    if signer is not None:
        chosen = replace(chosen, signer=signer, checkpoint_file=checkpoint_file)
    return GroupCommit(SqliteStore(address, chosen))


def open_reader(address: str | Path) -> Reader:
    """A log to read. Raises NoLog (PK666), PackageMissing (PK670), LogError."""
    return _postgres_reader(str(address)) if is_postgres(address) else SqliteReader(address)


def is_postgres(address: str | Path) -> bool:
    """Whether an address is that of a server."""
    return str(address).startswith(("postgresql://", "postgres://"))


def _postgres_store(address: str, signer: Signer | None, checkpoint_file: Path | None) -> Store:
    try:
        from policykit.audit.postgres import PostgresSettings, PostgresStore
    except ImportError as error:
        raise _missing() from error
    return PostgresStore(address, PostgresSettings(signer=signer, checkpoint_file=checkpoint_file))


def _postgres_reader(address: str) -> Reader:
    try:
        from policykit.audit.postgres import PostgresReader
    except ImportError as error:
        raise _missing() from error
    return PostgresReader(address)


def _missing() -> PackageMissing:
    message = "a log in PostgreSQL needs the package `psycopg`, which is not installed"
    return PackageMissing.because(message, "install it with `pip install policykit[postgres]`")
