"""A test report as GitHub Actions workflow commands, one annotation each.

Source: GitHub Docs, "Workflow commands for GitHub Actions", setting an error or warning message.
"""

from policykit.diagnostics import Place
from policykit.testing.report import Status, TestReport
from policykit.testing.reports.words import NO_TESTS, explained, uncovered_message


def report_github(report: TestReport) -> str:
    """Errors for tests that did not pass and documents without tests, warnings for uncovered rules."""
    lines = [
        _annotation("error", result.place, result.name, f"{result.status.value}: {result.name}\n{explained(result)}")
        for result in report.results
        if result.status is not Status.PASSED
    ]
    lines += [_annotation("error", row.place, row.document, NO_TESTS) for row in report.untested]
    lines += [_annotation("warning", row.place, row.document, uncovered_message(row.rule)) for row in report.uncovered]
    return "".join(lines)


def _annotation(level: str, place: Place, title: str, message: str) -> str:
    return f"::{level} file={_property(place.file)},line={place.line},title={_property(title)}::{_data(message)}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
