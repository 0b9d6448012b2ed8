"""Keyed hashes in texts, and how they are known again.

A hash ends in four characters that seal the rest of it, so that a text which only looks like a hash is still hashed,
and one that is a hash is not hashed again.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator

from policykit.ir.document import Hash

SEAL_LENGTH = 4
_ALPHABETS = {"hex": "0-9a-f", "base32": "a-z2-7"}
_PLACEHOLDER = re.compile(r"\{type\}|\{hash\}")
Span = tuple[int, int]


def hashed(action: Hash, key: bytes, value: str) -> str:
    """The text that stands for a value: HMAC-SHA-256 (RFC 2104) under the key, shortened, and sealed."""
    digest = _spelled(action, key, b"value", value)[: action.length]
    return _filled(action, digest + _spelled(action, key, b"seal", digest)[:SEAL_LENGTH])


def hash_marks(action: Hash, key: bytes, text: str) -> Iterator[Span]:
    """Where hashes that were made with this key and action stand in a text."""
    size = action.length + SEAL_LENGTH
    before, _, after = _filled(action, "\0").partition("\0")
    form = f"(?=({re.escape(before)}([{_ALPHABETS[action.encoding]}]{{{size}}}){re.escape(after)}))"
    for found in re.finditer(form, text):
        digest, seal = found[2][: action.length], found[2][action.length :]
        if hmac.compare_digest(_spelled(action, key, b"seal", digest)[:SEAL_LENGTH], seal):
            yield found.span(1)


def _filled(action: Hash, written: str) -> str:
    values = {"{type}": action.label, "{hash}": written}
    return _PLACEHOLDER.sub(lambda found: values[found[0]], action.template)


def _spelled(action: Hash, key: bytes, use: bytes, value: str) -> str:
    data = b"policykit/hash/1\0" + use + b"\0" + value.encode("utf-8", "surrogatepass")
    digest = hmac.digest(key, data, hashlib.sha256)
    return digest.hex() if action.encoding == "hex" else base64.b32encode(digest).decode("ascii").lower().rstrip("=")
