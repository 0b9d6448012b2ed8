"""What is counted: three values, two verifiers, the task; from outputs that are given."""

import json
from pathlib import Path

import pytest

import policykit as pk
from policykit.diagnostics import PolicyError
from policykit.evaluation import (
    Job,
    Made,
    Results,
    citations_by,
    limits_exceeded,
    measure,
    read,
    read_answers,
    read_pairs,
    read_prompts,
    save,
    share_of,
)
from policykit.evaluation.compare import compare, comparison_page
from policykit.evaluation.measure import Measured
from policykit.evaluation.pages import html, markdown
from policykit.evaluation.report import page_of
from policykit.plan import Plan

from .conftest import write_rows

UNREADABLE = "\ud800"  # no text at all: a check of it cannot run
ROWS = [
    {"prompt": "a", "output": "Guaranteed returns, acct 12345678.", "reference": "no", "cohort": "x"},
    {"prompt": "b", "output": "You cannot lose.", "reference": "you CANNOT lose", "cohort": "x"},
    {"prompt": "c", "output": "It may fall [K1] [K9].", "citations": ["K1", "K2"], "cohort": "y"},
    {"prompt": "d", "output": UNREADABLE},
    {"prompt": "e", "output": "So sorry, acct 12345678.", "citations": []},
]


def made() -> Made:
    return Made(None, None, None, None, "rows.jsonl", "sha256:0", len(ROWS), {}, {}, 0.0)


def measured(tmp_path: Path, plan: Plan, second: Plan | None = None) -> tuple[Measured, Results]:
    data = read_answers(write_rows(tmp_path / "rows.jsonl", ROWS))
    found = measure(Job(plan, data, second=second, find_citations=citations_by(r"\[(K\d)\]")))
    return found, found.results(made())


def test_every_rule_has_its_rate_and_an_error_is_in_none(tmp_path: Path, plan: Plan) -> None:
    _, results = measured(tmp_path, plan)
    by_rule = {rule.rule: rule for rule in results.first.by_rule}
    assert {name: (r.rate.k, r.rate.n, r.n_errored) for name, r in by_rule.items()} == {
        "guarantee": (1, 4, 1),
        "account": (2, 4, 1),
        "tone": (1, 4, 1),
    }
    assert by_rule["tone"].is_shadow
    assert (results.first.whole.k, results.first.whole.n, results.first.n_errored) == (2, 4, 1)
    assert (results.first.accepted.k, results.first.accepted.n) == (3, 4)  # what is only transformed is released
    assert [(e.example, e.rule) for e in results.first.errors] == [("4", "input")]
    assert results.first.policies == ("finance/promises@1.2.0",)
    assert {name: (r.k, r.n) for name, r in results.by_cohort.items()} == {"x": (1, 2), "y": (0, 1)}


def test_a_second_verifier_shows_what_evades_the_first(tmp_path: Path, plan: Plan, second: Plan) -> None:
    _, results = measured(tmp_path, plan, second)
    both = results.agreement
    assert both is not None
    counts = both.n_both, both.n_first_only, both.n_second_only, both.n_neither, both.n_left_out
    assert counts == (1, 1, 1, 1, 1)
    assert [(one.example, one.first, one.second) for one in both.disagreements] == [
        ("2", (), ("words",)),
        ("5", ("account", "tone"), ()),
    ]


def test_the_task_is_measured_where_the_data_say_what_is_wanted(tmp_path: Path, plan: Plan) -> None:
    _, results = measured(tmp_path, plan)
    task = results.task
    assert task.exact_match is not None
    assert (task.exact_match.value, task.exact_match.n) == (0.5, 2)
    assert task.citations is not None
    assert (task.citations.n_cited, task.citations.n_right, task.citations.n_wanted) == (2, 1, 2)
    assert task.citations.precision is not None
    assert (task.citations.precision.value, task.citations.precision.n) == (0.5, 1)


