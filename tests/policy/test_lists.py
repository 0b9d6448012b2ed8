"""Phrases from files: what they mean, where their mistakes are, and that nothing of them is lost."""

import json
from pathlib import Path

import pytest

import policykit as pk
from policykit.ir.document import PolicySet
from tests.policy.case import BASE, PHRASES

MATCH = "{phrases: {csv: lists/words.csv, column: term}}"


def load(folder: Path, content: str, match: str = MATCH) -> PolicySet:
    (folder / "lists").mkdir()
    (folder / "lists" / "words.csv").write_text(content, "utf-8", newline="")
    policy = folder / "x.policy.yaml"
    policy.write_text(BASE.replace(PHRASES, match), "utf-8")
    return pk.load_policies(policy)


def test_findings_carry_the_columns(tmp_path: Path) -> None:
    plan = pk.compile(load(tmp_path, 'source,term\r\nrule 1,sure gain\r\n,"no, risk"\r\n\r\nrule 2,win win\r\n'))
    text = "A sure-gain. No, risk. Win win!"
    found = plan.verify(text).violations
    assert [(v.matched, v.data) for v in found] == [
        ("sure gain", (("source", "rule 1"),)),
        ("no, risk", ()),
        ("win win", (("source", "rule 2"),)),
    ]
    stream = plan.stream()
    stream.feed(text)
    assert stream.close()[1].violations == found[:1]


def test_the_digest_covers_every_cell_and_no_file_name(tmp_path: Path) -> None:
    digests: list[str] = []
    for number, content in enumerate(("term,a\nx y,1\n", "term,a\nx y,2\n", "term,a\nx z,1\n", 'a,"term"\n1,x y\n')):
        folder = tmp_path / str(number)
        folder.mkdir()
        digests.append(pk.compile(load(folder, content)).bundle_digest)
    assert digests[0] == digests[3], "the order of columns and quotes say nothing"
    assert len(set(digests)) == 3


def test_a_saved_plan_needs_no_file(tmp_path: Path) -> None:
    plan = pk.compile(load(tmp_path, "term,a\nx y,1\n"))
    plan.save(tmp_path / "saved.plan.json")
    (tmp_path / "lists" / "words.csv").unlink()
    again = pk.load_plan(tmp_path / "saved.plan.json")
    assert again.digest == plan.digest
    assert again.verify("x y").violations == plan.verify("x y").violations


@pytest.mark.parametrize(
    ("content", "code", "place", "told"),
    [
        ("", "PK133", None, "empty"),
        ("phrase\nx y\n", "PK133", None, "no column `term`"),
        ("term,term\nx,y\n", "PK133", (1, 6), "the column `term`"),
        ("term,a\nx y,1\nz,1,2\n", "PK133", (3, 1), "3 values under 2 columns"),
        ('a,term\n1,x y\n"2, 3",x y\n', "PK133", (3, 8), "`x y` twice"),
        ("a,term\n1,\n", "PK054", (2, 3), "empty"),
        ("a,term\n1,--\n", "PK054", (2, 3), "nothing but separators"),
        ('term\n"x\n', "PK133", (2, 1), "not a table"),
        ("term,a\n", "PK133", None, "has no phrases"),
    ],
)
def test_a_mistake_is_told_at_its_cell(
    tmp_path: Path, content: str, code: str, place: tuple[int, int] | None, told: str
) -> None:
    with pytest.raises(pk.PolicyError) as caught:
        load(tmp_path, content)
    (found,) = caught.value.diagnostics
    assert (found.code, told in found.message) == (code, True), str(caught.value)
    assert found.place is not None
    if place is None:
        assert found.place.file.endswith("x.policy.yaml")
    else:
        assert found.place.file.endswith("words.csv")
        assert (found.place.line, found.place.column) == place


def test_a_list_is_data_in_the_output_of_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from policykit.cli.main import main

    load(tmp_path, "term,source\nx y,rule 1\n")
    text = tmp_path / "reply.txt"
    text.write_text("x y", "utf-8")
    assert main(["verify", "--policies", str(tmp_path), "--format", "json", str(text)]) == 1
    (found,) = json.loads(capsys.readouterr().out)["violations"]
    assert found["data"] == {"source": "rule 1"}
