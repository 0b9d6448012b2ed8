"""What candidates say, added up in one file: by several writers, bounded, and read back as it was found."""

import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from policykit.audit import LogError, LoggedSpan, NoLog, SpanForm
from policykit.audit.shadow import MAX_EXAMPLES, Change, Counted, Difference, Example, Pair, ShadowStore, read_shadow

PAIR = Pair("sha256:new", "sha256:old", "answer")
SPAN = LoggedSpan(2, 9, SpanForm.MASKED, "aaa 999")
NAMES = st.sampled_from(["a", "b"])
PAIRS = st.builds(Pair, NAMES, NAMES, NAMES)
DIFFERENCES = st.builds(Difference, PAIRS, NAMES, st.sampled_from(Change), NAMES, st.integers(1, 9))
COUNTS = st.tuples(PAIRS, st.sampled_from(Counted), st.integers(1, 9))


def differs(record: str, n: int = 1, rule: str = "no-promises", change: Change = Change.FIRES) -> Difference:
    return Difference(PAIR, rule, change, "content", n, (Example(record, "allow", "block", (SPAN,)),))


@given(st.lists(st.tuples(st.lists(COUNTS, max_size=4), st.lists(DIFFERENCES, max_size=4)), max_size=4))
@settings(max_examples=25, deadline=None)
def test_whatever_is_added_adds_up(
    tmp_path_factory: pytest.TempPathFactory, batches: list[tuple[list[Any], list[Difference]]]
) -> None:
    """Against sums made by hand, with two stores that take turns on one file."""
    path = tmp_path_factory.mktemp("shadow") / "s.sqlite"
    stores = ShadowStore(path), ShadowStore(path)
    counts: Counter[object] = Counter()
    for at, (counted, found) in enumerate(batches):
        stores[at % 2].add(counted, found)
        for pair, what, n in counted:
            counts[pair, what] += n
        for one in found:
            counts[one.pair, one.rule, one.change, one.channel] += one.n
    for store in stores:
        store.close()
    report = read_shadow(path)
    read: Counter[object] = Counter()
    for tally in report.tallies:
        for what, n in tally.counts:
            read[tally.pair, what] = n
    for one in report.differences:
        read[one.pair, one.rule, one.change, one.channel] = one.n
    assert read == counts


def test_examples_are_kept_once_per_record_and_are_few(tmp_path: Path) -> None:
    store = ShadowStore(tmp_path / "s.sqlite")
    for at in range(MAX_EXAMPLES + 3):
        store.add([], [differs(f"r{at}"), differs("r0")], [("sha256:new", "4"), ("sha256:old", None)])
    store.close()
    report = read_shadow(tmp_path / "s.sqlite")
    ((difference,),) = [report.differences]
    assert difference.n == 2 * (MAX_EXAMPLES + 3)
    assert [example.record for example in difference.examples] == [f"r{at}" for at in range(MAX_EXAMPLES)]
    assert difference.examples[0].spans == (SPAN,)
    assert (report.revision("sha256:new"), report.revision("sha256:old")) == ("4", None)


def test_processes_write_one_file_at_once(tmp_path: Path) -> None:
    """As the servers of one engine do."""
    code = (
        "import sys; from policykit.audit.shadow import *\n"
        "store = ShadowStore(sys.argv[1])\n"
        "for _ in range(50): store.add([(Pair('a', 'b', 'c'), Counted.TEXTS, 1)], [])\n"
        "store.close()"
    )
    path = str(tmp_path / "s.sqlite")
    running = [subprocess.Popen([sys.executable, "-c", code, path]) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert read_shadow(path).total(Counted.TEXTS) == 150


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE mine (x)")
    connection.commit()
    connection.close()
    before = other.read_bytes()
    for use in (ShadowStore, read_shadow):
        with pytest.raises(NoLog):
            use(other)
    assert other.read_bytes() == before
    (tmp_path / "text").write_text("no database, but a text that is long enough to be one" * 10)
    for use in (ShadowStore, read_shadow):
        with pytest.raises(LogError):
            use(tmp_path / "text")
    with pytest.raises(NoLog):
        read_shadow(tmp_path / "nothing")
    with pytest.raises(LogError):
        ShadowStore(tmp_path / "no" / "folder.sqlite")
