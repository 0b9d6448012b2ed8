"""A test report as JUnit XML: one suite per document.

There is no standard; this is what Jenkins, GitLab and the pytest plug-in agree on. XML 1.0 (section 2.2) has no
place for most control characters, so they are spelled out.
"""

import re
from itertools import groupby
from xml.etree import ElementTree

from policykit.diagnostics import Place
from policykit.testing.report import Status, TestReport, TestResult
from policykit.testing.reports.words import NO_TESTS, explained

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def report_junit(report: TestReport) -> str:
    """``<testsuites>`` with a failure or an error inside each test that did not pass."""
    root = ElementTree.Element("testsuites", _counts(report.results, len(report.untested)))
    for document, group in groupby(report.results, key=lambda result: result.document):
        results = tuple(group)
        suite = ElementTree.SubElement(root, "testsuite", {"name": document, **_counts(results, 0)})
        for result in results:
            _case(suite, result)
    for row in report.untested:
        suite = ElementTree.SubElement(root, "testsuite", {"name": row.document, **_counts((), 1)})
        case = _element(suite, row.document, "has tests", row.place)
        ElementTree.SubElement(case, "failure", {"message": NO_TESTS})
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _counts(results: tuple[TestResult, ...], n_untested: int) -> dict[str, str]:
    n_failed = sum(result.status is Status.FAILED for result in results) + n_untested
    n_errored = sum(result.status is Status.ERRORED for result in results)
    return {"tests": str(len(results) + n_untested), "failures": str(n_failed), "errors": str(n_errored)}


def _element(suite: ElementTree.Element, document: str, name: str, place: Place) -> ElementTree.Element:
    attributes = {"classname": document, "name": _xml(name), "file": _xml(place.file), "line": str(place.line)}
    return ElementTree.SubElement(suite, "testcase", attributes)


def _case(suite: ElementTree.Element, result: TestResult) -> None:
    case = _element(suite, result.document, result.name, result.place)
    if result.status is Status.PASSED:
        return
    tag = "failure" if result.status is Status.FAILED else "error"
    wrong = ", ".join(mismatch.part for mismatch in result.mismatches) or "the test could not be judged"
    ElementTree.SubElement(case, tag, {"message": wrong}).text = _xml(explained(result))


def _xml(text: str) -> str:
    return _NOT_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
