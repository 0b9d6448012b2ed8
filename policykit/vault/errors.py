"""What can go wrong with a vault. Each is a type of its own, and none of them is ever read as an empty answer."""

from typing import ClassVar, Self

from policykit.diagnostics import PolicyError


class VaultError(PolicyError):
    """Something is wrong with a vault, its key or a request to it."""

    code: ClassVar[str] = "PK194"

    @classmethod
    def because(cls, message: str, help: str) -> Self:
        """The error with this type's code."""
        return cls.of(cls.code, message, help=help)


class CryptographyMissing(VaultError):
    """The package for encryption is not installed."""

    code = "PK190"


class KeyUnusable(VaultError):
    """The master key is absent, unreadable or of the wrong length."""

    code = "PK191"


class NoVault(VaultError):
    """The file belongs to something else, or to a newer version."""

    code = "PK192"


class VaultDamaged(VaultError):
    """The database is malformed, or what it holds is not what was sealed."""

    code = "PK193"


class VaultUnreachable(VaultError):
    """The database is locked, or its file cannot be opened, read or written."""

    code = "PK194"


class WrongKey(VaultError):
    """The vault was made with another master key."""

    code = "PK195"


class NotGranted(VaultError):
    """The actor may not reveal this kind of value of this tenant for this purpose."""

    code = "PK196"


class UnknownToken(VaultError):
    """No such token was given out to the tenant."""

    code = "PK197"


class AuditBroken(VaultError):
    """The audit log is not the one that the vault has written."""

    code = "PK198"


class UnusableTemplate(VaultError):
    """The tokens of a template could not be found again in a text."""

    code = "PK199"
