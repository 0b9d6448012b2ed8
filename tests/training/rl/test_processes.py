"""Two processes on the CPU, launched as users launch them: one λ, one count of what is lost, one model."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from policykit import rewards as rw

from . import common
from .test_kinds import lines, written

pytest.importorskip("accelerate", reason="the extra `train`")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]


def launched(folder: Path, what: str) -> list[dict[str, Any]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]
    launch += ["--module", "tests.training.rl.two_processes"]
    more = {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launch, str(folder), what], cwd=ROOT, env=os.environ | more, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in (0, 1)]


def test_trl_has_one_lambda_over_all_rollouts(tmp_path: Path) -> None:
    first, second = launched(tmp_path, "trl")
    assert first["state"] == second["state"]
    assert first["weights"] == second["weights"]
    assert first["costs"] != second["costs"]  # each has priced rows of its own
    # One process that had seen all rows, step by step, has the same λ.
    alone = rw.Lagrangian({common.RULE: 0.4}, rate=2.0)
    n = len(first["costs"]) // 2
    for step in (slice(0, n), slice(n, 2 * n)):
        alone.observe([{common.RULE: cost} for cost in first["costs"][step] + second["costs"][step]])
    assert first["state"]["controller"] == alone.state_dict()
    assert alone.weights[common.RULE] != 1.0


def test_the_loop_has_one_model_and_one_log(tmp_path: Path) -> None:
    written(tmp_path, "rloo", more=", weights: {limit: 0.4, rate: 2.0}", steps=2, batch=4)
    first, second = launched(tmp_path, "loop")
    assert first == second
    logged = lines(tmp_path)
    assert [line["step"] for line in logged] == [1, 2]
    assert logged[1][f"policy/lambda/{common.RULE}"] != 1.0
    assert lines(tmp_path, "heldOut")[-1]["violation_rate"] > 0
