"""Every renderer on one report that holds one of everything."""

import json
import xml.etree.ElementTree as ElementTree

import pytest

from policykit.diagnostics import Place
from policykit.ir.verdict import Violation
from policykit.testing import (
    Mismatch,
    Missed,
    Seen,
    Status,
    TestReport,
    TestResult,
    Uncovered,
    Untested,
    report_github,
    report_json,
    report_junit,
    report_sarif,
    report_text,
)
from policykit.testing.reports.words import visible

VIOLATION = Violation("pin", 4, 8, "compat", r"\d{4}", "medium", 1.0)
ABSENCE = Violation("hedge", None, None, None, "absent: risk", "low", 1.0)
REPORT = TestReport(
    results=(
        TestResult("a/b", "fine", Place("p/b.policy.yaml", 9, 5), "x", Status.PASSED),
        TestResult(
            "a/b",
            "100%, <not> fine",
            Place("p/b.policy.yaml", 12, 5),
            "pin 1234\n\x1b[31m\u200b\ufffe",
            Status.FAILED,
            (Mismatch("decision", "block", "transform"), Mismatch("output", "", "pin [PIN_1]\n")),
            (Seen(VIOLATION, "1234", False), Seen(ABSENCE, None, True)),
            (Missed("no-guarantees", "nothing near"),),
        ),
        TestResult("c/d", "broken", Place("/abs/d.policy.yaml", 3), "y", Status.ERRORED, errors=("pin: boom",)),
    ),
    untested=(Untested("e/f", Place("f.policy.yaml")),),
    uncovered=(Uncovered("a/b", "lonely", Place("p/b.policy.yaml", 7, 3)),),
    n_rules=3,
)
EMPTY = TestReport((), (), (), 0)

TEXT = r"""p/b.policy.yaml:12: FAIL 100%, <not> fine
    want    decision: block
    got     decision: transform
    want    output: ""
    got     output: "pin [PIN_1]\n"
    saw     `pin` fired at 4..8 on view `compat`: "1234" is `\d{4}`
    saw     `hedge` (shadow) fired: absent: risk
    missed  `no-guarantees`: nothing near
    given   "pin 1234\n\u001b[31m\u200b\ufffe"
    replay  policykit test p/b.policy.yaml --only '100%, <not> fine'
/abs/d.policy.yaml:3: ERROR broken
    error   pin: boom
    given   "y"
    replay  policykit test /abs/d.policy.yaml --only broken
f.policy.yaml:1: FAIL e/f: the document has no tests
p/b.policy.yaml:7: warning: no test expects rule `lonely`
1 passed, 1 failed, 1 errored, 1 without tests; 2 of 3 rules expected by a test
"""


def test_text() -> None:
    assert report_text(REPORT) == TEXT


def test_text_of_nothing() -> None:
    assert report_text(EMPTY) == "no tests\n"


def test_json() -> None:
    data = json.loads(report_json(REPORT))
    assert data["passed"] is False
    assert data["counts"] == {"passed": 1, "failed": 1, "errored": 1}
    assert [result["status"] for result in data["results"]] == ["passed", "failed", "errored"]
    failed = data["results"][1]
    assert failed["mismatches"][0] == {"part": "decision", "want": "block", "got": "transform"}
    assert failed["saw"][0]["violation"]["start"] == 4
    assert failed["place"]["line"] == 12
    assert failed["replay"] == "policykit test p/b.policy.yaml --only '100%, <not> fine'"
    assert data["untested"][0]["document"] == "e/f"
    assert data["uncovered"][0]["rule"] == "lonely"


def test_junit() -> None:
    root = ElementTree.fromstring(report_junit(REPORT))
    assert root.tag == "testsuites"
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("4", "2", "1")
    suites = {suite.get("name"): suite for suite in root}
    assert list(suites) == ["a/b", "c/d", "e/f"]
    fine, failed = suites["a/b"]
    assert list(fine) == []
    assert (failed.get("name"), failed.get("file"), failed.get("line")) == ("100%, <not> fine", "p/b.policy.yaml", "12")
    (failure,) = failed
    assert (failure.tag, failure.get("message")) == ("failure", "decision, output")
    assert "want    decision: block" in (failure.text or "")
    assert [child.tag for child in suites["c/d"][0]] == ["error"]
    assert suites["e/f"][0][0].get("message") == "the document has no tests"


@pytest.mark.parametrize("char", ["\x00", "\x1b", "\ufffe", "\uffff", "\x7f", "]]>", "\ud800"])
def test_junit_is_well_formed_whatever_a_test_holds(char: str) -> None:
    result = TestResult(f"d{1}", f"n{char}", Place("f"), char, Status.ERRORED, errors=(f"e{char}",))
    (case,) = ElementTree.fromstring(report_junit(TestReport((result,), (), (), 0)).encode())[0]
    assert (case.get("name") or "").startswith("n")


def test_github() -> None:
    lines = report_github(REPORT).splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("::error file=p/b.policy.yaml,line=12,title=100%25%2C <not> fine::failed: 100%25, <not>")
    assert "%0Awant    decision: block%0A" in lines[0]
    assert lines[1].startswith("::error file=/abs/d.policy.yaml,line=3,title=broken::errored: broken%0A")
    assert lines[2] == "::error file=f.policy.yaml,line=1,title=e/f::the document has no tests"
    assert lines[3] == "::warning file=p/b.policy.yaml,line=7,title=a/b::no test expects rule `lonely`"


def test_sarif() -> None:
    log = json.loads(report_sarif(REPORT, "1.2.3"))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    assert run["tool"]["driver"]["version"] == "1.2.3"
    rules = run["tool"]["driver"]["rules"]
    results = run["results"]
    assert [(result["ruleId"], result["level"]) for result in results] == [
        ("PK501", "error"),
        ("PK502", "error"),
        ("PK503", "error"),
        ("PK504", "warning"),
    ]
    for result in results:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    places = [result["locations"][0]["physicalLocation"] for result in results]
    assert [place["artifactLocation"]["uri"] for place in places] == [
        "p/b.policy.yaml",
        "file:///abs/d.policy.yaml",
        "f.policy.yaml",
        "p/b.policy.yaml",
    ]
    assert places[0]["region"] == {"startLine": 12, "startColumn": 5}


def test_a_passing_report_is_quiet() -> None:
    passing = TestReport(REPORT.results[:1], (), (), 1)
    assert report_text(passing) == "1 passed; 1 of 1 rules expected by a test\n"
    assert report_github(passing) == ""
    assert json.loads(report_sarif(passing, "1.2.3"))["runs"][0]["results"] == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [("", '""'), ('a"b', '"a\\"b"'), ("\\n", '"\\\\n"'), ("é\t", '"é\\t"'), ("\x85", '"\\u0085"'),
     ("\U000e0001", '"\\U000e0001"')],
)  # fmt: skip
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown
