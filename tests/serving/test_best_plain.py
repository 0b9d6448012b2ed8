"""The best of several answers before a server that knows nothing of policykit: whole outputs, each a request."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import openai
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from policykit.profiles import Best, Grant, Keyring, digest_of_key, load_profiles
from policykit.serving import Deployment, Guard, Serving
from policykit.serving.choosing import Choosing, _Candidate, _Place, _Whole
from policykit.serving.errors import MASK_FAILED, UpstreamFault
from policykit.serving.exchange import Account, Exchange
from policykit.serving.hooks import About
from policykit.serving.judging import Failed
from policykit.serving.reward import Reward
from policykit.serving.rewards import RewardFiles, Rewards
from policykit.serving.routes.shape import Choice
from policykit.serving.upstream_http import HttpUpstream
from policykit.serving.wire import FinishReason
from tests.serving.peer import Json, Peer, Say
from tests.serving.rewarding import Scores, named_only, profile
from tests.serving.running import POLICIES, Kept, served

KEY = "key-acme"
SEED = "seed: 0\n  maxTokens"
PROFILES: dict[str, dict[str, Any]] = {
    "masked": {"strategy": "mask", "attempts": 1},
    "rejected": {"strategy": "reject", "attempts": 3},
    "falling": {"strategy": "mask", "attempts": 1, "more": ", onError: fallback"},
    "dear": {"strategy": "mask", "of": 8, "limits": ", outputPrice: 1000000, maxCost: 100"},
    "brief": {"strategy": "mask", "attempts": 3, "seconds": 1},
}
BANNED, STOPPED, CHANGED = "guaranteed returns", "project aurora", "code 1234"


@dataclass
class House:
    url: str
    peer: Peer
    log: Kept
    scores: Scores

    def ask(self, name: str = "masked", **more: Any) -> Any:
        client = openai.OpenAI(base_url=f"{self.url}/v1", api_key=KEY, max_retries=0, timeout=30)
        asked: Any = {"model": f"profile:{name}", "messages": [{"role": "user", "content": "Well?"}], **more}
        return client.chat.completions.create(**asked)

    def says(self, *texts: str) -> None:
        """To the request of each seed another text."""
        self.peer.answer = lambda body: Say((texts[body["seed"] % len(texts)],) * body["n"])

    @property
    def best(self) -> Any:
        return self.log.accounts[-1].sampling[0].best


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder, peer, log = tmp_path_factory.mktemp("profiles"), Peer(), Kept()
    (folder / "house.policy.yaml").write_text(POLICIES)
    digest = named_only(folder / "helpful")
    for name, about in PROFILES.items():
        text = profile(name, digest, policy="house", **about).replace("maxTokens", SEED)
        (folder / f"{name}.profile.yaml").write_text(text)
    prompted = profile("prompted", digest, "mask", policy="house") + "systemPrompt: {id: p1, text: Be kind.}\n"
    (folder / "prompted.profile.yaml").write_text(prompted)
    names = (*PROFILES, "prompted")
    deployment = Deployment(load_profiles(folder), Keyring({digest_of_key(KEY): Grant("k", "a", names, "masked")}))
    scores = Scores(len)
    rewards = Rewards(RewardFiles({"helpful": folder / "helpful"}), lambda *about: scores)
    rewards.prepare(deployment)
    with ExitStack() as stack:
        upstream = HttpUpstream(stack.enter_context(served(peer)))
        serving = Serving(Deployment(deployment.profiles, deployment.keys, model="m"))
        url = stack.enter_context(served(Guard(serving, upstream, log, rewards=rewards)))
        yield House(url, peer, log, scores)


@pytest.fixture(autouse=True)
def fresh(house: House) -> None:
    house.peer.answer = Peer().answer
    house.peer.requests.clear()
    house.log.accounts.clear()
    house.scores.asked.clear()
    house.scores.of = len


WORDS = st.sampled_from(["well", "good", "returns", BANNED, CHANGED, "guaranteed", "returns.", "certain", "profit"])
TEXTS = st.lists(WORDS, min_size=1, max_size=5).map(" ".join)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(TEXTS, min_size=3, max_size=3), st.permutations(range(3)), st.booleans())
def test_what_goes_out_passes_and_no_passing_text_has_a_higher_score(
    house: House, texts: list[str], order: list[int], stream: bool
) -> None:
    """Scores are given to texts by lot: those that may not be said among them."""
    house.says(*texts)
    worth = {text: order[at] for at, text in enumerate(texts)}
    house.scores.of = worth.__getitem__
    answer = house.ask(stream=stream)
    if stream:
        said = "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
    else:
        said = answer.choices[0].message.content
    passing = [text for text in texts if BANNED not in text and "certain profit" not in text]
    expected = max(passing, key=worth.__getitem__, default="—")
    assert said == expected.replace(CHANGED, "[CODE]")
    assert list(house.best.scores) == [worth[text] for text in passing]


def test_every_request_has_a_seed_of_its_own_and_asks_for_one_text(house: House) -> None:
    house.says("well", f"so {BANNED}", "good", "fine", "so")
    house.ask("rejected", n=2)
    account, seeds = house.log.accounts[-1], [body["seed"] for body in house.peer.bodies]
    assert len(set(seeds)) == len(seeds) == len(account.attempts) == sum(one.attempts for one in account.sampling)
    assert {body["n"] for body in house.peer.bodies} == {1}
    assert not any(body["stream"] for body in house.peer.bodies)
    assert sorted(attempt.number for attempt in account.attempts) == list(range(1, len(seeds) + 1))
    assert sum(one.tokens for one in account.sampling) == account.output_tokens == 11 * len(seeds)
    for report in account.sampling:
        assert report.best is not None
        assert len(report.best.scores) == 3, "what is refused is asked for again"
        assert dict(report.refused).keys() <= {"no-promises"}


def test_a_rule_that_ends_the_answer_ends_it_whatever_else_there_is(house: House) -> None:
    texts = ("well", f"of {STOPPED}", "good")
    house.peer.answer = lambda body: Say((texts[body["seed"]],), stall_s=0.0 if body["seed"] == 1 else 0.1)
    answer = house.ask()
    assert answer.choices[0].message.content == "I cannot speak about that."
    about = answer.model_extra["policykit"]
    assert (about["rules"], about["decision"]) == (["no-secrets"], "block"), "the others are no part of the answer"
    assert (house.log.accounts[-1].outcome.value, house.best.chosen) == ("blocked", None)
    assert house.log.accounts[-1].sampling[0].ending == "stopped"
    assert house.best.missing == (("stopped", 3),)
    assert not house.scores.asked


def test_a_server_that_fails_for_some_texts_leaves_the_choice_among_the_others(house: House) -> None:
    house.peer.answer = lambda body: Say(("well",)) if body["seed"] == 1 else Say(status=503)
    assert house.ask().choices[0].message.content == "well"
    assert (house.best.scores, house.best.missing) == ((4.0,), (("policykit_upstream_busy", 2),))
    assert sorted(one.failed or "" for one in house.log.accounts[-1].attempts) == ["", *["policykit_upstream_busy"] * 2]
    house.peer.answer = lambda body: Say(status=503)
    with pytest.raises(openai.InternalServerError) as refused:
        house.ask()
    assert refused.value.code == "policykit_upstream_busy"


def test_a_choice_without_a_mask_fails_for_itself_where_others_have_texts(house: House) -> None:
    """Of a text alone the engine says that as a fault; where no choice has any text, so does the request."""
    fault, gone = UpstreamFault(MASK_FAILED, "no mask"), UpstreamFault("policykit_upstream_busy", "no", 503)
    passed = _Candidate(Choice(0, {}, (), FinishReason.STOP), 1, None)  # type: ignore[arg-type]
    exchange: Any = Exchange(Account(About("r", "/")), house.log, ())

    def of(found: dict[int, Any], other: dict[int, Any]) -> Any:
        choosing = Choosing(Best(3, "helpful", "d"), Reward("helpful", "d", house.scores), "", "", inf)
        places = [_Place(other), _Place(found, by=dict.fromkeys(found, 1))]
        asking: Any = SimpleNamespace(exchange=exchange)
        return asyncio.run(_Whole(asking, choosing, places)._chosen(1, places[1]))

    assert of({0: fault, 1: fault}, {0: passed}) == Failed(MASK_FAILED, None, final=True)
    alone = Failed(MASK_FAILED, None, final=True)
    assert of({0: alone}, {0: passed}) is alone
    assert exchange.account.sampling[-1].ending == "out_of_attempts"
    for found, other in (({0: fault}, {0: fault}), ({0: fault, 1: gone}, {}), ({1: gone}, {0: passed})):
        with pytest.raises(UpstreamFault):
            of(found, other)


def test_no_more_texts_are_asked_for_than_the_cost_allows(house: House) -> None:
    """Each may have 40 tokens: of 100 two fit, and a third that is cut for its cost would be no other one to choose."""
    house.says("well", "good", "better")
    house.ask("dear")
    assert [body["max_tokens"] for body in house.peer.bodies] == [40, 40]
    assert len(house.best.scores) == 2
    assert house.best.missing == (("out_of_tokens", 6),)


def test_of_texts_that_do_not_pass_it_is_said_that_their_attempts_are_used_up(house: House) -> None:
    house.says("well", f"so {BANNED}", "good")
    assert house.ask().model_extra["policykit"]["best"][0]["missing"] == {"out_of_attempts": 1}
    assert len(house.best.scores) == 2


def test_a_reward_that_hangs_ends_at_the_profiles_time_and_keeps_no_other_request_waiting(house: House) -> None:
    """`masked` has a minute: who waited for the model would not be answered before the client's 30 seconds."""
    go_on = Event()

    def hangs(text: str) -> float:
        assert go_on.wait(60)
        return 1.0

    house.scores.of = hangs
    try:
        for name in ("brief", "masked"):
            with pytest.raises(openai.InternalServerError, match="`helpful` has not") as refused:
                house.ask(name)
            assert (refused.value.status_code, refused.value.code) == (503, "policykit_reward_failed")
            assert house.log.accounts[-1].sampling[0].ending == "reward_failed"
            assert house.best.missing == (("reward_failed", 3),)
        assert house.ask("falling").choices[0].message.content == "—"
    finally:
        go_on.set()
    for _ in range(100):
        with suppress(openai.InternalServerError):
            assert house.ask().choices[0].message.content
            break
        time.sleep(0.05)
    assert (len(house.best.scores), house.best.missing) == (3, ())


