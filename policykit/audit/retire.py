"""Retiring a log's oldest records: they are removed, and the log itself says which, up to which hash, and when.

The record of a retirement stands in the chain, durably, before anything is removed, so that a crash in between leaves a
log that verifies: with the old records, or without them.
"""

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from policykit.audit.chain import Head
from policykit.audit.checkpoint import Checkpoint
from policykit.audit.errors import RetirementRefused
from policykit.audit.log import Draft, Filter, Reader
from policykit.audit.opening import is_postgres, open_reader
from policykit.audit.record import Retired
from policykit.audit.segments_retired import SegmentsRetired
from policykit.audit.verify import CheckSignature, verify_log


class Retiring(Protocol):
    """A store whose oldest records are removed a part at a time."""

    def prepare(self, before_us: int) -> None:
        """Make it possible that what is old goes, before anything is appended."""
        ...

    def next(self, before_us: int) -> Head | None:
        """The end of the oldest part that holds only entries from before a time; None if there is none such."""
        ...

    def remove(self, end: Head, says: Draft) -> None:
        """Append ``says``, durably, then remove what stands up to ``end``."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Retirement:
    """``removed`` records were removed, of which ``last`` is the newest; the oldest that is kept is ``kept_from``, and
    arrived at ``oldest``."""

    removed: int
    last: Head | None
    kept_from: int
    oldest: datetime | None


def retire_log(
    address: str | Path,
    before: datetime,
    now: datetime,
    checkpoints: Iterable[Checkpoint] = (),
    is_trusted: CheckSignature | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Retirement:
    """Removes what arrived before a time, as far as whole segments, or whole runs of records, are that old.

    The log is verified first, as :func:`verify_log` does with the same arguments. In a folder a segment that has old
    records is sealed, so that it can go when its newest are old. Raises RetirementRefused (PK672): the log is not as
    written, and nothing was removed; LogError.
    """
    open_reader(address).close()  # where there is no log none is made
    last: Head | None = None
    with closing(_retiring(address)) as store:
        with closing(open_reader(address)) as reader:
            found = verify_log(reader, checkpoints, is_trusted, progress)
        if found.fault is not None:
            message = f"record {found.fault.sequence} is {found.fault.kind}: {found.fault.why}"
            raise RetirementRefused.because(message, "find out who changed it first: nothing was removed")
        store.prepare(_us(before))
        while (end := store.next(_us(before))) is not None:
            store.remove(end, Draft.of(Retired(now, end.sequence, end.hash.hex())))
            last = end
    with closing(open_reader(address)) as reader:
        kept_from = reader.stored().base.sequence + 1
        return Retirement(kept_from - found.first, last, kept_from, _oldest(reader))


def is_due(folder: Path, before: datetime) -> bool:
    """Whether :func:`retire_log` would find something to do in a folder; does not read records. Raises LogError."""
    with closing(SegmentsRetired(folder)) as store:
        return store.is_due(_us(before))


def _retiring(address: str | Path) -> Retiring:
    if is_postgres(address):
        from policykit.audit.postgres_retired import RowsRetired  # the reader before has found its package

        return RowsRetired(str(address))
    return SegmentsRetired(Path(address))


def _oldest(reader: Reader) -> datetime | None:
    for row in reader.find(Filter()):
        return datetime.fromtimestamp(row.columns.at_us / 1_000_000, UTC)
    return None


def _us(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000)
