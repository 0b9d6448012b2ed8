"""What the plan says of the rows that `sft` is to learn from: refused, left out or kept, and told in each case."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

import policykit as pk
from policykit.diagnostics import Place, PolicyError, Severity
from policykit.ir.document import PolicySet
from policykit.plan.pins import read_pins
from policykit.training.judging import facts_of
from policykit.training.kinds.sft import KIND
from policykit.training.rows import Row
from policykit.training.screening import HOW, How, Screening
from policykit.training.session import Ready, prepare, train

from .offline import HEAD, write_training

POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: money, version: 1.0.0, owner: a@example.org, why: what a bank must not write}
rules:
  - {id: no-promise, match: {phrases: [guaranteed returns]}, action: {block: {}}}
  - {id: no-account, match: {entities: [iban]}, action: {transform: {mask: {with: "[account]"}}}}
  - {id: no-rumour, cost: 0, mode: enforce, match: {phrases: [they say]}, action: {block: {}}}
  - {id: watched, mode: shadow, match: {phrases: [fund]}, action: {block: {}}}
"""
CITED = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: cited, version: 1.0.0, owner: a@example.org, why: no claim without a source}
rules:
  - id: cite
    require: {citations: {per: text, id: "K[0-9]+", sources: retrieved.ids}}
    action: {block: {}}
