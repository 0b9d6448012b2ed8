"""One finding about a user's input, and the error that carries all of them at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from policykit.diagnostics.place import Place


class Severity(StrEnum):
    """How much a diagnostic weighs: an error stops the command, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A stable code, one lower-case line of message, the place, and what to do about it.

    ``related`` holds further places with a label each: a conflict has two sides, and both are shown.
    """

    code: str
    message: str
    place: Place | None = None
    help: str | None = None
    severity: Severity = Severity.ERROR
    related: tuple[tuple[Place, str], ...] = ()

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        line = f"{where}{self.code}: {self.message}"
        line += "".join(f"\n  see: {place}: {label}" for place, label in self.related)
        return f"{line}\n  help: {self.help}" if self.help else line


def _order(diagnostic: Diagnostic) -> tuple[str, int, int, str]:
    place = diagnostic.place
    return (place.file, place.line, place.column, diagnostic.code) if place else ("", 0, 0, diagnostic.code)


class PolicyError(Exception):
    """Invalid input. ``diagnostics`` lists everything that was found, sorted by place."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics: tuple[Diagnostic, ...] = tuple(sorted(diagnostics, key=_order))
        super().__init__("\n".join(map(str, self.diagnostics)))

    @classmethod
    def of(cls, code: str, message: str, place: Place | None = None, help: str | None = None) -> Self:
        """The error with a single diagnostic."""
        return cls((Diagnostic(code, message, place, help),))


class InternalError(Exception):
    """Something that policykit relies on failed at run time. It is never read as a pass."""
