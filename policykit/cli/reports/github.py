"""Diagnostics as GitHub Actions workflow commands, one annotation each.

Source: GitHub Docs, "Workflow commands for GitHub Actions", setting an error or warning message.
"""

from collections.abc import Iterable

from policykit.diagnostics import Diagnostic


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _annotation(diagnostic: Diagnostic) -> str:
    properties = {"title": diagnostic.code}
    if place := diagnostic.place:
        properties = {"file": place.file, "line": str(place.line), "endLine": str(max(place.line, place.end_line))}
        if place.end_line <= place.line:  # columns are only valid within one line
            properties |= {"col": str(place.column), "endColumn": str(max(place.column, place.end_column - 1))}
        properties["title"] = diagnostic.code
    message = diagnostic.message + (f"\nhelp: {diagnostic.help}" if diagnostic.help else "")
    shown = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{diagnostic.severity.value} {shown}::{_data(message)}\n"


def github(diagnostics: Iterable[Diagnostic]) -> str:
    """One line per diagnostic; nothing where there is none."""
    return "".join(map(_annotation, diagnostics))
