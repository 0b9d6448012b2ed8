"""Files of tests: what belongs to which policy, what a table's line says, and every mistake in them."""

from pathlib import Path

import pytest

from policykit.diagnostics import PolicyError
from policykit.ir.document import Target, Variants
from policykit.policy import load_policies

from .cases import BASE

HEAD = "apiVersion: policykit/v1\nkind: Tests\ndocument: finance/x\n"
TABLE = """\
tables:
  - name: promises
    target: input
    given: {profile: answer}
    variants: {evasion: claimed}
    cases:
      - [guaranteed returns, block, [no-guarantees], 'no']
      - {text: nothing, decision: allow, name: silence}
"""


def load(folder: Path, side: str, **files: str):
    (folder / "x.policy.yaml").write_text(BASE, encoding="utf-8")
    (folder / "x.tests.yaml").write_text(side, encoding="utf-8")
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8", newline="")
    (document,) = load_policies(folder).documents
    return document


def test_tests_of_the_file_come_after_those_of_the_policy(tmp_path: Path) -> None:
    side = HEAD + "tests: [{name: beside, given: {output: x}, expect: {decision: allow}}]\n"
    document = load(tmp_path, side)
    assert [test.name for test in document.tests] == ["blocks", "beside"]
    assert document.tests[1].place.file.endswith("x.tests.yaml")
    (tmp_path / "x.tests.yaml").unlink()
    (alone,) = load_policies(tmp_path).documents
    assert alone.canonical == document.canonical


def test_a_table_is_many_tests(tmp_path: Path) -> None:
    first, second = load(tmp_path, HEAD + TABLE).tests[1:]
    assert (first.name, second.name) == ("promises 1", "promises: silence")
    assert (first.given.target, first.given.profile) == (Target.INPUT, "answer")
    assert (first.expect.decision, first.expect.rules, first.expect.output) == ("block", ("no-guarantees",), "no")
    assert second.expect.rules is None
    assert first.variants == Variants(evasion=True, chunking=False)
    assert (first.place.line, second.place.line) == (10, 11)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_cases_from_a_file(tmp_path: Path, line_end: str) -> None:
    lines = ["text,decision,rules,name", '"guaranteed, but",allow,-,', "guaranteed returns,block,no-guarantees,promise"]
    document = load(tmp_path, HEAD + "tables: [{name: t, file: more.csv}]\n", more_csv=line_end.join(lines))
    first, second = document.tests[1:]
    assert (first.name, first.given.text, first.expect.rules) == ("t 1", "guaranteed, but", ())
    assert (second.name, second.expect.rules, second.place.line) == ("t: promise", ("no-guarantees",), 3)
    assert second.place.file.endswith("more.csv")


ONE = "tests: [{name: beside, given: {output: x}, expect: {decision: allow}}]\n"
MISTAKES = {
    "another document": ("PK505", HEAD.replace("finance/x", "finance/y") + ONE, "", "did you mean `finance/x`?"),
    "five values": ("PK507", HEAD + TABLE.replace("'no']", "'no', 1]"), "", "columns: text"),
    "a column that is none": ("PK507", HEAD + "tables: [{name: t, file: more.csv}]", "txt,decision\na,allow", "`text`"),
    "a column twice": ("PK507", HEAD + "tables: [{name: t, file: more.csv}]", "text,text\na,b", "column"),
    "a short line": ("PK507", HEAD + "tables: [{name: t, file: more.csv}]", "text,decision\na", "quotes"),
    "an open quote": ("PK507", HEAD + "tables: [{name: t, file: more.csv}]", 'text,decision\n"a,allow', "quotes"),
    "a file of another kind": ("PK507", HEAD + "tables: [{name: t, file: more.txt}]", "", "`.csv`"),
    "no such file": ("PK001", HEAD + "tables: [{name: t, file: gone.csv}]", "", "path"),
    "a test's name again": ("PK052", HEAD + ONE.replace("beside", "blocks"), "", "rename"),
    "a rule that is not there": ("PK059", HEAD + TABLE.replace("[no-g", "[no-h"), "", "did you mean"),
    "a golden file elsewhere": ("PK508", HEAD + ONE.replace("allow}", "allow, golden: ../x.txt}"), "", "relative"),
    "the output twice": ("PK508", HEAD + ONE.replace("allow}", "allow, golden: x, output: y}"), "", "one of"),
    "no tests at all": ("PK028", HEAD, "", "tests"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told(name: str, tmp_path: Path) -> None:
    code, side, table, help = MISTAKES[name]
    with pytest.raises(PolicyError) as caught:
        load(tmp_path, side, more_csv=table)
    (found,) = caught.value.diagnostics
    assert found.code == code, str(caught.value)
    assert help in (found.help or "")
    assert found.place is not None


def test_tests_without_a_policy_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "y.tests.yaml").write_text(HEAD + ONE, encoding="utf-8")
    with pytest.raises(PolicyError) as caught:
        load(tmp_path, HEAD + ONE)
    assert [(d.code, d.place and Path(d.place.file).name) for d in caught.value.diagnostics] == [
        ("PK516", "y.tests.yaml")
    ]
