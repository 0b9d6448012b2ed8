"""Programs that are forked from a process that has imported vLLM, since importing is nearly all of a server's start.

`vllm serve` imports vLLM again in its engine and in its worker, ten seconds each time. Here engines are forked from
their server, as vLLM itself does where it may (`VLLM_WORKER_MULTIPROC_METHOD=fork`; its platform for the CPU alone does
not let it), and the server from a process that only imports. What they say to each other and what they read of their
environment is the same. That a spawned engine and worker find the plugin by themselves is for the tests to show that
start a server as users do.
"""

import json
import multiprocessing
import os
import runpy
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from select import select
from typing import IO

ROOT = Path(__file__).parents[2]
MAX_REQUEST = 1 << 17
NUMBER = struct.Struct("i")
IMPORTED = (
    "vllm.entrypoints.cli.serve",
    "vllm.entrypoints.launchers.api_server.entry",
    "vllm.model_executor.models.llama",
    "vllm.v1.engine.async_llm",
    "vllm.v1.engine.core",
    "vllm.v1.executor.uniproc_executor",
    "vllm.v1.worker.cpu_model_runner",
    "vllm.v1.worker.cpu_worker",
)
"""What a server, its engine and its worker import, and nothing of ours: each server finds the plugin itself."""


class Forked:
    """As much of `subprocess.Popen` as tests need. ``told`` is where its exit status comes from."""

    def __init__(self, pid: int, told: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._told = told

    def poll(self) -> int | None:
        return self._read(0)

    def wait(self, timeout: float) -> int:
        """Raises subprocess.TimeoutExpired."""
        found = self._read(timeout)
        if found is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return found

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def _read(self, timeout: float) -> int | None:
        if self.returncode is None and select([self._told], [], [], timeout)[0]:
            (self.returncode,) = NUMBER.unpack(os.read(self._told, NUMBER.size))
            os.close(self._told)
        return self.returncode


class Importer:
    """The process that has imported vLLM. It ends with whoever has started it, for nobody asks it any more."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._asks, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(its.fileno())],
                env=dict(environment), cwd=ROOT, pass_fds=(its.fileno(),), stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip

    def start(self, command: Sequence[str], environment: Mapping[str, str], output: IO[bytes]) -> Forked:
        """Runs `python -m MODULE …` in a session of its own. Waits until vLLM is imported."""
        _, option, *argv = command
        assert option == "-m"
        told, tells = os.pipe()
        try:
            asked = json.dumps({"argv": argv, "environment": dict(environment)}).encode()
            socket.send_fds(self._asks, [asked], [output.fileno(), tells])
        finally:
            os.close(tells)
        pid = os.read(told, NUMBER.size)
        if not pid:
            raise RuntimeError(f"vllm is not imported: {self._process.wait(10)}")
        return Forked(*NUMBER.unpack(pid), told)


def _import() -> None:
    for name in IMPORTED:
        import_module(name)
    starting = import_module("vllm.v1.engine.utils")
    assert starting.get_mp_context
    starting.get_mp_context = partial(multiprocessing.get_context, "fork")  # whatever the platform says
    assert not [name for name in sys.modules if name.partition(".")[0] == "policykit"]
    import_module("vllm.utils.system_utils").set_process_title("Importer")  # it finds where a title goes only here


def _requests(asks: socket.socket) -> None:
    """Returns in a process of its own for each program that is asked for, with its arguments and environment."""
    while True:
        asked, fds, _, _ = socket.recv_fds(asks, MAX_REQUEST, 2)
        if not asked:
            sys.exit(0)
        output, tells = fds
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asks.close()
            pid = os.fork()
            if pid == 0:
                os.close(tells)
                break
            os.close(output)
            os.write(tells, NUMBER.pack(pid))
            os.write(tells, NUMBER.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
            os._exit(0)
        os.close(output)
        os.close(tells)
    os.setsid()
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    said = json.loads(asked)
    sys.argv = said["argv"]
    os.environ.clear()
    os.environ.update(said["environment"])


if __name__ == "__main__":
    _import()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    _requests(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
