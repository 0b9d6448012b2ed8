"""`diff` on real files and corpora."""

import json
from pathlib import Path

import pytest

from .conftest import PROMISES, Run

CORPUS = """\
{"output": "Guaranteed returns!"}
{"text": "This is risk-free."}
{"output": "pay acct 12345678"}

{"input": "guaranteed returns?"}
{"tool_call": {"name": "pay", "args": {"note": "risk-free"}}, "facts": {"user": {"id": "u7"}}}
"""


@pytest.fixture
def sides(tmp_path: Path, promises: str) -> tuple[str, str]:
    """A policy and its next version: one phrase more, another replacement, and a rule less strict."""
    new = (
        PROMISES.replace("[guaranteed returns]", "[guaranteed returns, risk-free]")
        .replace("[account]", "[hidden]")
        .replace("severity: high", "severity: low")
    )
    (tmp_path / "next.policy.yaml").write_text(new, encoding="utf-8")
    (tmp_path / "corpus.jsonl").write_text(CORPUS, encoding="utf-8")
    return promises, "next.policy.yaml"


def test_what_changes_is_shown(run: Run, sides: tuple[str, str]) -> None:
    done = run("diff", *sides, "--corpus", "corpus.jsonl")
    assert done.status == 1
    assert "~ finance/promises#no-guarantees changed" in done.out
    assert '    severity: "high" -> "low"' in done.out
    assert 'match.phrases: ["guaranteed returns"] -> ["guaranteed returns", "risk-free"]' in done.out
    assert "5 texts judged by both: 2 come out differently" in done.out
    assert "stricter: 1 text\n  corpus.jsonl:2:1: This is risk-free.\n    allow -> block by no-guarantees" in done.out
    assert "another text is released: 1 text\n  corpus.jsonl:3:1: pay acct 12345678\n" in done.out
    assert "transform by mask-accounts: pay [account] -> " in done.out


def test_the_status_is_of_the_kind_asked_for(run: Run, sides: tuple[str, str]) -> None:
    old, new = sides
    for flag, forth, back in (("any", 1, 1), ("stricter", 1, 0), ("looser", 0, 1), ("none", 0, 0)):
        assert run("diff", old, new, "--corpus", "corpus.jsonl", "--fail-on", flag).status == forth
        assert run("diff", new, old, "--corpus", "corpus.jsonl", "--fail-on", flag).status == back
    same = run("diff", old, old, "--corpus", "corpus.jsonl")
    assert (same.status, same.out) == (
        0,
        "the rules say the same\n5 texts judged by both: 0 come out differently\n",
    )


def test_json_has_every_change(run: Run, sides: tuple[str, str]) -> None:
    report = json.loads(run("diff", *sides, "--corpus", "corpus.jsonl", "--format", "json").out)
    assert [(change["kind"], change["place"]["line"]) for change in report["changes"]] == [("stricter", 2), ("text", 3)]
    assert report["changes"][0]["old"] == {
        "decision": "allow",
        "rules": [],
        "text": "This is risk-free.",
        "error": None,
    }
    assert report["fired"] == [
        ["mask-accounts", 1, 1],
        ["no-guarantees", 1, 2],
    ]
    assert {(d["old"], d["new"]): d["texts"] for d in report["decisions"]} == {
        ("allow", "allow"): 2,
        ("allow", "block"): 1,
        ("block", "block"): 1,
        ("transform", "transform"): 1,
    }


def test_a_plan_and_more_processes_say_the_same(run: Run, sides: tuple[str, str], tmp_path: Path) -> None:
    old, new = sides
    assert run("compile", "--policies", old, "-o", "old.json").status == 0
    many = "".join(f'{{"output": "risk-free {n % 3}"}}\n{{"output": "x {n}"}}\n' for n in range(400))
    (tmp_path / "many.jsonl").write_text(many, encoding="utf-8")
    one = run("diff", "old.json", new, "--corpus", "many.jsonl", "--format", "json")
    two = run("diff", old, new, "--corpus", "many.jsonl", "--format", "json", "--jobs", "2")
    assert one.out == two.out
    assert len(json.loads(one.out)["changes"]) == 400


