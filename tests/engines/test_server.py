"""The development server over transformers: the embedded model over HTTP messages, with masks that are attested."""

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, strategies as st

import policykit as pk
from policykit.engines import mask_time
from policykit.engines.attest import WHOLE, Failed, Finished, MaskRequest, Started, parse, plan_path
from policykit.engines.mask_time import EngineShare
from policykit.engines.purses import Purses
from policykit.engines.server import Engine, EngineApp, load_engine
from policykit.engines.server.texts import Texts
from tests.serving.pathological import AMBIGUOUS

POLICY = """
apiVersion: policykit/v1
kind: Policy
metadata: {name: t, version: 1.0.0, owner: a@b.c, why: to test}
rules:
  - id: no-thanks
    match: {phrases: [thank you, thanks, sorry, good question, fair question]}
    action: {block: {}}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def engine(run: Path) -> Iterator[Engine]:
    made = load_engine("embedded", run, max_batch=4)
    yield made
    made.close()


def saved(run: Path, plan: pk.Plan) -> str:
    path = plan_path(run, plan.digest)
    path.parent.mkdir(exist_ok=True)
    plan.save(path)
    return plan.digest


@pytest.fixture(scope="module")
def policy_digest(run: Path) -> str:
    path = run / "t.policy.yaml"
    path.write_text(POLICY)
    return saved(run, pk.compile(pk.load_policies(path)))


@pytest.fixture(scope="module")
def digits_digest(run: Path) -> str:
    return saved(run, pk.compile(None, pk.Grammar.from_regex("[0-9]{30}")))


@contextmanager
def listening(run: Path, name: str) -> Iterator[list[object]]:
    heard: list[object] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(run / name))
        ear.settimeout(0.5)  # the engine writes from a thread of its own
        yield heard
        with suppress(TimeoutError):
            while True:
                heard.append(parse(ear.recv(65_536)))


def asked(digest: str, reply: str = "", **more: object) -> dict[str, Any]:
    xargs = {"policykit": MaskRequest("r1", digest, reply).render()}
    messages = [{"role": "user", "content": "My card was charged twice."}]
    return {"model": "embedded", "messages": messages, "vllm_xargs": xargs, "seed": 1, "max_tokens": 40, **more}


def posted(engine: Engine, *bodies: dict[str, Any], path: str = "/v1/chat/completions") -> list[httpx.Response]:
    async def send() -> list[httpx.Response]:
        transport = httpx.ASGITransport(EngineApp(engine))
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            return await asyncio.gather(*(client.post(path, json=body) for body in bodies))

    return asyncio.run(send())


def content(response: httpx.Response) -> str:
    return response.json()["choices"][0]["message"]["content"]


def streamed(response: httpx.Response) -> tuple[str, list[dict[str, Any]]]:
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    texts = [choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]]
    return "".join(texts), chunks


def test_a_text_is_written_under_the_plan_and_attested(engine: Engine, run: Path, policy_digest: str) -> None:
    with listening(run, "a.sock") as heard:
        (answer,) = posted(engine, asked(policy_digest, "a.sock", n=2))
    assert answer.status_code == 200, answer.text
    for choice in answer.json()["choices"]:
        assert not re.search(
            r"\b(?:thank you|thanks|sorry|(?:good|fair) question)\b", choice["message"]["content"], re.I
        )
        assert choice["finish_reason"] in ("stop", "length")
    started = [said for said in heard if isinstance(said, Started)]
    finished = [said for said in heard if isinstance(said, Finished)]
    assert {said.child for said in started} == {said.child for said in finished} == {"0_r1", "1_r1"}
    assert {said.digest for said in started} == {policy_digest}
    assert sum(said.tokens for said in finished) == answer.json()["usage"]["completion_tokens"]


def test_the_mask_closes_what_the_model_wanted(engine: Engine, run: Path, policy_digest: str) -> None:
    with listening(run, "b.sock") as heard:
        posted(engine, *(asked(policy_digest, "b.sock", temperature=0.0, stop=["."]) for _ in range(2)))
    closed = [said.closed for said in heard if isinstance(said, Finished)]
    assert closed
    assert all(set(found) <= {"t#no-thanks"} for found in closed)
    assert closed[0]


def test_streams_and_whole_answers_say_the_same(engine: Engine, policy_digest: str) -> None:
    one = asked(policy_digest, temperature=0.8)
    whole, stream = posted(engine, one, {**one, "stream": True, "stream_options": {"include_usage": True}})
    text, chunks = streamed(stream)
    assert text == content(whole)
    assert chunks[-1]["usage"] == whole.json()["usage"]
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-2]["choices"][0]["finish_reason"] == whole.json()["choices"][0]["finish_reason"]


def test_a_batch_says_what_singles_say(engine: Engine, policy_digest: str, digits_digest: str) -> None:
    texts = ("Is the fund safe?", "Where is my parcel? It should have come on Monday.", "Hello")
    bodies = [
        asked(digest, messages=[{"role": "user", "content": text}], seed=seed, max_tokens=20 + 7 * seed)
        for seed, (text, digest) in enumerate(zip(texts, (policy_digest, digits_digest, policy_digest), strict=True))
    ]
    singles = [content(posted(engine, body)[0]) for body in bodies]
    assert [content(answer) for answer in posted(engine, *bodies)] == singles
    assert re.fullmatch("[0-9]{27}", singles[1])


def test_other_seeds_give_other_texts_and_a_temperature_of_zero_gives_one(engine: Engine, policy_digest: str) -> None:
    hot = [content(a) for a in posted(engine, *(asked(policy_digest, seed=seed) for seed in range(4)))]
    cold = [content(a) for a in posted(engine, *(asked(policy_digest, seed=s, temperature=0.0) for s in range(3)))]
    assert len(set(hot)) > 1
    assert len(set(cold)) == 1


def test_a_stop_text_ends_the_answer_and_is_not_shown(engine: Engine, policy_digest: str) -> None:
    one = asked(policy_digest, temperature=0.0)
    (free,) = posted(engine, one)
    stop = content(free)[4:7]
    whole, stream = posted(engine, {**one, "stop": [stop]}, {**one, "stop": stop, "stream": True})
    assert content(whole) == content(free).partition(stop)[0]
    assert streamed(stream)[0] == content(whole)
    choice = whole.json()["choices"][0]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", stop)


def test_completions_continue_a_prompt(engine: Engine, policy_digest: str) -> None:
    body = asked(policy_digest)
    body["prompt"] = f"{body.pop('messages')[0]['content']} Tha"
    answer, again = posted(engine, body, {**body, "seed": 5}, path="/v1/completions")
    for one in (answer, again):
        assert one.status_code == 200, one.text
        assert not one.json()["choices"][0]["text"].startswith("nk you")


def continued(digest: str, text: str, prefix: str, reply: str = "", **more: object) -> dict[str, Any]:
    body = asked(digest, **more)
    body["messages"].append({"role": "assistant", "content": text})
    mask = MaskRequest("r1", digest, reply, prefix, continues=True)
    return body | {"vllm_xargs": {"policykit": mask.render()}, "continue_final_message": True}


def test_a_chat_goes_on_with_its_last_message(engine: Engine, run: Path, policy_digest: str) -> None:
    """What the model would write completes a phrase of the policy that is made of it."""
    text = "Your refu"
    (free,) = posted(engine, {**continued(policy_digest, text, text), "temperature": 0.0})
    phrase = " ".join((text + content(free)).split()[:3])
    path = run / "begun.policy.yaml"
    path.write_text(POLICY.replace("thank you", phrase))
    digest = saved(run, pk.compile(pk.load_policies(path)))
    unprimed = {**continued(digest, text, ""), "temperature": 0.0}
    primed = {**continued(digest, text, text, add_generation_prompt=False), "temperature": 0.0}
    one, other = posted(engine, unprimed, primed)
    assert re.search(rf"{phrase}\b", text + content(one))
    assert not re.search(rf"{phrase}\b", text + content(other))


@pytest.mark.parametrize(
    ("text", "prefix"),
    [("Thank <|user|> ", "Thank <|user|> "), ("Thank ", "Thank"), ("Tha", "tha"), ("<|end|>", "<|end|>")],
)
def test_a_message_that_the_prompt_does_not_end_with_is_refused(
    engine: Engine, run: Path, policy_digest: str, text: str, prefix: str
) -> None:
    name = f"p{len(list(run.iterdir()))}.sock"
    with listening(run, name) as heard:
        (answer,) = posted(engine, continued(policy_digest, text, prefix, name))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "continue_final_message")
    assert [said.code for said in heard if isinstance(said, Failed)] == ["PK748"]


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"vllm_xargs": None}, 400, "vllm_xargs"),
        ({"vllm_xargs": {"policykit": "{}"}}, 400, "vllm_xargs"),
        ({"vllm_xargs": {"other": 1}}, 400, "vllm_xargs"),
        ({"model": "gpt"}, 404, "model"),
        ({"logit_bias": {"1": 100}}, 400, "logit_bias"),
        ({"ignore_eos": True}, 400, "ignore_eos"),
        ({**WHOLE, "top_k": 5}, 400, "top_k"),
        ({"n": 0}, 400, "n"),
        ({"temperature": 3}, 400, "temperature"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "user", "content": "a " * 3000}]}, 400, None),
        ({"tool_choice": "required"}, 400, "tool_choice"),
        ({"continue_final_message": True, "add_generation_prompt": True}, 400, "add_generation_prompt"),
        ({"add_generation_prompt": False}, 400, "add_generation_prompt"),
    ],
)
def test_what_it_does_not_know_is_refused(
    engine: Engine, policy_digest: str, change: dict[str, Any], status: int, param: str | None
) -> None:
    (answer,) = posted(engine, {**asked(policy_digest), **change})
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


def test_a_plan_that_is_not_there_fails_closed_and_is_told(engine: Engine, run: Path) -> None:
    with listening(run, "c.sock") as heard:
        (answer,) = posted(engine, asked("sha256:" + "0" * 64, "c.sock"))
    assert answer.status_code == 500
    assert [type(said) for said in heard] == [Failed]


def test_a_grammar_that_names_a_token_that_is_not_there_is_a_bad_request(
    engine: Engine, run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    digest = saved(run, pk.compile(None, pk.Grammar.from_lark('start: "a" <|x|>')))
    with listening(run, "g.sock") as heard:
        (answer,) = posted(engine, asked(digest, "g.sock"))
    assert answer.status_code == 400
    message = answer.json()["error"]["message"]
    assert f"plan {digest}:1:12: PK219: `<|x|>` is no special token of this vocabulary" in message
    assert str(run) not in answer.text
    assert str(plan_path(run, digest)) in caplog.text, "the operator is told where it lies"
    assert [(type(said), getattr(said, "code", "")) for said in heard] == [(Failed, "PK219")]


def test_too_many_requests_are_refused(run: Path, engine: Engine, policy_digest: str) -> None:
    small = Engine("embedded", engine._model, engine._tokenizer, run, max_batch=1, max_waiting=1)
    try:
        answers = posted(small, *(asked(policy_digest, seed=seed) for seed in range(6)))
    finally:
        small.close()
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 503}


def test_its_models_are_listed(engine: Engine) -> None:
    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(EngineApp(engine)), base_url="http://t") as client:
            assert (await client.get("/other")).status_code == 404
            return await client.get("/v1/models")

    assert [model["id"] for model in asyncio.run(get()).json()["data"]] == ["embedded"]


@given(st.text("ab.€", max_size=12), st.lists(st.text("ab.€", min_size=1, max_size=3), max_size=3), st.data())
def test_stops_are_found_however_the_text_is_cut(text: str, stops: list[str], data: st.DataObject) -> None:
    raw = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=5)))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    texts, shown = Texts(tuple(stops)), ""
    for piece in pieces:
        if texts.stopped is None:
            shown += texts.feed(piece)
    shown += texts.close()
    ends = [at for stop in stops if (at := text.find(stop)) >= 0]
    if len(pieces) == 1 or not ends:  # the first that is complete ends the text, and that depends on the pieces
        assert shown == text[: min(ends)] if ends else shown == text
    assert not any(stop in shown for stop in stops)


# ---- what masks take


def pays(digest: str, payer: str, reply: str = "", **more: object) -> dict[str, Any]:
    request = MaskRequest("r1", digest, reply, payer=payer, own_grammar=True)
    return {**asked(digest), **more} | {"vllm_xargs": {"policykit": request.render()}}


@pytest.fixture(scope="module")
def ambiguous(run: Path) -> list[str]:
    return [saved(run, pk.compile(None, pk.Grammar.from_lark(AMBIGUOUS + f' | "{n}"'))) for n in range(6)]


@pytest.mark.parametrize("stream", [False, True])
def test_masks_that_take_long_together_fail_their_text_alone(
    engine: Engine, run: Path, policy_digest: str, ambiguous: list[str], monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    """Also a grammar of the operator's own, which no purse counts."""
    monkeypatch.setattr(mask_time, "MAX_OWED_S", 0.02)
    monkeypatch.setattr(mask_time, "QUICK_S", 0.0001)
    monkeypatch.setattr(mask_time, "FREE_S", 60.0)
    slow = asked(ambiguous[0], f"m{stream}.sock", max_tokens=200, stream=stream)
    with listening(run, f"m{stream}.sock") as heard:
        failed, other = posted(engine, slow, asked(policy_digest))
    assert content(other)
    assert [said.code for said in heard if isinstance(said, Failed)] == ["PK209"]
    error = json.loads(failed.text.split("data: ")[-1])["error"] if stream else failed.json()["error"]
    assert (failed.status_code, error["type"]) == (200 if stream else 400, "invalid_request_error")
    assert "PK209: its masks hold up the engine: by 0.0" in error["message"]


