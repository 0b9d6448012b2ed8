"""Approvals: who said yes to exactly what, and until when; signed, so that nobody can make one up."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from policykit.approvals.canonical import canonical
from policykit.diagnostics import PolicyError

MIN_KEY_BYTES = 32
Keys = Mapping[str, bytes]
"""Signing keys by name, from the configuration."""
_ASK_AGAIN = "ask for the approval again"


@dataclass(frozen=True, slots=True)
class Approval:
    """``user`` in the ``role`` approves what has the ``digest``, from ``issued_at`` (inclusive) to ``expires_at``
    (exclusive). ``nonce`` makes it one of its kind; ``attributes`` are what approvers can differ in beside the user.

    Raises PolicyError (PK082): an empty part, a time without a zone, an end that is not after the beginning.
    """

    user: str
    role: str
    digest: str
    issued_at: datetime
    expires_at: datetime
    nonce: str
    attributes: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if not all((self.user.strip(), self.role.strip(), self.digest, self.nonce)):
            raise unreadable("it names no user, role, digest or nonce")
        if self.issued_at.tzinfo is None or self.expires_at.tzinfo is None:
            raise unreadable("its times have no zone")
        if self.expires_at <= self.issued_at:
            raise unreadable("it ends before it begins")
        try:
            _payload(self, "")
        except (OverflowError, PolicyError):
            raise unreadable("it holds a time or a text that cannot be written") from None

    def attribute(self, name: str) -> str | None:
        """What the approver has under a name; `user` is the user."""
        return self.user if name == "user" else dict(self.attributes).get(name)


@dataclass(frozen=True, slots=True)
class SignedApproval:
    """An approval with the name of the key that signed it. It counts for nothing until :func:`verify` has passed it."""

    approval: Approval
    key_name: str
    signature: bytes

    def render(self) -> str:
        """The approval as one line of text, which :func:`parse` reads."""
        payload = base64.urlsafe_b64encode(_payload(self.approval, self.key_name)).decode("ascii")
        return f"{payload}.{self.signature.hex()}"


def issue(
    keys: Keys,
    key_name: str,
    *,
    user: str,
    role: str,
    digest: str,
    at: datetime,
    ttl_s: int,
    attributes: Mapping[str, str] | None = None,
    nonce: str | None = None,
) -> SignedApproval:
    """A signed approval that begins ``at`` and lives ``ttl_s`` seconds. Raises PolicyError (PK082, PK083)."""
    made = Approval(
        user=user,
        role=role,
        digest=digest,
        issued_at=at,
        expires_at=at + timedelta(seconds=ttl_s),
        nonce=nonce or secrets.token_urlsafe(16),
        attributes=tuple(sorted((attributes or {}).items())),
    )
    return SignedApproval(made, key_name, _signature(made, key_name, _key(keys, key_name)))


def verify(signed: SignedApproval, keys: Keys) -> Approval:
    """The approval, if its key signed it. Raises PolicyError (PK081 forged or changed, PK083 no such key)."""
    expected = _signature(signed.approval, signed.key_name, _key(keys, signed.key_name))
    if not hmac.compare_digest(expected, signed.signature):
        message = f"the approval of `{signed.approval.user}` was not signed with the key `{signed.key_name}`"
        raise PolicyError.of("PK081", message, help=_ASK_AGAIN)
    return signed.approval


def parse(text: str) -> SignedApproval:
    """What :meth:`SignedApproval.render` wrote, not yet verified. Raises PolicyError (PK082)."""
    payload, _, signature = text.strip().partition(".")
    try:
        data = cast(dict[str, Any], json.loads(base64.b64decode(payload, b"-_", validate=True)))
        approval = Approval(
            user=_text(data["user"]),
            role=_text(data["role"]),
            digest=_text(data["digest"]),
            issued_at=datetime.fromisoformat(_text(data["issued_at"])),
            expires_at=datetime.fromisoformat(_text(data["expires_at"])),
            nonce=_text(data["nonce"]),
            attributes=tuple((_text(name), _text(value)) for name, value in data["attributes"]),
        )
        return SignedApproval(approval, _text(data["key"]), bytes.fromhex(signature))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise unreadable("the text is not one that issuing gives") from error


def unreadable(why: str) -> PolicyError:
    """The error for an approval that says nothing usable."""
    return PolicyError.of("PK082", f"an approval cannot be read: {why}", help=_ASK_AGAIN)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text expected")
    return value


def _payload(approval: Approval, key_name: str) -> bytes:
    content = {
        "format": "policykit/approval/1",
        "key": key_name,
        "user": approval.user,
        "role": approval.role,
        "digest": approval.digest,
        "issued_at": approval.issued_at.astimezone(UTC).isoformat(),
        "expires_at": approval.expires_at.astimezone(UTC).isoformat(),
        "nonce": approval.nonce,
        "attributes": approval.attributes,
    }
    return canonical(content).encode("utf-8")


def _signature(approval: Approval, key_name: str, key: bytes) -> bytes:
    return hmac.digest(key, _payload(approval, key_name), hashlib.sha256)


def _key(keys: Keys, name: str) -> bytes:
    key = keys.get(name)
    if key is None:
        raise PolicyError.of("PK083", f"there is no key `{name}` for approvals", help="name it in the configuration")
    if len(key) < MIN_KEY_BYTES:
        message = f"the key `{name}` for approvals has {len(key)} bytes, at least {MIN_KEY_BYTES} are needed"
        raise PolicyError.of("PK083", message, help="make one with `openssl rand -hex 32`")
    return key