"""
IBAN = "DE89370400440532013000"
GOOD, PROMISE, ACCOUNT = "It may fall.", "Guaranteed returns!", f"Pay to {IBAN}."
FILE = HEAD.replace("steps: 6, batch: 8, checkpointEvery: 3", "steps: 1, batch: 2")


def plan_of(text: str) -> pk.Plan:
    return pk.compile(PolicySet((pk.parse_document(text, "x.policy.yaml"),)))


PLAN, CITING = plan_of(POLICY), plan_of(CITED)


def made(folder: Path, how: str, completions: list[str], held_out: list[str] | None = None, more: str = "") -> Ready:
    rows = [
        [{"prompt": "Is it safe?", "completion": text} for text in texts] for texts in (completions, held_out or [])
    ]
    said = f", violations: {how}" if how else ""
    text = f"{FILE}policies: [money.policy.yaml]\nsft: {{replies: 0{said}{more}}}\n"
    if held_out is None:
        text = text.replace(", heldOut: heldOut.jsonl", "")
    file = write_training(folder, text, *rows)
    (folder / "money.policy.yaml").write_text(POLICY)
    return prepare(KIND, file)


@pytest.mark.parametrize("how", ["", "refuse"])
def test_rows_that_break_the_plan_are_refused_with_their_number_and_places(tmp_path: Path, how: str) -> None:
    with pytest.raises(PolicyError) as error:
        made(tmp_path, how, [GOOD, PROMISE, ACCOUNT, "The fund may fall.", "They say so.", *[PROMISE] * 6], [PROMISE])
    held_out, told = error.value.diagnostics[1], error.value.diagnostics[0]
    assert (told.code, told.severity) == (held_out.code, held_out.severity) == ("PK787", Severity.ERROR)
    by = "1 by `no-account`, 7 by `no-promise`, 1 by `no-rumour`"
    assert told.message == f"9 of 11 completions break the plan: {by}"
    assert held_out.message == "1 of 1 completions break the plan: 1 by `no-promise`"
    assert told.place is not None
    assert (Path(told.place.file).name, told.place.line) == ("file.yaml", 5)
    assert [place.line for place, _ in told.related] == [2, 3, 5, 6, 7]
    assert [label for _, label in told.related][:2] == [
        "`no-promise`: 'Guaranteed returns'", f"`no-account`: '{IBAN}'"
    ]  # fmt: skip
    assert "`violations: drop`" in (told.help or "")


def test_rows_are_left_out_only_where_the_file_says_so_and_are_counted(tmp_path: Path) -> None:
    ready = made(tmp_path, "drop", [GOOD, PROMISE, GOOD, ACCOUNT], [GOOD, PROMISE])
    assert ready.job.facts["rows that break the plan"] == 2
    assert [(one.code, one.severity) for one in ready.job.warnings] == [("PK787", Severity.WARNING)] * 2
    assert "2 of 4" in ready.job.warnings[0].message
    summary = train(ready)
    pins = read_pins(tmp_path / "run" / "adapter")
    assert pins is not None
    assert [(one.n_rows, one.n_breaking, one.n_unjudged) for one in pins.data] == [(4, 0, 0), (2, 0, 0)]
    # The trajectory is that of the good rows alone.
    alone = made(tmp_path / "alone", "", [GOOD, GOOD], [GOOD])
    assert train(alone).last == pytest.approx(summary.last)


def test_rows_that_are_kept_are_told_in_the_run_the_pins_and_the_card(tmp_path: Path) -> None:
    ready = made(tmp_path, "keep", [GOOD, PROMISE, GOOD, ACCOUNT], [GOOD])
    (warning,) = ready.job.warnings
    assert warning.severity is Severity.WARNING
    train(ready)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["identity"]["settings"]["violations"] == "keep"
    assert record["facts"]["rows that break the plan"] == 2
    pins = read_pins(tmp_path / "run" / "adapter")
    assert pins is not None
    assert [(one.name, one.n_breaking) for one in pins.data] == [("train.jsonl", 2), ("heldOut.jsonl", 0)]
    card = (tmp_path / "run" / "adapter" / "README.md").read_text()
    assert "4 rows, of which **2 break the plan** |" in card
    assert '"rows that break the plan": 2' in card.split("---")[1]


def test_nothing_is_said_of_rows_that_keep_to_the_plan(tmp_path: Path) -> None:
    for how in ("", *HOW):
        ready = made(tmp_path / (how or "usual"), how, [GOOD, "The fund may fall."])
        assert ready.job.warnings == ()
        assert ready.job.facts["rows that break the plan"] == 0


def test_a_file_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    for train_on, held_out, line in (([PROMISE, ACCOUNT], [GOOD], 5), ([GOOD], [PROMISE], 5)):
        with pytest.raises(PolicyError, match="none is left") as error:
            made(tmp_path, "drop", train_on, held_out)
        assert [(d.code, d.place and d.place.line) for d in error.value.diagnostics] == [("PK787", line)]


def test_the_setting_has_no_effect_without_a_plan(tmp_path: Path) -> None:
    rows = [{"prompt": "Is it safe?", "completion": PROMISE}]
    file = write_training(tmp_path, f"{FILE}sft: {{violations: keep}}\n", rows, rows)
    with pytest.raises(PolicyError, match="`violations` has no effect without a plan"):
        prepare(KIND, file)


TEXTS = st.lists(st.sampled_from([GOOD, PROMISE, ACCOUNT, "guaranteed  RETURNS", "they say", "guarantee returns"]))


@given(TEXTS, st.sampled_from(HOW))
def test_what_is_learned_from_is_what_an_expression_says(texts: list[str], how: How) -> None:
    breaks = [bool(re.search(r"(?i)guaranteed\s+returns|they say|DE89", text)) for text in texts]
    screening = Screening(PLAN, how)
    rows = [Row({"completion": text}, Place("rows.jsonl", i)) for i, text in enumerate(texts, 1)]
    assert [screening.admits(row) for row in rows] == [how == "keep" or not broken for broken in breaks]
    assert screening.screened().n_breaking == (sum(breaks) if how == "keep" else 0)
    assert screening.n_left_out == (sum(breaks) if how == "drop" else 0)
    assert [d.severity for d in screening.diagnostics(Place("f"))] == (
        [Severity.ERROR if how == "refuse" else Severity.WARNING] if any(breaks) else []
    )


@pytest.mark.parametrize("how", HOW)
def test_a_completion_that_cannot_be_judged_is_no_good_one(how: How) -> None:
    screening = Screening(CITING, how)
    assert screening.admits(Row({"completion": "It may fall [K1]."}, Place("rows.jsonl", 1))) == (how == "keep")
    (told,) = screening.diagnostics(Place("f"))
    assert told.message == "1 of 1 completions could not be judged by the plan"
    assert told.severity is (Severity.WARNING if how == "keep" else Severity.ERROR)
    assert "`retrieved` is not known" in told.related[0][1]
    assert screening.screened().n_unjudged == (how == "keep")


def test_a_source_that_is_unlearned_breaks_nothing_and_no_source_does() -> None:
    def row(text: str) -> Row:
        return Row({"completion": text, "sources": ["K1"]}, Place("rows.jsonl", 1))

    screening = Screening(CITING, "drop")
    assert screening.admits(row("It may fall [K1]."))
    assert not screening.admits(row("It may fall [K2]."))
    assert screening.admits(row("It may fall [K2]."), {(12, 16)})
    assert not screening.admits(row("It may fall."), {(12, 16)})


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ({}, None),
        ({"facts": {"a": 1}}, {"a": 1}),
        ({"sources": ["K1"]}, {"retrieved": {"ids": ["K1"]}}),
        ({"sources": ["K1"], "facts": {"retrieved": {"n": 2}}}, {"retrieved": {"ids": ["K1"], "n": 2}}),
        ({"sources": ["K1"], "facts": {"retrieved": {"ids": ["K2"]}}}, {"retrieved": {"ids": ["K2"]}}),
        ({"sources": ["K1"], "facts": {"retrieved": 7}}, {"retrieved": 7}),
    ],
)
def test_sources_of_a_row_are_the_facts_that_a_rule_on_citations_reads(columns: Any, wanted: Any) -> None:
    assert facts_of(columns, CITING) == wanted
    assert facts_of(columns, PLAN) == ({**(columns.get("facts") or {})} if "sources" in columns else wanted)
