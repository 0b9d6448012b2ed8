"""An upstream that breaks every form, with a forbidden text in each: nothing of it goes out; failures have names."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from policykit.serving import Guard, Serving
from policykit.serving.upstream_http import HttpUpstream
from tests.serving.attacks.cases import Case
from tests.serving.attacks.house import attacked
from tests.serving.attacks.oracle import leaks
from tests.serving.attacks.sending import send, wrong_with
from tests.serving.peer import Peer, Say
from tests.serving.running import Kept, served

BAD = "We promise guaranteed returns."
SSE, JSON = "text/event-stream", "application/json"
FAULTS = tuple(
    f"policykit_{name}"
    for name in ("upstream_failed", "upstream_malformed", "upstream_truncated", "upstream_too_large", "check_failed")
)


def event(**more: Any) -> bytes:
    return b"data: " + json.dumps(more, ensure_ascii=False).encode() + b"\n\n"


def delta(said: Any, index: Any = 0, finish: Any = None, **more: Any) -> bytes:
    return event(choices=[{"index": index, "delta": said, "finish_reason": finish, **more}])


def whole(message: Any, finish: Any = "stop", index: Any = 0, **more: Any) -> bytes:
    return json.dumps({"choices": [{"index": index, "message": message, "finish_reason": finish, **more}]}).encode()


END, DONE = delta({}, finish="stop"), b"data: [DONE]\n\n"
CONTENT = {"content": BAD}
LOGPROBS = {"content": [{"token": BAD, "logprob": -1, "bytes": list(BAD.encode()), "top_logprobs": [{"token": BAD}]}]}
CALL = {
    "index": 0,
    "id": BAD,
    "type": "function",
    "function": {"name": "order", "arguments": '{"what": "' + BAD + '"}'},
}
STREAMS: dict[str, tuple[str, bytes]] = {
    "of another type": ("text/html", delta(CONTENT) + END + DONE),
    "as one JSON": (JSON, whole({"role": "assistant", **CONTENT})),
    "cut in an event": (SSE, delta(CONTENT)[:-20]),
    "cut before its end": (SSE, delta({"content": "Fine. "}) + delta({"content": BAD[:25]})),
    "without an end": (SSE, delta(CONTENT)),
    "going on after its end": (SSE, delta({"content": "Fine."}) + END + delta(CONTENT) + DONE),
    "going on after its last event": (SSE, delta({"content": "Fine."}) + END + DONE + delta(CONTENT)),
    "that is no JSON": (SSE, b"data: " + BAD.encode() + b"\n\n" + DONE),
    "of comments and names": (SSE, b": " + BAD.encode() + b"\nevent: " + BAD.encode() + b"\n" + delta({}) + END + DONE),
    "with an error": (SSE, delta({"content": "Fine."}) + event(error={"message": BAD, "code": BAD}) + DONE),
    "of a choice that was not asked for": (SSE, delta(CONTENT, index=7) + END + DONE),
    "of a choice without a number": (SSE, delta(CONTENT, index=BAD) + END + DONE),
    "of a list": (SSE, delta({"content": [{"type": "text", "text": BAD}]}) + END + DONE),
    "with scores": (SSE, delta({"content": "Fine."}, logprobs=LOGPROBS) + END + DONE),
    "with a finish of its own": (SSE, delta({"content": "Fine."}) + delta({}, finish=BAD) + DONE),
    "with calls": (SSE, delta({"tool_calls": [CALL]}) + delta({}, finish="tool_calls") + DONE),
    "with a call of old": (SSE, delta({"function_call": {"name": BAD, "arguments": BAD}}) + END + DONE),
    "in every field": (SSE, delta({"role": BAD, "name": BAD, "audio": {"transcript": BAD}, "x": [BAD]}) + END + DONE),
    "of two bytes a letter": (SSE, delta(CONTENT).decode().encode("utf-16") + DONE),
    "huge": (SSE, delta({"content": "Fine. " * 400_000 + BAD}) + END + DONE),
    "huge in one line": (SSE, b"data: " + b"x" * 9_000_000 + BAD.encode()),
    "with repeated names": (SSE, b'data: {"choices": [], "choices": [{"index": 0, "delta": {"content": "%s"}}]}\n\n'
     % BAD.encode() + END + DONE),
    "empty": (SSE, b""),
}  # fmt: skip
WHOLES: dict[str, tuple[str, bytes]] = {
    "of another type": ("text/plain", whole({"role": "assistant", **CONTENT})),
    "as events": (SSE, delta(CONTENT) + END + DONE),
    "cut": (JSON, whole({"role": "assistant", **CONTENT})[:-9]),
    "with more behind": (JSON, whole({"role": "assistant", "content": "Fine."}) + BAD.encode()),
    "that is no JSON": (JSON, BAD.encode()),
    "of a list": (JSON, json.dumps([BAD]).encode()),
    "without choices": (JSON, json.dumps({"choices": [], "text": BAD, "output": BAD}).encode()),
    "without a message": (JSON, json.dumps({"choices": [{"index": 0, "text": BAD, "finish_reason": "stop"}]}).encode()),
    "with two of one number": (JSON, json.dumps({"choices": json.loads(whole(CONTENT))["choices"] * 2}).encode()),
    "with parts": (JSON, whole({"role": "assistant", "content": [{"type": "text", "text": BAD}]})),
    "with scores": (JSON, whole({"role": "assistant", "content": "Fine."}, logprobs=LOGPROBS)),
    "with calls": (JSON, whole({"role": "assistant", "content": None, "tool_calls": [CALL]}, "tool_calls")),
    "with a call of old": (JSON, whole({"role": "assistant", "function_call": {"name": BAD, "arguments": BAD}})),
    "with a finish of its own": (JSON, whole({"role": "assistant", "content": "Fine."}, BAD)),
    "with notes": (JSON, whole({"role": BAD, "content": "Fine.", "annotations": [{"url_citation": {"title": BAD}}]})),
    "with repeated names": (JSON, b'{"choices": [], ' + whole({"role": "assistant", **CONTENT})[1:]),
    "huge": (JSON, whole({"role": "assistant", "content": "Fine. " * 2_000_000 + BAD})),
    "empty": (JSON, b""),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Peer]]:
    peer = Peer()
    with served(peer) as address:
        guard = Guard(Serving(attacked(tmp_path_factory.mktemp("attacks"))), HttpUpstream(address), Kept())
        with served(guard) as url:
            yield url, peer


def check(world: tuple[str, Peer], kind: str, data: bytes, stream: bool, cuts: tuple[int, ...] | None) -> None:
    url, peer = world
    peer.answer = lambda body: Say(raw=data, raw_type=kind, byte_cuts=cuts)
    body = {"messages": [{"role": "user", "content": "Hello"}], "stream": stream}
    case = Case("wire", "wire", "/v1/chat/completions", "either", body=body)
    assert wrong_with(case, send(url, case), FAULTS) == []


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("cuts", [None, tuple(range(0, 600, 7))], ids=["at once", "in sevens"])
def test_nothing_of_a_broken_stream_goes_out(world: tuple[str, Peer], name: str, cuts: tuple[int, ...] | None) -> None:
    check(world, *STREAMS[name], stream=True, cuts=cuts)


@pytest.mark.parametrize("name", WHOLES)
def test_nothing_of_a_broken_answer_goes_out(world: tuple[str, Peer], name: str) -> None:
    check(world, *WHOLES[name], stream=False, cuts=None)


def test_what_is_broken_says_what_is_forbidden() -> None:
    """But for those that say it in another encoding, or nothing, or less than a phrase."""
    silent = {"empty", "cut before its end", "of two bytes a letter"}
    for name, (_, data) in (*STREAMS.items(), *WHOLES.items()):
        assert name in silent or leaks(data[-10_000:] if "huge" in name else data), name