def test_one_tenants_grammars_do_not_hold_up_another_s(
    engine: Engine, run: Path, ambiguous: list[str], digits_digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.purses, "share", EngineShare(burst_s=0.02, free_s=0.005, everyday_s=0.0002))
    slow = [pays(digest, "many", max_tokens=150, seed=n) for n, digest in enumerate(ambiguous)]
    answers = posted(engine, *slow, *(pays(digits_digest, "other", seed=n) for n in range(4)))
    assert [answer.status_code for answer in answers[len(slow) :]] == [200] * 4
    assert all(re.fullmatch("[0-9]{30}", content(answer)) for answer in answers[len(slow) :])
    failed = [answer.json()["error"]["message"] for answer in answers[: len(slow)] if answer.status_code != 200]
    assert any("PK209: its masks hold up the engine: with those of its tenant's grammars" in said for said in failed)
    assert {answer.status_code for answer in answers[: len(slow)]} <= {200, 400}


def test_a_first_mask_is_bounded_and_paid_for(
    engine: Engine, run: Path, ambiguous: list[str], digits_digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No step of others waits for it. Who has spent what it may has none made of what is not known to be quick."""
    monkeypatch.setattr(mask_time, "MAX_MASK_S", 0.0)
    with listening(run, "f.sock") as heard:
        (answer,) = posted(engine, pays(ambiguous[0], "many", "f.sock"))
    assert answer.status_code == 400
    assert "PK209: one mask of it takes" in answer.json()["error"]["message"]
    assert [getattr(said, "code", "") for said in heard] == ["PK209"], "and it was never said to stand"
    monkeypatch.undo()
    purses = Purses()
    purses.first.take("many", 100.0, "many")
    monkeypatch.setattr(engine, "purses", purses)
    with purses.first_mask(digits_digest, "other", True):
        pass
    new = [pays(ambiguous[1], "many"), pays(digits_digest, "many"), pays(ambiguous[1], "other", max_tokens=3)]
    answers = posted(engine, *new)
    assert [answer.status_code for answer in answers] == [400, 200, 200]
    assert "PK209: making first masks of its tenant's grammars" in answers[0].json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("at", "n_failing"), [(0, 1), (0, 3), (4, 1), (4, 3)])
def test_of_several_choices_each_fails_alone(
    engine: Engine, policy_digest: str, monkeypatch: pytest.MonkeyPatch, stream: bool, at: int, n_failing: int
) -> None:
    """At its first mask, or later; only where no choice has any text it is an error of the request."""
    fill = pk.State.fill
    made: list[pk.State] = []

    def fails(self: pk.State, row: Any) -> bool:
        if not any(self is one for one in made):
            made.append(self)
        if self.n_tokens >= at and any(self is one for one in made[3 - n_failing : 3]):
            raise pk.PolicyError.of("PK209", "its masks take long")
        return fill(self, row)

    monkeypatch.setattr(pk.State, "fill", fails)
    (answer,) = posted(engine, asked(policy_digest, n=3, stream=stream))
    said = "PK209: its masks take long"
    if n_failing == 3 and not (stream and at):
        assert (answer.status_code, answer.json()["error"]["message"]) == (400, said)
        return
    assert answer.status_code == 200
    if stream:
        _, chunks = streamed(answer)
        ended = [one for chunk in chunks for one in chunk["choices"] if one["finish_reason"]]
    else:
        ended = answer.json()["choices"]
    reasons = {one["index"]: (one["finish_reason"], one["stop_reason"]) for one in ended}
    assert len(ended) == 3
    failed = ("content_filter", f"policykit refuses: {said}")
    assert [reasons[i] == failed for i in range(3)] == [i >= 3 - n_failing for i in range(3)]
