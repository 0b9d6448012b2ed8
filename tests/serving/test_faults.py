"""Everything that can fail between client, guard, upstream and log fails closed, and has a name."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from policykit.serving import Outcome, Serving
from policykit.serving.asking import check_status
from policykit.serving.errors import UpstreamFault
from policykit.serving.guard import Guard
from policykit.serving.services import GuardSettings
from policykit.serving.sse import Limits
from policykit.serving.upstream import UpstreamResponse
from policykit.serving.upstream_http import HttpUpstream
from tests.serving.peer import Say
from tests.serving.running import Kept, World, deployment, served, world

ASK: Any = [{"role": "user", "content": "Hello?"}]
CHUNK = b'data: {"choices": [{"index": 0, "delta": {"content": "Good day to you."}, "finish_reason": null}]}\n\n'
END = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


def eventually(is_met: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_met():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def ask(house: World, **more: Any) -> Any:
    return house.client().chat.completions.create(model=more.pop("model", ""), messages=ASK, **more)


def failure(house: World, **more: Any) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as raised:
        ask(house, **more)
    return raised.value


def shown_before_error(house: World) -> tuple[str, openai.APIError]:
    """What a stream shows before it ends in an error; none of its chunks says that it has finished."""
    shown = ""
    try:
        for chunk in ask(house, stream=True):
            assert chunk.choices[0].finish_reason is None
            shown += chunk.choices[0].delta.content or ""
    except openai.APIError as error:
        return shown, error
    raise AssertionError("the stream came to an end")


WHOLE = {
    "no JSON": (b"guaranteed", "policykit_upstream_malformed"),
    "no UTF-8": (b'{"choices": [{"index": 0, "message": {"content": "\xc3("}}]}', "policykit_upstream_malformed"),
    "a name twice": (
        b'{"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "a", "content": "b"}}]}',
        "policykit_upstream_malformed",
    ),
    "a surrogate": (
        b'{"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "\\ud800"}}]}',
        "policykit_upstream_malformed",
    ),
    "no choices": (b'{"choices": []}', "policykit_upstream_truncated"),
    "no object": (b"[]", "policykit_upstream_malformed"),
    "a choice too many": (
        b'{"choices": [{"index": 1, "finish_reason": "stop", "message": {"content": "a"}}]}',
        "policykit_upstream_malformed",
    ),
    "no finish": (b'{"choices": [{"index": 0, "message": {"content": "a"}}]}', "policykit_upstream_malformed"),
    "an unknown finish": (
        b'{"choices": [{"index": 0, "finish_reason": "error", "message": {"content": "a"}}]}',
        "policykit_upstream_failed",
    ),
    "an error": (b'{"error": {"message": "guaranteed returns"}}', "policykit_upstream_failed"),
    "content that is no text": (
        b'{"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": ["a"]}}]}',
        "policykit_upstream_malformed",
    ),
    "too much": (b'{"a": "' + b"x" * (65 << 10) + b'"}', "policykit_upstream_too_large"),
    "deep": (b"[" * 5000 + b"]" * 5000, "policykit_upstream_malformed"),
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Any:
    settings = GuardSettings(
        max_body_bytes=20_000, body_timeout_s=0.3, reading=Limits(event_bytes=8 << 10, total_bytes=64 << 10)
    )
    with world(tmp_path_factory.mktemp("small"), settings=settings) as found:
        yield found


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_that_cannot_be_read(small: World, name: str) -> None:
    raw, code = WHOLE[name]
    small.peer.answer = lambda body: Say(raw=raw)
    error = failure(small)
    assert (error.status_code, error.code) == (502, code)
    assert "guaranteed" not in error.response.text
    assert (small.last.outcome, small.last.code) == (Outcome.ERRORED, code)


STREAMS = {
    "cut before the end": (CHUNK, "policykit_upstream_truncated"),
    "done without a finish": (CHUNK + b"data: [DONE]\n\n", "policykit_upstream_truncated"),
    "no JSON": (CHUNK + b"data: guaranteed\n\n", "policykit_upstream_malformed"),
    "no UTF-8": (CHUNK + b'data: {"choices": [], "a": "\xff"}\n\n', "policykit_upstream_malformed"),
    "an error inside": (CHUNK + b'data: {"error": {"message": "guaranteed returns"}}\n\n', "policykit_upstream_failed"),
    "more behind the end": (CHUNK + END + CHUNK, "policykit_upstream_malformed"),
    "text behind the finish": (CHUNK + END.replace(b"data: [DONE]\n\n", b"") + CHUNK, "policykit_upstream_malformed"),
    "an event without an end": (CHUNK + b"data: " + b"x" * 9000, "policykit_upstream_too_large"),
    "no end of comments": (CHUNK + b": x\n" * 40_000, "policykit_upstream_too_large"),
    "nothing": (b"", "policykit_upstream_truncated"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_cannot_be_read_ends_without_a_finish(small: World, name: str) -> None:
    raw, code = STREAMS[name]
    small.peer.answer = lambda body: Say(raw=raw)
    _, error = shown_before_error(small)
    assert error.code == code
    assert "guaranteed" not in str(error)
    assert (small.last.outcome, small.last.code) == (Outcome.ERRORED, code)


def test_text_that_was_let_through_is_shown_before_the_error(small: World) -> None:
    small.peer.answer = lambda body: Say(raw=CHUNK)
    shown, _ = shown_before_error(small)
    assert "Good day to you.".startswith(shown)
    assert "Good day" in shown


@pytest.mark.parametrize(
    ("status", "ours", "code"),
    [
        (400, 400, "policykit_upstream_refused"),
        (401, 502, "policykit_upstream_failed"),
        (429, 503, "policykit_upstream_busy"),
        (500, 502, "policykit_upstream_failed"),
        (302, 502, "policykit_upstream_failed"),
        (204, 502, "policykit_upstream_failed"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_else_an_upstream_answers(small: World, stream: bool, status: int, ours: int, code: str) -> None:
    small.peer.answer = lambda body: Say(status=status)
    error = failure(small, stream=stream)
    assert (error.status_code, error.code) == (ours, code)


@pytest.mark.parametrize(
    ("error", "param"),
    [
        ({"error": {"message": "guaranteed returns", "param": "messages"}}, "messages"),
        ({"error": {"message": "x", "param": "guaranteed returns"}}, None),
        ({"error": {"message": "x" * 20_000, "param": "messages"}}, None),
        ({"error": {"param": ["messages"]}}, None),
        ({"error": "x"}, None),
        ([], None),
    ],
)
def test_a_field_that_an_upstream_refuses_is_named(small: World, error: Any, param: str | None) -> None:
    small.peer.answer = lambda body: Say(status=400, raw=json.dumps(error).encode())
    said = failure(small)
    assert (said.code, said.param) == ("policykit_upstream_refused", param)
    assert "guaranteed" not in str(said)
    assert ("`messages`" in str(said)) is (param is not None)


async def broken(error: BaseException) -> AsyncIterator[bytes]:
    yield b'{"error": {"param": '
    raise error


@pytest.mark.parametrize(
    "error", [UpstreamFault("x", "x"), OSError("gone"), ZeroDivisionError(), ExceptionGroup("", [OSError()])]
)
def test_a_refusal_whose_body_fails_names_no_field(error: Exception) -> None:
    """An upstream may be anybody's, and so may be what its body raises."""
    with pytest.raises(UpstreamFault) as raised:
        asyncio.run(check_status(UpstreamResponse(400, {}, broken(error)), False, {"messages": []}))
    assert (raised.value.code, raised.value.param) == ("policykit_upstream_refused", None)


