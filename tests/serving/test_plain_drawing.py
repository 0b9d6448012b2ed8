"""Strategies that go back before a server that knows nothing of policykit, and what is refused before it listens."""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

import policykit as pk
from policykit.audit import SamplingReport
from policykit.decoding.blocks import block_starts
from policykit.embedded import model_path
from policykit.engines.attest import WHOLE
from policykit.profiles import load_profiles
from policykit.serving import Deployment, Guard, Serving
from policykit.serving.can_draw import check_strategies
from policykit.serving.drawing import Drawing
from policykit.serving.plain_drawing import check_draws, tokenizer_of
from policykit.serving.rewards import RewardFiles, Rewards
from policykit.serving.run import gateway
from policykit.serving.upstream_app import AppUpstream
from tests.serving import drawn
from tests.serving.plain_model import PlainModel
from tests.serving.rewarding import Scores, named_only, profile
from tests.serving.running import Kept, served

torch = pytest.importorskip("torch", reason="the embedded model needs torch")

NAMES = ("exact", "block", "auto")


@dataclass
class House:
    url: str
    log: Kept
    model: PlainModel

    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=drawn.KEY, max_retries=0, timeout=60)

    def last(self) -> tuple[str, tuple[SamplingReport, ...], str]:
        account = self.log.accounts[-1]
        return account.outcome.value, tuple(account.sampling), account.mask


@pytest.fixture(scope="module")
def model() -> PlainModel:
    torch.set_num_threads(1)
    return PlainModel()


@pytest.fixture(scope="module")
def profiles(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("profiles")
    drawn.write(folder)
    return load_profiles(folder)


@pytest.fixture(scope="module")
def house(profiles: Any, model: PlainModel) -> Iterator[House]:
    """Guard and model over HTTP, put together as `policykit serve --upstream` does it."""
    log = Kept()
    with served(model) as upstream:
        found = gateway(upstream, None, "embedded", Path(model_path()))
        serving = Serving(Deployment(profiles, drawn.keys(), model="embedded"))
        with served(Guard(serving, found.upstream, log, drawing=found.drawing)) as url:
            yield House(url, log, model)


@pytest.mark.parametrize("name", NAMES)
def test_answers_hold_the_plan_and_the_record_says_what_they_cost(house: House, name: str) -> None:
    drawn.check_answers(house.client(), name, house.last)


@pytest.mark.parametrize("name", NAMES)
def test_little_legal_mass_ends_with_a_name_and_a_bound(house: House, name: str) -> None:
    drawn.check_hopeless(house.client(), name, house.last)
    drawn.check_least(house.client(), name, house.last)


def test_reject_asks_for_whole_answers(house: House) -> None:
    before = len(house.model.bodies)
    text, _ = drawn.said(house.client(), "reject", seed=3)
    assert not drawn.BANNED.search(text + " ") or text == "—"
    assert all("logit_bias" not in body for body in house.model.bodies[before:])


def test_every_request_is_on_record_and_a_ban_is_for_one_token(house: House) -> None:
    before = len(house.model.bodies)
    house.client().chat.completions.create(model="profile:exact", messages=drawn.MESSAGES, seed=3, n=2)
    account, bodies = house.log.accounts[-1], house.model.bodies[before:]
    assert len(account.attempts) == len(bodies) - 1, "and one for the prompt's tokens"
    assert account.strategy == "exact"
    assert [report.choice for report in account.sampling] == [0, 1]
    assert sum(report.attempts for report in account.sampling) <= len(account.attempts)
    banned = [body for body in bodies if body.get("logit_bias")]
    assert banned, "something was refused"
    assert {body["max_tokens"] for body in banned} == {1}
    seeds = [body["seed"] for body in bodies[1:]]
    assert len(set(seeds)) == len(seeds), "no two draws by one number"


def test_the_upstream_is_let_go_of_behind_a_refused_token(house: House) -> None:
    before, before_bodies, n_refused = len(house.model.drawn), len(house.model.bodies), 0
    for seed in range(6):
        drawn.said(house.client(), "exact", seed=seed)
        n_refused += sum(n for _, n in house.last()[1][0].refused)
    assert n_refused > 0
    asked = [body["max_tokens"] for body in house.model.bodies[before_bodies:]]
    short = [n for n, most in zip(house.model.drawn[before:], asked, strict=True) if 1 < n < most]
    assert len(short) >= n_refused


def test_block_shows_sentences_early_and_takes_nothing_back(house: House) -> None:
    n_early = 0
    for seed in range(8):
        asked: Any = {"model": "profile:block", "messages": drawn.MESSAGES, "seed": seed, "stream": True}
        chunks = [c for c in house.client().chat.completions.create(**asked) if c.choices]
        pieces = [c.choices[0].delta.content or "" for c in chunks]
        assert not drawn.BANNED.search("".join(pieces) + " ")
        (report,) = house.last()[1]
        assert report.ending == "accepted"
        if report.shown_early:
            n_early += 1
            first = next(piece for piece in pieces if piece)
            assert len(block_starts([bytes([byte]) for byte in first.encode()])) > 1, "whole sentences"
    assert n_early > 0


def test_the_best_of_what_passes_is_drawn_token_by_token(model: PlainModel, tmp_path: Path) -> None:
    """Before a server whose tokenizer is not named, such a profile is refused."""
    drawn.write(tmp_path)
    digest, scores = named_only(tmp_path / "helpful"), Scores(len)
    (tmp_path / "masked.profile.yaml").write_text(profile("masked", digest, "exact"))
    deployment = Deployment(load_profiles(tmp_path), drawn.keys(), model="embedded")
    rewards = Rewards(RewardFiles({"helpful": tmp_path / "helpful"}), lambda *about: scores)
    rewards.prepare(deployment)
    log, drawing = Kept(), Drawing(tokenizer_of(Path(model_path())), is_plain=True)
    guard = Guard(Serving(deployment), AppUpstream(model), log, drawing=drawing, rewards=rewards)
    scores.asked.clear()
    with served(guard) as url:
        text, _ = drawn.said(House(url, log, model).client(), "masked", seed=1)
    (report,) = log.accounts[-1].sampling
    assert len(scores.asked) == 3
    assert text == max(scores.asked, key=lambda one: one[2])[1].text
    assert report.best is not None
    assert sorted(report.best.scores) == sorted(score for _, _, score in scores.asked)
    with pytest.raises(pk.PolicyError, match=r"PK722.*`exact`"):
        check_strategies(deployment.profiles, None)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("status", "answers 400"),
        ("silent", "does not say its tokens"),
        ("ids", "and another one to the tokenizer"),
        ("prompt", "adds tokens of its own"),
        ("bans", "`logit_bias` bans"),
        ("processed", "not the model's own"),
        ("nan", "no numbers"),
    ],
)
def test_what_an_upstream_cannot_do_is_refused_by_name(model: PlainModel, wrong: str, said: str) -> None:
    other = PlainModel(model.engine, wrong)
    vocabulary = tokenizer_of(Path(model_path()))()
    asyncio.run(check_draws(AppUpstream(model), vocabulary, "m"))
    with pytest.raises(pk.PolicyError, match=f"(?s)PK722.*{said}"):
        asyncio.run(check_draws(AppUpstream(other), vocabulary, "m"))


