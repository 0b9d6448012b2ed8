"""Strategies that go back, through the guard on the real embedded model: streamed and whole, recorded, refused."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

import policykit as pk
from policykit.audit import SamplingReport
from policykit.decoding import Auto, Block, Settings
from policykit.decoding.blocks import block_starts
from policykit.engines.server import EngineApp, load_engine
from policykit.profiles import Decoding, Strategy, load_profiles
from policykit.serving import Deployment, Guard, Kind, Serving
from policykit.serving.attestor import EngineAttestor
from policykit.serving.can_draw import check_strategies, strategy_of
from policykit.serving.drawing import Drawing
from policykit.serving.upstream_app import AppUpstream
from tests.serving import drawn
from tests.serving.running import Kept, served

torch = pytest.importorskip("torch", reason="the embedded model needs torch")


@dataclass
class House:
    url: str
    log: Kept

    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=drawn.KEY, max_retries=0, timeout=60)

    def last(self) -> tuple[str, tuple[SamplingReport, ...], str]:
        account = self.log.accounts[-1]
        return account.outcome.value, tuple(account.sampling), account.mask


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("profiles")
    drawn.write(folder)
    return folder


@pytest.fixture(scope="module")
def house(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    torch.set_num_threads(1)
    run = tmp_path_factory.mktemp("run")
    engine, log = load_engine("embedded", run), Kept()
    serving = Serving(Deployment(load_profiles(folder), drawn.keys(), model="embedded"))
    upstream = AppUpstream(EngineApp(engine), kind=Kind.VLLM)
    drawing = Drawing(lambda: engine.vocabulary)
    with served(Guard(serving, upstream, log, attestor=EngineAttestor(run), drawing=drawing)) as url:
        yield House(url, log)
    engine.close()


@pytest.mark.parametrize("name", drawn.NAMES)
def test_answers_hold_the_plan_and_the_record_says_what_they_cost(house: House, name: str) -> None:
    drawn.check_answers(house.client(), name, house.last)


@pytest.mark.parametrize("name", drawn.NAMES)
def test_almost_no_legal_mass_is_a_fallback_with_a_name_and_a_bound(house: House, name: str) -> None:
    drawn.check_hopeless(house.client(), name, house.last)


@pytest.mark.parametrize("name", drawn.NAMES)
def test_less_legal_mass_than_the_profile_asks_for_ends_early(house: House, name: str) -> None:
    drawn.check_least(house.client(), name, house.last)


def test_the_defaults_of_profiles_are_those_of_strategies() -> None:
    assert strategy_of(Decoding(Strategy.BLOCK)) == Block()
    assert strategy_of(Decoding(Strategy.AUTO)) == Auto()
    assert Decoding().min_legal_mass == Settings().min_legal_mass


def test_block_shows_sentences_early_and_takes_nothing_back(house: House) -> None:
    """What came out piece by piece is the answer; some of it came before the last sentence was drawn."""
    n_early = 0
    for seed in range(8):
        asked: Any = {"model": "profile:block", "messages": drawn.MESSAGES, "seed": seed, "stream": True}
        pieces = [
            c.choices[0].delta.content or "" for c in house.client().chat.completions.create(**asked) if c.choices
        ]
        text = "".join(pieces)
        assert not drawn.BANNED.search(text + " ")
        (report,) = house.last()[1]
        assert report.ending == "accepted"
        if report.shown_early:
            n_early += 1
            assert sum(bool(piece) for piece in pieces) > 1
            first = next(piece for piece in pieces if piece)
            assert len(block_starts([bytes([byte]) for byte in first.encode()])) > 1, "whole sentences"
    assert n_early > 0


def test_every_attempt_is_counted(house: House) -> None:
    house.client().chat.completions.create(model="profile:exact", messages=drawn.MESSAGES, seed=3, n=2)
    account = house.log.accounts[-1]
    assert [report.choice for report in account.sampling] == [0, 1]
    assert sum(report.attempts for report in account.sampling) == len(account.attempts)
    assert account.output_tokens == sum(attempt.output_tokens for attempt in account.attempts)
    judged = [one for one in account.judged if one.counts and one.choice is not None]
    assert [one.choice for one in judged] == [0, 1]
    assert {one.verdict.digest for one in account.judged} == {account.about.plan_digest}


@pytest.mark.parametrize(
    ("field", "value"), [("top_p", 0.9), ("temperature", 0.0), ("stop", ["."]), ("presence_penalty", 1.0)]
)
def test_what_would_bend_the_distribution_is_refused_by_name(house: House, field: str, value: object) -> None:
    for name in ("exact", "block", "auto"):
        with pytest.raises(openai.BadRequestError, match=f"{field}.*{name}"):
            drawn.said(house.client(), name, **{field: value})
    if field != "presence_penalty":  # which this engine does not know
        drawn.said(house.client(), "masked", max_tokens=4, **{field: value})


def test_a_completion_goes_on_from_its_prompt(house: House) -> None:
    """The text is drawn behind the prompt, and a match across the two is refused."""
    for seed in range(4):
        found = house.client().completions.create(model="profile:exact", prompt="I wish to thank", seed=seed)
        assert not drawn.BANNED.search(f"I wish to thank{found.choices[0].text} ")


def test_an_upstream_that_cannot_draw_is_refused_when_it_starts_and_when_it_is_asked(folder: Path) -> None:
    profiles = load_profiles(folder)
    with pytest.raises(pk.PolicyError) as raised:
        check_strategies(profiles, None)
    assert {d.code for d in raised.value.diagnostics} == {"PK722"}
    assert len(raised.value.diagnostics) == 10, "reject asks a plain upstream for whole answers"
    serving = Serving(Deployment(profiles, drawn.keys(), model="m"))

    async def nothing(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("nothing is asked")

    log = Kept()
    with served(Guard(serving, AppUpstream(nothing), log)) as url, pytest.raises(openai.InternalServerError) as refused:
        drawn.said(House(url, log).client(), "block")
    assert refused.value.code == "policykit_strategy_refused"


def test_a_client_that_leaves_ends_the_sampling(house: House) -> None:
    """No attempt is begun for nobody."""

    async def leaves() -> None:
        client = openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key=drawn.KEY, max_retries=0)
        asked: Any = {"model": "profile:no-exact", "messages": drawn.MESSAGES}
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.chat.completions.create(**asked), 0.05)
        await client.close()

    n_before = len(house.log.accounts)
    asyncio.run(leaves())
    for _ in range(200):
        if len(house.log.accounts) > n_before:
            break
        asyncio.run(asyncio.sleep(0.05))
    assert house.log.accounts[-1].outcome.value in ("disconnected", "fallback")
    text, _ = drawn.said(house.client(), "exact", seed=1)
    assert text


def test_a_profile_s_settings_reach_the_strategy() -> None:
    block = strategy_of(Decoding(Strategy.BLOCK, n_failures=5, min_legal=0.2))
    assert (block.n_failures, block.min_legal) == (5, 0.2)  # type: ignore[union-attr]
    auto = strategy_of(Decoding(Strategy.AUTO, n_failures=4, n_exact=7))
    assert (auto.n_exact, auto.block.n_failures) == (7, 4)  # type: ignore[union-attr]


def test_strategies_take_no_thread_that_their_own_draws_wait_for(folder: Path, tmp_path: Path) -> None:
    """The server has one thread for everybody's judgements. Many strategies at once take as many threads as there are;
    what they draw, and everybody else, waits for none of them."""
    engine, log = load_engine("embedded", tmp_path), Kept()
    serving = Serving(Deployment(load_profiles(folder), drawn.keys(), model="embedded"))
    upstream, drawing = AppUpstream(EngineApp(engine), kind=Kind.VLLM), Drawing(lambda: engine.vocabulary)
    guard = Guard(serving, upstream, log, attestor=EngineAttestor(tmp_path), drawing=drawing)

    async def with_one_thread(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        await guard(scope, receive, send)

    try:
        with served(with_one_thread) as url, ThreadPoolExecutor(3) as pool:
            client, asked = House(url, log).client(), ("exact", "block", "masked")
            found = [pool.submit(drawn.said, client, name, max_tokens=20, stream=name == "block") for name in asked]
            assert all(one.result()[0] for one in found)
        assert {(report.strategy, report.ending) for one in log.accounts for report in one.sampling} == {
            ("exact", "accepted"),
            ("block", "accepted"),
        }
    finally:
        engine.close()
