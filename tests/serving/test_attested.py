"""Where the upstream has the plan's mask: nothing goes out unless the engine says that the mask stands."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest

from policykit.engines.attest import Attestation, Failed, Finished, MaskRequest, Reply, Started, plan_path
from policykit.plan import load_plan
from policykit.serving import Guard, Kind, Outcome, Serving
from policykit.serving.attestor import EngineAttestor
from policykit.serving.rewrite import salt_of
from policykit.serving.upstream_app import AppUpstream
from tests.serving.peer import Json, Peer, Say
from tests.serving.running import Kept, World, deployment, served

ASK: Any = [{"role": "user", "content": "Hello?"}]


class Engine:
    """An engine with a mask: it finds the plan that a request names and attests it, but for what a test changes."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.plan: str | None = None
        self.says: list[str] = ["started", "finished"]
        self.dead_ends: set[int] = set()
        self.fails: dict[int, str] = {}
        """Choices whose masks fail, with the codes that the engine says; with an empty one, nobody hears it."""
        self.asked: list[MaskRequest] = []
        self.say = Say(("Hello, and good day.",))
        self.code = "PK740"

    def __call__(self, body: Json) -> Say:
        request = MaskRequest.parse(body["vllm_xargs"]["policykit"])
        self.asked.append(request)
        found = load_plan(plan_path(self.run, request.plan))
        assert found.digest == request.plan
        reply = Reply.to(self.run, request.reply)
        for index in range(body["n"]):
            for message in self._messages(request, f"{index}_x", index):
                reply.send(message)
        ends = {i: "content_filter" for i in self.fails if i < body["n"]} if body["n"] > 1 else {}
        return replace(self.say, choices=self.say.choices * body["n"], finishes=ends)

    def _messages(self, request: MaskRequest, child: str, index: int) -> Iterator[Attestation]:
        plan = self.plan or request.plan
        if self.fails.get(index):
            yield Failed(request.request, child, self.fails[index], "its masks take long")
            return
        if "started" in self.says:
            yield Started(request.request, child, plan, plan)
        if "failed" in self.says:
            yield Failed(request.request, child, self.code, "the plan does not fit the vocabulary")
        if "finished" in self.says:
            yield Finished(request.request, child, plan, 4, 5, index in self.dead_ends, {"no-promises": 3})


@contextmanager
def attested(folder: Path, run: Path, **more: Any) -> Iterator[tuple[World, Engine]]:
    engine, log = Engine(run), Kept()
    peer = Peer(answer=engine)
    serving = Serving(deployment(folder))
    attestor = EngineAttestor(run, started_s=0.5)
    guard = Guard(serving, AppUpstream(peer, kind=Kind.VLLM), log, attestor=attestor, **more)
    with served(guard) as url:
        yield World(url, peer, log, serving, guard), engine


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Engine]]:
    with attested(tmp_path_factory.mktemp("profiles"), tmp_path_factory.mktemp("run")) as found:
        yield found


@pytest.fixture
def house(pair: tuple[World, Engine]) -> World:
    pair[0].peer.requests.clear()
    return pair[0]


@pytest.fixture
def engine(pair: tuple[World, Engine]) -> Engine:
    pair[1].plan, pair[1].says, pair[1].dead_ends, pair[1].fails = None, ["started", "finished"], set(), {}
    pair[1].asked.clear()
    return pair[1]


def content(house: World, stream: bool, **more: Any) -> tuple[str, str]:
    answer = house.client().chat.completions.create(model="", messages=ASK, stream=stream, **more)
    if not stream:
        return answer.choices[0].message.content, answer.choices[0].finish_reason
    chunks = list(answer)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    return text, next(c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason)


