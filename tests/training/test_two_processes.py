"""Two processes, launched as users launch them, train as one does."""

import os
import shutil
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from policykit.training.kinds import Kind, dpo, kto, rm, sft
from policykit.training.session import prepare, train

from .offline import HEAD, metrics, routed, weights, write_training
from .test_preferences import pairs

ROOT = Path(__file__).parents[2]


def launched(config: Path, cwd: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """What `accelerate launch` does with two processes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(config)]
    more = {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*launch, "--main_process_port", str(port), *command],
        cwd=cwd, env=os.environ | more, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def same_as_one(folder: Path, kind: Kind) -> None:
    one, two = metrics(folder / "one" / "run"), metrics(folder / "two" / "run")
    for line, other in zip(one, two, strict=True):
        assert line.pop("phase") == other.pop("phase")
        assert line == pytest.approx(other, rel=2e-3, abs=1e-4)
    alone, shared = (weights(folder / name / "run", kind.output) for name in ("one", "two"))
    assert alone.keys() == shared.keys()
    assert torch.cat([(alone[name] - shared[name]).abs().flatten() for name in alone]).mean() < 2e-4


TEXT = HEAD.replace("steps: 6", "steps: 3").replace("checkpointEvery: 3", "checkpointEvery: 2, microBatch: 2")
CPU = ROOT / "launch" / "cpu-2.yaml"
TRAIN = ("-m", "policykit.cli.main", "train")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "rows"), [(sft.KIND, routed), (dpo.KIND, pairs), (rm.KIND, pairs)], ids=["sft", "dpo", "rm"]
)
def test_two_processes_are_as_one(tmp_path: Path, kind: Kind, rows: Any) -> None:
    train(prepare(kind, write_training(tmp_path / "one", TEXT, rows(16, 1), rows(5, 2))))
    file = write_training(tmp_path / "two", TEXT, rows(16, 1), rows(5, 2))
    done = launched(CPU, tmp_path, *TRAIN, kind.name, str(file))
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("finished after 3 steps") == 1  # one of them speaks
    same_as_one(tmp_path, kind)
    assert [path.name for path in sorted((tmp_path / "two" / "run" / "checkpoints").iterdir())] == [
        "step-00000002",
        "step-00000003",
    ]


def for_two(folder: Path, shipped: str, processes: str) -> Path:
    """Shipped settings for two processes on a CPU."""
    text = (ROOT / "launch" / shipped).read_text()
    for before, after in (("num_processes: 8", processes), ("bf16", '"no"')):
        assert text.count(before) == 1
        text = text.replace(before, after)
    (folder / shipped).write_text(text)
    return folder / shipped


def fsdp(folder: Path) -> Path:
    return for_two(folder, "fsdp-8.yaml", "num_processes: 2\nuse_cpu: true")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "rows"),
    [(sft.KIND, routed), (dpo.KIND, pairs), (kto.KIND, pairs), (rm.KIND, pairs)],
    ids=["sft", "dpo", "kto", "rm"],
)
def test_two_processes_with_half_a_model_each_are_as_one(tmp_path: Path, kind: Kind, rows: Any) -> None:
    """FSDP itself, over gloo: every parameter lies in parts, and so do checkpoints, from which a run goes on."""
    train(prepare(kind, write_training(tmp_path / "one", TEXT, rows(16, 1), rows(5, 2))))
    file = write_training(tmp_path / "two", TEXT, rows(16, 1), rows(5, 2))
    config = fsdp(tmp_path)
    done = launched(config, tmp_path, "-m", "tests.training.sharded", "train", kind.name, str(file))
    assert done.returncode == 0, done.stderr[-3000:]
    same_as_one(tmp_path, kind)
    run = tmp_path / "two" / "run"
    parts = sorted(path.name for path in (run / "checkpoints" / "step-00000002").iterdir())
    assert parts == ["state", "step.json"]  # as accelerate keeps what several processes have parts of
    if kind is not sft.KIND:
        return
    shutil.rmtree(run / "checkpoints" / "step-00000003")
    shutil.rmtree(run / kind.output)
    done = launched(config, tmp_path, "-m", "tests.training.sharded", "train", kind.name, str(file), "--resume")
    assert done.returncode == 0, done.stderr[-3000:]
    same_as_one(tmp_path, kind)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("deepspeed") is None, reason="DeepSpeed is not installed")
@pytest.mark.parametrize(
    ("kind", "rows"), [(sft.KIND, routed), (dpo.KIND, pairs), (rm.KIND, pairs)], ids=["sft", "dpo", "rm"]
)
def test_two_processes_under_deepspeed_are_as_one(
    tmp_path: Path, kind: Kind, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ZeRO 2 itself, over gloo: each process has the optimizer's state of half of the weights."""
    monkeypatch.setenv("DS_ACCELERATOR", "cpu")
    text = TEXT.replace(", microBatch: 2", "")
    train(prepare(kind, write_training(tmp_path / "one", text, rows(16, 1), rows(5, 2))))
    file = write_training(tmp_path / "two", text, rows(16, 1), rows(5, 2))
    config = for_two(tmp_path, "deepspeed-8.yaml", "num_processes: 2")
    command = ("-m", "tests.training.sharded", "train", kind.name, str(file))
    done = launched(config, tmp_path, *command)
    assert done.returncode == 0, done.stderr[-3000:]
    same_as_one(tmp_path, kind)
    run = tmp_path / "two" / "run"
    halves = [path.name for path in (run / "checkpoints" / "step-00000002").rglob("*_optim_states.pt")]
    assert len(halves) == 2
    if kind is not sft.KIND:
        return
    shutil.rmtree(run / "checkpoints" / "step-00000003")
    shutil.rmtree(run / kind.output)
    done = launched(config, tmp_path, *command, "--resume")
    assert done.returncode == 0, done.stderr[-3000:]
    same_as_one(tmp_path, kind)


@pytest.mark.slow
def test_a_model_that_nothing_divides_is_not_said_to_be_divided(tmp_path: Path) -> None:
    """On a CPU accelerate takes FSDP's settings and gives every process the whole model. Nothing is left behind."""
    file = write_training(tmp_path / "two", TEXT, routed(16, 1), routed(5, 2))
    done = launched(fsdp(tmp_path), tmp_path, *TRAIN, "sft", str(file))
    assert done.returncode != 0
    assert "PK780: FSDP has no effect" in done.stderr
    assert not (tmp_path / "two" / "run").exists()
    again = launched(CPU, tmp_path, *TRAIN, "sft", str(file))
    assert again.returncode == 0, again.stderr[-3000:]


@pytest.mark.parametrize("name", ["cpu-2", "fsdp-8", "deepspeed-8"])
def test_shipped_configurations_are_ones_that_accelerate_reads(name: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config: Any = load_config_from_file(str(ROOT / "launch" / f"{name}.yaml"))
    assert config.num_processes == int(name.rpartition("-")[2])
