"""Diagnostics as SARIF 2.1.0 (OASIS), for code scanning dashboards and editors."""

import json
from collections.abc import Sequence
from pathlib import Path, PurePath
from urllib.parse import quote

from policykit.cli.reports.plain import Json
from policykit.diagnostics import CATALOGUE, Diagnostic, Place

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def _uri(file: str) -> str:
    """A relative file as a relative reference, an absolute one as a ``file:`` URI."""
    path = PurePath(file)
    return Path(file).as_uri() if path.is_absolute() else quote(path.as_posix())


def _location(place: Place) -> dict[str, Json]:
    region: dict[str, Json] = {
        "startLine": place.line,
        "startColumn": place.column,
        "endLine": max(place.line, place.end_line),
        "endColumn": place.end_column if place.end_line > place.line else max(place.column, place.end_column),
    }
    return {"physicalLocation": {"artifactLocation": {"uri": _uri(place.file)}, "region": region}}


def _rule(code: str) -> dict[str, Json]:
    entry = CATALOGUE.get(code)
    if entry is None:
        return {"id": code}
    return {
        "id": code,
        "shortDescription": {"text": entry.title},
        "fullDescription": {"text": entry.explanation},
    }


def _result(diagnostic: Diagnostic, codes: Sequence[str]) -> dict[str, Json]:
    help_line = f"\nhelp: {diagnostic.help}" if diagnostic.help else ""
    result: dict[str, Json] = {
        "ruleId": diagnostic.code,
        "ruleIndex": codes.index(diagnostic.code),
        "level": diagnostic.severity.value,
        "message": {"text": diagnostic.message + help_line},
    }
    if diagnostic.place:
        result["locations"] = [_location(diagnostic.place)]
    if diagnostic.related:
        result["relatedLocations"] = [
            {**_location(place), "message": {"text": label}} for place, label in diagnostic.related
        ]
    return result


def sarif(diagnostics: Sequence[Diagnostic], version: str) -> str:
    """One SARIF run with a result per diagnostic and a rule per code that occurs. Columns count code points."""
    codes = sorted({diagnostic.code for diagnostic in diagnostics})
    driver: dict[str, Json] = {"name": "policykit", "version": version, "rules": [_rule(code) for code in codes]}
    run: dict[str, Json] = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(diagnostic, codes) for diagnostic in diagnostics],
    }
    log: dict[str, Json] = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"
