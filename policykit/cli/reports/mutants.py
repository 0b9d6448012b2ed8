"""Changes of policies that no test noticed, for people and machines."""

from policykit.cli.reports.github import github
from policykit.cli.reports.plain import to_json
from policykit.cli.reports.sarif import sarif
from policykit.cli.streams import Streams
from policykit.cli.version import installed_version
from policykit.cli.visible import shown
from policykit.diagnostics import Diagnostic, Severity
from policykit.testing import Status, TestReport, TestResult, report_junit
from policykit.testing.mutation import MutationReport, Survivor

_HELP = "add a test that fails with this change, or take out what makes no difference"


def report_mutants(streams: Streams, form: str, report: MutationReport) -> None:
    """Every survivor with its diff, and the score."""
    match form:
        case "json":
            streams.write(to_json({"score": report.score, "mutants": report.n_mutants, "report": report}))
        case "junit":
            streams.write(report_junit(TestReport(tuple(map(_case, report.survivors)), (), (), 0)))
        case "github":
            streams.write(github(list(map(_diagnostic, report.survivors))))
        case "sarif":
            streams.write(sarif(list(map(_diagnostic, report.survivors)), installed_version()))
        case _:
            for survivor in report.survivors:
                streams.out.print(f"{survivor.place}: survived: {shown(_message(survivor))}")
                streams.out.print("\n".join(f"    {shown(line)}" for line in survivor.diff.split("\n")) + "\n")
            streams.out.print(summary(report))


def summary(report: MutationReport) -> str:
    """One line: how many changes were noticed."""
    return f"{report.n_killed} of {report.n_mutants} changes noticed by a test: score {report.score:.1%}"


def _message(survivor: Survivor) -> str:
    return f"{survivor.what} (rule `{survivor.rule}`)" if survivor.rule else survivor.what


def _diagnostic(survivor: Survivor) -> Diagnostic:
    message = f"no test notices: {_message(survivor)}\n{survivor.diff}"
    return Diagnostic("PK512", message, survivor.place, _HELP, Severity.WARNING)


def _case(survivor: Survivor) -> TestResult:
    name = f"{survivor.place.line}: {_message(survivor)}"
    errors = (survivor.diff,)
    return TestResult(survivor.document, name, survivor.place, "", Status.FAILED, errors=errors)
