"""The log in SQLite: durable before it is acknowledged, shared by processes, in segments that are sealed when full."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from policykit.audit.chain import Columns, Head, Receipt, Row, following
from policykit.audit.checkpoint import Checkpoint, Signer, checkpoint, is_due, keep_line
from policykit.audit.errors import LogDamaged, LogUnreachable, NoLog
from policykit.audit.log import ALL, Draft, Filter, Stored
from policykit.audit.segments import (
    Segment,
    make_folder,
    make_segment,
    open_segment,
    read_head,
    read_segment,
    segment_files,
    translated,
)

_INSERT = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_COLUMNS = "sequence, hash, at_us, tenant, profile, decision, request, CAST(record AS BLOB)"


@dataclass(frozen=True, slots=True)
class SqliteSettings:
    """A segment is sealed when it has ``segment_bytes`` or is ``segment_s`` old. A checkpoint is signed at each
    multiple of ``checkpoint_every`` entries, and appended to ``checkpoint_file``, which is best on another disk."""

    busy_s: float = 5.0
    segment_bytes: int = 256 << 20
    segment_s: int | None = None
    signer: Signer | None = None
    checkpoint_every: int = 1000
    checkpoint_file: Path | None = None
    clock: Callable[[], float] = time.time


@dataclass(slots=True)
class _Active:
    """The segment that is written, and the file's identity when it was opened."""

    path: Path
    connection: sqlite3.Connection
    segment: Segment
    inode: tuple[int, int]


class SqliteStore:
    """Writes; a :class:`policykit.audit.log.Store`. Makes the folder if it is not there. Raises LogError."""

    def __init__(self, folder: str | Path, settings: SqliteSettings | None = None) -> None:
        self._folder = Path(folder)
        self._settings = settings or SqliteSettings()
        self._active: _Active | None = None
        self._seen: Head | None = None
        if not segment_files(self._folder):
            make_folder(self._folder, int(self._settings.clock()))
        self._opened()

    def close(self) -> None:
        if self._active is not None:
            with suppress(sqlite3.Error):
                self._active.connection.close()
            self._active = None

    def write(self, drafts: Sequence[Draft]) -> Sequence[Receipt]:
        """See :class:`policykit.audit.log.Store`. An entry whose write failed may stand in the log all the same,
        whole, where the disk answered with an error after it had written."""
        try:
            while True:
                active = self._opened()
                with translated(active.path):
                    active.connection.execute("BEGIN IMMEDIATE")
                    active.segment = read_segment(active.connection, active.path)
                    if not active.segment.sealed and not self._is_full(active):
                        return self._appended(active, drafts)
                    self._advance(active)
        except BaseException:
            self._drop()
            raise

    def check(self) -> None:
        """See :class:`policykit.audit.log.Store`."""
        try:
            active = self._opened()
            with translated(active.path):
                active.connection.execute("BEGIN IMMEDIATE")
                self._checked_head(active)
                if _identity(active.path) != active.inode:
                    raise LogUnreachable.because(f"`{active.path}` was replaced", "restore it, and start again")
                active.connection.rollback()
        except BaseException:
            self._drop()
            raise

    def seal(self) -> None:
        """Go on in a new segment, if this one has entries."""
        try:
            active = self._opened()
            with translated(active.path):
                active.connection.execute("BEGIN IMMEDIATE")
                active.segment = read_segment(active.connection, active.path)
                if active.segment.sealed or read_head(active.connection) != active.segment.base:
                    self._advance(active)
        finally:
            self._drop()

    def _opened(self) -> _Active:
        if self._active is None:
            files = segment_files(self._folder)
            if not files:
                raise LogUnreachable.because(f"the log `{self._folder}` is gone", "restore it from a copy")
            connection = open_segment(files[-1], self._settings.busy_s, write=True)
            with translated(files[-1]):
                self._active = _Active(files[-1], connection, read_segment(connection, files[-1]), _identity(files[-1]))
        return self._active

    def _appended(self, active: _Active, drafts: Sequence[Draft]) -> Sequence[Receipt]:
        before = head = self._checked_head(active)
        rows: list[tuple[object, ...]] = []
        receipts: list[Receipt] = []
        for draft in drafts:
            head = following(head, draft.record)
            c = draft.columns
            text = draft.record.decode("utf-8")
            rows.append((head.sequence, head.hash, c.at_us, c.tenant, c.profile, c.decision, c.request, text))
            receipts.append(Receipt(head.sequence, head.hash.hex()))
        active.connection.executemany(_INSERT, rows)
        active.connection.execute("UPDATE head SET sequence = ?, hash = ?", (head.sequence, head.hash))
        signed = self._signed(active, before, head)
        if _identity(active.path) != active.inode:
            raise LogUnreachable.because(f"`{active.path}` was replaced", "restore it, and start again")
        active.connection.execute("COMMIT")
        self._seen = head
        if signed is not None and self._settings.checkpoint_file is not None:
            keep_line(self._settings.checkpoint_file, signed)
        return receipts

    def _checked_head(self, active: _Active) -> Head:
        """The head, if the newest entry is what it says, and nothing that this process wrote is gone."""
        head = read_head(active.connection)
        row = active.connection.execute("SELECT sequence, hash FROM entries ORDER BY sequence DESC LIMIT 1").fetchone()
        last = Head(*row) if row else active.segment.base
        seen = self._seen
        is_older = seen is not None and head != seen and head.sequence <= seen.sequence
        if head != last or is_older:
            raise LogDamaged.because(
                f"`{active.path}` does not end where it was written to", "run `policykit audit verify`"
            )
        return head

    def _signed(self, active: _Active, before: Head, head: Head) -> Checkpoint | None:
        signer = self._settings.signer
        if signer is None or not is_due(before, head, self._settings.checkpoint_every):
            return None
        signed = checkpoint(signer, active.segment.log_id, head)
        parts = (head.sequence, head.hash, signed.key, signed.signature)
        active.connection.execute("INSERT INTO checkpoints VALUES (?, ?, ?, ?)", parts)
        return signed

    def _is_full(self, active: _Active) -> bool:
        """Whether the segment has entries, and enough of them."""
        if read_head(active.connection).sequence == active.segment.base.sequence:
            return False
        age_s = self._settings.clock() - active.segment.made_s
        if self._settings.segment_s is not None and age_s >= self._settings.segment_s:
            return True
        (pages,) = active.connection.execute("PRAGMA page_count").fetchone()
        (size,) = active.connection.execute("PRAGMA page_size").fetchone()
        return pages * size >= self._settings.segment_bytes

    def _advance(self, active: _Active) -> None:
        """Seal the segment, make the one that follows, and go on there. A crash in between leaves a sealed segment
        without a next one, which whoever writes next makes."""
        head = self._checked_head(active)
        active.connection.execute("UPDATE segment SET sealed = 1")
        active.connection.execute("COMMIT")
        segment, now_s = active.segment, int(self._settings.clock())
        with suppress(sqlite3.Error):  # readers may be at it; whoever closes it last does the same
            active.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.close()
        make_segment(self._folder, Segment(segment.log_id, segment.number + 1, head, now_s, sealed=False))

    def _drop(self) -> None:
        """Undo what was begun; the next write starts with a new connection."""
        if self._active is not None:
            with suppress(sqlite3.Error):
                self._active.connection.rollback()
        self.close()