def test_where_the_time_ends_the_best_so_far_goes_out(house: House) -> None:
    house.peer.answer = lambda body: Say(("well",), stall_s=3.0 if body["seed"] % 3 == 1 else 0.0)
    began = time.monotonic()
    assert house.ask("brief").choices[0].message.content == "well"
    assert 0.8 < time.monotonic() - began < 1.5
    assert (house.best.scores, house.best.missing) == ((4.0, 4.0), (("out_of_time", 1),))
    assert sorted(str(one.failed) for one in house.log.accounts[-1].attempts) == ["CancelledError", "None", "None"]


def broken(text: str) -> float:
    raise ValueError(f"no state for {text}")


@pytest.mark.parametrize("of", [broken, lambda text: float("nan"), lambda text: float("-inf")])
@pytest.mark.parametrize("stream", [False, True])
def test_without_a_reward_nothing_is_chosen(house: House, of: Any, stream: bool) -> None:
    house.scores.of = of
    with pytest.raises(openai.InternalServerError) as refused:
        list(house.ask(stream=stream))
    assert (refused.value.status_code, refused.value.code) == (503, "policykit_reward_failed")
    assert "`helpful`" in str(refused.value)
    assert "Hello" not in str(refused.value)
    assert house.log.accounts[-1].sampling[0].ending == "reward_failed"
    found = house.ask("falling", stream=stream)
    said = "".join(c.choices[0].delta.content or "" for c in found if c.choices) if stream else None
    assert (said or found.choices[0].message.content) == "—"
    account = house.log.accounts[-1]
    assert not any(one.counts for one in account.judged if one.choice is not None)
    assert (account.outcome.value, account.sampling[0].ending, house.best.chosen) == ("fallback", "reward_failed", None)


