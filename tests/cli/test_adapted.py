"""`generate` and `sample` with the adapter of a real training: it writes, and only under what it was trained under."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from .conftest import PROMISES, Run

torch = pytest.importorskip("torch")
pytest.importorskip("peft", reason="adapters need peft")

from peft import PeftModel  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from policykit.engines.transformers import load_model  # noqa: E402
from tests.adapters.test_compose import adapter  # noqa: E402

torch.set_num_threads(1)
TRAINING = """\
apiVersion: policykit/v1
kind: Training
name: promises
model: embedded
policies: [promises.policy.yaml]
data: {train: rows.jsonl}
run: {folder: run, steps: 3, batch: 2}
optimizer: {rate: 0.05, schedule: constant}
lora: {rank: 4}
"""
ROWS = (
    {"prompt": "Is it safe?", "completion": "The value can go down as well as up."},
    {"prompt": "What do I gain?", "completion": "Returns are not certain."},
)
ASKED = ("--prompt", "Is it safe?", "--policies", "promises.policy.yaml", "--max-new-tokens", "12", "--format", "json")


@pytest.fixture
def trained(run: Run, promises: str, tmp_path: Path) -> Path:
    """The adapter that `policykit train` made under the policies of ``promises``."""
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    (tmp_path / "train.yaml").write_text(TRAINING, encoding="utf-8")
    done = run("train", "sft", "train.yaml")
    assert done.status == 0, done.err
    return tmp_path / "run" / "adapter"


def merged(folder: Path, into: Path) -> Path:
    """A whole model of the embedded one and an adapter, as PEFT adds them up."""
    model, tokenizer = load_model("embedded")
    whole: Any = PeftModel.from_pretrained(model, str(folder))
    whole.merge_and_unload().save_pretrained(into)
    tokenizer.save_pretrained(into)
    return into


def test_an_adapter_writes_what_the_model_with_its_weights_added_writes(run: Run, trained: Path) -> None:
    whole = merged(trained, trained.parent / "merged")
    for command, *flags in (("generate", "--greedy", "--free"), ("generate", "--seed", "3"), ("sample", "--seed", "3")):
        plain, own, added = (
            run(command, *ASKED, *flags, *model) for model in ((), ("--adapter", str(trained)), ("--model", str(whole)))
        )
        assert (plain.status, own.status, added.status) == (0, 0, 0), own.err
        assert texts(own.out) == texts(added.out)
        assert texts(own.out) != texts(plain.out)


def texts(out: str) -> list[str]:
    found = json.loads(out)
    rows = found["texts"] if "texts" in found else [row for one in found["samples"] for row in one["answers"]]
    return [row["text"] for row in rows]


@pytest.mark.parametrize("command", ["generate", "sample"])
def test_an_adapter_of_other_policies_is_refused_with_its_place_and_a_fix(
    run: Run, trained: Path, tmp_path: Path, command: str
) -> None:
    flags = (*ASKED, "--adapter", str(trained))
    (tmp_path / "promises.policy.yaml").write_text(PROMISES.replace("1.0.0", "1.1.0"), encoding="utf-8")
    other = run(command, *flags)
    assert (other.status, other.out) == (3, "")
    assert f"{trained}:1:1: PK842: the adapter was trained under the bundle sha256:" in other.err
    assert "only the adapter: finance/promises@1.0.0; only the plan: finance/promises@1.1.0" in other.err
    (trained / "policykit.json").unlink()
    unknown = run(command, *flags)
    assert (unknown.status, "help: train it with `policykit train`" in unknown.err) == (3, True)


@pytest.mark.parametrize("command", ["generate", "sample"])
def test_weights_that_pins_or_model_do_not_fit_are_refused(run: Run, trained: Path, command: str) -> None:
    flags = (*ASKED, "--adapter", str(trained))
    pins = (trained / "policykit.json").read_text("utf-8")
    adapter(trained, 5, target_modules=["q_proj"])
    (trained / "policykit.json").write_text(pins, "utf-8")
    taken = run(command, *flags)
    assert (taken.status, "PK842: the weights were pinned to the bundle None" in taken.err) == (3, True)
    shutil.rmtree(trained)
    missing = run(command, *flags)
    assert missing.status == 3
    assert f"{trained}:1:1: PK843: there is no adapter" in missing.err
    assert "help: name the folder `adapter` of a run of `policykit train`" in missing.err


def test_an_adapter_of_another_model_is_refused(run: Run, trained: Path) -> None:
    weights = trained / "adapter_model.safetensors"
    digest = json.loads((trained / "policykit.json").read_text("utf-8"))["bundle_digest"]
    shapes = {name: torch.zeros(3, 5) for name in load_file(weights)}
    save_file(shapes, weights, {"format": "pt", "policykit.bundle_digest": digest})
    done = run("generate", *ASKED, "--adapter", str(trained))
    assert (done.status, "help: name the model that it was trained on" in done.err) == (3, True)
    assert f"{trained}:1:1: PK843: the adapter cannot be loaded" in done.err


def test_an_adapter_on_vllm_is_refused_by_name(run: Run, promises: str) -> None:
    done = run("sample", *ASKED, "--engine", "vllm", "--adapter", "anything")
    assert (done.status, "PK550: `--adapter` is for transformers alone" in done.err) == (3, True)
