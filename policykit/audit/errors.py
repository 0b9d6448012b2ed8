"""What can go wrong with a decision log. Each is a type of its own; after any of them nothing was acknowledged."""

from typing import ClassVar, Self

from policykit.diagnostics import PolicyError


class LogError(PolicyError):
    """A record could not be kept, or the log could not be read."""

    code: ClassVar[str] = "PK665"

    @classmethod
    def because(cls, message: str, help: str) -> Self:
        """The error with this type's code."""
        return cls.of(cls.code, message, help=help)


class RecordUnusable(LogError):
    """A record has no canonical form, or stored bytes are no record."""

    code = "PK660"


class LogLocked(LogError):
    """Another process holds the log for longer than the deadline."""

    code = "PK661"


class LogFull(LogError):
    """There is no room for the record."""

    code = "PK662"


class LogReadOnly(LogError):
    """The log may not be written by this process."""

    code = "PK663"


class LogDamaged(LogError):
    """The log is not as it was written: nothing is added to it."""

    code = "PK664"


class LogUnreachable(LogError):
    """The log's file or server is gone, or does not answer."""

    code = "PK665"


class NoLog(LogError):
    """What is there belongs to another program or version, or there is nothing."""

    code = "PK666"


class LogClosed(LogError):
    """The log was closed, or was opened before the process forked."""

    code = "PK667"


class KeyUnusable(LogError):
    """A key that checkpoints are signed or checked with, or that spans are hashed with, cannot be used."""

    code = "PK669"


class PackageMissing(LogError):
    """A package that this log needs is not installed."""

    code = "PK670"


class ReplayRefused(LogError):
    """A record cannot be replayed with what was given."""

    code = "PK671"


class RetirementRefused(LogError):
    """A log is not as it was written, so that nothing of it is removed."""

    code = "PK672"
