"""A list of diagnostics in the format that was asked for."""

from collections.abc import Sequence

from policykit.cli.render import print_diagnostics
from policykit.cli.reports.github import github
from policykit.cli.reports.plain import to_json
from policykit.cli.reports.sarif import sarif
from policykit.cli.streams import Streams
from policykit.cli.version import installed_version
from policykit.diagnostics import Diagnostic, Severity


def _described(diagnostic: Diagnostic) -> dict[str, object]:
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        "place": diagnostic.place,
        "help": diagnostic.help,
        "related": [{"place": place, "label": label} for place, label in diagnostic.related],
    }


def diagnostics_json(diagnostics: Sequence[Diagnostic]) -> str:
    """``{diagnostics: [...], errors: n, warnings: n}``."""
    severities = [d.severity for d in diagnostics]
    counts = {f"{severity.value}s": severities.count(severity) for severity in Severity}
    return to_json({"diagnostics": [_described(diagnostic) for diagnostic in diagnostics], **counts})


def report_diagnostics(streams: Streams, form: str, diagnostics: Sequence[Diagnostic]) -> None:
    """Print ``diagnostics`` to standard output as ``form``: `text`, `json`, `sarif` or `github`."""
    match form:
        case "json":
            streams.write(diagnostics_json(diagnostics))
        case "sarif":
            streams.write(sarif(diagnostics, installed_version()))
        case "github":
            streams.write(github(diagnostics))
        case _:
            print_diagnostics(streams.out, diagnostics)
