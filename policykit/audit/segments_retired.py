"""Retiring whole segments of a log in a folder, the oldest first."""

import os
from contextlib import closing
from pathlib import Path

from policykit.audit.chain import Head
from policykit.audit.log import Draft
from policykit.audit.segments import open_segment, read_head, segment_files, translated
from policykit.audit.sqlite import SqliteSettings, SqliteStore

_BESIDE = ("-wal", "-shm")


class SegmentsRetired:
    """A :class:`policykit.audit.retire.Retiring`; servers may write to the log meanwhile. Raises LogError."""

    def __init__(self, folder: Path, settings: SqliteSettings | None = None) -> None:
        self._folder = folder
        self._settings = settings or SqliteSettings()

    def close(self) -> None:
        """Nothing stays open between calls."""

    def prepare(self, before_us: int) -> None:
        """Seals the segment that is written to, if it has old entries or is about to be told that others go: what says
        so is not old, and would keep its segment."""
        _, oldest_us, _ = self._described(segment_files(self._folder)[-1])
        if (oldest_us is not None and oldest_us < before_us) or self.next(before_us) is not None:
            with closing(SqliteStore(self._folder, self._settings)) as store:
                store.seal()

    def next(self, before_us: int) -> Head | None:
        oldest, *later = segment_files(self._folder)
        head, _, newest_us = self._described(oldest)
        return head if later and newest_us is not None and newest_us < before_us else None

    def remove(self, end: Head, says: Draft) -> None:
        with closing(SqliteStore(self._folder, self._settings)) as store:
            store.write([says])
        path = segment_files(self._folder)[0]
        with translated(path):
            path.unlink()
            for suffix in _BESIDE:  # last: until the segment is gone they may be a part of it
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            descriptor = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _described(self, path: Path) -> tuple[Head, int | None, int | None]:
        """A segment's end, and the times of its oldest and newest entry."""
        with closing(open_segment(path, self._settings.busy_s, write=False)) as connection, translated(path):
            (oldest_us, newest_us) = connection.execute("SELECT min(at_us), max(at_us) FROM entries").fetchone()
            return read_head(connection), oldest_us, newest_us
