"""Whether a log is the one that was written: the first entry that is not, and what was done to it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from policykit.audit.chain import Head, Row, columns_of, genesis, hash_of
from policykit.audit.checkpoint import Checkpoint
from policykit.audit.coding import parse
from policykit.audit.errors import LogError
from policykit.audit.log import Reader, Stored
from policykit.audit.record import Record, Retired

CheckSignature = Callable[[Checkpoint], bool]
"""Whether a checkpoint was signed with a key that is trusted."""


class Tampering(StrEnum):
    """What was done to a log, as far as it can be told."""

    ALTERED = "altered"
    REMOVED = "removed"
    REORDERED = "reordered"
    INSERTED = "inserted"
    TRUNCATED = "truncated"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Fault:
    """The first entry that is not the one written; ``request`` is the id that stands there, if one can be read."""

    sequence: int
    kind: Tampering
    why: str
    request: str | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """``head`` is the last entry that is proved; ``first`` the oldest that is kept. Without ``fault`` all are as they
    were written, as far as the checkpoints reach: what was cut off behind the newest of them leaves no trace.
    Checkpoints of records that were retired are not counted: there is nothing to compare them with."""

    first: int
    head: Head
    n_entries: int
    n_checkpoints: int
    fault: Fault | None = None
    retired: datetime | None = None
    """When the records before ``first`` were retired, as the log says."""


def verify_log(
    reader: Reader,
    checkpoints: Iterable[Checkpoint] = (),
    is_trusted: CheckSignature | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Verification:
    """Reads the whole log. ``checkpoints`` were kept elsewhere; those in the log count too where ``is_trusted`` can
    check them. ``progress`` is told after every 1000 entries. Raises LogError where the log cannot be read at all."""
    stored = reader.stored()
    known: list[Checkpoint] = list(checkpoints)
    unreadable: Fault | None = None
    try:
        if is_trusted is not None:
            known += reader.checkpoints()
    except LogError as error:
        unreadable = Fault(stored.base.sequence + 1, Tampering.DAMAGED, error.diagnostics[0].message)
    walk = _Walk(stored, {point.head.sequence for point in known}, progress)
    fault = walk.over(reader) or unreadable or _problem(reader, walk)
    against = _against_checkpoints(walk, stored, known, is_trusted)
    if against is not None and (fault is None or against.sequence < fault.sequence):
        fault = against
    n_compared = sum(point.head.sequence >= stored.base.sequence for point in known)
    return Verification(stored.base.sequence + 1, walk.head, walk.n_entries, n_compared, fault, walk.retired_at)


class _Walk:
    """Follows the chain from its oldest entry as long as it holds."""

    def __init__(self, stored: Stored, marked: set[int], progress: Callable[[int], None]) -> None:
        self.stored = stored
        self.head = stored.base
        self.n_entries = 0
        self.hashes: dict[int, bytes] = {stored.base.sequence: stored.base.hash}
        self._marked = marked | {stored.head.sequence}
        self._retired: dict[tuple[int, str], datetime] = {}
        self._progress = progress

    def over(self, reader: Reader) -> Fault | None:
        try:
            rows = reader.rows()
            for row in rows:
                fault = self._step(row, rows, reader)
                if fault is not None:
                    return fault
            return self._end(reader.stored().head)
        except LogError as error:
            why = f"the log cannot be read on from here: {error.diagnostics[0].message}"
            return Fault(self.head.sequence + 1, Tampering.DAMAGED, why)

    def _step(self, row: Row, rest: Iterator[Row], reader: Reader) -> Fault | None:
        expected = self.head.sequence + 1
        if row.sequence != expected:
            if row.sequence < expected:
                return Fault(row.sequence, Tampering.INSERTED, "it stands before the oldest entry that is kept")
            return Fault(expected, Tampering.REMOVED, f"it is not there: the next one is {row.sequence}")
        if hash_of(self.head.hash, row.sequence, row.record) != row.hash:
            return self._torn(row, reader)
        fault = _columns_fault(row)
        if fault is not None:
            return fault
        self.head = Head(row.sequence, row.hash)
        if row.sequence in self._marked:
            self.hashes[row.sequence] = row.hash
        self.n_entries += 1
        body = parse(row.record)
        if isinstance(body, Retired):
            self._retired[body.last, body.hash] = body.at
        if self.n_entries % 1000 == 0:
            self._progress(self.n_entries)
        return None

    @property
    def retired_at(self) -> datetime | None:
        """When what stood before the oldest entry was retired, if an entry that was read says so."""
        base = self.stored.base
        return self._retired.get((base.sequence, base.hash.hex()))

    def _torn(self, row: Row, reader: Reader) -> Fault:
        """An entry that does not follow the one before it: which one would."""
        for other in reader.rows(row.sequence):
            if hash_of(self.head.hash, row.sequence, other.record) == other.hash:
                if other.sequence == row.sequence + 1 and not self._swapped(row, other):
                    why = f"the one that belongs here stands at {other.sequence}"
                    return Fault(row.sequence, Tampering.INSERTED, why, _request(row))
                why = f"the one that belongs here stands at {other.sequence}"
                return Fault(row.sequence, Tampering.REORDERED, why, _request(row))
        why = "its hash is not that of its content after the entry before it"
        return Fault(row.sequence, Tampering.ALTERED, why, _request(row))

    def _swapped(self, row: Row, other: Row) -> bool:
        """Whether ``row`` belongs where ``other`` stands."""
        return hash_of(other.hash, other.sequence, row.record) == row.hash

    def _end(self, now: Head) -> Fault | None:
        """``now`` is the head after the walk: entries that were added meanwhile are before it."""
        stated = self.stored.head
        if stated.sequence > self.head.sequence:
            why = f"the log ends here, and says itself that it went on to {stated.sequence}"
            return Fault(self.head.sequence + 1, Tampering.TRUNCATED, why)
        if self.hashes.get(stated.sequence) != stated.hash:
            return Fault(stated.sequence, Tampering.ALTERED, "it is not the one that the log named as its newest")
        if now.sequence < self.head.sequence:
            return Fault(now.sequence + 1, Tampering.INSERTED, "it stands behind the newest that the log names")
        base = self.stored.base
        if base != genesis(self.stored.log_id) and self.retired_at is None:
            why = "the log begins later than at its first entry, and does not say that older ones were retired"
            return Fault(base.sequence, Tampering.REMOVED, why)
        return None


def _columns_fault(row: Row) -> Fault | None:
    """The chain covers the record; what is stored beside it for searching must say the same."""
    try:
        body = parse(row.record)
    except LogError as error:
        return Fault(row.sequence, Tampering.ALTERED, error.diagnostics[0].message)
    if columns_of(body) != row.columns:
        why = "a column beside the record does not say what the record says"
        return Fault(row.sequence, Tampering.ALTERED, why, body.request if isinstance(body, Record) else None)
    return None


def _problem(reader: Reader, walk: _Walk) -> Fault | None:
    try:
        problems = reader.problems()
    except LogError as error:
        problems = (error.diagnostics[0].message,)
    return Fault(walk.head.sequence, Tampering.DAMAGED, "; ".join(problems)) if problems else None


def _against_checkpoints(
    walk: _Walk, stored: Stored, known: Iterable[Checkpoint], is_trusted: CheckSignature | None
) -> Fault | None:
    """The earliest fault that checkpoints show."""
    found: list[Fault] = []
    for point in known:
        sequence = point.head.sequence
        if point.log_id != stored.log_id:
            found.append(Fault(sequence, Tampering.ALTERED, "a checkpoint is of another log"))
        elif is_trusted is not None and not is_trusted(point):
            found.append(Fault(sequence, Tampering.ALTERED, "its checkpoint is not signed with a key that is trusted"))
        elif sequence in walk.hashes and walk.hashes[sequence] != point.head.hash:
            found.append(Fault(sequence, Tampering.ALTERED, "it is not the one that its checkpoint was signed for"))
        elif sequence > stored.head.sequence:
            why = f"the log ends here, and a checkpoint says that it went on to {sequence}"
            found.append(Fault(stored.head.sequence + 1, Tampering.TRUNCATED, why))
    return min(found, key=lambda fault: fault.sequence, default=None)


def _request(row: Row) -> str | None:
    try:
        body = parse(row.record)
    except LogError:
        return None
    return body.request if isinstance(body, Record) else None
