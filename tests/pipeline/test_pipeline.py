"""A pipeline does each stage once, in a folder named after what it depends on; killed anywhere, it ends the same."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from policykit.diagnostics import PolicyError

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("peft", reason="training needs peft")

from safetensors.torch import load_file  # noqa: E402

from policykit.adapters.loading import load  # noqa: E402
from policykit.cli.main import main  # noqa: E402
from policykit.evaluation import read  # noqa: E402
from policykit.pipeline.load import load_pipeline  # noqa: E402
from policykit.plan.pins import read_pins  # noqa: E402

from .files import PIPELINE, rows, write_pipeline  # noqa: E402

torch.set_num_threads(1)


def result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "runs" / "result.json").read_text("utf-8"))


def essence(folder: Path) -> tuple[Any, ...]:
    """Everything of a result but times: names, keys, weights, numbers, texts, pins and card."""
    found = result(folder)
    adapter = folder / "runs" / found["adapter"]
    saved = read(folder / "runs" / found["evaluation"])
    numbers = {name: value for name, value in saved.results.items() if name != "made"}
    weights = {name: tensor.tolist() for name, tensor in load_file(adapter / "adapter_model.safetensors").items()}
    return found, numbers, saved.rows, weights, read_pins(adapter), (adapter / "README.md").read_text("utf-8")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    assert main(["train", "pipeline", str(write_pipeline(folder))]) == 0
    return folder


def test_the_result_is_the_model_with_all_trainings(whole: Path) -> None:
    found = result(whole)
    assert [stage["name"] for stage in found["stages"]] == ["taught", "refined", "adapter", "evaluation"]
    adapter = whole / "runs" / found["adapter"]
    trained = load("embedded", adapter)
    from peft import PeftModel

    model: Any = load("embedded").model
    for stage in found["stages"][:2]:
        model = PeftModel.from_pretrained(model, str(whole / "runs" / stage["folder"] / "adapter")).merge_and_unload()
    ids = torch.tensor([[5, 60, 71, 9, 200, 33, 8]])
    with torch.inference_mode():
        wanted, got = model(input_ids=ids).logits, trained.model(input_ids=ids).logits
    assert (wanted - got).abs().max() / wanted.abs().max() < 1e-5
    pins = read_pins(adapter)
    assert pins is not None
    assert pins.stages == ("sft: taught", "rloo: refined", "sum: taught + refined")
    assert [one.name for one in pins.data] == ["taught.jsonl", "held.jsonl", "refined.jsonl"]
    assert pins.bundle_digest == found["bundle_digest"]
    assert pins.evaluation["texts"] == 4
    saved = read(whole / "runs" / found["evaluation"])
    assert saved.results["made"]["adapter_bundle_digest"] == found["bundle_digest"]
    assert saved.results["second"]["policies"] == ["toy/second@1.0.0"]
    assert saved.results["divergence"]["per_token"] > 0
    assert [weight.step for weight in pins.weights if weight.group == "words"] == [1, 2, 3, 4]
    assert (adapter / "lambda.svg").read_text("utf-8").startswith("<svg")
    card = (adapter / "README.md").read_text("utf-8")
    assert "## Weights of costs" in card
    assert card.startswith('---\nbase_model: "')
    assert found["bundle_digest"] in card


def test_the_front_matter_of_a_card_is_yaml(whole: Path) -> None:
    from ruamel.yaml import YAML

    card = (whole / "runs" / result(whole)["adapter"] / "README.md").read_text("utf-8")
    front: Any = YAML(typ="safe").load(card.split("---\n")[1])
    assert front["library_name"] == "peft"
    assert front["policykit"]["policies"] == ["toy/promises@1.0.0"]
    assert front["policykit"]["evaluation"]["texts"] == 4


def test_what_is_done_is_not_done_again_and_what_changed_is(whole: Path, tmp_path: Path, capsys: Any) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    before = essence(tmp_path)
    assert main(["train", "pipeline", str(tmp_path / "pipeline.yaml")]) == 0
    assert capsys.readouterr().out.count("was there") == 4
    assert essence(tmp_path) == before
    text = PIPELINE.replace("rank: 3", "rank: 2").replace("checkpointEvery: 2", "checkpointEvery: 3")
    (tmp_path / "pipeline.yaml").write_text(text, "utf-8")
    assert main(["train", "pipeline", str(tmp_path / "pipeline.yaml")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in said] == [
        "taught: was there", "refined: done", "adapter: done", "evaluation: done"
    ]  # fmt: skip
    before = result(tmp_path)["stages"]
    with (tmp_path / "task.py").open("a") as task:
        task.write("# another reward function\n")
    assert main(["train", "pipeline", str(tmp_path / "pipeline.yaml")]) == 0
    after = result(tmp_path)["stages"]
    assert [a["key"] == b["key"] for a, b in zip(before, after, strict=True)] == [True, False, False, False]
    weights = tmp_path / "runs" / result(tmp_path)["stages"][0]["folder"] / "adapter" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    assert main(["train", "pipeline", str(tmp_path / "pipeline.yaml")]) == 3
    assert "PK848" in capsys.readouterr().err


def command(file: Path) -> "subprocess.Popen[bytes]":
    program = "import sys; from policykit.cli.main import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", program, "train", "pipeline", str(file)],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def killed_when(file: Path, pattern: str, times: int = 1) -> None:
    """Run the pipeline and kill it as soon as something in its folder has a name that fits."""
    running = command(file)
    until = time.monotonic() + 120
    try:
        while len(list((file.parent / "runs").glob(pattern))) < times:
            assert running.poll() is None, running.stderr and running.stderr.read()
            assert time.monotonic() < until
            time.sleep(0.002)
    finally:
        running.send_signal(signal.SIGKILL)
        running.wait(20)
    assert not (file.parent / "runs" / "result.json").exists()


@pytest.mark.slow
def test_killed_in_the_middle_of_any_stage_it_comes_to_the_same(whole: Path, tmp_path: Path) -> None:
    file = write_pipeline(tmp_path)
    for pattern in (
        "01-taught-*",  # before the stage has said what it is
        "01-taught-*/checkpoints/step-00000002/step.json",
        "01-taught-*/adapter",  # while the adapter is written
        "02-refined-*/checkpoints/step-00000003*",
        "03-adapter-*",  # while the sum is written
        "04-evaluation-*/results.json",  # before the evaluation is pinned
    ):
        killed_when(file, pattern)
    done = command(file)
    assert done.wait(120) == 0
    assert essence(tmp_path) == essence(whole)


BAD = [
    pytest.param(("train: sft\n    data: {train: taught", "train: sfft\n    data: {train: taught"), "PK847", 9,
                 "did you mean `sft`?", id="an unknown kind"),
    pytest.param(("    train: rloo\n    data: {train: refined", "    data: {train: refined"), "PK847", 14,
                 "`train` is missing", id="no kind"),
    pytest.param(("name: refined", "name: taught"), "PK847", 1, "two stages are called `taught`", id="one name twice"),
    pytest.param(("steps: 4, ", ""), "PK021", 17, "steps", id="no steps"),
    pytest.param(("lora: {rank: 3", "lora: {rnk: 3"), "PK020", 19, "did you mean `rank`?", id="a misspelt field"),
    pytest.param(("policies: [toy.policy.yaml]\n", ""), "PK780", 13, "`rloo` needs a plan", id="no plan"),
    pytest.param(("taught.jsonl", "gone.jsonl"), "PK001", 10, "gone.jsonl", id="no data"),
    pytest.param(("prompts: prompts.jsonl", "prompts: gone.jsonl"), "PK001", 22, "gone.jsonl", id="no prompts"),
    pytest.param(("maxViolations: 1.0", "maxViolations: 2.0"), "PK026", 26, "1", id="a limit above one"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "code", "line", "said"), BAD)
def test_everything_is_checked_before_anything_begins(
    tmp_path: Path, change: tuple[str, str], code: str, line: int, said: str
) -> None:
    assert change[0] in PIPELINE
    with pytest.raises(PolicyError) as caught:
        load_pipeline(write_pipeline(tmp_path, PIPELINE.replace(*change, 1)))
    (found,) = caught.value.diagnostics
    assert found.place is not None
    assert (found.code, found.place.line) == (code, line)
    assert said in str(found)
    assert not (tmp_path / "runs").exists()


def test_faults_of_all_stages_are_told_at_once_and_nothing_is_written(tmp_path: Path, capsys: Any) -> None:
    text = PIPELINE.replace("taught.jsonl", "gone.jsonl").replace("refined.jsonl", "lost.jsonl")
    assert main(["train", "pipeline", str(write_pipeline(tmp_path, text))]) == 3
    said = capsys.readouterr().err
    assert "gone.jsonl" in said
    assert "lost.jsonl" in said
    assert main(["train", "pipeline", str(write_pipeline(tmp_path)), "--seed", "1"]) == 3
    assert "a seed for each stage" in capsys.readouterr().err
    assert main(["train", "pipeline", str(tmp_path / "pipeline.yaml"), "--dry-run"]) == 0
    assert "refined: rloo, 4 steps on 4 rows" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()


def test_a_pipeline_has_a_plan(tmp_path: Path) -> None:
    text = PIPELINE.replace("policies: [toy.policy.yaml]\n", "")
    text = text[: text.index("  - name: refined")] + text[text.index("evaluate:") :]
    with pytest.raises(PolicyError, match="under a plan"):
        load_pipeline(write_pipeline(tmp_path, text))


def test_a_limit_that_is_not_kept_is_a_failure_each_time(whole: Path, tmp_path: Path, capsys: Any) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    (tmp_path / "pipeline.yaml").write_text(PIPELINE.replace("maxViolations: 1.0", "maxViolations: 0.01"), "utf-8")
    for _ in range(2):
        assert main(["train", "pipeline", str(tmp_path / "pipeline.yaml")]) == 1
        assert "limit exceeded: the plan" in capsys.readouterr().out


def test_rows_that_the_last_stage_refuses_are_told_before_the_first_begins(tmp_path: Path, capsys: Any) -> None:
    """Nothing is trained that a later fault would make worthless; what a file keeps all the same is said."""
    third = """\
  - name: last
    train: sft
    data: {train: broken.jsonl}
    run: {steps: 1}
    lora: {rank: 2}
evaluate:
"""
    file = write_pipeline(tmp_path, PIPELINE.replace("evaluate:\n", third))
    rows(tmp_path / "broken.jsonl", [{"prompt": "Is it safe?", "completion": "Ask your bank."}])
    for more in (["--dry-run"], []):
        assert main(["train", "pipeline", str(file), *more]) == 3
        said = capsys.readouterr().err
        assert "PK787: 1 of 1 completions break the plan: 1 by `words`" in said
        assert "broken.jsonl:1:1" in said
    assert not (tmp_path / "runs").exists()
    kept = "    lora: {rank: 2}\n    sft: {violations: keep}\n"
    file.write_text(file.read_text().replace("    lora: {rank: 2}\n", kept))
    assert main(["train", "pipeline", str(file), "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert "everything fits" in out
    assert err.count("PK787: 1 of 1 completions break the plan") == 1
    assert "1 warning" in err