class SqliteReader:
    """Reads a log, also while it is written. Raises NoLog (PK666), LogError."""

    def __init__(self, folder: str | Path, busy_s: float = 5.0) -> None:
        self._folder = Path(folder)
        self._busy_s = busy_s
        self._files = segment_files(self._folder)
        if not self._files:
            raise NoLog.because(f"there is no log in `{folder}`", "name the folder of a log, or `postgresql://…`")

    def close(self) -> None:
        """Nothing stays open between calls."""

    def stored(self) -> Stored:
        first, last = self._described(self._files[0]), self._described(self._files[-1])
        return Stored(first[0].log_id, first[0].base, last[1])

    def rows(self, after: int = ALL) -> Iterator[Row]:
        yield from self._selected("sequence > ?", (after,))

    def find(self, wanted: Filter) -> Iterator[Row]:
        tests = (
            ("at_us >= ?", wanted.since_us),
            ("at_us < ?", wanted.until_us),
            ("tenant = ?", wanted.tenant),
            ("profile = ?", wanted.profile),
            ("decision = ?", wanted.decision),
            ("request = ?", wanted.request),
            ("instr(record, ?)", wanted.holding),
        )
        given = [(test, value) for test, value in tests if value is not None]
        yield from self._selected(" AND ".join(test for test, _ in given) or "1", tuple(value for _, value in given))

    def checkpoints(self) -> Iterator[Checkpoint]:
        for path in self._files:
            with closing(open_segment(path, self._busy_s, write=False)) as connection, translated(path):
                log_id = read_segment(connection, path).log_id
                query = "SELECT sequence, hash, key, signature FROM checkpoints ORDER BY sequence"
                for sequence, hash, key, signature in connection.execute(query):
                    yield Checkpoint(log_id, Head(sequence, hash), key, signature)

    def problems(self) -> Sequence[str]:
        """What SQLite finds, and segments that do not go on where the one before them ends."""
        found: list[str] = []
        end: Head | None = None
        for path in self._files:
            segment, head = self._described(path)
            if end is not None and segment.base != end:
                found.append(f"`{path.name}` does not go on where the segment before it ends")
            if path != self._files[-1] and not segment.sealed:
                found.append(f"`{path.name}` is not sealed, and another follows")
            end = head
            with closing(open_segment(path, self._busy_s, write=False)) as connection, translated(path):
                lines = [str(line) for (line,) in connection.execute("PRAGMA integrity_check(5)")]
                found += [f"`{path.name}`: {line}" for line in lines if line != "ok"]
        return found

    def _described(self, path: Path) -> tuple[Segment, Head]:
        with closing(open_segment(path, self._busy_s, write=False)) as connection, translated(path):
            return read_segment(connection, path), read_head(connection)

    def _selected(self, test: str, values: tuple[object, ...]) -> Iterator[Row]:
        for path in self._files:
            with closing(open_segment(path, self._busy_s, write=False)) as connection, translated(path):
                query = f"SELECT {_COLUMNS} FROM entries WHERE {test} ORDER BY sequence"
                for sequence, hash, *columns, record in connection.execute(query, values):
                    yield Row(sequence, _bytes(hash), Columns(*columns), _bytes(record))


def _identity(path: Path) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _bytes(value: object) -> bytes:
    """A column that should hold bytes; one that was changed to something else has no bytes that could match."""
    return value if isinstance(value, bytes) else b""
