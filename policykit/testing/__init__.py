"""Running the tests that stand in policy files, and reporting them to people and machines."""

from policykit.testing.report import Mismatch, Missed, Seen, Status, TestReport, TestResult, Uncovered, Untested
from policykit.testing.reports.github import report_github
from policykit.testing.reports.json import report_json
from policykit.testing.reports.junit import report_junit
from policykit.testing.reports.sarif import report_sarif
from policykit.testing.reports.text import report_text
from policykit.testing.runner import run_tests

__all__ = [
    "Mismatch",
    "Missed",
    "Seen",
    "Status",
    "TestReport",
    "TestResult",
    "Uncovered",
    "Untested",
    "report_github",
    "report_json",
    "report_junit",
    "report_sarif",
    "report_text",
    "run_tests",
]