def test_an_upstream_that_is_not_there_and_a_tokenizer_that_is_not_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(pk.PolicyError, match="PK722"):
        gateway("http://127.0.0.1:9", None, "m", Path(model_path()))
    with pytest.raises(pk.PolicyError, match="PK40"):
        gateway("http://127.0.0.1:9", None, "m", tmp_path)


def test_an_end_that_the_tokenizer_does_not_know_is_no_answer(profiles: Any, model: PlainModel) -> None:
    """A text that ended by itself would be taken for one that was cut."""
    serving, log = Serving(Deployment(profiles, drawn.keys(), model="embedded")), Kept()
    drawing = Drawing(tokenizer_of(Path(model_path())), is_plain=True)
    guard = Guard(serving, AppUpstream(PlainModel(model.engine, "ends")), log, drawing=drawing)
    codes = set[str | None]()
    with served(guard) as url:
        for seed in range(8):
            try:
                drawn.said(House(url, log, model).client(), "exact", seed=seed)
            except openai.APIStatusError as refused:
                codes.add(refused.code)
    assert codes == {"policykit_upstream_malformed"}


def test_settings_that_mean_nothing_there_are_refused_before_it_listens(tmp_path: Path) -> None:
    drawn.write(tmp_path)
    hot = drawn.PROFILE % ("hot", "words", "exact, temperature: 0.7", 3)
    (tmp_path / "hot.profile.yaml").write_text(hot)
    drawing = Drawing(tokenizer_of(Path(model_path())), is_plain=True)
    with pytest.raises(pk.PolicyError) as raised:
        check_strategies(load_profiles(tmp_path), drawing)
    assert {Path(d.place.file).name: d.message for d in raised.value.diagnostics if d.place} == {
        "hot.profile.yaml": "the upstream can be drawn from by `exact` at a temperature of 1 only",
        "least-reject.profile.yaml": "`minLegalMass` means nothing where whole answers are rejected: "
        "they prove next to nothing",
    }
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize(("field", "value"), [("top_p", 0.9), ("temperature", 0.5), ("stop", ["."])])
def test_what_would_bend_the_distribution_is_refused_by_name(house: House, field: str, value: object) -> None:
    for name in NAMES:
        with pytest.raises(openai.BadRequestError, match=f"{field}.*{name}"):
            drawn.said(house.client(), name, **{field: value})


@pytest.mark.parametrize("name", ["exact", "reject", "masked"])
def test_texts_are_drawn_from_all_that_the_model_would_say(house: House, name: str) -> None:
    """What a request leaves unsaid the server takes from the model's folder: here a top-k of 1, under which every seed
    has one text. Also where the profile's answers are asked for whole."""
    length = 8 if name == "exact" else 2  # short enough to be let through
    found = {drawn.said(house.client(), name, seed=seed, max_tokens=length)[0] for seed in range(8)}
    assert len(found) > 1
    asked = [body for body in house.model.bodies if body["max_tokens"] == length]
    assert asked
    assert all(body[setting] == value for body in asked for setting, value in WHOLE.items())
    if name == "exact":
        return
    drawn.said(house.client(), name, seed=1, max_tokens=9, presence_penalty=0.5)
    assert next(body for body in house.model.bodies if body["max_tokens"] == 9)["presence_penalty"] == 0.5
