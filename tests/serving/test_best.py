"""The best of several answers by reward, through the guard on the real embedded model."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest

from policykit.audit import BestReport
from policykit.engines.server import EngineApp, load_engine
from policykit.ir.verdict import Decision
from policykit.profiles import Grant, Keyring, digest_of_key, load_profiles
from policykit.serving import Deployment, Guard, Kind, Serving
from policykit.serving.attestor import EngineAttestor
from policykit.serving.drawing import Drawing
from policykit.serving.log import AuditBook
from policykit.serving.rewards import RewardFiles, Rewards
from policykit.serving.upstream_app import AppUpstream
from tests.serving import drawn
from tests.serving.rewarding import Scores, named_only, profile
from tests.serving.running import Kept, served

torch = pytest.importorskip("torch", reason="the embedded model needs torch")

STRATEGIES = ("mask", "reject", "exact", "block", "auto")
BRIEF_S = 5.0
"""Long enough for a first text on a busy machine, and far too short for 64."""


def worth(text: str) -> float:
    """What may not be said is worth most; of the rest, what is long."""
    return 1000.0 + len(text) if drawn.BANNED.search(text + " ") else len(text) + text.count("e") / 100


@dataclass
class House:
    url: str
    log: Kept
    scores: Scores
    digest: str

    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=drawn.KEY, max_retries=0, timeout=60)

    def ask(self, name: str, **more: Any) -> Any:
        self.scores.asked.clear()
        asked: Any = {"model": f"profile:{name}", "messages": drawn.MESSAGES, **more}
        return self.client().chat.completions.create(**asked)

    def best(self) -> list[BestReport]:
        found = [report.best for report in self.log.accounts[-1].sampling]
        assert None not in found
        return [one for one in found if one is not None]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    torch.set_num_threads(1)
    folder, run = tmp_path_factory.mktemp("profiles"), tmp_path_factory.mktemp("run")
    drawn.write(folder)
    digest = named_only(folder / "helpful")
    for name in STRATEGIES:
        (folder / f"best-{name}.profile.yaml").write_text(profile(f"best-{name}", digest, name))
    hopeless = profile("hopeless", digest, "exact", policy="nothing", attempts=1)
    (folder / "hopeless.profile.yaml").write_text(hopeless)
    brief = profile("brief", digest, "exact", of=64, seconds=BRIEF_S)
    (folder / "brief.profile.yaml").write_text(brief)
    dear = profile("dear", digest, "exact", of=16, limits=", outputPrice: 1000000, maxCost: 200")
    (folder / "dear.profile.yaml").write_text(dear)
    falling = profile("falling", digest, "exact", more=", onError: fallback")
    (folder / "falling.profile.yaml").write_text(falling)
    names = (*(f"best-{name}" for name in STRATEGIES), "hopeless", "brief", "dear", "falling")
    keys = Keyring({digest_of_key(drawn.KEY): Grant("k", "acme", names, "best-exact")})
    deployment = Deployment(load_profiles(folder), keys, model="embedded")
    scores = Scores(worth)
    rewards = Rewards(RewardFiles({"helpful": folder / "helpful"}), lambda *about: scores)
    rewards.prepare(deployment)
    engine, log = load_engine("embedded", run), Kept()
    upstream, drawing = AppUpstream(EngineApp(engine), kind=Kind.VLLM), Drawing(lambda: engine.vocabulary)
    about: Any = {"attestor": EngineAttestor(run), "drawing": drawing, "rewards": rewards}
    with served(Guard(Serving(deployment), upstream, log, **about)) as url:
        yield House(url, log, scores, digest)
    engine.close()


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_best_of_what_passes_goes_out_and_nothing_else_whatever_its_score(house: House, name: str) -> None:
    answer = house.ask(f"best-{name}", seed=0)
    asked, (best,) = list(house.scores.asked), house.best()
    account = house.log.accounts[-1]
    assert len(asked) == 3, "so many were to be found"
    assert not any(drawn.BANNED.search(one.raw + " ") for _, one, _ in asked), "what fails is not even rewarded"
    assert all(one.verdict.decision in (Decision.ALLOW, Decision.TRANSFORM) for _, one, _ in asked)
    assert {prompt for prompt, _, _ in asked} == {drawn.MESSAGES[0]["content"]}
    expected = max(asked, key=lambda one: one[2])[1]
    assert answer.choices[0].message.content == expected.text
    assert "working days" not in expected.text
    assert sorted(best.scores) == sorted(score for _, _, score in asked)
    assert best.chosen is not None
    assert best.scores[best.chosen] == max(best.scores)
    assert (best.reward, best.digest, best.of) == ("helpful", house.digest, 3)
    (counted,) = [one for one in account.judged if one.counts and one.choice is not None]
    assert counted.text == expected.raw
    assert len([one for one in account.judged if one.choice is not None]) >= len({one.raw for _, one, _ in asked})
    n_refused = sum(n for _, n in account.sampling[0].refused)
    about = answer.model_extra["policykit"]
    assert about["best"] == [
        {"choice": 0, "reward": "helpful", "digest": house.digest, "of": 3, "scores": list(best.scores),
         "chosen": best.chosen, "missing": {}}
    ]  # fmt: skip
    assert AuditBook(Any).record(account).sampling == tuple(account.sampling)  # type: ignore[arg-type]
    assert (n_refused > 0) == (name != "mask"), "or nothing was held back"


@pytest.mark.parametrize("name", ["mask", "block"])
def test_a_stream_is_the_answer_that_was_chosen(house: House, name: str) -> None:
    whole = house.ask(f"best-{name}", seed=7)
    chunks = list(house.ask(f"best-{name}", seed=7, stream=True, stream_options={"include_usage": True}))
    pieces = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(piece.delta.content or "" for piece in pieces) == whole.choices[0].message.content
    assert pieces[-1].finish_reason == whole.choices[0].finish_reason
    told: list[Any] = [chunk.model_extra for chunk in chunks if chunk.choices]
    (about,) = [one["policykit"] for one in told if "policykit" in one]
    assert about["best"] == whole.model_extra["policykit"]["best"]
    assert chunks[-1].usage == whole.usage
    assert not house.log.accounts[-1].sampling[0].shown_early


@pytest.mark.parametrize("name", ["mask", "exact"])
def test_each_choice_is_the_best_of_texts_of_its_own(house: House, name: str) -> None:
    answer = house.ask(f"best-{name}", seed=3, n=2)
    asked, found = list(house.scores.asked), house.best()
    assert len(asked) == 6
    assert len({one.raw for _, one, _ in asked}) > 2
    assert [one.index for one in answer.choices] == [0, 1]
    assert [one["choice"] for one in answer.model_extra["policykit"]["best"]] == [0, 1]
    for index, choice in enumerate(answer.choices):
        own = asked[3 * index : 3 * index + 3]
        assert found[index].scores == tuple(score for _, _, score in own)
        assert choice.message.content == max(own, key=lambda one: one[2])[1].text
    counted = [one.choice for one in house.log.accounts[-1].judged if one.counts and one.choice is not None]
    assert sorted(counted) == [0, 1]


def test_more_is_looked_for_than_is_taken(house: House) -> None:
    """As a first answer that passes comes, the best of three is better; with equal scores the first stays."""
    before, house.scores.of = house.scores.of, lambda text: 0.5
    try:
        for name in ("mask", "exact"):
            answer = house.ask(f"best-{name}", seed=1)
            assert house.best()[0].chosen == 0
            assert answer.choices[0].message.content == house.scores.asked[0][1].text
    finally:
        house.scores.of = before


def broken(text: str) -> float:
    raise ValueError(f"no state for {text}")


def test_without_a_reward_nothing_is_chosen(house: House) -> None:
    before, house.scores.of = house.scores.of, broken
    try:
        with pytest.raises(openai.InternalServerError, match="`helpful`") as refused:
            house.ask("best-exact", seed=1, stream=True)
        assert refused.value.code == "policykit_reward_failed"
        assert house.log.accounts[-1].sampling[0].ending == "reward_failed"
        house.scores.of = lambda text: float("-inf")
        answer = house.ask("falling", seed=1)
        assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("—", "content_filter")
        assert house.best()[0].scores == ()
        assert not any(one.counts for one in house.log.accounts[-1].judged if one.choice is not None)
    finally:
        house.scores.of = before


def test_a_text_without_a_reward_is_missing_from_the_choice(house: House) -> None:
    """As where a rule that is a feature could not be judged."""
    before, n_asked = house.scores.of, itertools.count()
    house.scores.of = lambda text: float("-inf") if next(n_asked) == 0 else float(len(text))
    try:
        answer = house.ask("best-exact", seed=1)
    finally:
        house.scores.of = before
    without, *others = house.scores.asked
    assert without[2] == float("-inf")
    assert house.best()[0].scores == tuple(score for _, _, score in others)
    assert dict(house.best()[0].missing) == {"no_reward": 1}
    assert answer.choices[0].message.content == max(others, key=lambda one: one[2])[1].text


def test_little_legal_mass_is_the_fallback_and_nothing_was_scored(house: House) -> None:
    answer = house.ask("hopeless", seed=1)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("—", "content_filter")
    assert house.best()[0].scores == ()
    assert house.best()[0].chosen is None
    assert dict(house.best()[0].missing) == {"no_legal_mass": 3}


def test_where_time_or_cost_end_the_search_the_best_so_far_goes_out_for_each_choice(house: House) -> None:
    house.ask("best-exact", seed=1)  # a first request also waits for what all others use
    for name, of in (("brief", 64), ("dear", 16)):
        answer = house.ask(name, seed=1, n=2)
        account, found, asked = house.log.accounts[-1], house.best(), list(house.scores.asked)
        for best, choice in zip(found, answer.choices, strict=True):
            assert 0 < len(best.scores) < of
            assert dict(best.missing) == {"out_of_time" if name == "brief" else "out_of_tokens": of - len(best.scores)}
            own, asked = asked[: len(best.scores)], asked[len(best.scores) :]
            assert choice.message.content == max(own, key=lambda one: one[2])[1].text
            assert choice.finish_reason in ("stop", "length")
        assert account.seconds < BRIEF_S or name == "dear"
    assert account.cost == account.output_tokens <= 200


def test_a_request_for_the_same_answer_each_time_is_refused_by_name(house: House) -> None:
    for name in STRATEGIES:
        with pytest.raises(openai.BadRequestError, match="temperature"):
            house.ask(f"best-{name}", temperature=0)


def test_what_the_answer_goes_on_from_is_part_of_what_is_rewarded(house: House) -> None:
    begun: Any = {"role": "assistant", "content": "We will look into"}
    more: Any = {"continue_final_message": True, "add_generation_prompt": False}
    for name in ("mask", "exact"):
        house.scores.asked.clear()
        answer = house.client().chat.completions.create(
            model=f"profile:best-{name}", messages=[*drawn.MESSAGES, begun], seed=2, extra_body=more
        )
        prompts = {prompt for prompt, _, _ in house.scores.asked}
        assert prompts == {drawn.MESSAGES[0]["content"]}, "the message that is continued is no part of it"
        best = max(house.scores.asked, key=lambda one: one[2])[1]
        assert best.raw == begun["content"] + best.raw.removeprefix(begun["content"])
        assert answer.choices[0].message.content == best.text
    found = house.client().completions.create(model="profile:best-mask", prompt="We will look into", seed=2)
    assert {prompt for prompt, _, _ in house.scores.asked[-3:]} == {"We will look into"}
    assert found.choices[0].text
