"""Diagnostics for people: the place, the message, the source line with the place underlined, and what to do."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from policykit.cli.visible import shown, shown_line
from policykit.diagnostics import Diagnostic, Place, Severity

MAX_SHOWN_LINES = 4
_GUTTER = 8  # `12345 | `

LinesOf = Callable[[str], Sequence[str] | None]
"""The lines of a file by its name, or None where there is no such text to show."""


def _split(text: str) -> list[str]:
    """Lines as YAML and JSON count them: LF, CR LF or CR, never the other breaks of `str.splitlines`."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")


def files() -> LinesOf:
    """Reads files as they are asked for, each once; a place in something that is no file shows no source."""
    read: dict[str, Sequence[str] | None] = {}

    def lines_of(name: str) -> Sequence[str] | None:
        if name not in read:
            path = Path(name)
            read[name] = _split(path.read_bytes().decode("utf-8", "replace")) if path.is_file() else None
        return read[name]

    return lines_of


def texts(**named: str) -> LinesOf:
    """Lines of texts that are in memory."""
    lines = {name: _split(text) for name, text in named.items()}
    return lines.get


def _rows(place: Place) -> list[int | None]:
    """The line numbers to show; None stands for lines left out of a long range."""
    last = max(place.line, place.end_line)
    if last - place.line < MAX_SHOWN_LINES:
        return list(range(place.line, last + 1))
    return [place.line, place.line + 1, None, last]


def snippet(place: Place, lines: Sequence[str], width: int, mark: str = "^", style: str = "red") -> Text:
    """The lines of ``place``, each with its part of the place underlined by ``mark``; empty where there is no line.

    A place without extent at the start of a file stands for the whole file and shows nothing.
    """
    out = Text()
    if place == Place(place.file) or place.line > len(lines):
        return out
    for number in _rows(place):
        if number is None:
            out.append(f"{'...':>5}\n", "blue")
            continue
        if number > len(lines):
            break
        line = lines[number - 1]
        start = place.column - 1 if number == place.line else len(line) - len(line.lstrip())
        end = place.end_column - 1 if number == max(place.line, place.end_line) else len(line.rstrip())
        part = shown_line(line, start, end, max(20, width - _GUTTER))
        out.append(f"{number:>5} |", "blue").append(f" {part.text}".rstrip() + "\n")
        out.append("      | ", "blue").append(" " * part.start).append(mark * part.length + "\n", f"bold {style}")
    return out


def _clean(text: str) -> str:
    return "\n".join(map(shown, text.split("\n")))


def _indented(label: str, text: str) -> Text:
    first, *rest = _clean(text).split("\n")
    lines = "".join(f"\n{' ' * (len(label) + 4)}{line}" for line in rest)
    return Text.assemble(("  " + label + ": ", "bold cyan"), first + lines + "\n")


def diagnostic_text(diagnostic: Diagnostic, lines_of: LinesOf, width: int) -> Text:
    """One diagnostic as shown, ending in a line break."""
    is_error = diagnostic.severity is Severity.ERROR
    style = "red" if is_error else "yellow"
    out = Text()
    if diagnostic.place:
        out.append(f"{_clean(str(diagnostic.place))}: ", "bold")
    if not is_error:
        out.append("warning: ", f"bold {style}")
    out.append(f"{diagnostic.code}: ", f"bold {style}").append(f"{_clean(diagnostic.message)}\n")
    if diagnostic.place and (lines := lines_of(diagnostic.place.file)):
        out.append_text(snippet(diagnostic.place, lines, width, style=style))
    for place, label in diagnostic.related:
        out.append_text(_indented("see", f"{place}: {label}"))
        if lines := lines_of(place.file):
            out.append_text(snippet(place, lines, width, mark="-", style="blue"))
    if diagnostic.help:
        out.append_text(_indented("help", diagnostic.help))
    return out


def counted(n: int, noun: str) -> str:
    """``1 warning``, ``2 warnings``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def summary(diagnostics: Iterable[Diagnostic]) -> str:
    """How many errors and warnings; what there is none of is left out."""
    severities = [diagnostic.severity for diagnostic in diagnostics]
    counts = [(severities.count(severity), severity.value) for severity in Severity]
    return ", ".join(counted(n, noun) for n, noun in counts if n) or "no errors"


def print_diagnostics(console: Console, diagnostics: Sequence[Diagnostic]) -> None:
    """Everything that was found, a blank line between two findings, and the count."""
    lines_of = files()
    for diagnostic in diagnostics:
        console.print(diagnostic_text(diagnostic, lines_of, console.width))
    if diagnostics:
        console.print(summary(diagnostics))
