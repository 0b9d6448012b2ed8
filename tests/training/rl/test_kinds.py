"""`ppo`, `grpo` and `rloo` from a training file into a run folder, with the embedded model under an adapter."""

import json
from pathlib import Path
from typing import Any

import pytest

import policykit as pk
from policykit.diagnostics import PolicyError
from policykit.training.kinds import KINDS
from policykit.training.rl.rloo import of_rewarded
from policykit.training.runs.guards import Diverged
from policykit.training.session import Ready, prepare, train

from . import common

KIND = {kind.name: kind for kind in KINDS}
FILE = """\
apiVersion: policykit/v1
kind: Training
name: tone
model: embedded
plan: plan.json
data: {{train: train.jsonl, heldOut: heldout.jsonl}}
run: {{folder: run, steps: {steps}, batch: {batch}, checkpointEvery: 2, seed: 1}}
optimizer: {{rate: {rate}, schedule: constant}}
{kind}: {{task: "task.py:finished", maxNewTokens: 40{more}}}
"""
TASK = """\
def finished(prompts, completions, **columns):
    assert set(columns) >= {"domain"}
    return [1.0 if len(text) > 20 and text.strip()[-1] in ".!?" else 0.0 for text in completions]
"""


def written(folder: Path, kind: str, *, more: str = "", steps: int = 2, batch: int = 4, rate: float = 2e-3) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    common.plan().save(folder / "plan.json")
    (folder / "task.py").write_text(TASK)
    for name, n, seed in (("train", 256, 77), ("heldout", 60, 1)):
        rows = [json.dumps({"prompt": p.given, "domain": "any"}) for p in common.prompts(n, seed)]
        (folder / f"{name}.jsonl").write_text("\n".join(rows) + "\n")
    file = folder / "training.yaml"
    file.write_text(FILE.format(kind=kind, more=more, steps=steps, batch=batch, rate=rate))
    return file


def ready(kind: str, file: Path) -> Ready:
    return prepare(KIND[kind], file)


def lines(folder: Path, phase: str = "train") -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in found if line["phase"] == phase]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "steps", "batch", "rate", "more"),
    [
        ("rloo", 6, 8, 5e-3, ", weights: {limit: 0.02, rate: 0.5}"),
        ("grpo", 6, 8, 5e-3, ", weights: {limit: 0.02, rate: 0.5}"),
        ("ppo", 5, 40, 5e-3, ", weights: {limit: 0.02, rate: 0.5}"),
    ],
)
def test_a_run_improves_on_held_out_prompts(
    tmp_path: Path, kind: str, steps: int, batch: int, rate: float, more: str
) -> None:
    file = written(tmp_path, kind, more=more, steps=steps, batch=batch, rate=rate)
    summary = train(ready(kind, file))
    first, last = lines(tmp_path, "heldOut")[0], lines(tmp_path, "heldOut")[-1]
    assert summary.status == "finished"
    assert first["violation_rate"] > 0.2
    assert last["violation_rate"] < 0.6 * first["violation_rate"], (first, last)
    assert last["task"] > first["task"] - 0.02
    steps_logged = lines(tmp_path)
    assert len(steps_logged) == steps
    assert all(f"policy/lambda/{common.RULE}" in line and "kl" in line for line in steps_logged)
    assert (tmp_path / "run" / "adapter" / "adapter_config.json").is_file()
    assert (tmp_path / "run" / "plots" / "violations.svg").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ppo", "rloo"])
def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been(tmp_path: Path, kind: str) -> None:
    more = ", weights: {limit: 0.4, rate: 2.0}"
    whole = written(tmp_path / "a", kind, more=more, steps=4)
    train(ready(kind, whole))
    killed = written(tmp_path / "b", kind, more=more, steps=4)
    job = ready(kind, killed)
    with pytest.raises(KeyboardInterrupt):
        train(job, show=_kill_at(3))
    train(ready(kind, killed), resume=True)
    assert lines(tmp_path / "b") == lines(tmp_path / "a")
    assert lines(tmp_path / "b", "heldOut")[-1] == lines(tmp_path / "a", "heldOut")[-1]
    weights = [line[f"policy/lambda/{common.RULE}"] for line in lines(tmp_path / "a")]
    assert len(set(weights)) > 1


def _kill_at(step: int) -> Any:
    def show(at: int, note: str) -> None:
        if at == step:
            raise KeyboardInterrupt

    return show


