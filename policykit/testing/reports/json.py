"""A test report as JSON, with every result in full."""

import json
from dataclasses import asdict

from policykit.testing.report import Status, TestReport


def report_json(report: TestReport) -> str:
    """``{passed, counts, coverage, results, untested, uncovered}``; places as objects, results with `replay`."""
    data = {
        "passed": report.passed,
        "counts": {status.value: report.count(status) for status in Status},
        "coverage": {"rules": report.n_rules, "uncovered": len(report.uncovered), "share": report.coverage},
        "results": [{**asdict(result), "replay": result.replay} for result in report.results],
        "untested": [asdict(row) for row in report.untested],
        "uncovered": [asdict(row) for row in report.uncovered],
    }
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
