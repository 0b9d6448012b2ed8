"""Grammars that take hours, or all memory, sent to the real vLLM: refused in time, while everything else goes on."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event
from typing import Any

import openai
import pytest

from policykit.profiles import digest_of_key
from tests.plan.test_compilers_end import is_gone
from tests.serving.pathological import EXCEEDING, REFUSED, quick
from tests.serving.real_vllm import Server, vllm_served
from tests.serving.test_real_vllm import ACME, client, write

pytestmark = pytest.mark.vllm
BOUNDS = {"POLICYKIT_COMPILE_DEADLINE_S": "10", "POLICYKIT_COMPILE_WAIT_S": "40", "POLICYKIT_COMPILE_MEMORY_MIB": "400"}
OTHER = "key-of-another"
KEYS = f"""\
apiVersion: policykit/v1
kind: Keys
keys: [{{id: another, sha256: {digest_of_key(OTHER)}, tenant: acme, profiles: [open, answer], default: open}}]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    write(folder)
    (folder / "other.keys.yaml").write_text(KEYS)
    for profile in folder.glob("*.profile.yaml"):  # an answer may take as long as a machine with other work wants
        profile.write_text(profile.read_text().replace("timeoutSeconds: 60", "timeoutSeconds: 300"))
    with vllm_served(folder, variables=BOUNDS) as found:
        yield found


def ask(server: Server, grammar: dict[str, Any] | None, key: str = OTHER, **more: Any) -> Any:
    asked: dict[str, Any] = {"model": "profile:open", "max_tokens": 30, **more}
    if grammar is not None:
        asked["extra_body"] = {"structured_outputs": grammar}
    question: Any = {"role": "user", "content": "What returns can I expect?"}
    return client(server, key).with_options(timeout=400).chat.completions.create(messages=[question], **asked)


def refused(server: Server, grammar: dict[str, Any]) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as raised:
        ask(server, grammar, ACME)
    return raised.value


def streams(server: Server, pieces: list[float], over: Event) -> None:
    """One stream after the other, and when each piece came."""
    while not over.is_set():
        for event in ask(server, None, model="profile:answer", max_tokens=60, temperature=1.0, stream=True):
            if event.choices:
                pieces.append(time.monotonic())


def compilers(pid: int) -> set[int]:
    """The processes that compile, below a server and its engines."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(stat[1]), (folder / "cmdline").read_bytes()
        except OSError:
            continue
    below, found = {pid}, set()
    while more := {one for one, (parent, _) in parents.items() if parent in below} - below:
        below |= more
        found |= {one for one in more if b"policykit.plan.compiling" in parents[one][1]}
    return found


def test_each_is_refused_and_streams_and_everyday_grammars_go_on(server: Server) -> None:
    assert ask(server, quick(0)).choices[0].message.content in ("yes", "no, 0")
    pieces: list[float] = []
    over, answered_between = Event(), 0
    grammars = {**EXCEEDING, **REFUSED}
    with ThreadPoolExecutor(len(grammars) + 1) as pool:
        streaming = pool.submit(streams, server, pieces, over)
        began = time.monotonic()
        asked: dict[str, Future[openai.APIStatusError]] = {
            name: pool.submit(refused, server, grammar) for name, grammar in grammars.items()
        }
        pending = set(asked.values())
        while pending:
            answered_between += 1
            said = ask(server, quick(answered_between)).choices[0].message.content
            assert said in ("yes", f"no, {answered_between}")
            pending = wait(pending, 0).not_done
        ended = time.monotonic()
        over.set()
        streaming.result()
    for name, one in asked.items():
        error: Any = one.result().body
        assert (one.result().status_code, error["code"]) == (400, "policykit_grammar_refused"), name
        if name in EXCEEDING:
            assert "PK209" in error["message"], name
    assert answered_between > 1, "grammars of everybody else were compiled meanwhile"
    assert len([at for at in pieces if began < at < ended]) > 20, "streams went on"
    assert server.is_healthy


def test_two_that_take_long_leave_a_process_to_others(server: Server) -> None:
    """As many at once as there are processes; what has been refused is refused at once from then on."""
    names = list(EXCEEDING)
    grammars = [{"grammar": EXCEEDING[name]["grammar"] + " " * n} for n in range(1, 3) for name in names]
    with ThreadPoolExecutor(len(grammars)) as pool:
        asked = [pool.submit(refused, server, grammar) for grammar in grammars]
        assert ask(server, quick(100)).choices[0].message.content in ("yes", "no, 100")
        assert not all(one.done() for one in asked), "it did not wait for them"
        assert all("PK209" in one.result().message for one in asked)
    began = time.monotonic()
    assert "PK209" in refused(server, grammars[0]).message
    assert time.monotonic() - began < float(BOUNDS["POLICYKIT_COMPILE_DEADLINE_S"])


def test_bad_bounds_stop_the_start(tmp_path: Path) -> None:
    write(tmp_path)
    wrong = {"POLICYKIT_COMPILE_MEMORY_MIB": "much"}
    with pytest.raises(RuntimeError, match="PK316"), vllm_served(tmp_path, variables=wrong):
        pass


def test_what_compiles_ends_with_a_server_that_is_killed(server: Server) -> None:
    """The last test with this server."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask, server, {"grammar": EXCEEDING["optional items"]["grammar"] + "   "})
        time.sleep(3)
        found = compilers(server.process.pid)
        assert len(found) >= 2
        os.kill(server.process.pid, signal.SIGKILL)
        assert isinstance(asked.exception(), openai.APIError)
    server.process.wait(30)
    assert all(map(is_gone, found))
