"""The one module that imports `cryptography`: the keys that are derived from a master key, and what they do.

HKDF with SHA-256 (RFC 5869) derives every key from the master key, with the vault's id as salt and the key's use as
info; AES-256-GCM (NIST SP 800-38D) seals values, with 96 random bits as nonce; HMAC-SHA-256 does the rest.
"""

import hashlib
import hmac
import json
import secrets
from typing import TYPE_CHECKING

from policykit.vault.errors import CryptographyMissing, VaultDamaged
from policykit.vault.keys import KEY_BYTES, checked_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


class Ciphers:
    """The derived keys of one vault. Tenants have keys of their own: one tenant's value under another's does not open.

    Raises:
        CryptographyMissing: the package is not installed (PK190).
        KeyUnusable: the master key has not 32 bytes (PK191).
    """

    def __init__(self, master: bytes, vault_id: bytes) -> None:
        self._master = checked_key(master)
        self._salt = vault_id
        self._tenants: dict[str, tuple[AESGCM, bytes]] = {}
        self._chain = self._derived(["audit"])

    def check_value(self, header: bytes) -> bytes:
        """What tells whether a key is the one that a vault was made with; it also seals the vault's header."""
        return hmac.digest(self._derived(["check"]), header, hashlib.sha256)

    def lookup(self, tenant: str, kind: str, template: str, value: str) -> bytes:
        """A name for the value that is always the same and from which nothing can be read without the key."""
        return hmac.digest(self._of(tenant)[1], _encoded([kind, template, value]), hashlib.sha256)

    def seal(self, tenant: str, kind: str, token: str, value: str) -> bytes:
        """The value, encrypted, and bound to tenant, kind and token."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        data = value.encode("utf-8", "surrogatepass")
        return nonce + self._of(tenant)[0].encrypt(nonce, data, _encoded([tenant, kind, token]))

    def unseal(self, tenant: str, kind: str, token: str, sealed: bytes) -> str:
        """The value that was sealed. Raises VaultDamaged (PK193) if it was not sealed for exactly this."""
        from cryptography.exceptions import InvalidTag

        nonce, data = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return (
                self._of(tenant)[0]
                .decrypt(nonce, data, _encoded([tenant, kind, token]))
                .decode("utf-8", "surrogatepass")
            )
        except (InvalidTag, ValueError) as error:
            raise damaged(token) from error

    def chained(self, before: bytes, line: bytes) -> bytes:
        """The seal of a line of the audit log that follows the line with the seal ``before``."""
        return hmac.digest(self._chain, before + line, hashlib.sha256)

    def _of(self, tenant: str) -> "tuple[AESGCM, bytes]":
        keys = self._tenants.get(tenant)
        if keys is None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            keys = AESGCM(self._derived(["values", tenant])), self._derived(["lookup", tenant])
            self._tenants[tenant] = keys
        return keys

    def _derived(self, use: list[str]) -> bytes:
        try:
            from cryptography.hazmat.primitives import hashes
            from cryptography.hazmat.primitives.kdf.hkdf import HKDF
        except ImportError as error:
            raise CryptographyMissing.because(
                "a vault needs the package `cryptography`, which is not installed",
                "install it with `pip install policykit[vault]`",
            ) from error
        info = _encoded(["policykit/vault/1", *use])
        return HKDF(hashes.SHA256(), KEY_BYTES, self._salt, info).derive(self._master)


def damaged(token: str) -> VaultDamaged:
    """The error for a token whose value is not what was sealed."""
    return VaultDamaged.because(f"the value of `{token}` is not what was sealed", "restore the vault from a copy")


def _encoded(parts: list[str]) -> bytes:
    """Texts in a row, so that no two rows have the same bytes."""
    return json.dumps(parts, separators=(",", ":")).encode("ascii")
