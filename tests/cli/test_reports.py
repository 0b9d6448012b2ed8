"""Diagnostics as machines read them, against the formats' own words."""

import io
import json
from datetime import date
from enum import Enum
from pathlib import Path

import pytest

from policykit.cli.reports.diagnostics import diagnostics_json, report_diagnostics
from policykit.cli.reports.github import github
from policykit.cli.reports.plain import to_json
from policykit.cli.reports.sarif import sarif
from policykit.cli.streams import Streams, console
from policykit.diagnostics import Diagnostic, Place, Severity

ERROR = Diagnostic("PK550", "unknown field `a`", Place("p q/x.yaml", 2, 3, 2, 4), help="did you mean `b`?")
WARNING = Diagnostic("PK551", "100% odd: a, b\nsecond", Place("x.yaml", 4, 1, 6, 2), severity=Severity.WARNING)
BARE = Diagnostic("PK552", "no place")
RELATED = Diagnostic("PK553", "m", Place("/a/x.yaml"), related=((Place("b.yaml", 7, 8, 7, 9), "the other side"),))


def test_json_holds_everything_and_counts() -> None:
    report = json.loads(diagnostics_json([ERROR, WARNING]))
    assert report["errors"] == 1
    assert report["warnings"] == 1
    assert report["diagnostics"][0] == {
        "code": "PK550",
        "severity": "error",
        "message": "unknown field `a`",
        "place": {"file": "p q/x.yaml", "line": 2, "column": 3, "end_line": 2, "end_column": 4},
        "help": "did you mean `b`?",
        "related": [],
    }


def test_json_names_related_places() -> None:
    (found,) = json.loads(diagnostics_json([RELATED]))["diagnostics"]
    assert found["related"][0]["label"] == "the other side"
    assert found["related"][0]["place"]["line"] == 7


def test_github_escapes_what_would_end_a_property_or_a_line() -> None:
    assert github([ERROR, WARNING, BARE]) == (
        "::error file=p q/x.yaml,line=2,endLine=2,col=3,endColumn=3,title=PK550::"
        "unknown field `a`%0Ahelp: did you mean `b`?\n"
        "::warning file=x.yaml,line=4,endLine=6,title=PK551::100%25 odd: a, b%0Asecond\n"
        "::error title=PK552::no place\n"
    )
    comma = Diagnostic("PK550", "m", Place("a,b:c.yaml"))
    assert "file=a%2Cb%3Ac.yaml," in github([comma])


def test_sarif_has_a_rule_per_code_and_a_result_per_diagnostic() -> None:
    log = json.loads(sarif([ERROR, WARNING, BARE, ERROR, RELATED], "1.2.3"))
    (run,) = log["runs"]
    assert log["version"] == "2.1.0"
    assert run["columnKind"] == "unicodeCodePoints"
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["PK550", "PK551", "PK552", "PK553"]
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])
    error, warning, bare, _, related = run["results"]
    assert (error["level"], warning["level"]) == ("error", "warning")
    assert error["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "p%20q/x.yaml"},
        "region": {"startLine": 2, "startColumn": 3, "endLine": 2, "endColumn": 4},
    }
    assert "locations" not in bare
    assert related["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "file:///a/x.yaml"
    assert related["relatedLocations"][0]["message"] == {"text": "the other side"}


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_a_report_is_written_to_standard_output(form: str) -> None:
    out, err = io.StringIO(), io.StringIO()
    report_diagnostics(Streams(console(out), console(err), io.StringIO()), form, [ERROR])
    assert "unknown field `a`" in out.getvalue()
    assert err.getvalue() == ""


def test_plain_data_is_strict() -> None:
    class Colour(Enum):
        RED = "red"

    data = {"day": date(2026, 6, 1), "colour": Colour.RED, "place": Place("f"), "all": (1, 2.5, True, None, "é")}
    assert json.loads(to_json(data)) == {
        "day": "2026-06-01",
        "colour": "red",
        "place": {"file": "f", "line": 1, "column": 1, "end_line": 1, "end_column": 1},
        "all": [1, 2.5, True, None, "é"],
    }
    with pytest.raises(TypeError, match="no JSON form for object"):
        to_json([object()])
    with pytest.raises(TypeError, match="no JSON form for PosixPath"):
        to_json(Path("x"))
