"""The decision log: one hash-chained record per request, where it is kept, and what can be asked of it."""

from policykit.audit.chain import Head, Receipt
from policykit.audit.checkpoint import Checkpoint, Signer, read_checkpoints
from policykit.audit.coding import parse, render
from policykit.audit.errors import (
    KeyUnusable,
    LogClosed,
    LogDamaged,
    LogError,
    LogFull,
    LogLocked,
    LogReadOnly,
    LogUnreachable,
    NoLog,
    PackageMissing,
    RecordUnusable,
    ReplayRefused,
    RetirementRefused,
)
from policykit.audit.log import Log, Reader
from policykit.audit.opening import open_log, open_reader
from policykit.audit.query import Query, query_log, query_retired
from policykit.audit.record import (
    Asked,
    Attempt,
    Escalated,
    Excused,
    Judgement,
    LoggedSpan,
    MaskReport,
    Outcome,
    Record,
    ReplayData,
    Result,
    Retired,
    RuleVerdict,
    SamplingReport,
    SpanForm,
)
from policykit.audit.replay import Rejudged, Replayed, Step, rejudge, replay_masks
from policykit.audit.retire import Retirement, retire_log
from policykit.audit.spans import Keeping, key_of_spans
from policykit.audit.sqlite import SqliteSettings
from policykit.audit.verify import Fault, Tampering, Verification, verify_log

__all__ = [
    "Asked",
    "Attempt",
    "Checkpoint",
    "Escalated",
    "Excused",
    "Fault",
    "Head",
    "Judgement",
    "Keeping",
    "KeyUnusable",
    "Log",
    "LogClosed",
    "LogDamaged",
    "LogError",
    "LogFull",
    "LogLocked",
    "LogReadOnly",
    "LogUnreachable",
    "LoggedSpan",
    "MaskReport",
    "NoLog",
    "Outcome",
    "PackageMissing",
    "Query",
    "Reader",
    "Receipt",
    "Record",
    "RecordUnusable",
    "Rejudged",
    "ReplayData",
    "ReplayRefused",
    "Replayed",
    "Result",
    "Retired",
    "Retirement",
    "RetirementRefused",
    "RuleVerdict",
    "SamplingReport",
    "Signer",
    "SpanForm",
    "SqliteSettings",
    "Step",
    "Tampering",
    "Verification",
    "key_of_spans",
    "open_log",
    "open_reader",
    "parse",
    "query_log",
    "query_retired",
    "read_checkpoints",
    "rejudge",
    "render",
    "replay_masks",
    "retire_log",
    "verify_log",
]
