"""A test report as SARIF 2.1.0 (OASIS), for code scanning dashboards and editors."""

import json
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

from policykit.diagnostics import CATALOGUE, Place
from policykit.testing.report import Status, TestReport
from policykit.testing.reports.words import NO_TESTS, explained, uncovered_message

Json: TypeAlias = "str | int | list[Json] | dict[str, Json]"

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_FAILED, _ERRORED, _UNTESTED, _UNCOVERED = "PK501", "PK502", "PK503", "PK504"
_CODES = (_FAILED, _ERRORED, _UNTESTED, _UNCOVERED)
_CODE_OF = {Status.FAILED: _FAILED, Status.ERRORED: _ERRORED}


def report_sarif(report: TestReport, version: str) -> str:
    """One run, by policykit of this ``version``, with a result per test that did not pass, per document without tests
    and per uncovered rule."""
    results = [
        _result(_CODE_OF[result.status], "error", f"{result.name}\n{explained(result)}", result.place)
        for result in report.results
        if result.status is not Status.PASSED
    ]
    results += [_result(_UNTESTED, "error", f"{row.document}: {NO_TESTS}", row.place) for row in report.untested]
    results += [_result(_UNCOVERED, "warning", uncovered_message(row.rule), row.place) for row in report.uncovered]
    rules: list[Json] = [{"id": code, "shortDescription": {"text": CATALOGUE[code].title}} for code in _CODES]
    run: Json = {
        "tool": {"driver": {"name": "policykit", "version": version, "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "results": [*results],
    }
    log: Json = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _result(code: str, level: str, message: str, place: Place) -> Json:
    region: Json = {"startLine": place.line, "startColumn": place.column}
    location: Json = {"physicalLocation": {"artifactLocation": {"uri": _uri(place.file)}, "region": region}}
    index = _CODES.index(code)
    return {"ruleId": code, "ruleIndex": index, "level": level, "message": {"text": message}, "locations": [location]}


def _uri(file: str) -> str:
    """A relative file as a relative reference, an absolute one as a ``file:`` URI (RFC 8089)."""
    path = Path(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
