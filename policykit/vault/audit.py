"""The audit log: one line per attempt to reveal a value, each sealing the one before it.

The seals are keyed, so that a line cannot be changed, added, moved or taken out by somebody without the master key.
Taking off the newest lines leaves a log that is whole but shorter: that shows against the JSON-lines file, or against
a head that was kept elsewhere.
"""

import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import zip_longest
from pathlib import Path

from policykit.vault.errors import AuditBroken, VaultUnreachable

Seal = Callable[[bytes, bytes], bytes]
"""The seal of a line, given the seal of the line before it."""
_RESTORE = "compare the log with its copies"
_SEALED = re.compile(rb'\{"sequence":([0-9]{1,18}),.*,"seal":"[0-9a-f]{64}"\}')
_MAX_LINE = 1 << 20


class Outcome(StrEnum):
    REVEALED = "revealed"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One attempt. ``at`` is the caller's clock in ISO 8601, UTC. The value itself is never in the log."""

    sequence: int
    at: str
    tenant: str
    actor: str
    purpose: str
    token: str
    outcome: str


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The newest line's number and seal; an empty log has number 0. Keep it elsewhere to notice a shortened log."""

    sequence: int
    seal: str


def append(connection: sqlite3.Connection, seal: Seal, lines: Iterable[AuditLine]) -> None:
    """Add lines, with their numbers filled in. Inside a transaction."""
    head = _head(connection)
    for line in lines:
        text = json.dumps(asdict(line) | {"sequence": head.sequence + 1}, ensure_ascii=True, separators=(",", ":"))
        mark = seal(bytes.fromhex(head.seal), text.encode("ascii"))
        connection.execute("INSERT INTO audit VALUES (?, ?, ?)", (head.sequence + 1, text, mark))
        head = AuditHead(head.sequence + 1, mark.hex())


def copy(connection: sqlite3.Connection, file: Path) -> None:
    """Write the lines that the file lacks, and wait until they are on the disk. Inside a transaction, so that writers
    take turns; the lines are committed already, so that the file never has one that the database lost."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            last = _last_in(descriptor, file)
            query = "SELECT line, seal FROM audit WHERE sequence > ? ORDER BY sequence"
            new = "".join(f"{_sealed(text, mark)}\n" for text, mark in connection.execute(query, (last,)))
            _write(descriptor, new.encode("ascii"))
        finally:
            os.close(descriptor)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        message = f"the copy of the audit log `{file}` cannot be written: {reason}"
        raise VaultUnreachable.because(message, "check the path, its rights and the disk") from error


def lines_of(connection: sqlite3.Connection) -> tuple[AuditLine, ...]:
    """The whole log, oldest first, as it stands."""
    rows = connection.execute("SELECT line FROM audit ORDER BY sequence").fetchall()
    try:
        return tuple(AuditLine(**json.loads(text)) for (text,) in rows)
    except (ValueError, TypeError) as error:
        raise AuditBroken.because("a line of the audit log is not one that the vault has written", _RESTORE) from error


def verify(connection: sqlite3.Connection, seal: Seal, file: Path | None, since: AuditHead | None) -> AuditHead:
    """The newest line, if every line is the one that was written. Raises AuditBroken (PK198)."""
    head = AuditHead(0, "")
    seals: dict[int, str] = {0: ""}
    written: list[str] = []
    for sequence, text, mark in connection.execute("SELECT sequence, line, seal FROM audit ORDER BY sequence"):
        expected = seal(bytes.fromhex(head.seal), str(text).encode("utf-8", "surrogatepass"))
        if sequence != head.sequence + 1 or mark != expected:
            raise AuditBroken.because(f"line {head.sequence + 1} of the audit log is not the one written", _RESTORE)
        head = AuditHead(sequence, expected.hex())
        seals[sequence] = head.seal
        written.append(_sealed(text, mark))
    if since and seals.get(since.sequence) != since.seal:
        raise AuditBroken.because(f"the audit log no longer holds line {since.sequence} as it was", _RESTORE)
    if file:
        _verify_copy(file, written)
    return head


def now(clock: Callable[[], datetime]) -> str:
    """The caller's time in UTC. A time without a zone is no time, and raises ValueError."""
    at = clock()
    if at.tzinfo is None:
        raise ValueError("the clock of a vault must tell its time zone")
    return at.astimezone(UTC).isoformat()


def _head(connection: sqlite3.Connection) -> AuditHead:
    row = connection.execute("SELECT sequence, seal FROM audit ORDER BY sequence DESC LIMIT 1").fetchone()
    return AuditHead(row[0], row[1].hex()) if row else AuditHead(0, "")


def _sealed(text: str, mark: bytes) -> str:
    """A line as the copy has it."""
    return f'{text[:-1]},"seal":"{mark.hex()}"}}'


def _last_in(descriptor: int, file: Path) -> int:
    """The number of the file's last line, 0 without one. A line that was torn while it was written is taken off."""
    size = os.fstat(descriptor).st_size
    start = max(size - _MAX_LINE, 0)
    tail = os.pread(descriptor, size - start, start)
    whole = tail[: tail.rfind(b"\n") + 1]
    if len(whole) < len(tail):
        os.ftruncate(descriptor, start + len(whole))
    if start + len(whole) == 0:
        return 0
    form = _SEALED.fullmatch(whole[:-1].rpartition(b"\n")[2])
    if form is None:
        raise AuditBroken.because(f"the last line of `{file}` is not one that the vault has written", _RESTORE)
    return int(form[1])


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
    os.fsync(descriptor)


def _verify_copy(file: Path, written: list[str]) -> None:
    """The file has exactly the lines of the log."""
    try:
        lines = file.read_text("ascii").splitlines() if written or file.exists() else []
    except (OSError, UnicodeDecodeError) as error:
        raise AuditBroken.because(f"the copy of the audit log `{file}` cannot be read", _RESTORE) from error
    for number, (line, expected) in enumerate(zip_longest(lines, written), 1):
        if line != expected:
            raise AuditBroken.because(f"line {number} of `{file}` is not that of the audit log", _RESTORE)