def test_valid_answers_belong_to_the_schema(tmp_path: Path, plan: Plan) -> None:
    rows = [{"prompt": "a", "output": text} for text in ('{"n": 1}', '{"n": "1"}', "n: 1")]
    schema = pk.Grammar.from_json_schema('{"type": "object", "properties": {"n": {"type": "integer"}}}')
    found = measure(Job(plan, read_answers(write_rows(tmp_path / "r.jsonl", rows)), schema=schema))
    valid = found.results(made()).task.valid
    assert valid is not None
    assert (valid.k, valid.n) == (1, 3)


def test_a_limit_is_on_the_upper_bound_and_an_error_breaks_it(tmp_path: Path, plan: Plan, second: Plan) -> None:
    _, results = measured(tmp_path, plan, second)
    reasons = limits_exceeded(results, 0.9)
    assert len(reasons) == 4  # 2 of 4 is at most 93 %, for both verifiers; and both have an error
    assert all("could not run" in reason for reason in limits_exceeded(results, 0.95))
    data = read_answers(write_rows(tmp_path / "good.jsonl", [{"prompt": "a", "output": "fine"}] * 300))
    good = measure(Job(plan, data)).results(made())
    assert limits_exceeded(good, 0.0123) == ()  # 0 of 300 is at most 1.222 %
    assert len(limits_exceeded(good, 0.0122)) == 1


def test_shares_are_read_as_people_write_them() -> None:
    assert [share_of(text) for text in ("1%", "0.5 %", "0.01", "1")] == [0.01, 0.005, 0.01, 1.0]
    for text in ("101%", "2", "-1%", "one", ""):
        with pytest.raises(ValueError, match="no share"):
            share_of(text)


def test_reports_say_it_all_and_hold_no_markup_of_texts(tmp_path: Path, plan: Plan, second: Plan) -> None:
    found, results = measured(tmp_path, plan, second)
    page = page_of(results, found.rows, exceeded=limits_exceeded(results, 0.01), limit=0.01)
    text, whole = markdown(page), html(page)
    assert "is not kept" in text
    assert "50.00 % (2 of 4" in text
    assert "finance/promises@1.2.0" in whole
    assert plan.bundle_digest in whole
    assert whole.count("<svg ") == len(page.plots)
    for outside in ("<script", "http://", "https://"):
        assert outside not in whole.replace('xmlns="http://www.w3.org/2000/svg"', "")
    rows = [{"id": "<script>|`x`", "prompt": "p", "output": UNREADABLE}]
    data = read_answers(write_rows(tmp_path / "evil.jsonl", rows))
    evil = measure(Job(plan, data))
    shown = page_of(evil.results(made()), evil.rows)
    assert "<script>" not in html(shown)
    assert "\\<script\\>\\|\\`x\\`" in markdown(shown)


def test_what_is_saved_is_read_as_answers_again(tmp_path: Path, plan: Plan) -> None:
    rows = [row for row in ROWS if row["output"] != UNREADABLE]
    data = read_answers(write_rows(tmp_path / "rows.jsonl", rows))
    found = measure(Job(plan, data))
    save(tmp_path / "run", found.results(made()), found.rows)
    again = measure(Job(plan, read_answers(tmp_path / "run" / "outputs.jsonl")))
    assert again.results(made()) == found.results(made())
    assert read(tmp_path / "run").results["first"]["whole"]["k"] == 2


def test_a_text_may_hold_what_other_formats_end_lines_with(tmp_path: Path, plan: Plan) -> None:
    text = "One\u2028two\u2029three\x85four."
    found = measure(Job(plan, read_answers(write_rows(tmp_path / "rows.jsonl", [{"prompt": "?", "output": text}]))))
    save(tmp_path / "run", found.results(made()), found.rows)
    assert [row["output"] for row in read(tmp_path / "run").rows] == [text]


