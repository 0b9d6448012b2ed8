"""Signed checkpoints: that the log once had this head. One kept elsewhere shows that a log was cut or rewritten."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from policykit.audit.chain import Head
from policykit.audit.errors import KeyUnusable, LogUnreachable

_TAG = b"policykit/audit/checkpoint/1\0"


class Signer(Protocol):
    """Signs with a key whose public half verifiers trust."""

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes."""
        ...

    def sign(self, message: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A head of the log ``log_id``, signed with the key whose public half is ``key``."""

    log_id: bytes
    head: Head
    key: bytes
    signature: bytes

    @property
    def message(self) -> bytes:
        """What is signed; all parts have a fixed length."""
        return _TAG + self.log_id + self.head.sequence.to_bytes(8, "big") + self.head.hash

    def line(self) -> str:
        """One line of JSON, as a file of checkpoints holds it."""
        parts = {
            "log": self.log_id.hex(),
            "sequence": self.head.sequence,
            "hash": self.head.hash.hex(),
            "key": self.key.hex(),
            "signature": self.signature.hex(),
        }
        return json.dumps(parts, separators=(",", ":"))


def checkpoint(signer: Signer, log_id: bytes, head: Head) -> Checkpoint:
    """The signed checkpoint of a head."""
    unsigned = Checkpoint(log_id, head, signer.public, b"")
    return Checkpoint(log_id, head, signer.public, signer.sign(unsigned.message))


def is_due(before: Head, after: Head, every: int) -> bool:
    """Whether a multiple of ``every`` lies between two heads."""
    return before.sequence // every != after.sequence // every


def keep_line(path: Path, point: Checkpoint) -> None:
    """Add a checkpoint to a file, durably. Raises LogUnreachable (PK665)."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, f"{point.line()}\n".encode("ascii"))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        message = f"the checkpoint file `{path}` cannot be written: {(error.strerror or 'it fails').lower()}"
        raise LogUnreachable.because(message, "check the path, its rights and the disk") from error


def read_checkpoints(path: Path) -> tuple[Checkpoint, ...]:
    """The checkpoints of a file. Raises KeyUnusable (PK669) for a line that is none; OSError."""
    return tuple(_parsed(path, path.read_text("utf-8").splitlines()))


def _parsed(path: Path, lines: Iterable[str]) -> Iterator[Checkpoint]:
    for number, line in enumerate(lines, 1):
        try:
            found = json.loads(line)
            head = Head(int(found["sequence"]), bytes.fromhex(found["hash"]))
            yield Checkpoint(
                bytes.fromhex(found["log"]), head, bytes.fromhex(found["key"]), bytes.fromhex(found["signature"])
            )
        except (ValueError, KeyError, TypeError) as error:
            raise KeyUnusable.because(
                f"line {number} of `{path}` is no checkpoint", "give the file that the log has written"
            ) from error
