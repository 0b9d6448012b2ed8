"""Retiring whole segments of a log in a folder, the oldest first."""

import fcntl
import os
from contextlib import closing
from pathlib import Path

from policykit.audit.chain import Head
from policykit.audit.errors import LogLocked
from policykit.audit.log import Draft
from policykit.audit.segments import open_segment, read_head, segment_files, translated
from policykit.audit.sqlite import SqliteSettings, SqliteStore

_BESIDE = ("-wal", "-shm")


class SegmentsRetired:
    """A :class:`policykit.audit.retire.Retiring`; servers may write to the log meanwhile. Raises LogError."""

    def __init__(self, folder: Path, settings: SqliteSettings | None = None) -> None:
        """Raises LogLocked (PK661): another process retires segments of this folder."""
        self._folder = folder
        self._settings = settings or SqliteSettings()
        self._oldest: Path | None = None
        with translated(folder):
            self._lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise LogLocked.because(f"`{folder}` is being retired by another process", "let it end") from error

    def close(self) -> None:
        """Let others retire."""
        os.close(self._lock)

    def is_due(self, before_us: int) -> bool:
        """Whether a segment can go, or can be sealed to go later."""
        return self.next(before_us) is not None or self._has_old(before_us)

    def _has_old(self, before_us: int) -> bool:
        """Whether the segment that is written to has entries from before a time."""
        _, oldest_us, _ = self._described(segment_files(self._folder)[-1])
        return oldest_us is not None and oldest_us < before_us

    def prepare(self, before_us: int) -> None:
        """Seals the segment that is written to, if it has old entries or is about to be told that others go: what says
        so is not old, and would keep its segment."""
        if self.is_due(before_us):
            with closing(SqliteStore(self._folder, self._settings)) as store:
                store.seal()

    def next(self, before_us: int) -> Head | None:
        self._oldest, *later = segment_files(self._folder)
        head, _, newest_us = self._described(self._oldest)
        return head if later and newest_us is not None and newest_us < before_us else None

    def remove(self, end: Head, says: Draft) -> None:
        path = self._oldest
        assert path is not None, "the end is that of `next`"
        with closing(SqliteStore(self._folder, self._settings)) as store:
            store.write([says])
        with translated(path):
            path.unlink()
            for suffix in _BESIDE:  # last: until the segment is gone they may be a part of it
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            os.fsync(self._lock)

    def _described(self, path: Path) -> tuple[Head, int | None, int | None]:
        """A segment's end, and the times of its oldest and newest entry."""
        with closing(open_segment(path, self._settings.busy_s, write=False)) as connection, translated(path):
            (oldest_us, newest_us) = connection.execute("SELECT min(at_us), max(at_us) FROM entries").fetchone()
            return read_head(connection), oldest_us, newest_us