@pytest.mark.parametrize("stream", [False, True])
def test_an_attested_answer_goes_out_and_what_the_mask_did_is_recorded(
    house: World, engine: Engine, stream: bool
) -> None:
    assert content(house, stream) == ("Hello, and good day.", "stop")
    assert house.last.mask == "attested"
    assert [(mask.steps, mask.closed, mask.dead_end) for mask in house.last.masks] == [
        (4, (("no-promises", 3),), False)
    ]
    body = house.peer.bodies[-1]
    assert body["cache_salt"] == salt_of("acme") != salt_of("globex")
    assert "response_format" not in body


@pytest.mark.parametrize("stream", [False, True])
def test_without_an_attestation_nothing_goes_out(house: World, engine: Engine, stream: bool) -> None:
    engine.says = []
    with pytest.raises(openai.InternalServerError) as raised:
        content(house, stream)
    assert raised.value.code == "policykit_mask_not_attested"
    assert "good day" not in raised.value.response.text
    assert (house.last.outcome, house.last.mask) == (Outcome.ERRORED, "none")


@pytest.mark.parametrize("stream", [False, True])
def test_the_mask_of_another_plan_attests_nothing(house: World, engine: Engine, stream: bool) -> None:
    engine.plan = "sha256:" + "0" * 64
    with pytest.raises(openai.InternalServerError) as raised:
        content(house, stream)
    assert raised.value.code == "policykit_mask_not_attested"


@pytest.mark.parametrize("stream", [False, True])
def test_an_engine_that_cannot_mask_says_why(house: World, engine: Engine, stream: bool) -> None:
    engine.says = ["failed"]
    with pytest.raises(openai.InternalServerError) as raised:
        content(house, stream)
    assert raised.value.code == "policykit_mask_failed"
    assert "vocabulary" in raised.value.message


@pytest.mark.parametrize("stream", [False, True])
def test_a_dead_end_is_tried_again_and_has_a_name(house: World, engine: Engine, stream: bool) -> None:
    engine.dead_ends = {0}
    text, reason = content(house, stream)
    assert reason == "content_filter"
    assert house.last.attempts[0].failed == "policy_dead_end"
    if stream:
        assert text in ("Hello, and good day.", "Please ask a colleague.")
    else:
        assert text == "Please ask a colleague."
        assert len(house.last.attempts) == 3


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("code", "name"),
    [("PK209", "policykit_grammar_refused"), ("PK747", "policykit_mask_failed"), ("", "policykit_mask_failed")],
)
def test_of_several_choices_each_has_a_mask_or_none(
    house: World, engine: Engine, stream: bool, code: str, name: str
) -> None:
    """The others are answered; the one without has the fallback, and says why. It is not asked for again."""
    engine.fails = {1: code}
    answer = house.client().chat.completions.create(model="", messages=ASK, stream=stream, n=3)
    texts, ends = ["", "", ""], dict[int, tuple[str, Any]]()
    for choice in (c for chunk in (answer if stream else [answer]) for c in chunk.choices):
        part = choice.delta if stream else choice.message
        texts[choice.index] += part.content or ""
        if choice.finish_reason:
            ends[choice.index] = (choice.finish_reason, choice.stop_reason)
    assert [texts[0], texts[2]] == ["Hello, and good day."] * 2
    assert ends == {0: ("stop", None), 1: ("content_filter", name), 2: ("stop", None)}
    if stream:  # what had gone out by then stays, and nothing is added to it
        assert "Hello, and good day.".startswith(texts[1])
    else:
        assert texts[1] == "Please ask a colleague."
    assert len(house.last.attempts) == 1
    assert house.last.attempts[0].failed == name
    assert (house.last.status, house.last.outcome) == (200, Outcome.FALLBACK)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("code", "status"), [("PK209", 400), ("PK747", 500)])
def test_where_no_choice_has_a_mask_the_request_fails(
    house: World, engine: Engine, stream: bool, code: str, status: int
) -> None:
    engine.fails = dict.fromkeys(range(3), code)
    with pytest.raises(openai.APIStatusError) as raised:
        list(house.client().chat.completions.create(model="", messages=ASK, stream=stream, n=3))
    assert raised.value.status_code == status
    assert house.last.status == status