@pytest.mark.slow
def test_a_kl_that_explodes_stops_the_run_with_what_was_logged(tmp_path: Path) -> None:
    file = written(tmp_path, "ppo", steps=6, rate=3.0)
    file.write_text(file.read_text() + "guards: {maxKl: 3}\n")
    with pytest.raises(Diverged) as stop:
        train(ready("ppo", file))
    assert stop.value.diagnostic.code == "PK783"
    assert "diverged" in stop.value.diagnostic.message
    assert "diverged" in json.loads((tmp_path / "run" / "summary.json").read_text())["status"]


@pytest.mark.parametrize(
    ("kind", "more", "said"),
    [
        pytest.param("rloo", ", mode: greedy", "greedy", id="unknown mode"),
        pytest.param("ppo", ", mode: rejected", "rejected", id="PPO of rejected rollouts"),
        pytest.param("rloo", ", groupSize: 1", "groupSize", id="a group of one"),
        pytest.param("rloo", ", maskTax: 0.1", "PK780: `maskTax` has no effect", id="mask tax of free rollouts"),
        pytest.param("rloo", ", hallucinationWeight: 1", "PK780: `hallucinationWeight`", id="weight of nothing"),
        pytest.param("rloo", ", weights: {control: fixed, limit: 0.1}", "PK780: `limit`", id="limit of fixed weights"),
        pytest.param(
            "rloo",
            ", mode: masked, weights: {control: lagrangian}",
            "PK780: weights never move",
            id="masked and moving",
        ),
        pytest.param("rloo", ", weights: {limit: 0.01, window: 9}", "PK765", id="a window that sees nothing"),
        pytest.param("rloo", ", groups: [{name: a, rules: [other]}]", "PK764", id="a rule that is not there"),
        pytest.param("rloo", ', hallucination: "task.py:nothing"', "PK780: `task.py:nothing` cannot", id="no function"),
        pytest.param("rloo", ', hallucination: "no_such:thing"', "PK780: `no_such:thing` cannot", id="no module"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_loaded(tmp_path: Path, kind: str, more: str, said: str) -> None:
    with pytest.raises(pk.PolicyError) as error:
        ready(kind, written(tmp_path, kind, more=more))
    assert said in str(error.value)


def test_a_dropout_that_nothing_would_drop_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, "rloo")
    file.write_text(file.read_text() + "lora: {dropout: 0.1}\n")
    with pytest.raises(pk.PolicyError, match="PK780: `dropout` has no effect"):
        ready("rloo", file)


@pytest.mark.parametrize("variable", ["ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED"])
def test_a_model_in_parts_is_refused_where_it_would_be_whole(
    tmp_path: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "true")
    with pytest.raises(pk.PolicyError, match=r"PK780: .* every process holds the whole model"):
        ready("rloo", written(tmp_path, "rloo"))


def test_a_task_of_the_wrong_length_and_a_row_of_another_bundle_are_refused(tmp_path: Path) -> None:
    file = written(tmp_path, "rloo")
    (tmp_path / "task.py").write_text("def finished(prompts, completions, **_):\n    return [1.0]\n")
    with pytest.raises(pk.PolicyError, match="PK761"):
        ready("rloo", file)
    with (tmp_path / "train.jsonl").open("a") as rows:
        rows.write(json.dumps({"prompt": "Is it safe?", "bundle_digest": "sha256:0"}) + "\n")
    with pytest.raises(pk.PolicyError, match="PK762"):
        ready("rloo", file)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("float('nan')", "PK761: the task's reward of completion 0 is nan before the first step"),
        ("None", "PK763: no completion has a reward, the last because of task: no reward at step 1"),
    ],
)
def test_a_task_that_fails_on_what_is_written_is_told_with_its_place_and_step(
    tmp_path: Path, answer: str, said: str
) -> None:
    """Empty completions, on which it is tried, it answers. Nor does a run go on in which nothing can be learned."""
    file = written(tmp_path, "rloo", batch=2, more=", groupSize: 2")
    answers = f"[1.0 if not text else {answer} for text in completions]"
    (tmp_path / "task.py").write_text(f"def finished(prompts, completions, **columns):\n    return {answers}\n")
    if answer == "None":
        file.write_text(file.read_text().replace(", heldOut: heldout.jsonl", ""))
    with pytest.raises(PolicyError) as error:
        train(ready("rloo", file))
    assert said in str(error.value)
    (one,) = error.value.diagnostics
    assert one.place is not None
    assert (Path(one.place.file).name, one.place.line) == ("training.yaml", 9)
    assert not (tmp_path / "run").exists()


def test_of_no_reward_there_is_no_mean() -> None:
    assert of_rewarded(0.0, reward=0.0, kl=0.0) == {}
    assert of_rewarded(4.0, reward=2.0) == {"reward": 0.5}
