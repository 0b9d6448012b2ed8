"""kill -9 under load: what was acknowledged is there, and the chain holds."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from policykit.audit import open_log, open_reader, verify_log
from tests.audit.records import plain
from tests.audit.server import Server

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Writer:
    """A process that appends, and the file to which it writes a line after each acknowledgement."""

    process: "subprocess.Popen[bytes]"
    file: Path

    @staticmethod
    def start(file: Path, address: str, name: str, segment_bytes: int = 256 << 20) -> "Writer":
        with file.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.audit.write_forever", address, name, str(segment_bytes)],
                cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=out, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        return Writer(process, file)

    def wait_until_it_writes(self) -> None:
        while b"\n" not in self.file.read_bytes():
            assert self.process.poll() is None
            time.sleep(0.01)

    def acknowledged(self) -> dict[int, tuple[str, str]]:
        """Hash and request by number. A line that was cut off counts for nothing."""
        self.process.wait(60)
        lines = [line.split(" ") for line in self.file.read_text().split("\n")[1:-1]]
        return {int(sequence): (hash, request) for sequence, hash, request in lines}


def killed(running: list[Writer], after_s: float) -> dict[int, tuple[str, str]]:
    """What the processes acknowledged until they were killed, by number."""
    for one in running:
        one.wait_until_it_writes()
    time.sleep(after_s)
    for one in running:
        one.process.kill()
    found = [one.acknowledged() for one in running]
    assert [one.process.returncode for one in running] == [-signal.SIGKILL] * len(running)
    together = {number: what for one in found for number, what in one.items()}
    assert len(together) == sum(map(len, found)), "two records were given the same number"
    return together


def check(address: str, acknowledged: dict[int, tuple[str, str]]) -> None:
    reader = open_reader(address)
    assert verify_log(reader).fault is None
    kept = {row.sequence: (row.hash.hex(), json.loads(row.record)["request"]) for row in reader.rows()}
    reader.close()
    assert {n: kept.get(n) for n in acknowledged} == acknowledged
    log = open_log(address)
    assert log.append(plain()).sequence == len(kept) + 1
    log.close()


@pytest.mark.slow
def test_no_acknowledged_record_is_lost(tmp_path: Path) -> None:
    """Two processes with six threads each, killed three times, over segments that are often full."""
    chance = random.Random(660)
    total = 0
    acknowledged: dict[int, tuple[str, str]] = {}
    for run in range(3):
        running = [Writer.start(tmp_path / name, str(tmp_path / "log"), f"{run}{name}", 300_000) for name in "ab"]
        new = killed(running, chance.uniform(0.2, 1.5))
        assert not new.keys() & acknowledged.keys()
        acknowledged |= new
        check(str(tmp_path / "log"), acknowledged)
        total += len(new)
    assert total > 200
    assert len(list((tmp_path / "log").glob("segment-*.db"))) > 1


@pytest.mark.slow
def test_no_record_that_a_server_acknowledged_is_lost(tmp_path: Path) -> None:
    """Two writers and the server itself."""
    server = Server()
    try:
        server.start()
        address = server.database("killed")
        open_log(address).close()
        acknowledged = killed([Writer.start(tmp_path / name, address, name) for name in "ab"], 1.5)
        assert len(acknowledged) > 50
        check(address, acknowledged)
        running = [Writer.start(tmp_path / name, address, name) for name in "cd"]
        for one in running:
            one.wait_until_it_writes()
        time.sleep(1)
        server.kill()
        more = [one.acknowledged() for one in running]
        assert sum(map(len, more)) > 20
        server.start()
        check(address, acknowledged | more[0] | more[1])
    finally:
        server.remove()
