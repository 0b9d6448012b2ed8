"""Signatures of manifests, and the keys that make and check them."""

import base64
import binascii
import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policykit.bundle import ed25519
from policykit.diagnostics import Place, PolicyError

_DOMAIN = b"policykit bundle manifest 1\n"
"""Goes before what is signed, so that a signature of anything else is none of a manifest."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Who is trusted. ``id`` is the start of the SHA-256 of the key's 32 bytes."""

    raw: bytes

    @property
    def id(self) -> str:
        return hashlib.sha256(self.raw).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Signature:
    """Somebody's signature of a manifest."""

    key: PublicKey
    signature: bytes

    def signs(self, manifest: bytes) -> bool:
        """Whether it was made with its key for exactly these bytes."""
        return ed25519.is_signature(self.key.raw, self.signature, _DOMAIN + manifest)

    def render(self) -> bytes:
        content = {
            "algorithm": "ed25519",
            "key": base64.b64encode(self.key.raw).decode(),
            "signature": base64.b64encode(self.signature).decode(),
        }
        return (json.dumps(content, sort_keys=True) + "\n").encode()


def parse(data: bytes, file: str) -> Signature:
    """The signature that `Signature.render` has written, and nothing else. Raises PolicyError (PK650)."""
    try:
        content: Any = json.loads(data)
        signature = Signature(PublicKey(_raw(content["key"])), _raw(content["signature"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        signature = None
    if signature is None or signature.render() != data:
        raise PolicyError.of("PK650", "the signature cannot be read", Place(file), "sign the bundle again")
    return signature


def sign(manifest: bytes, private: Path) -> Signature:
    """The signature of a manifest with the key in a file. Raises PolicyError (PK654, PK657)."""
    pem = _read(private)
    if os.name == "posix" and stat.S_IMODE(private.stat().st_mode) & 0o077:
        message = "others than its owner can read the private key"
        raise PolicyError.of("PK654", message, Place(str(private)), f"`chmod 600 {private}`, or make a new one")
    try:
        return Signature(*_made(pem, manifest))
    except ValueError as error:
        help = "name the file that `policykit bundle keygen` wrote without `.pub`"
        raise PolicyError.of("PK654", "no private Ed25519 key in PEM", Place(str(private)), help) from error


def load_public(path: Path) -> PublicKey:
    """The public key in a file. Raises PolicyError (PK654, PK657)."""
    try:
        return PublicKey(ed25519.public_of(_read(path)))
    except ValueError as error:
        help = "name the file `*.pub` that `policykit bundle keygen` wrote"
        raise PolicyError.of("PK654", "no public Ed25519 key in PEM", Place(str(path)), help) from error


def generate(path: Path) -> PublicKey:
    """Write a new private key, which only its owner may read, and beside it `*.pub`. Raises PolicyError (PK654)."""
    private, public = ed25519.new_pair()
    for target, data, mode in ((path, private, 0o600), (path.with_name(path.name + ".pub"), public, 0o644)):
        try:
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except OSError as error:
            message = f"the key cannot be written: {(error.strerror or str(error)).lower()}"
            raise PolicyError.of("PK654", message, Place(str(target)), "name a file that does not exist") from error
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    return PublicKey(ed25519.public_of(public))


def _made(pem: bytes, manifest: bytes) -> tuple[PublicKey, bytes]:
    public, signature = ed25519.sign(pem, _DOMAIN + manifest)
    return PublicKey(public), signature


def _raw(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"the key cannot be read: {(error.strerror or str(error)).lower()}"
        raise PolicyError.of("PK654", message, Place(str(path)), "check the path") from error