def test_a_refusal_may_be_cancelled_while_its_body_is_read() -> None:
    response = UpstreamResponse(400, {}, broken(asyncio.CancelledError()))
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(check_status(response, False, {"messages": []}))


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_of_another_type(small: World, stream: bool) -> None:
    small.peer.answer = lambda body: Say(("Hello.",), raw_type="text/html")
    assert failure(small, stream=stream).code == "policykit_upstream_malformed"


@pytest.mark.parametrize("stream", [False, True])
def test_an_upstream_that_breaks_off(small: World, stream: bool) -> None:
    small.peer.answer = lambda body: Say(("Hello, and good day.",), break_after=4 if stream else 0)
    with pytest.raises(openai.APIError) as raised:
        list(ask(small, stream=stream))
    assert raised.value.code in ("policykit_upstream_unreachable", "policykit_upstream_truncated")


def test_an_upstream_that_is_not_there(tmp_path: Path) -> None:
    log = Kept()
    guard = Guard(Serving(deployment(tmp_path)), HttpUpstream("http://127.0.0.1:9"), log)
    with served(guard) as url:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="key-acme", max_retries=0)
        with pytest.raises(openai.APIStatusError) as raised:
            client.chat.completions.create(model="", messages=ASK)
    assert raised.value.code == "policykit_upstream_unreachable"
    assert log.accounts[0].outcome is Outcome.ERRORED


@pytest.mark.parametrize("stream", [False, True])
def test_time_that_runs_out_after_a_rejected_answer_ends_in_the_fallback(small: World, stream: bool) -> None:
    answers = [Say(("guaranteed returns",)), Say(("Hello.",), stall_s=3)]
    small.peer.answer = lambda body: answers.pop(0)
    answer = ask(small, model="profile:brief", stream=stream)
    if stream:
        text = "".join(c.choices[0].delta.content or "" for c in answer if c.choices)
    else:
        text = answer.choices[0].message.content
    assert text == "Please ask a colleague."
    assert small.last.outcome is Outcome.FALLBACK
    assert len(small.last.attempts) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_an_upstream_that_takes_too_long(small: World, stream: bool) -> None:
    small.peer.answer = lambda body: Say(("Hello.",), stall_s=3)
    began = time.monotonic()
    error = failure(small, model="profile:tight", stream=stream)
    assert (error.status_code, error.code) == (504, "policykit_timeout")
    assert time.monotonic() - began < 2.5
    eventually(lambda: small.peer.running == 0)


