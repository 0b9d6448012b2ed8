"""Two processes, launched as users launch them, train as one does."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from policykit.training.kinds import Kind, dpo, rm, sft
from policykit.training.session import prepare, train

from .offline import HEAD, metrics, routed, weights, write_training
from .test_preferences import pairs

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "rows"), [(sft.KIND, routed), (dpo.KIND, pairs), (rm.KIND, pairs)], ids=["sft", "dpo", "rm"]
)
def test_two_processes_are_as_one(tmp_path: Path, kind: Kind, rows: Any) -> None:
    text = HEAD.replace("steps: 6", "steps: 3").replace("checkpointEvery: 3", "checkpointEvery: 2, microBatch: 2")
    train(prepare(kind, write_training(tmp_path / "one", text, rows(16, 1), rows(5, 2))))
    file = write_training(tmp_path / "two", text, rows(16, 1), rows(5, 2))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(ROOT / "launch" / "cpu-2.yaml")]
    launch += ["--main_process_port", str(port), "-m", "policykit.cli.main", "train", kind.name, str(file)]
    more = {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        launch, cwd=tmp_path, env=os.environ | more, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("finished after 3 steps") == 1  # one of them speaks
    one, two = metrics(tmp_path / "one" / "run"), metrics(tmp_path / "two" / "run")
    for line, other in zip(one, two, strict=True):
        assert line.pop("phase") == other.pop("phase")
        assert line == pytest.approx(other, rel=2e-3, abs=1e-4)
    alone, shared = (weights(tmp_path / name / "run", kind.output) for name in ("one", "two"))
    assert torch.cat([(alone[name] - shared[name]).abs().flatten() for name in alone]).mean() < 2e-4
    assert [path.name for path in sorted((tmp_path / "two" / "run" / "checkpoints").iterdir())] == [
        "step-00000002",
        "step-00000003",
    ]


@pytest.mark.parametrize("name", ["cpu-2", "fsdp-8", "deepspeed-8"])
def test_shipped_configurations_are_ones_that_accelerate_reads(name: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config: Any = load_config_from_file(str(ROOT / "launch" / f"{name}.yaml"))
    assert config.num_processes == int(name.rpartition("-")[2])
