"""What the exit status of every command says."""

from collections.abc import Iterable
from enum import IntEnum

from policykit.diagnostics import Diagnostic, Severity


class Exit(IntEnum):
    """The five outcomes a script can tell apart; the numbers are part of the public surface."""

    FINE = 0
    FAILED = 1  # a test or a verdict failed
    OVER_LIMIT = 2  # coverage, or more warnings than allowed
    INVALID = 3  # invalid input, the command line included
    UNAVAILABLE = 4  # internal failure, or something that is not installed


INTERRUPTED = 130  # 128 + SIGINT, as shells report it
PIPE_CLOSED = 141  # 128 + SIGPIPE: the reader of our output went away


def status_of(diagnostics: Iterable[Diagnostic], max_warnings: int | None) -> Exit:
    """Any error is invalid input; without one, warnings count against their limit (None: there is no limit)."""
    severities = [diagnostic.severity for diagnostic in diagnostics]
    if Severity.ERROR in severities:
        return Exit.INVALID
    return Exit.OVER_LIMIT if max_warnings is not None and len(severities) > max_warnings else Exit.FINE