def test_a_log_that_takes_nothing(house: World) -> None:
    house.peer.answer = lambda body: Say(("Hello, and good day.",))
    house.log.fails = True
    error = failure(house)
    assert (error.status_code, error.code) == (503, "policykit_log_unavailable")
    assert "Hello" not in error.response.text


def test_a_stream_that_is_not_recorded_has_no_finish(house: World) -> None:
    house.peer.answer = lambda body: Say(("Hello, and good day.",))
    house.log.fails = True
    _, error = shown_before_error(house)
    assert error.code == "policykit_log_unavailable"


def test_a_client_that_goes_away_while_it_waits(house: World) -> None:
    house.peer.answer = lambda body: Say(("Hello, and good day.",), stall_s=30)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{house.url}/v1/chat/completions",
            json={"messages": ASK},
            headers={"authorization": "Bearer key-acme"},
            timeout=0.3,
        )
    eventually(lambda: len(house.log.accounts) == 1)
    assert house.last.outcome is Outcome.DISCONNECTED
    eventually(lambda: house.peer.running == 0)
    assert house.peer.cancelled >= 1


def test_a_client_that_goes_away_in_a_stream(house: World) -> None:
    house.peer.answer = lambda body: Say(("Hello, and good day to all of you.",), stall_s=0.05)
    before = house.peer.cancelled
    chunks = ask(house, stream=True)
    next(iter(chunks))
    chunks.close()
    eventually(lambda: len(house.log.accounts) == 1)
    assert house.last.outcome is Outcome.DISCONNECTED
    assert [attempt.failed for attempt in house.last.attempts] == ["CancelledError"]
    eventually(lambda: house.peer.cancelled == before + 1)


def post(house: World, content: bytes, **headers: str) -> httpx.Response:
    about = {"authorization": "Bearer key-acme", "content-type": "application/json", **headers}
    return httpx.post(f"{house.url}/v1/chat/completions", content=content, headers=about)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{", 400),
        (b'{"messages": [], "messages": []}', 400),
        (b'{"temperature": NaN, "messages": [{"role": "user", "content": "x"}]}', 400),
        (b'{"temperature": 1e999, "messages": [{"role": "user", "content": "x"}]}', 400),
        (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', 400),
        (b'{"seed": %s}' % (b"9" * 5000), 400),
        (b'{"temperature": %s.0}' % (b"9" * 5000), 400),
        (b'\xff{"messages": []}', 400),
        (b'\xef\xbb\xbf{"messages": []}', 400),
        (b"[" * 100_00 + b"]" * 100_00, 400),
        (b'{"messages": "' + b"x" * 20_000 + b'"}', 413),
        (b'{"messages": [{"role": "user", "content": 1}]}', 400),
        (b'{"messages": [{"role": "user"}], "n": 1.5}', 400),
        (b'{"messages": [{"role": "user", "content": "x"}], "n": 0}', 400),
        (b'{"messages": [{"role": "user", "content": "x"}], "stream": "yes"}', 400),
        (b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": true}', 400),
        (b'{"messages": [{"role": "user", "content": "x"}], "stop": [""]}', 400),
        (b'{"messages": [{"role": "user", "content": "x"}], "max_tokens": 1, "max_completion_tokens": 2}', 400),
    ],
)
def test_bodies_that_are_refused(small: World, content: bytes, status: int) -> None:
    answer = post(small, content)
    assert answer.status_code == status
    assert answer.json()["error"]["code"].startswith("policykit_")
    assert len(answer.content) < 500, "and no advice about Python"
    assert "sys." not in answer.text
    assert small.last.outcome is Outcome.REFUSED


def test_bodies_of_another_type_are_refused(small: World) -> None:
    body = json.dumps({"messages": ASK}).encode()
    assert post(small, body, **{"content-type": "text/plain"}).status_code == 415
    assert post(small, body, **{"content-encoding": "gzip"}).status_code == 415


def test_a_body_that_does_not_arrive(small: World) -> None:
    def slow() -> Any:
        yield b'{"messages"'
        time.sleep(0.6)
        yield b": []}"

    answer = httpx.post(
        f"{small.url}/v1/chat/completions",
        content=slow(),
        headers={"authorization": "Bearer key-acme", "content-type": "application/json"},
    )
    assert answer.status_code == 408


def test_an_observer_that_fails_changes_nothing(tmp_path: Path) -> None:
    class Fails:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    with world(tmp_path, observers=[Fails()]) as house:
        assert ask(house).choices[0].message.content == "Hello."
