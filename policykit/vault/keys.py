"""Master keys: 32 bytes from a file or an environment variable that the configuration names."""

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path

from policykit.vault.errors import KeyUnusable

KEY_BYTES = 32
_ADVICE = "make one with `openssl rand -hex 32`"


def key_from_environment(name: str, environment: Mapping[str, str] | None = None) -> bytes:
    """The key in an environment variable, in hexadecimal or base64. Raises KeyUnusable (PK191)."""
    value = (os.environ if environment is None else environment).get(name)
    if value is None:
        raise KeyUnusable.because(f"the environment variable `{name}` with the master key is not set", _ADVICE)
    return _parsed(value.encode("utf-8", "surrogateescape"), f"the environment variable `{name}`")


def key_from_file(path: str | Path) -> bytes:
    """The key in a file: 32 bytes as they are, or in hexadecimal or base64. Raises KeyUnusable (PK191)."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise KeyUnusable.because(f"cannot read the key file `{path}`: {reason}", _ADVICE) from error
    return content if len(content) == KEY_BYTES else _parsed(content, f"the key file `{path}`")


def checked_key(key: bytes) -> bytes:
    """The key, if it has the length of one."""
    if len(key) != KEY_BYTES:
        raise KeyUnusable.because(f"a master key has {KEY_BYTES} bytes, this one has {len(key)}", _ADVICE)
    return key


def _parsed(content: bytes, where: str) -> bytes:
    text = content.strip().replace(b"-", b"+").replace(b"_", b"/")  # base64url (RFC 4648, section 5) reads as base64
    for read in (binascii.unhexlify, _base64):
        try:
            key = read(text)
        except ValueError:
            continue
        if len(key) == KEY_BYTES:
            return key
    raise KeyUnusable.because(f"{where} does not hold {KEY_BYTES} bytes in hexadecimal or base64", _ADVICE)


def _base64(text: bytes) -> bytes:
    return base64.b64decode(text, validate=True)
