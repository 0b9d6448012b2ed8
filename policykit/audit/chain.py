"""The chain: each entry's hash covers the one before it, so that none can be changed, moved or taken out unseen.

``hash = SHA-256(tag ‖ hash of the entry before ‖ sequence, 8 bytes ‖ record)``; before the first stands the hash of the
log's random id. All parts but the last have a fixed length, so that no two entries hash the same bytes.
"""

import hashlib
import secrets
from dataclasses import dataclass

from policykit.audit.record import Body, Record

ID_BYTES = 16
_ENTRY = b"policykit/audit/entry/1\0"
_GENESIS = b"policykit/audit/genesis/1\0"


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry's number and hash; a log without any has number 0 and the hash of its id."""

    sequence: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """That a record is durable: its number, and the hash that covers it and all before it, in hexadecimal."""

    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class Columns:
    """The parts of a record by which a store finds it. They repeat what it says, and verification compares them."""

    at_us: int
    tenant: str | None
    profile: str | None
    decision: str | None
    request: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """An entry as it is stored: nothing about it is known to be true before it was verified."""

    sequence: int
    hash: bytes
    columns: Columns
    record: bytes


def new_id() -> bytes:
    """The id of a new log."""
    return secrets.token_bytes(ID_BYTES)


def genesis(log_id: bytes) -> Head:
    """What stands before the first entry."""
    return Head(0, hashlib.sha256(_GENESIS + log_id).digest())


def following(head: Head, record: bytes) -> Head:
    """The head after a record."""
    sequence = head.sequence + 1
    return Head(sequence, hash_of(head.hash, sequence, record))


def hash_of(previous: bytes, sequence: int, record: bytes) -> bytes:
    return hashlib.sha256(_ENTRY + previous + sequence.to_bytes(8, "big") + record).digest()


def columns_of(body: Body) -> Columns:
    at_us = round(body.at.timestamp() * 1_000_000)
    if isinstance(body, Record):
        return Columns(at_us, body.tenant, body.profile, body.decision.value, body.request)
    return Columns(at_us, None, None, None, None)
