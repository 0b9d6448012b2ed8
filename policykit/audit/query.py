"""Finding records: by time, tenant, profile, rule, decision and request."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from policykit.audit.coding import parse
from policykit.audit.log import Filter, Reader
from policykit.audit.record import Record, Result, Retired
from policykit.ir.verdict import Decision


@dataclass(frozen=True, slots=True)
class Query:
    """None leaves a part open. ``since`` is included, ``until`` is not; ``rule`` fired, watched or errored on some text
    of the request."""

    since: datetime | None = None
    until: datetime | None = None
    tenant: str | None = None
    profile: str | None = None
    rule: str | None = None
    decision: Decision | None = None
    request: str | None = None

    def admits(self, record: Record) -> bool:
        """Whether a record is asked for, by what it says itself."""
        return (
            (self.since is None or record.at >= self.since)
            and (self.until is None or record.at < self.until)
            and self.tenant in (None, record.tenant)
            and self.profile in (None, record.profile)
            and self.decision in (None, record.decision)
            and self.request in (None, record.request)
            and (self.rule is None or self.rule in _rules(record))
        )


def query_log(reader: Reader, wanted: Query) -> Iterator[tuple[int, Record]]:
    """The records with their numbers, in order; what is read is not verified. Raises LogError."""
    narrowed = Filter(
        since_us=_us(wanted.since),
        until_us=_us(wanted.until),
        tenant=wanted.tenant,
        profile=wanted.profile,
        decision=wanted.decision.value if wanted.decision else None,
        request=wanted.request,
        holding=json.dumps(wanted.rule, ensure_ascii=False) if wanted.rule is not None else None,
    )
    for row in reader.find(narrowed):
        body = parse(row.record)
        if isinstance(body, Record) and wanted.admits(body):
            yield row.sequence, body


def query_retired(reader: Reader, since: datetime | None, until: datetime | None) -> Iterator[tuple[int, Retired]]:
    """What the log says was removed from it, with the numbers of the entries that say so, in order. Raises LogError."""
    narrowed = Filter(since_us=_us(since), until_us=_us(until), holding='"kind":"retired"')
    for row in reader.find(narrowed):
        body = parse(row.record)
        if isinstance(body, Retired):
            yield row.sequence, body


def _rules(record: Record) -> set[str]:
    quiet = (Result.PASSED, Result.NOT_APPLICABLE)
    said = {rule.rule for text in record.judgements for rule in text.rules if rule.result not in quiet}
    return said | set(record.rules)


def _us(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1_000_000)