def test_rules_and_documents_that_come_and_go(run: Run, promises: str, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    renamed = PROMISES.replace("id: mask-accounts", "id: hide-accounts").replace("version: 1.0.0", "version: 2.0.0")
    (tmp_path / "b" / "b.policy.yaml").write_text(renamed, encoding="utf-8")
    done = run("diff", promises, "b")
    assert done.status == 0
    assert "- finance/promises#mask-accounts removed" in done.out
    assert "+ finance/promises#hide-accounts added" in done.out
    assert '~ finance/promises changed\n    metadata.version: "1.0.0" -> "2.0.0"\n' in done.out


def test_a_check_that_cannot_run_is_no_equality(run: Run, promises: str, tmp_path: Path) -> None:
    asks = PROMISES.replace("match: {phrases: [guaranteed returns]}", "when: {rego: data.x.y}")
    (tmp_path / "asks.policy.yaml").write_text(asks, encoding="utf-8")
    (tmp_path / "t.txt").write_text("hello\n", encoding="utf-8")
    both = run("diff", "asks.policy.yaml", "asks.policy.yaml", "--corpus", "t.txt")
    assert both.status == 4
    assert "1 text could not be checked by one of them" in both.out
    one = run("diff", promises, "asks.policy.yaml", "--corpus", "t.txt")
    assert one.status == 1
    assert "a check could not run: 1 text" in one.out


@pytest.mark.parametrize(
    ("name", "content", "places"),
    [
        pytest.param("c.csv", 'id,text\n1,Guaranteed returns\n2,"a\nb"\n', ["c.csv:2:1"], id="csv"),
        pytest.param("c.tsv", "input\tid\nguaranteed returns\t1\n", [], id="tsv, of inputs"),
        pytest.param("c.txt", "fine\n\nGUARANTEED returns\n", ["c.txt:3:1"], id="lines"),
        pytest.param("c.txt", "\ufeffguaranteed returns\r\n", ["c.txt:1:1"], id="mark and line ends"),
        pytest.param("c/a.md", "so\nguaranteed returns\n", ["c/a.md:1:1"], id="folder"),
    ],
)
def test_corpora(run: Run, promises: str, tmp_path: Path, name: str, content: str, places: list[str]) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content.encode("utf-8"))
    (tmp_path / "none.policy.yaml").write_text(PROMISES.replace("guaranteed", "assured"), encoding="utf-8")
    done = run("diff", promises, "none.policy.yaml", "--corpus", name.split("/")[0], "--format", "json")
    found = [f"{p['file']}:{p['line']}:{p['column']}" for p in (c["place"] for c in json.loads(done.out)["changes"])]
    assert found == places


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        pytest.param("c.jsonl", '{"outptu": "x"}\n', "unknown field `outptu`; did you mean `output`?", id="field"),
        pytest.param("c.jsonl", '{"facts": {}}\n', "no text", id="nothing"),
        pytest.param("c.jsonl", '{"text": "a", "input": "b"}\n', "both `text` and `input`", id="two"),
        pytest.param("c.jsonl", '{"text": 1}\n', "`text` is no text", id="number"),
        pytest.param("c.jsonl", '{"text": "a", "facts": 1}\n', "`facts` is no object", id="facts"),
        pytest.param("c.jsonl", '{"tool_call": {"name": "t"}}\n', "`tool_call` is `{name, args}`", id="call"),
        pytest.param("c.jsonl", "[1]\n", "the line is no JSON object", id="list"),
        pytest.param("c.jsonl", '{"text": \n', "not JSON", id="json"),
        pytest.param("c.jsonl", "", "the corpus holds no text", id="empty"),
        pytest.param("c.csv", "a,b\n1,2\n", "no columns hold a text", id="columns"),
        pytest.param("c.csv", 'text\n"a\n', "not a table", id="quotes"),
        pytest.param("c.csv", "text,id\nWell, yes,1\n", "more values than columns", id="a comma in a text"),
        pytest.param("c.csv", "text,id\nyes\n", "fewer values than columns", id="a value too few"),
        pytest.param("c.json", '[{"output": "x"}]\n', "the lines of a `.json` file are no texts", id="a JSON file"),
    ],
)
def test_a_line_that_is_no_text_is_refused(
    run: Run, promises: str, tmp_path: Path, name: str, content: str, says: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    done = run("diff", promises, promises, "--corpus", name)
    assert done.status == 3
    assert "PK561" in done.err
    assert says in done.err
