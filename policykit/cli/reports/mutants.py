"""Changes of policies that no test noticed, for people and machines."""

from collections import Counter

from policykit.cli.render import counted
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
                note = [f"    {shown(survivor.note)}"] if survivor.note else []
                lines = [f"    {shown(line)}" for line in survivor.diff.split("\n")]
                streams.out.print("\n".join(lines + note) + "\n")
            for line in (*_left_alone(report), *summary(report)):
                streams.out.print(line)


def summary(report: MutationReport) -> tuple[str, ...]:
    """How many changes were noticed, and which ones were not counted."""
    apart = f"{report.n_equivalent} are proved to make no difference, {report.n_same} give what another one gives"
    return (
        f"not counted: {apart}, {report.n_refused} are no policy",
        f"{report.n_killed} of {report.n_mutants} changes noticed by a test: score {report.score:.1%}",
    )


def _left_alone(report: MutationReport) -> list[str]:
    """A line for each kind of field; JSON has every place."""
    places = Counter((row.field, row.why) for row in report.left_alone)
    return [f"not changed: `{name}` in {counted(n, 'place')}: {why}" for (name, why), n in places.items()]


def _message(survivor: Survivor) -> str:
    return f"{survivor.what} (rule `{survivor.rule}`)" if survivor.rule else survivor.what


def _diagnostic(survivor: Survivor) -> Diagnostic:
    note = f"\n{survivor.note}" if survivor.note else ""
    message = f"no test notices: {_message(survivor)}\n{survivor.diff}{note}"
    return Diagnostic("PK512", message, survivor.place, _HELP, Severity.WARNING)


def _case(survivor: Survivor) -> TestResult:
    name = f"{survivor.place.line}: {_message(survivor)}"
    errors = (survivor.diff, *([survivor.note] if survivor.note else []))
    return TestResult(survivor.document, name, survivor.place, "", Status.FAILED, errors=errors)