def test_a_choice_that_is_asked_for_again_and_has_no_mask_then_is_alone(house: World, engine: Engine) -> None:
    engine.dead_ends = {1}
    before, says = len(engine.asked), engine._messages

    def later(request: MaskRequest, child: str, index: int) -> Iterator[Attestation]:
        engine.fails = {0: "PK209"} if len(engine.asked) > before + 1 else {}
        return says(request, child, index)

    engine._messages = later  # type: ignore[method-assign]
    try:
        answer = house.client().chat.completions.create(model="", messages=ASK, n=2)
    finally:
        engine._messages = says  # type: ignore[method-assign]
    assert [c.message.content for c in answer.choices] == ["Hello, and good day.", "Please ask a colleague."]
    assert [c.stop_reason for c in answer.choices] == [None, "policykit_grammar_refused"]


def test_every_choice_is_attested(house: World, engine: Engine) -> None:
    answer = house.client().chat.completions.create(model="", messages=ASK, n=3)
    assert len(answer.choices) == 3
    assert len(house.last.masks) == 3


def test_attempts_have_requests_of_their_own(house: World, engine: Engine) -> None:
    engine.dead_ends = {0}
    content(house, stream=False)
    assert len({request.request for request in engine.asked}) == 3


def test_prompts_stand_before_the_output(house: World, engine: Engine) -> None:
    house.client().completions.create(model="", prompt="It has guaran")
    assert engine.asked[-1].prefix == "It has guaran"
    content(house, stream=False)
    assert engine.asked[-1].prefix == ""


def test_a_guard_without_an_attestor_serves_no_engine_with_masks(tmp_path: Path) -> None:
    log = Kept()
    guard = Guard(Serving(deployment(tmp_path)), AppUpstream(Peer(), kind=Kind.VLLM), log)
    with served(guard) as url:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="key-acme", max_retries=0)
        with pytest.raises(openai.InternalServerError) as raised:
            client.chat.completions.create(model="", messages=ASK)
    assert raised.value.code == "policykit_mask_not_attested"


def test_strangers_datagrams_change_nothing(house: World, engine: Engine) -> None:
    """What is no attestation, or of a request that nobody waits for, is passed over."""
    content(house, stream=False)
    reply = Reply.to(engine.run, engine.asked[-1].reply)
    reply.send(Started("nobody", "0_x", "sha256:" + "0" * 64, ""))
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        for data in (b"", b"{", json.dumps({"kind": "started"}).encode()):
            out.sendto(data, str(reply.address))
    assert content(house, stream=False)[0] == "Hello, and good day."


def test_the_socket_goes_when_the_guard_does(tmp_path: Path) -> None:
    run = tmp_path / "run"
    folder = tmp_path / "profiles"
    folder.mkdir()
    with attested(folder, run) as (house, _):
        content(house, stream=False)
        assert list(run.glob("*.sock"))
    assert not list(run.glob("*.sock"))


def test_the_engine_is_told_who_pays_for_masks_and_for_which(pair: tuple[World, Engine]) -> None:
    """One payer for each tenant, whichever key and profile; only a grammar of the request's own is its doing."""
    house, engine = pair
    engine.says, engine.plan = ["started", "finished"], None

    def told(key: str, model: str, **more: Any) -> MaskRequest:
        with suppress(openai.APIStatusError):  # what the engine says here is of no grammar
            house.client(key).chat.completions.create(model=model, messages=ASK, extra_body=more)
        return engine.asked[-1]

    plain, shaped = (
        told("key-acme", "profile:plain"),
        told("key-open", "profile:open", structured_outputs={"regex": "a"}),
    )
    other = told("key-globex", "profile:other")
    assert (plain.own_grammar, shaped.own_grammar, other.own_grammar) == (False, True, False)
    assert plain.payer == shaped.payer != other.payer
    assert plain.payer
    assert "acme" not in plain.render()
    assert plain.payer not in json.dumps({k: v for k, v in house.peer.bodies[-1].items() if k != "vllm_xargs"})
