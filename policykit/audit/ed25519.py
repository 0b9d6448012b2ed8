"""Signing and checking checkpoints with Ed25519 (RFC 8032). The one module here that imports `cryptography`."""

from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from policykit.audit.checkpoint import Checkpoint
from policykit.audit.errors import KeyUnusable

_HELP = "give an Ed25519 key in PEM, such as `openssl genpkey -algorithm ed25519` makes"


class Ed25519Signer:
    """A :class:`policykit.audit.Signer` with a private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)


def load_signer(path: Path) -> Ed25519Signer:
    """The signer of a PEM file without a passphrase. Raises KeyUnusable (PK669), OSError."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusable.because(f"`{path}` holds no private key that can be read", _HELP) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable.because(f"`{path}` holds a private key of another kind", _HELP)
    return Ed25519Signer(key)


def load_public(path: Path) -> bytes:
    """The 32 bytes of the public key of a PEM file. Raises KeyUnusable (PK669), OSError."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnusable.because(f"`{path}` holds no public key that can be read", _HELP) from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyUnusable.because(f"`{path}` holds a public key of another kind", _HELP)
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def is_signed(point: Checkpoint, trusted: frozenset[bytes]) -> bool:
    """Whether a checkpoint was signed with one of the trusted keys."""
    if point.key not in trusted:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(point.key).verify(point.signature, point.message)
    except InvalidSignature:
        return False
    return True
