"""Laws of streams: however an upstream cuts what it says, nothing forbidden goes out, and the text is that of the whole
answer. What is forbidden is looked for with `in`, and what a transform makes of a text is made with `re`."""

import asyncio
import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from policykit.serving import Guard, Serving
from policykit.serving.upstream_app import AppUpstream
from tests.serving.peer import Peer, Say
from tests.serving.running import Kept, deployment

WORDS = ["guaranteed", "returns", "project", "aurora", "code", "1234", "certain", "profit", "é", "ſ", "a", "the", "."]
PHRASES = ["guaranteed returns", "certain-profit", "project  aurora", "code 1234", "code_1234"]
TEXTS = st.lists(st.sampled_from([*WORDS, *PHRASES, *" " * 9, "-", "\n"]), max_size=10).map("".join)
FORBIDDEN = re.compile(
    r"(?<!\w)(?:guaranteed[\s_-]+returns|certain[\s_-]+profit|project[\s_-]+aurora|code[\s_-]+1234)(?!\w)"
)
MESSAGE = "I cannot speak about that."
FALLBACK = "Please ask a colleague."


class Inside:
    """A guard and its peer without sockets: the law is about text, and is tried very often."""

    def __init__(self, guard: Guard, peer: Peer, log: Kept) -> None:
        self.guard, self.peer, self.log = guard, peer, log

    def post(self, body: dict[str, Any]) -> bytes:
        asked = {"messages": [{"role": "user", "content": "Hi"}], **body}
        return asyncio.run(self._post("/v1/chat/completions", json.dumps(asked).encode()))

    def complete(self, body: dict[str, Any]) -> bytes:
        return asyncio.run(self._post("/v1/completions", json.dumps(body).encode()))

    async def _post(self, path: str, body: bytes) -> bytes:
        sent: list[bytes] = []
        waiting = [{"type": "http.request", "body": body}]

        async def receive() -> dict[str, Any]:
            if waiting:
                return waiting.pop()
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: Any) -> None:
            sent.append(message.get("body", b""))

        headers = [(b"authorization", b"Bearer key-acme"), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
        await self.guard(scope, receive, send)
        return b"".join(sent)


@pytest.fixture(scope="module")
def inside(tmp_path_factory: pytest.TempPathFactory) -> Inside:
    peer, log = Peer(), Kept()
    guard = Guard(Serving(deployment(tmp_path_factory.mktemp("laws"))), AppUpstream(peer), log)
    return Inside(guard, peer, log)


def whole_of(data: bytes) -> tuple[str, str]:
    choice = json.loads(data)["choices"][0]
    return choice["message"]["content"], choice["finish_reason"]


def streamed_of(data: bytes) -> tuple[str, str]:
    """Content and finish of a stream, read without the guard's own reader."""
    content, reason = "", ""
    for line in data.decode("utf-8").split("\n\n"):
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                content += choice["delta"].get("content") or ""
                reason = choice["finish_reason"] or reason
    assert data.endswith(b"data: [DONE]\n\n")
    return content, reason


LAW = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


@LAW
@given(text=TEXTS, cut=st.integers(1, 8), bytes_=st.lists(st.integers(0, 20_000), max_size=12))
def test_what_goes_out_is_the_same_however_it_is_cut(inside: Inside, text: str, cut: int, bytes_: list[int]) -> None:
    inside.peer.answer = lambda body: Say((text,), cut=cut, byte_cuts=tuple(bytes_))
    whole, whole_reason = whole_of(inside.post({"stream": False}))
    streamed, reason = streamed_of(inside.post({"stream": True}))
    assert reason == whole_reason
    assert not FORBIDDEN.search(streamed)
    assert not FORBIDDEN.search(whole)
    if reason != "content_filter":
        assert streamed == whole
    else:
        message = next(m for m in (MESSAGE, FALLBACK, "") if streamed.endswith(m))
        assert text.startswith(streamed.removesuffix(message)) or "[CODE]" in streamed


@LAW
@given(text=TEXTS, cut=st.integers(1, 8))
def test_what_is_not_forbidden_passes_unchanged(inside: Inside, text: str, cut: int) -> None:
    near = re.sub(r"aurora|returns|profit|1234", "x", text)
    inside.peer.answer = lambda body: Say((near,), cut=cut)
    assert streamed_of(inside.post({"stream": True})) == (near, "stop")
    assert whole_of(inside.post({"stream": False})) == (near, "stop")


@LAW
@given(joined=TEXTS, at=st.integers(0, 60), cut=st.integers(1, 8))
def test_nothing_forbidden_stands_across_prompt_and_output(inside: Inside, joined: str, at: int, cut: int) -> None:
    """Whatever goes out, prompt and output together hold no match that begins in the one and ends in the other."""
    prompt, text = joined[:at], joined[at:]
    inside.peer.answer = lambda body: Say((text,), cut=cut)
    choice = json.loads(inside.complete({"prompt": prompt}))["choices"][0]
    streamed, reason = "", ""
    for line in inside.complete({"prompt": prompt, "stream": True}).decode("utf-8").split("\n\n"):
        if line.startswith("data: {"):
            for piece in json.loads(line[6:])["choices"]:
                streamed, reason = streamed + piece["text"], piece["finish_reason"] or reason
    assert reason == choice["finish_reason"]
    for shown in (streamed, choice["text"]):
        own = shown.removesuffix(MESSAGE).removesuffix(FALLBACK)
        found = [match.span() for match in FORBIDDEN.finditer(prompt + own)]
        assert not any(end > len(prompt) for _, end in found)
    if reason == "stop":
        assert streamed == choice["text"]


@LAW
@given(texts=st.lists(TEXTS, min_size=2, max_size=4), cut=st.integers(1, 5), order=st.randoms(use_true_random=False))
def test_choices_that_arrive_mixed_are_as_if_each_came_alone(
    inside: Inside, texts: list[str], cut: int, order: Any
) -> None:
    pieces = [(at, text[i : i + cut]) for at, text in enumerate(texts) for i in range(0, len(text), cut)]
    queues = {at: [p for a, p in pieces if a == at] for at in range(len(texts))}
    events: list[bytes] = []
    while any(queues.values()):
        at = order.choice([at for at, queue in queues.items() if queue])
        delta = {"index": at, "delta": {"content": queues[at].pop(0)}, "finish_reason": None}
        events.append(b"data: " + json.dumps({"choices": [delta]}).encode() + b"\n\n")
    for at in range(len(texts)):
        end = {"index": at, "delta": {}, "finish_reason": "stop"}
        events.append(b"data: " + json.dumps({"choices": [end]}).encode() + b"\n\n")
    inside.peer.answer = lambda body: Say(raw=b"".join([*events, b"data: [DONE]\n\n"]))
    data = inside.post({"stream": True, "n": len(texts)})
    mixed = dict.fromkeys(range(len(texts)), "")
    for line in data.decode("utf-8").split("\n\n"):
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                mixed[choice["index"]] += choice["delta"].get("content") or ""
    assert not any(FORBIDDEN.search(text) for text in mixed.values())
    for at, text in enumerate(texts):
        if not FORBIDDEN.search(text) and mixed[at] != FALLBACK:
            assert mixed[at] == text
