"""Grammars that take long to compile: whoever brings one waits, within a limit, and nobody else does."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import openai
import pytest

from policykit.serving import judges
from policykit.serving.services import N_COMPILING, GuardSettings
from tests.serving.peer import Say
from tests.serving.running import World
from tests.serving.test_attested import attested

SLOW = '["slow", "%d"]'


@dataclass
class Gate:
    """Compiling a grammar that has `slow` in it waits for this."""

    open: Event
    n_begun: int = 0


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    found, compiled = Gate(Event()), judges.grammar_of

    def waits(form: str, source: str) -> Any:
        if "slow" in source:
            found.n_begun += 1
            found.open.wait(60)
        return compiled(form, source)

    monkeypatch.setattr(judges, "grammar_of", waits)
    yield found
    found.open.set()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[World]:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "run").mkdir()
    with attested(tmp_path / "profiles", tmp_path / "run", settings=GuardSettings(grammar_s=1.0)) as (world, engine):
        engine.say = Say(("slow",))
        yield world


def asks(house: World, choices: list[str] | None, model: str = "profile:open") -> Any:
    messages: Any = [{"role": "user", "content": "Say."}]
    more = {} if choices is None else {"structured_outputs": {"choice": choices}}
    return house.client().chat.completions.create(model=model, messages=messages, extra_body=more)


def test_a_grammar_has_a_limit_and_is_there_the_next_time(house: World, gate: Gate) -> None:
    began = time.monotonic()
    with pytest.raises(openai.BadRequestError) as refused:
        asks(house, ["slow", "fast"])
    assert refused.value.code == "policykit_grammar_refused"
    assert refused.value.param == "structured_outputs.choice"
    assert "was not compiled within 1 s" in refused.value.message
    assert time.monotonic() - began < 8
    assert (house.last.status, house.last.code) == (400, "policykit_grammar_refused")
    gate.open.set()
    assert asks(house, ["slow", "fast"]).choices[0].message.content == "slow"


def test_others_do_not_wait_for_it(house: World, gate: Gate) -> None:
    """More slow grammars than can be compiled at once, and a question without one beside them."""
    asks(house, None)
    with ThreadPoolExecutor(12) as pool:
        slow = [pool.submit(asks, house, ["slow", str(at)]) for at in range(12)]
        until = time.monotonic() + 10
        while not gate.n_begun and time.monotonic() < until:
            time.sleep(0.01)
        began = time.monotonic()
        assert asks(house, None).choices[0].message.content == "slow"
        seconds = time.monotonic() - began
        assert all(isinstance(one.exception(), openai.BadRequestError) for one in slow)
    assert seconds < 3
    assert gate.n_begun == N_COMPILING, "what nobody waits for any more is not begun"
