"""The real `vllm serve`, with the plugin and the guard, on a port of the loopback and in a folder of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from policykit.embedded import model_path
from tests.serving.imported import Forked, Importer

STARTS_WITHIN_S = 240
WORKER_WITHIN = ("--distributed-executor-backend", "vllm.v1.executor.uniproc_executor.UniProcExecutor")
"""The worker is in its engine's process: in two they wait for each other spinning, which leaves a machine of two
processors none for the server."""
RUNNING: "list[Server]" = []
"""Those whose output is shown with a test that fails."""


@dataclass(frozen=True)
class Server:
    """A server that answers. ``output`` holds what it prints."""

    url: str
    folder: Path
    process: "subprocess.Popen[bytes] | Forked"

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text("utf-8", "replace")

    @property
    def is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False


def environment(folder: Path, **more: str) -> dict[str, str]:
    """What server and guard read: profiles and keys lie in ``folder``."""
    (folder / "run").mkdir(exist_ok=True)
    return {
        **of_all(),
        "POLICYKIT_PROFILES": str(folder),
        "POLICYKIT_KEYS": str(folder),
        "POLICYKIT_LOG": str(folder / "log"),
        "POLICYKIT_RUN": str(folder / "run"),
        "POLICYKIT_MODEL": "embedded",
        **more,
    }


def of_all() -> dict[str, str]:
    """What every server reads."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VLLM_", "POLICYKIT_"))}
    return {
        **kept,
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }


@cache
def importer() -> Importer:
    """One for all tests. It ends with them."""
    return Importer({**of_all(), "OMP_NUM_THREADS": "1"})  # other threads do not live on in what is forked


def spawned(command: Sequence[str], environment: Mapping[str, str], output: IO[bytes]) -> "subprocess.Popen[bytes]":
    """A server as users start it, all of whose processes import vLLM, and with the executor that is vLLM's default."""
    return subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)


def forked(command: Sequence[str], environment: Mapping[str, str], output: IO[bytes]) -> Forked:
    """The same server without what takes longer than most tests."""
    return importer().start([*command, *WORKER_WITHIN], environment, output)


def plain_command(port: int, *more: str) -> list[str]:
    """vLLM as anybody starts it."""
    return [
        *(sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", str(model_path())),
        *("--served-model-name", "embedded"),
        *("--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--max-model-len", "512"),
        *("--enforce-eager", *more),
    ]  # fmt: skip


def command(port: int, *more: str) -> list[str]:
    policed = ("--structured-outputs-config.backend", "policykit")
    return plain_command(port, *policed, "--middleware", "policykit.serving.middleware.Middleware", *more)


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@contextmanager
def vllm_served(
    folder: Path,
    more: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
    started: Callable[..., list[str]] = command,
    begin: Callable[..., "subprocess.Popen[bytes] | Forked"] = forked,
) -> Iterator[Server]:
    """Raises RuntimeError with the end of its output, if it does not start."""
    port = free_port()
    with (folder / "output.txt").open("wb") as output:
        process = begin(started(port, *more), environment(folder, **(variables or {})), output)
    server = Server(f"http://127.0.0.1:{port}", folder, process)
    RUNNING.append(server)
    try:
        until = time.monotonic() + STARTS_WITHIN_S
        while not server.is_healthy:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"vllm did not start:\n{server.output[-4000:]}")
            time.sleep(0.5)
        yield server
    finally:
        RUNNING.remove(server)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)
