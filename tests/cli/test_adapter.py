"""`adapter` and `eval --pin` on adapters of the embedded model."""

import json
from pathlib import Path

import pytest

import policykit as pk
from policykit.plan.pins import pins_of, read_pins, write_pins

from .conftest import PROMISES, Run

pytest.importorskip("peft", reason="adapters need peft")

from tests.adapters.test_compose import adapter


def test_adapters_are_composed_and_held_against_a_plan(run: Run, tmp_path: Path) -> None:
    (tmp_path / "promises.policy.yaml").write_text(PROMISES, encoding="utf-8")
    (tmp_path / "other.policy.yaml").write_text(PROMISES.replace("1.0.0", "1.1.0"), encoding="utf-8")
    for name, seed in (("base", 1), ("tenant", 2)):
        adapter(tmp_path / name, seed, target_modules=["q_proj"])
    done = run("adapter", "compose", "base", "tenant", "-o", "both", "--weights", "1", "-0.5")
    assert (done.status, done.out) == (0, "wrote both: rank 8, for `vllm serve --max-lora-rank 8`\n")
    assert "nothing is known" in done.err
    again = run("adapter", "compose", "base", "tenant", "-o", "both")
    assert (again.status, "not empty" in again.err) == (3, True)
    wrong = run("adapter", "compose", "base", "tenant", "-o", "other", "--method", "linear")
    assert (wrong.status, "`linear` is not the sum" in wrong.err) == (3, True)
    unknown = run("adapter", "check", "base", "--policies", "promises.policy.yaml")
    assert (unknown.status, "PK842" in unknown.err) == (1, True)
    plan = pk.compile(pk.load_policies(tmp_path / "promises.policy.yaml"))
    write_pins(tmp_path / "base", pins_of(plan))
    fits = run("adapter", "check", "base", "--policies", "promises.policy.yaml")
    assert fits.status == 0
    assert plan.bundle_digest in fits.out
    differs = run("adapter", "check", "base", "--policies", "other.policy.yaml", "--format", "json")
    assert (differs.status, json.loads(differs.out)["fits"]) == (1, False)


def test_an_evaluation_is_pinned_to_the_adapter_that_it_is_of(run: Run, tmp_path: Path) -> None:
    (tmp_path / "promises.policy.yaml").write_text(PROMISES, encoding="utf-8")
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "Is it safe?"}\n', encoding="utf-8")
    folder = adapter(tmp_path / "tuned", 1, target_modules=["q_proj"])
    flags = ["eval", "--model", "embedded", "--adapter", "tuned", "--prompts", "prompts.jsonl", "--pin"]
    flags += ["--policies", "promises.policy.yaml", "--max-new-tokens", "8", "--masked", "0"]
    unpinned = run(*flags)
    assert (unpinned.status, "`--pin` writes into an adapter" in unpinned.err) == (3, True)
    write_pins(folder, pins_of(pk.compile(pk.load_policies(tmp_path / "promises.policy.yaml"))))
    assert run(*flags).status == 0
    pins = read_pins(folder)
    assert pins is not None
    assert pins.evaluation["texts"] == 1
    assert pins.evaluation["violations, at most"] == pytest.approx(0.975)
    assert "| violations, at most | 0.975 |" in (folder / "README.md").read_text("utf-8")