@pytest.mark.parametrize("stream", [False, True])
def test_a_text_without_a_reward_is_missing_from_the_choice(house: House, stream: bool) -> None:
    """As where a rule that is a feature could not be judged."""
    house.says("best", "well", "so")
    house.scores.of = {"best": float("-inf"), "well": 2.0, "so": 1.0}.__getitem__
    answer = house.ask(stream=stream)
    said = "".join(c.choices[0].delta.content or "" for c in answer if c.choices) if stream else None
    assert (said or answer.choices[0].message.content) == "well"
    assert sorted(house.best.scores) == [1.0, 2.0]
    assert house.best.missing == (("no_reward", 1),)
    assert house.best.scores[house.best.chosen] == 2.0


def test_a_refusal_is_rewarded_as_what_the_model_wrote(house: House) -> None:
    """Alone, or behind a content, with the verdict on both."""
    refusals = ("No.", f"No code {CHANGED[5:]}, no", "I would rather not say.")
    for content in ("", "Well. "):
        house.scores.asked.clear()
        house.peer.answer = lambda body: Say((content,), refusal=refusals[body["seed"] % 3])  # noqa: B023
        message = house.ask().choices[0].message
        assert message.refusal == "I would rather not say."
        asked = {answer.raw: answer for _, answer, _ in house.scores.asked}
        assert set(asked) == {content + refusal for refusal in refusals}
        changed = asked[content + refusals[1]]
        assert changed.verdict.rules == ("mask-codes",)
        assert changed.text == content + "No [CODE], no"
        assert house.best.scores[house.best.chosen] == len(content + message.refusal)


def test_the_reward_reads_the_messages_that_the_model_does(house: House) -> None:
    house.ask("prompted")
    system = {"role": "system", "content": "Be kind."}
    assert {str(prompt) for prompt, _, _ in house.scores.asked} == {str([system, {"role": "user", "content": "Well?"}])}


def test_what_was_never_prepared_chooses_nothing(house: House, tmp_path: Path) -> None:
    (tmp_path / "house.policy.yaml").write_text(POLICIES)
    (tmp_path / "masked.profile.yaml").write_text(profile("masked", f"sha256:{'a' * 64}", "mask", policy="house"))
    keys = Keyring({digest_of_key(KEY): Grant("k", "a", ("masked",), "masked")})
    upstream, log = HttpUpstream("http://127.0.0.1:9"), Kept()
    guard = Guard(Serving(Deployment(load_profiles(tmp_path), keys, model="m")), upstream, log)
    with served(guard) as url, pytest.raises(openai.InternalServerError) as refused:
        House(url, house.peer, log, house.scores).ask()
    assert refused.value.code == "policykit_reward_missing"


def test_bodies_of_the_server_are_not_streamed_where_the_answer_is(house: House) -> None:
    def answer(body: Json) -> Say:
        assert not body["stream"]
        return Say(("well",))

    house.peer.answer = answer
    assert "".join(c.choices[0].delta.content or "" for c in house.ask(stream=True) if c.choices) == "well"
