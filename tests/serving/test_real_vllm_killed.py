"""kill -9 of the real vLLM under load, of its server and of its engine: no answer that a client has in full is missing
in the log, the chain holds, and the next server goes on with it."""

import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import openai
import psycopg
import pytest

from policykit.audit import Record, Tampering, open_reader, parse, verify_log
from tests.audit.server import Server as Database
from tests.serving.real_vllm import Server, forked, spawned, vllm_served
from tests.serving.test_real_vllm import ACME, forbidden, write

pytestmark = pytest.mark.vllm
CLIENTS = 6
WARM_ANSWERS = 12
"""So many answers have come before anything is killed."""


class CutOff(Exception):
    """A stream that ended before its end."""


@dataclass
class Deployed:
    """Profiles and a log that outlive servers, and the records of the answers that clients have in full."""

    folder: Path
    log: str
    got: list[str] = field(default_factory=list[str])

    def served(self) -> Any:
        return vllm_served(self.folder, variables={"POLICYKIT_LOG": self.log})

    def served_as_by_users(self) -> Any:
        """On one of the logs every process is spawned: what ends with what depends on who has started it, and how."""
        begin = forked if self.log.startswith("postgresql:") else spawned
        return vllm_served(self.folder, variables={"POLICYKIT_LOG": self.log}, begin=begin)

    def kept(self) -> list[str]:
        """The requests of the log, whose chain has to hold."""
        reader = open_reader(self.log)
        assert verify_log(reader).fault is None
        found = [body.request for row in reader.rows() if isinstance(body := parse(row.record), Record)]
        reader.close()
        return found


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def deployed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("killed")
    write(folder)
    if request.param == "sqlite":
        yield Deployed(folder, str(folder / "log"))
        return
    database = Database()
    try:
        database.start()
        yield Deployed(folder, database.database("killed"))
    finally:
        database.remove()


def below(pid: int) -> dict[int, str]:
    """The processes that a process has started, and those that these have, with the names that they show."""
    found: dict[int, tuple[int, str]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            stat = (path / "stat").read_text()
            shown = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it has just ended
            continue
        found[int(path.name)] = int(stat.rpartition(")")[2].split()[1]), shown
    family = {pid}
    while more := {one for one, (parent, _) in found.items() if parent in family} - family:
        family |= more
    return {one: found[one][1] for one in family - {pid}}


def engine_of(server: Server) -> int:
    """The process of the engine's core."""
    (found,) = (pid for pid, shown in below(server.process.pid).items() if "EngineCore" in shown)
    return found


def wait_until_ended(pids: set[int]) -> None:
    until = time.monotonic() + 40
    while alive := {pid for pid in pids if Path(f"/proc/{pid}").exists() and not is_zombie(pid)}:
        assert time.monotonic() < until, f"{alive} still run"
        time.sleep(0.2)


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def ask(server: Server, stream: bool) -> tuple[str, str]:
    """The text of one answer and its record. Raises openai.APIError, httpx.HTTPError and CutOff where it is not
    whole."""
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key=ACME, max_retries=0, timeout=60)
    message: Any = {"role": "user", "content": "What returns can I expect?"}
    asked: dict[str, Any] = {"model": "profile:answer", "max_tokens": 24, "temperature": 1.0, "stream": stream}
    answer: Any = client.chat.completions.create(messages=[message], **asked)
    if not stream:
        return answer.choices[0].message.content, answer.model_extra["policykit"]["record"]
    events = list(answer)
    text = "".join(event.choices[0].delta.content or "" for event in events if event.choices)
    records = [event.model_extra["policykit"]["record"] for event in events if "policykit" in event.model_extra]
    if not records:
        raise CutOff
    return text, records[0]


def load(server: Server, over: threading.Event, got: list[str]) -> None:
    """One client, streams and others in turns, until it is over. ``got`` are the records of whole answers."""
    turn = 0
    while not over.is_set():
        turn += 1
        try:
            text, record = ask(server, stream=turn % 2 == 1)
        except (openai.APIError, httpx.HTTPError, CutOff):
            time.sleep(0.05)
            continue
        assert not forbidden(text)
        got.append(record)


def killed_under_load(deployed: Deployed, server: Server, pid: int) -> list[str]:
    """The records of the answers that clients have got in full, before the process was killed and after."""
    got, over = list[str](), threading.Event()
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(load, server, over, got) for _ in range(CLIENTS)]
        try:
            until = time.monotonic() + 60
            while len(got) < WARM_ANSWERS and time.monotonic() < until:
                time.sleep(0.05)
            time.sleep(0.7)
            os.kill(pid, signal.SIGKILL)
            time.sleep(2)
        finally:
            over.set()
        for client in clients:
            client.result()
    assert len(got) >= WARM_ANSWERS
    deployed.got += got
    return got


def check_nothing_is_lost(deployed: Deployed) -> None:
    kept = deployed.kept()
    assert set(deployed.got) <= set(kept)
    assert len(kept) == len(set(kept)), "a request is recorded once"


def test_a_server_that_is_killed_has_lost_nothing_that_it_answered(deployed: Deployed) -> None:
    with deployed.served_as_by_users() as server:
        started = below(server.process.pid)
        got = killed_under_load(deployed, server, server.process.pid)
        assert server.process.wait(10) == -signal.SIGKILL
        wait_until_ended(set(started))
    check_nothing_is_lost(deployed)
    print(f"{len(got)} answers, all of them in the log")


def test_an_engine_that_is_killed_takes_no_answer_with_it(deployed: Deployed) -> None:
    """The next server on the same log; without an engine it answers nothing, and ends."""
    with deployed.served_as_by_users() as server:
        started = below(server.process.pid)
        got = killed_under_load(deployed, server, engine_of(server))
        with pytest.raises((openai.APIError, httpx.HTTPError, CutOff)):
            ask(server, stream=False)
        server.process.wait(40)
        wait_until_ended(set(started))
    check_nothing_is_lost(deployed)
    print(f"{len(got)} answers, all of them in the log")


def test_a_server_starts_again_and_what_was_altered_is_found(deployed: Deployed) -> None:
    n_before = len(deployed.kept())
    with deployed.served() as server:
        deployed.got += [ask(server, stream)[1] for stream in (False, True)]
    check_nothing_is_lost(deployed)
    assert len(deployed.kept()) == n_before + 2
    altered = sequence_of(deployed, deployed.got[-1])
    alter(deployed.log, altered)
    fault = verify_log(open_reader(deployed.log)).fault
    assert fault is not None
    assert (fault.sequence, fault.kind, fault.request) == (altered, Tampering.ALTERED, deployed.got[-1])


def sequence_of(deployed: Deployed, request: str) -> int:
    reader = open_reader(deployed.log)
    (found,) = (row.sequence for row in reader.rows() if json.loads(row.record).get("request") == request)
    reader.close()
    return found


def alter(log: str, sequence: int) -> None:
    """Another tenant in one record, by somebody who may write to the database's files or tables."""
    change = "SET record = replace(record, '\"acme\"', '\"emca\"') WHERE sequence ="
    if log.startswith("postgresql:"):
        table = b"policykit_audit_entries"
        with psycopg.connect(log, autocommit=True) as connection:
            connection.execute(b"ALTER TABLE %b DISABLE TRIGGER ALL" % table)
            connection.execute(b"UPDATE %b %b %d" % (table, change.encode(), sequence))
        return
    for path in Path(log).glob("segment-*.db"):
        with sqlite3.connect(path) as connection:
            connection.execute("DROP TRIGGER entries_stay")
            connection.execute(f"UPDATE entries {change} {sequence}")
