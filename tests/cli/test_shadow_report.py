"""`policykit bundle shadow-report`: the verdicts of a candidate that differ, by rule."""

import json
from pathlib import Path

from policykit.audit import LoggedSpan, SpanForm
from policykit.audit.shadow import Change, Counted, Difference, Example, Pair, ShadowStore
from tests.cli.conftest import Run

PAIR = Pair("sha256:new", "sha256:old", "answer")
SPAN = LoggedSpan(2, 9, SpanForm.MASKED, "aaa 999")


def differs(record: str, n: int, rule: str = "no-promises", change: Change = Change.FIRES) -> Difference:
    return Difference(PAIR, rule, change, "content", n, (Example(record, "allow", "block", (SPAN,)),))


def test_the_report_says_what_differs_by_rule(run: Run, tmp_path: Path) -> None:
    store = ShadowStore(tmp_path / "s.sqlite")
    counts = [(PAIR, Counted.REQUESTS, 9), (PAIR, Counted.TEXTS, 18), (PAIR, Counted.DIFFERED, 3)]
    dropped = (PAIR, Counted.DROPPED, 2)
    store.add([*counts, dropped], [], [("sha256:new", "13"), ("sha256:old", "12")])
    assert run("bundle", "shadow-report", "s.sqlite").status == 2
    store.add([], [differs("r1", 2), differs("r2", 1, "old-rule", Change.NO_LONGER)])
    store.close()
    told = run("bundle", "shadow-report", "s.sqlite")
    assert told.status == 1
    assert told.out == (
        "candidate revision 13 (sha256:new) beside revision 12 (sha256:old)\n"
        "  profile answer: 9 requests, 18 texts, 3 differ, 2 dropped\n"
        "    no-promises\n"
        "      fires: 2 texts (content)\n"
        "        r1  allow -> block  2-9 'aaa 999'\n"
        "    old-rule\n"
        "      no longer: 1 text (content)\n"
        "        r2  allow -> block  2-9 'aaa 999'\n"
    )
    (compared,) = json.loads(run("bundle", "shadow-report", "s.sqlite", "--format", "json").out)["compared"]
    assert (compared["requests"], compared["dropped"], compared["failed"]) == (9, 2, 0)
    assert compared["differences"][0] == {
        "rule": "no-promises", "change": "fires", "channel": "content", "texts": 2,
        "examples": [{
            "record": "r1", "live": "allow", "candidate": "block",
            "spans": [{"start": 2, "end": 9, "form": "masked", "value": "aaa 999"}],
        }],
    }  # fmt: skip
    assert run("bundle", "shadow-report", "s.sqlite", "--profile", "other").out == "nothing was asked yet\n"
    assert run("bundle", "shadow-report", "s.sqlite", "--candidate", "13").out == told.out
    assert run("bundle", "shadow-report", "s.sqlite", "--candidate", "14").status == 0
    assert run("bundle", "shadow-report", "nothing.sqlite").status == 3
