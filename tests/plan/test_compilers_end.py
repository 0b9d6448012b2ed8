"""Processes that compile end with whoever started them, and with nobody else."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import policykit as pk
from policykit.diagnostics import PolicyError
from policykit.plan import bounded
from tests.plan.calls import holds, process_id, waits_for

WAITS = """
import os, sys, threading, time
import policykit as pk
from tests.plan.calls import holds
compilers = pk.Compilers(pk.Bounds(deadline_s=600))
threading.Thread(target=lambda: compilers.make(holds, sys.argv[1], 300), daemon=True).start()
while not os.path.exists(sys.argv[1]):
    time.sleep(0.05)
if sys.argv[2] == "forked" and os.fork() == 0:
    print(os.getpid(), flush=True)
    time.sleep(300)
print("ready", flush=True)
time.sleep(300)
"""


def is_there(pid: int) -> bool:
    """Whether a process runs; one that is dead and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def is_gone(pid: int, within_s: float = 60) -> bool:
    until = time.monotonic() + within_s
    while is_there(pid) and time.monotonic() < until:
        time.sleep(0.05)
    return not is_there(pid)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere an alarm ends it, after the deadline")
@pytest.mark.parametrize("kind", ["alone", "forked"])
def test_a_killed_server_leaves_nothing_that_compiles(tmp_path: Path, kind: str) -> None:
    """Also where the interpreter lock is held, and where a fork of the server lives on and has its files open."""
    told = tmp_path / "pid"
    command = [sys.executable, "-c", WAITS, str(told), kind]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert server.stdout is not None
    lines = {server.stdout.readline().strip() for _ in range(2 if kind == "forked" else 1)}
    forked = [int(line) for line in lines if line.isdigit()]
    compiler = int(told.read_text())
    try:
        assert is_there(compiler)
        server.kill()
        server.wait()
        assert is_gone(compiler)
        assert all(map(is_there, forked))
    finally:
        for pid in (*forked, compiler):
            if is_there(pid):
                os.kill(pid, signal.SIGKILL)
        server.stdout.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_has_processes_of_its_own() -> None:
    compilers = pk.Compilers(pk.Bounds(deadline_s=60), n_processes=1)
    try:
        mine = compilers.make(process_id)
        readable, writable = os.pipe()
        pid = os.fork()
        if pid == 0:
            found = b"0"
            try:
                found = str(compilers.make(process_id)).encode()
                compilers.close()
            finally:
                os.write(writable, found)
                os._exit(0)
        os.close(writable)
        theirs = int(os.read(readable, 100))
        os.close(readable)
        assert os.waitpid(pid, 0)[1] == 0
        assert theirs not in (0, mine)
        assert compilers.make(process_id) == mine, "it was not taken away by the fork"
        assert is_gone(theirs)
    finally:
        compilers.close()


def test_the_deadline_ends_what_holds_the_interpreter(tmp_path: Path) -> None:
    compilers = pk.Compilers(pk.Bounds(deadline_s=3), n_processes=1)
    with pytest.raises(pk.PolicyError, match="PK209"):
        compilers.make(holds, str(tmp_path / "pid"), 300)
    assert is_gone(int((tmp_path / "pid").read_text()))
    compilers.close()


class Waiting:
    """Calls of one server, two processes for them, and what keeps the calls from coming back."""

    def __init__(self, folder: Path) -> None:
        self.compilers = pk.Compilers(pk.Bounds(deadline_s=300, wait_s=300), n_processes=2)
        self.pool = ThreadPoolExecutor(4)
        self.path = folder / "gate"
        self.calls = [self.pool.submit(self.compilers.make, waits_for, str(self.path))]

    def begun(self, n: int) -> None:
        until = time.monotonic() + 60
        while len(list(self.path.parent.glob("gate.*.begun"))) < n and time.monotonic() < until:
            time.sleep(0.02)

    def why(self, at: int) -> str:
        error = self.calls[at].exception(60)
        assert isinstance(error, PolicyError)
        assert [found.code for found in error.diagnostics] == ["PK209"]
        return error.diagnostics[0].message


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Waiting]:
    found = Waiting(tmp_path)
    yield found
    found.path.touch()
    found.compilers.close()
    found.pool.shutdown()


def test_a_server_that_stops_ends_what_is_compiled_and_what_waits(waiting: Waiting) -> None:
    """Each of these calls would have come back in 300 seconds; and a call that is made later is made."""
    waiting.begun(1)
    waiting.calls += [waiting.pool.submit(waiting.compilers.make, waits_for, str(waiting.path)) for _ in range(3)]
    waiting.begun(2)
    waiting.compilers.close()
    assert {waiting.why(at) for at in range(4)} == {"it is not made any more: the server stops"}
    assert waiting.compilers.make(len, "four") == 4
    waiting.path.touch()
    assert waiting.compilers.make(waits_for, str(waiting.path)) == "came", (
        "it was nobody's fault, and is not remembered"
    )


def test_a_server_that_is_about_to_stop_compiles_nothing(waiting: Waiting) -> None:
    waiting.begun(1)
    waiting.compilers.hurry()
    assert waiting.why(0) == "it is not made any more: the server stops"
    waiting.calls.append(waiting.pool.submit(waiting.compilers.make, waits_for, str(waiting.path)))
    assert waiting.why(1) == "it is not made any more: the server stops"


def test_texts_are_judged_by_a_server_that_is_about_to_stop(waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "violations", waits_for)  # so that the calls are judgements
    (judging,) = waiting.calls = [waiting.pool.submit(waiting.compilers.make, waits_for, str(waiting.path))]
    waiting.begun(2)
    waiting.compilers.hurry()
    assert not judging.done()
    waiting.path.touch()
    assert judging.result(60) == "came"
