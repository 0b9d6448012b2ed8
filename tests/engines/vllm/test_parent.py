"""An engine's process ends when its server was killed; any other process that a killed one has started goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SERVER = """\
import multiprocessing, sys, time
from policykit.engines.vllm.parent import end_with_parent

def engine(path):
    end_with_parent()
    with open(path, "w") as file:
        file.write(str(multiprocessing.current_process().pid))
    time.sleep(60)

if __name__ == "__main__":
    multiprocessing.get_context(sys.argv[3]).Process(target=engine, args=(sys.argv[1],), name=sys.argv[2]).start()
    time.sleep(60)
"""


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.parametrize(("name", "ends"), [("EngineCore", True), ("EngineCore_DP1", True), ("Job", False)])
def test_an_engine_ends_with_a_server_that_is_killed(tmp_path: Path, name: str, ends: bool, method: str) -> None:
    (tmp_path / "server.py").write_text(SERVER)
    told = tmp_path / "pid"
    server = subprocess.Popen(
        [sys.executable, str(tmp_path / "server.py"), str(told), name, method],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    try:
        until = time.monotonic() + 60
        while not (told.exists() and told.read_text()):
            assert time.monotonic() < until
            time.sleep(0.05)
        engine = int(told.read_text())
        assert is_alive(engine)
        server.kill()
        server.wait(10)
        until = time.monotonic() + (8 if ends else 1.5)
        while is_alive(engine) and time.monotonic() < until:
            time.sleep(0.05)
        assert is_alive(engine) is not ends
    finally:
        server.kill()
        if told.exists() and told.read_text() and is_alive(int(told.read_text())):
            os.kill(int(told.read_text()), signal.SIGKILL)
