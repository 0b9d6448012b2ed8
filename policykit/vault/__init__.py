"""Reversible tokenisation into an embedded, encrypted vault; needs the extra `vault` (package `cryptography`)."""

from policykit.vault.audit import AuditHead, AuditLine, Outcome
from policykit.vault.errors import (
    AuditBroken,
    CryptographyMissing,
    KeyUnusable,
    NotGranted,
    NoVault,
    UnknownToken,
    UnusableTemplate,
    VaultDamaged,
    VaultError,
    VaultUnreachable,
    WrongKey,
)
from policykit.vault.grants import Grant
from policykit.vault.keys import key_from_environment, key_from_file
from policykit.vault.vault import Vault

__all__ = [
    "AuditBroken",
    "AuditHead",
    "AuditLine",
    "CryptographyMissing",
    "Grant",
    "KeyUnusable",
    "NoVault",
    "NotGranted",
    "Outcome",
    "UnknownToken",
    "UnusableTemplate",
    "Vault",
    "VaultDamaged",
    "VaultError",
    "VaultUnreachable",
    "WrongKey",
    "key_from_environment",
    "key_from_file",
]
