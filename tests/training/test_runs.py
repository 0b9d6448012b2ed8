"""Training files, rows, run folders, guards: what holds for every kind of training."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from policykit.diagnostics import PolicyError
from policykit.training.config import Guards
from policykit.training.rows import Column, ColumnType
from policykit.training.runs.folder import RunFolder
from policykit.training.runs.guards import Diverged, fault
from policykit.training.runs.run import Run
from policykit.training.session import prepare, train
from tests.rewards.test_rewards import PLAN

from .toy import FILE, TOY, write_run


def codes(error: pytest.ExceptionInfo[PolicyError]) -> list[str]:
    return [diagnostic.code for diagnostic in error.value.diagnostics]


def lines(folder: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in found]


def test_a_run_leaves_what_it_did(tmp_path: Path) -> None:
    file = write_run(tmp_path)
    ready = prepare(TOY, file)
    assert ready.job.facts == {"mean": 2.0}
    summary = train(ready)
    folder = tmp_path / "run"
    # By hand: the distance to the mean shrinks by 1 − 2 · 0.1 at every step.
    assert summary.last["train/loss"] == pytest.approx((3 * 0.8**12) ** 2)
    assert summary.last["train/value"] == pytest.approx(2 + 3 * 0.8**12)
    assert (summary.status, summary.n_steps) == ("finished", 12)
    assert [line["step"] for line in lines(folder) if line["phase"] == "heldOut"] == [4, 8, 12]
    assert (folder / "training.yaml").read_text() == FILE
    assert [c.step for c in RunFolder(folder).checkpoints()] == [9, 12]  # `keep` is 2
    record = json.loads((folder / "run.json").read_text())
    assert record["identity"]["settings"] == {"from": 5.0}
    assert record["identity"]["data"]["train"].startswith("sha256:")
    assert record["versions"]["torch"]
    assert (folder / "plots" / "value.svg").read_text().startswith("<svg")
    assert "train/value" in (folder / "summary.md").read_text()
    assert any((folder / "tensorboard").iterdir())


def test_tensorboard_has_what_the_lines_have(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(prepare(TOY, write_run(tmp_path)))
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    logged = [(line["step"], line["loss"]) for line in lines(tmp_path / "run") if line["phase"] == "train"]
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(s, pytest.approx(v)) for s, v in logged]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("last", [1, 4, 6, 11])
def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been(
    tmp_path: Path, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = write_run(tmp_path / "whole")
    train(prepare(TOY, whole))
    file = write_run(tmp_path / "killed")
    log = Run.log

    def killing(self: Run, step: int, values: dict[str, float]) -> None:
        log(self, step, values)
        if step == last:
            raise Killed

    monkeypatch.setattr(Run, "log", killing)
    with pytest.raises(Killed):
        train(prepare(TOY, file))
    monkeypatch.setattr(Run, "log", log)
    with (tmp_path / "killed" / "run" / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"step": 12, "pha')  # the line that was being written
    train(prepare(TOY, file), resume=True)
    assert lines(tmp_path / "killed" / "run") == lines(tmp_path / "whole" / "run")


def test_a_folder_takes_one_run(tmp_path: Path) -> None:
    file = write_run(tmp_path)
    with pytest.raises(PolicyError) as none:
        train(prepare(TOY, file), resume=True)
    train(prepare(TOY, file))
    with pytest.raises(PolicyError) as twice:
        train(prepare(TOY, file))
    with pytest.raises(PolicyError) as other:
        train(prepare(TOY, file, seed=3), resume=True)
    (tmp_path / "rows.jsonl").write_text('{"x": 1}\n')
    with pytest.raises(PolicyError) as rows:
        train(prepare(TOY, file), resume=True)
    assert codes(none) == codes(twice) == codes(other) == codes(rows) == ["PK784"]
    assert "`seed`: 0, not 3" in str(other.value)
    assert "`data.held_out`" in str(rows.value)
    train(prepare(TOY, file, folder=tmp_path / "elsewhere"))
    assert (tmp_path / "elsewhere" / "summary.json").exists()


def test_a_run_that_diverges_stops_and_says_why(tmp_path: Path) -> None:
    file = write_run(tmp_path, FILE.replace("rate: 0.1", "rate: 2").replace("steps: 12", "steps: 500"))
    with pytest.raises(Diverged) as stop:
        train(prepare(TOY, file))
    assert stop.value.diagnostic.code == "PK783"
    assert "times what it was" in stop.value.diagnostic.message
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["status"].startswith("the run has diverged: the loss is")
    assert summary["steps"] < 20
    assert (tmp_path / "run" / "plots" / "loss.svg").exists()


GUARDS = Guards(max_loss=8.0, explosion=3.0, max_kl=5.0)
numbers = st.floats(-4, 4)


@given(st.lists(numbers, max_size=60), numbers, st.floats(-5, 5))
def test_guards_let_a_calm_run_go_on(losses: list[float], loss: float, kl: float) -> None:
    if abs(loss) <= 3:  # 3 times 1 at least
        assert fault(GUARDS, losses, 7, {"loss": loss, "kl": kl}) is None


@pytest.mark.parametrize(
    ("losses", "values", "why"),
    [
        pytest.param([], {"loss": math.nan}, "`loss` is nan at step 7", id="no number"),
        pytest.param([], {"loss": 1.0, "grad_norm": math.inf}, "`grad_norm` is inf at step 7", id="infinite gradient"),
        pytest.param([], {"loss": -8.5}, "the loss is 8.5 at step 7, above 8", id="large"),
        pytest.param([2.0] * 5, {"loss": 6.5}, "above 6: 3 times what it was", id="explosion"),
        pytest.param([0.01] * 50, {"loss": 3.5}, "above 3: 3 times what it was", id="explosion from nothing"),
        pytest.param([2.0] * 4, {"loss": 6.5}, None, id="too early to tell"),
        pytest.param([], {"kl": 5.5}, "the KL to the reference is 5.5 nat per completion", id="kl"),
    ],
)
def test_guards_stop_a_run(losses: list[float], values: dict[str, float], why: str | None) -> None:
    found = fault(GUARDS, losses, 7, values)
    assert (found is None) if why is None else (found is not None and why in found)


BAD_FILES = [
    pytest.param(("toy: {from: 5}", "toy: {loss: hubar}"), "PK023", 8, "did you mean `huber`", id="an unknown loss"),
    pytest.param(("toy: {from", "dpo: {beta"), "PK020", 8, "known fields", id="another kind's section"),
    pytest.param(("steps: 12, ", ""), "PK021", 6, "steps", id="no steps"),
    pytest.param(("rate: 0.1", "rate: 0"), "PK026", 7, "above 0", id="no rate"),
    pytest.param(("rate: 0.1", "rate: 0.1, warmup: 13"), "PK780", 7, "13", id="warm-up beyond the run"),
    pytest.param(("steps: 12", "steps: 12, microBatch: 9"), "PK780", 6, "8 rows", id="a micro-batch above the batch"),
    pytest.param((", heldOut: rows.jsonl", ""), "PK780", 6, "heldOut", id="evaluations of nothing"),
    pytest.param(("rows.jsonl,", "gone.jsonl,"), "PK001", 5, "gone.jsonl", id="no data"),
    pytest.param(("model: embedded", "model: embedded\nplan: p.json"), "PK001", 5, "p.json", id="no plan"),
    pytest.param(("model: embedded", "model: embedded\ngrammar: g.lark"), "PK001", 5, "g.lark", id="no grammar"),
    pytest.param(
        ("model: embedded", "model: embedded\npolicies:\n  - nopolicy.yaml"), "PK001", 6, "nopolicy", id="no policy"
    ),
    pytest.param(("model: embedded", "model: embedded\nplan: p.json\ngrammar: g.lark"), "PK780", 5, "own", id="two"),
    pytest.param(
        ("model: embedded", "model: embedded\ncontext: {tenant: a}"), "PK780", 5, "no effect", id="context of nothing"
    ),
    pytest.param(("from: 5", "from: 101"), "PK780", 8, "too far", id="what the kind itself refuses"),
]


@pytest.mark.parametrize(("change", "code", "line", "said"), BAD_FILES)
def test_a_bad_file_is_refused_with_its_place(
    tmp_path: Path, change: tuple[str, str], code: str, line: int, said: str
) -> None:
    assert change[0] in FILE
    with pytest.raises(PolicyError) as error:
        prepare(TOY, write_run(tmp_path, FILE.replace(*change)))
    (found,) = error.value.diagnostics
    assert (found.code, found.place and found.place.line) == (code, line)
    assert said in str(found)
    assert not (tmp_path / "run").exists()


def test_everything_is_told_at_once(tmp_path: Path) -> None:
    text = FILE.replace("rate: 0.1", "rate: 0.1, warmup: 13").replace("steps: 12", "steps: 12, microBatch: 9")
    with pytest.raises(PolicyError) as error:
        prepare(TOY, write_run(tmp_path, text))
    assert codes(error) == ["PK780", "PK780"]


def test_a_kind_that_needs_a_plan_says_so(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as error:
        prepare(replace(TOY, needs_plan=True), write_run(tmp_path))
    assert codes(error) == ["PK780"]
    assert "`toy` needs a plan" in str(error.value)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        pytest.param('{"y": 1}', "there is no column `x`", id="missing"),
        pytest.param('{"X": 1}', "did you mean `X`", id="misspelt"),
        pytest.param('{"x": "1"}', "`x` is not a finite number", id="of another type"),
        pytest.param('{"x": true}', "`x` is not a finite number", id="a truth value"),
        pytest.param('{"x": NaN}', "`x` is not a finite number", id="no number"),
        pytest.param('{"x": 1', "the line is no JSON", id="cut"),
        pytest.param("[1]", "no JSON object", id="a list"),
    ],
)
def test_rows_are_checked_with_their_lines(tmp_path: Path, row: str, said: str) -> None:
    rows = f'{{"x": 1}}\n\n{row}\n'
    text = FILE.replace(", heldOut: rows.jsonl", "").replace("evaluateEvery: 4, ", "")
    with pytest.raises(PolicyError) as error:
        prepare(TOY, write_run(tmp_path, text, rows))
    assert codes(error) == ["PK781"]
    assert "rows.jsonl:3:1" in str(error.value)
    assert said in str(error.value)


def test_a_file_that_is_named_twice_is_told_about_once(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as error:
        prepare(TOY, write_run(tmp_path, FILE, '{"x": 1}\n{}\n'))
    assert codes(error) == ["PK781"]


def test_an_empty_text_is_called_empty(tmp_path: Path) -> None:
    kind = replace(TOY, columns=(Column("prompt", ColumnType.PROMPT), Column("said", ColumnType.TEXT)))
    with pytest.raises(PolicyError) as error:
        prepare(kind, write_run(tmp_path, FILE, '{"prompt": "", "said": ""}\n{"prompt": [], "said": 1}\n'))
    said = [diagnostic.message for diagnostic in error.value.diagnostics]
    assert said == ["`prompt` is empty", "`said` is empty", "`prompt` is empty", "`said` is not text"]


def test_very_many_faults_are_counted(tmp_path: Path) -> None:
    text = FILE.replace(", heldOut: rows.jsonl", "").replace("evaluateEvery: 4, ", "")
    with pytest.raises(PolicyError) as error:
        prepare(TOY, write_run(tmp_path, text, "{}\n" * 50))
    assert len(error.value.diagnostics) == 21
    assert "30 more faults" in str(error.value)
    with pytest.raises(PolicyError) as empty:
        prepare(TOY, write_run(tmp_path, text, "\n"))
    assert "no rows" in str(empty.value)


def test_data_of_another_bundle_are_refused(tmp_path: Path) -> None:
    PLAN.save(tmp_path / "plan.json")
    text = FILE.replace("model: embedded", "model: embedded\nplan: plan.json")
    own = f'{{"x": 1, "bundle_digest": "{PLAN.bundle_digest}", "plan_digest": "{PLAN.digest}"}}\n'
    ready = prepare(TOY, write_run(tmp_path, text, own))
    assert ready.start.plan is not None
    assert ready.start.plan.digest == PLAN.digest
    for other in ('{"x": 1, "bundle_digest": "sha256:0"}\n', '{"x": 1, "plan_digest": "sha256:0"}\n'):
        with pytest.raises(PolicyError) as error:
            prepare(TOY, write_run(tmp_path, text, own + other))
        assert codes(error) == ["PK762"]  # once, though both are this file


@pytest.mark.parametrize("at", [0, 5])
def test_a_run_that_is_refused_before_it_begins_leaves_no_folder_in_the_way(tmp_path: Path, at: int) -> None:
    """Where something was logged it stays: it is what happened."""
    ready = prepare(TOY, write_run(tmp_path))

    def refused(run: Run) -> None:
        if at:
            run.log(at, {"loss": 1.0})
        raise PolicyError.of("PK780", "it cannot be shared by 3 processes", run.config.place("run", "batch"))

    with pytest.raises(PolicyError, match="3 processes"):
        train(replace(ready, job=replace(ready.job, run=refused)))
    assert (tmp_path / "run").exists() == bool(at)
    if at:
        with pytest.raises(PolicyError) as error:
            train(ready)
        assert codes(error) == ["PK784"]
        return
    (tmp_path / "run").mkdir()
    assert train(ready).status == "finished"
