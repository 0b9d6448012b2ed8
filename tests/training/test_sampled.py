"""From `policykit sample` to `policykit train`: by-products of drawing are rows for training, under one digest."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from policykit.cli.main import main
from policykit.decoding import preference_pairs, to_line, tuning_rows
from tests.decoding.test_faults import ask

from .offline import metrics

torch = pytest.importorskip("torch")

POLICY = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: words, version: 1.0.0, owner: a@example.org, why: words that the model likes to write}
rules: [{id: no-thanks, match: {phrases: [thank you, thanks, sorry, we, our]}, action: {block: {}}}]
tests: [{name: t, given: {output: Thanks!}, expect: {decision: block, rules: [no-thanks]}}]
"""
TRAINING = """\
apiVersion: policykit/v1
kind: Training
name: sampled
model: embedded
policies: [%s]
data: {train: %s.jsonl, heldOut: heldOut-%s.jsonl}
run: {folder: run-%s, steps: 2, batch: 4, checkpointEvery: 2}
optimizer: {rate: 0.001, schedule: constant}
lora: {rank: 4}
"""
ASKED = ("My card was charged twice.", "Where is my parcel?", "Can you close my account?")
Told = tuple[int, str, str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Told]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def called(*words: str) -> Told:
        out, err = StringIO(), StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdout", out)
            patch.setattr("sys.stderr", err)
            status = main(list(words))
        return int(status), out.getvalue(), err.getvalue()

    return called


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.slow
def test_pairs_and_accepted_texts_are_trained_on_under_one_digest(run: Callable[..., Told], tmp_path: Path) -> None:
    torch.set_num_threads(1)
    (tmp_path / "words.policy.yaml").write_text(POLICY)
    prompts = [word for prompt in ASKED for word in ("--prompt", prompt)]
    fixed = ("--policies", "words.policy.yaml", "--max-new-tokens", "20", "--n", "3", "--format", "json")
    digests = set[str]()
    for seed, before in (("1", ""), ("100", "heldOut-")):
        files = ("--pairs", f"{before}dpo.jsonl", "--accepted", f"{before}sft.jsonl")
        status, out, err = run("sample", *prompts, *fixed, *files, "--strategy", "exact", "--seed", seed)
        assert status == 0, err
        digests |= {json.loads(out)["digest"], json.loads(out)["bundle_digest"]}
    assert len(digests) == 2
    for kind in ("dpo", "sft"):
        assert len(rows_of(tmp_path / f"{kind}.jsonl")) >= 4
        (tmp_path / f"{kind}.yaml").write_text(TRAINING % ("words.policy.yaml", kind, kind, kind))
        status, _, err = run("train", kind, f"{kind}.yaml")
        assert status == 0, err
        about = json.loads((tmp_path / f"run-{kind}" / "run.json").read_text())["identity"]
        assert {about["plan_digest"], about["bundle_digest"]} == digests
        for row in rows_of(tmp_path / f"{kind}.jsonl"):
            assert {row["plan_digest"], row["bundle_digest"]} == digests
        assert any("loss" in line for line in metrics(tmp_path / f"run-{kind}"))
    # Under other policies the same rows are refused before the first step, each with its place.
    (tmp_path / "words.policy.yaml").write_text(POLICY.replace("sorry, ", ""))
    for kind in ("dpo", "sft"):
        (tmp_path / f"{kind}.yaml").write_text(TRAINING % ("words.policy.yaml", kind, kind, f"other-{kind}"))
        status, _, err = run("train", kind, f"{kind}.yaml")
        assert status == 3
        assert "PK762" in err
        assert f"{kind}.jsonl:1" in err
        assert not (tmp_path / f"run-other-{kind}").exists()


def test_rows_say_the_plan_and_its_bundle() -> None:
    from policykit.decoding import Reject
    from tests.decoding.test_faults import LETTERS

    found = ask(Reject(), n=12)
    rows = [json.loads(to_line(row)) for make in (preference_pairs, tuning_rows) for row in make(found)]
    assert rows
    said = {(row["plan_digest"], row["bundle_digest"]) for row in rows}
    assert said == {(LETTERS.plan.digest, LETTERS.plan.bundle_digest)}
