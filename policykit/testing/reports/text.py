"""A test report like a compiler's: file, line, what failed, want and got."""

from policykit.testing.report import Status, TestReport, TestResult
from policykit.testing.reports.words import NO_TESTS, explained, uncovered_message

_WORDS = {Status.FAILED: "FAIL", Status.ERRORED: "ERROR"}


def report_text(report: TestReport) -> str:
    """Every test that did not pass, every gap, and a summary line. Passed tests are only counted."""
    blocks = [_result(result) for result in report.results if result.status is not Status.PASSED]
    blocks += [f"{row.place.file}:{row.place.line}: FAIL {row.document}: {NO_TESTS}\n" for row in report.untested]
    blocks += [
        f"{row.place.file}:{row.place.line}: warning: {uncovered_message(row.rule)}\n" for row in report.uncovered
    ]
    return "".join([*blocks, summary(report), "\n"])


def _result(result: TestResult) -> str:
    head = f"{result.place.file}:{result.place.line}: {_WORDS[result.status]} {result.name}\n"
    return head + "".join(f"    {line}\n" for line in explained(result).split("\n"))


def summary(report: TestReport) -> str:
    """One line: how many tests came out how, and how many rules some test expects."""
    counts = [f"{report.count(status)} {status.value}" for status in Status if report.count(status)]
    if report.untested:
        counts.append(f"{len(report.untested)} without tests")
    n_variants = sum(result.n_variants for result in report.results)
    if n_variants:
        counts.append(f"{n_variants} variants tried")
    rules = f"; {report.n_rules - len(report.uncovered)} of {report.n_rules} rules expected by a test"
    return (", ".join(counts) or "no tests") + (rules if report.n_rules else "")