def test_runs_are_compared_prompt_by_prompt(tmp_path: Path, plan: Plan, second: Plan) -> None:
    texts = {"before": ["guaranteed returns"] * 6 + ["a b", "a b"], "after": ["a b"] * 6 + ["a b", "a c"]}
    for name, outputs in texts.items():
        rows = [{"id": str(i), "prompt": "p", "output": text, "reference": "b"} for i, text in enumerate(outputs)]
        found = measure(Job(plan, read_answers(write_rows(tmp_path / f"{name}.jsonl", rows))))
        save(tmp_path / name, found.results(made()), found.rows)
    before, after = read(tmp_path / "before"), read(tmp_path / "after")
    compared = compare([before, after])
    (run,) = compared.runs
    assert (run.win_rate.n_won, run.win_rate.n_tied, run.win_rate.n_lost) == (6, 1, 1)
    assert run.win_rate.p == pytest.approx(2 * (1 + 7) / 2**7)
    changes = {change.measure: change for change in run.changes}
    assert changes["violations"].difference.value == -0.75
    assert (changes["violations"].n_lower, changes["violations"].p) == (6, pytest.approx(2 / 2**6))
    text = markdown(comparison_page([before, after], compared))
    assert "better answer to 6 prompts" in text
    other = measure(Job(second, read_answers(tmp_path / "after.jsonl")))
    save(tmp_path / "other", other.results(made()), other.rows)
    with pytest.raises(PolicyError, match="PK846"):
        compare([before, read(tmp_path / "other")])
    fewer = read_answers(tmp_path / "after.jsonl", limit=3)
    short = measure(Job(plan, fewer))
    save(tmp_path / "short", short.results(made()), short.rows)
    with pytest.raises(PolicyError, match="3 of 8 and 3 agree"):
        compare([before, read(tmp_path / "short")])


def test_a_folder_without_an_evaluation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="PK844"):
        read(tmp_path)
    (tmp_path / "results.json").write_text(json.dumps({"format": "other"}))
    (tmp_path / "outputs.jsonl").write_text("")
    with pytest.raises(PolicyError, match="PK844"):
        read(tmp_path)


def test_every_bad_line_is_named(tmp_path: Path) -> None:
    lines = [
        '{"prompt": "a"}', "", "{", "[]", '{"prompt": 1}', '{"prompt": "a", "refernce": "b"}',
        '{"prompt": "a", "references": "b"}', '{"prompt": "a", "facts": []}',
    ]  # fmt: skip
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    with pytest.raises(PolicyError) as caught:
        read_prompts(path)
    assert [(d.code, d.place.line) for d in caught.value.diagnostics if d.place] == [
        ("PK840", line) for line in (3, 4, 5, 6, 7, 8)
    ]
    assert "did you mean `reference`?" in str(caught.value)
    with pytest.raises(PolicyError, match="neither `output` nor `completion`"):
        read_answers(write_rows(tmp_path / "a.jsonl", [{"prompt": "a"}]))
    with pytest.raises(PolicyError, match="both `output` and `completion`"):
        read_answers(write_rows(tmp_path / "b.jsonl", [{"prompt": "a", "output": "b", "completion": "c"}]))
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(PolicyError, match="no rows"):
        read_prompts(tmp_path / "empty.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"prompt": "\xe9"}')
    with pytest.raises(PolicyError, match="not UTF-8"):
        read_prompts(tmp_path / "latin.jsonl")


def test_pairs_are_those_that_sampling_leaves(tmp_path: Path) -> None:
    rows = [
        {"prompt": "a", "chosen": "b", "rejected": "c", "rejected_finish": "refused", "cohort": "x"},
        {"prompt": "a", "chosen": "b", "rejected": "c"},
    ]
    pairs = read_pairs(write_rows(tmp_path / "pairs.jsonl", rows))
    assert [(pair.cohort, pair.rejected_ends) for pair in pairs] == [("x", False), (None, True)]
    with pytest.raises(PolicyError, match="`chosen` is missing"):
        read_pairs(write_rows(tmp_path / "bad.jsonl", [{"prompt": "a", "rejected": "c"}]))
