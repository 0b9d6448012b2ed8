"""Grammars that take long to compile: whoever brings one waits, within a limit, and nobody else does."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

from policykit.diagnostics import Place
from policykit.plan import Bounds, Compilers, Unread
from policykit.profiles import plans
from policykit.serving import judges
from policykit.serving.apart import N_OF_A_KEY
from policykit.serving.services import GuardSettings
from tests.serving.peer import Say
from tests.serving.running import World
from tests.serving.slow_reader import reads_slowly
from tests.serving.test_attested import attested


@dataclass
class Gate:
    """Compiling a grammar that has `slow` in it waits for a file, in another process."""

    path: Path

    @property
    def n_begun(self) -> int:
        return len(list(self.path.parent.glob("gate.*.begun")))

    def open(self) -> None:
        self.path.touch()

    def wait(self, n: int = 1) -> None:
        until = time.monotonic() + 30
        while self.n_begun < n and time.monotonic() < until:
            time.sleep(0.02)
        assert self.n_begun >= n


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    found, unread = Gate(tmp_path / "gate"), judges.unread

    def slow(form: str, source: str) -> Unread | None:
        if "slow" in source:
            return Unread(reads_slowly, (form, source, str(found.path)), Place("<request>"))
        return unread(form, source)

    compilers = Compilers(Bounds(deadline_s=120, wait_s=120))
    monkeypatch.setattr(judges, "unread", slow)
    monkeypatch.setattr(plans, "request_compilers", lambda: compilers)
    compilers.start()
    yield found
    found.open()
    compilers.close()


@pytest.fixture
def house(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "run").mkdir()
    settings = GuardSettings(grammar_s=getattr(request, "param", 120.0))
    with attested(tmp_path / "profiles", tmp_path / "run", settings=settings) as (world, engine):
        engine.say = Say(("slow",))
        yield world


def asks(house: World, choices: list[str] | None, key: str = "key-acme") -> Any:
    messages: Any = [{"role": "user", "content": "Say."}]
    more = {} if choices is None else {"structured_outputs": {"choice": choices}}
    chats = house.client(key).with_options(timeout=120).chat
    return chats.completions.create(model="profile:open", messages=messages, extra_body=more)


@pytest.mark.parametrize("house", [2.0], indirect=True)
def test_a_grammar_has_a_limit_and_is_there_the_next_time(house: World, gate: Gate) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        asks(house, ["slow", "fast"])
    assert refused.value.code == "policykit_grammar_refused"
    assert refused.value.param == "structured_outputs.choice"
    assert "PK209: the grammar was not compiled within 2 s" in refused.value.message
    assert (house.last.status, house.last.code) == (400, "policykit_grammar_refused")
    gate.open()
    assert asks(house, ["slow", "fast"]).choices[0].message.content == "slow"


def test_others_do_not_wait_for_it(house: World, gate: Gate) -> None:
    """More slow grammars of one key than can be compiled at once; beside them questions without one, and grammars of
    another key."""
    assert asks(house, None).choices[0].message.content == "slow"
    with ThreadPoolExecutor(12) as pool:
        slow = [pool.submit(asks, house, ["slow", str(at)]) for at in range(12)]
        gate.wait(N_OF_A_KEY)
        assert asks(house, None).choices[0].message.content == "slow"
        for n in range(3):
            assert asks(house, [f"fast {n}"], key="key-open").choices[0].message.content != "slow"
        assert not any(one.done() for one in slow), "nobody waited for those"
        assert gate.n_begun <= N_OF_A_KEY + 1, "of one key so many, and one that made room is begun anew"
        gate.open()
        assert {one.result().choices[0].message.content for one in slow if not one.exception()} == {"slow"}
    assert os.getpid() not in {int(path.name.split(".")[1]) for path in gate.path.parent.glob("gate.*.begun")}
