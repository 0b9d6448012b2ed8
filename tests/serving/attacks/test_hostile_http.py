"""An upstream that breaks HTTP itself, or says in right HTTP what no server says: nothing forbidden goes out, every
failure has a name, and the guard goes on."""

import gzip
import json
import socket
import threading
import zlib
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from policykit.serving import Guard, Serving
from policykit.serving.upstream_http import HttpUpstream
from tests.serving.attacks.cases import Case
from tests.serving.attacks.house import attacked
from tests.serving.attacks.sending import send, wrong_with
from tests.serving.attacks.test_hostile_wire import BAD, CALL, CONTENT, DONE, END, FAULTS, delta, event, whole
from tests.serving.running import Kept, served

Answer = list[bytes] | bytes
NAMED = (*FAULTS, *(f"policykit_upstream_{name}" for name in ("busy", "refused", "unreachable", "timeout")))


class Wire:
    """A server on a socket that answers each request with the bytes that a test wants, and closes."""

    def __init__(self) -> None:
        self.answer: Answer = b""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection:
                self._one(connection)

    def _one(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        head, body = b"", b""
        while b"\r\n\r\n" not in head and (piece := connection.recv(65536)):
            head += piece
        head, _, body = head.partition(b"\r\n\r\n")
        length = next((int(h[15:]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")), 0)
        while len(body) < length and (piece := connection.recv(65536)):
            body += piece
        try:
            for piece in [self.answer] if isinstance(self.answer, bytes) else self.answer:
                connection.sendall(piece)
        except OSError:
            pass  # the guard has let go of it

    def close(self) -> None:
        self._listening.close()


def http(body: bytes, kind: str = "application/json", status: str = "200 OK", head: str = "") -> bytes:
    lines = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{head}\r\n"
    return lines.encode("latin-1") + body


def chunked(
    pieces: list[bytes], kind: str = "text/event-stream", extension: bytes = b"", trailer: bytes = b""
) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    parts = [b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces]
    return head + b"".join(parts) + b"0\r\n" + trailer + b"\r\n"


GOOD = whole({"role": "assistant", "content": "Fine."})
SAYS = whole({"role": "assistant", **CONTENT})
STREAM = [delta({"content": "Fine."}), END, DONE]
SAYS_STREAM = [delta(CONTENT), END, DONE]
MANY = "9" * 4000
TEXT = "text/event-stream"


def stream(*pieces: bytes) -> bytes:
    """A stream of events that ends as it should."""
    return chunked([*pieces, END, DONE])


def choice(**parts: Any) -> bytes:
    """An event of one choice that has not ended."""
    return event(choices=[{"index": 0, "finish_reason": None, **parts}])


def order(arguments: str | None = None, name: str | None = "order", **more: Any) -> dict[str, Any]:
    """A part of a call."""
    given = {"name": name, "arguments": arguments}
    return {**more, "function": {key: value for key, value in given.items() if value is not None}}


def says(content: str, **more: Any) -> bytes:
    return whole({"role": "assistant", "content": content}, **more)


def usage(**counts: Any) -> bytes:
    choices = json.loads(GOOD)["choices"]
    return json.dumps({"choices": choices, "usage": counts}).encode()


def calls(*parts: tuple[Any, dict[str, Any]]) -> list[bytes]:
    made = [delta({"tool_calls": [{"index": index, **part}]}) for index, part in parts]
    return [*made, delta({}, finish="tool_calls"), DONE]


WHOLES: dict[str, Answer] = {
    **{f"status {status}": http(SAYS, status=f"{status} {BAD}") for status in (201, 202, 203, 206, 226, 299)},
    **{f"status {status} whole": http(SAYS, status=f"{status} X") for status in (400, 401, 404, 409, 422, 429, 451)},
    **{f"status {status} of a fault": http(SAYS, status=f"{status} {BAD}") for status in (500, 502, 503, 529, 599)},
    **{
        f"status {status} to elsewhere": http(
            SAYS, status=f"{status} X", head=f"Location: /{BAD}\r\n".replace(" ", "%20")
        )
        for status in (300, 301, 302, 303, 307, 308)
    },
    "status 204 with a body": http(SAYS, status="204 No Content"),
    "status 304 with a body": http(SAYS, status="304 Not Modified"),
    "status 999": http(SAYS, status=f"999 {BAD}"),
    "status that is none": http(SAYS, status=BAD),
    "an interim answer first": b"HTTP/1.1 100 Continue\r\n\r\n" + http(SAYS),
    "hints first": b"HTTP/1.1 103 Early Hints\r\nLink: <" + BAD.encode() + b">\r\n\r\n" + http(SAYS),
    "many interim answers": b"HTTP/1.1 102 Processing\r\n\r\n" * 200 + http(SAYS),
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + SAYS,
    "two answers": http(GOOD) + http(SAYS),
    "an answer of HTTP/0.9": SAYS,
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Type: appl",
    "a huge head": b"HTTP/1.1 200 OK\r\nX-Note: " + BAD.encode() * 3_000 + b"\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(20_000)) + b"\r\n",
    "headers that speak": http(GOOD, head=f"X-Request-Id: {BAD}\r\nX-Policykit-Record: {BAD}\r\nSet-Cookie: {BAD}\r\n"),
    "two lengths": http(SAYS, head="Content-Length: 5\r\n"),
    "a length that is too short": b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + SAYS,
    "a length that is too long": b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n" + SAYS,
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + SAYS,
    "compressed": http(gzip.compress(SAYS), head="Content-Encoding: gzip\r\n"),
    "compressed twice": http(gzip.compress(gzip.compress(SAYS)), head="Content-Encoding: gzip, gzip\r\n"),
    "deflated": http(zlib.compress(SAYS), head="Content-Encoding: deflate\r\n"),
    "said to be compressed": http(SAYS, head="Content-Encoding: gzip\r\n"),
    "compressed and not said to be": http(gzip.compress(SAYS)),
    "in UTF-16": http(SAYS.decode().encode("utf-16"), "application/json; charset=utf-16"),
    "in UTF-7": http(b"+AHs-" + SAYS[1:], "application/json; charset=utf-7"),
    "in Latin-1": http(says("Fine é").decode().encode("latin-1"), "application/json; charset=latin-1"),
    "behind a byte order mark": http(b"\xef\xbb\xbf" + SAYS),
    "of a type that is a list": http(SAYS, "application/json, text/html"),
    "of no type": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(SAYS) + SAYS,
    "of JSON lines": http(GOOD + b"\n" + SAYS, "application/x-ndjson"),
    "with a comment": http(b"/* " + BAD.encode() + b" */" + GOOD),
    "with a number that is none": http(b'{"x": NaN, ' + SAYS[1:]),
    "with a number that is too large": http(b'{"x": 1e999, ' + SAYS[1:]),
    "with many digits": http(b'{"x": ' + b"9" * 100_000 + b", " + SAYS[1:]),
    "nested deeply": http(b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b", " + SAYS[1:]),
    "with half a surrogate": http(says("guaranteed\ud800 returns")),
    "with overlong bytes": http(GOOD.replace(b"Fine.", b"guaranteed\xc0\xa0returns")),
    "with tokens beyond every count": http(usage(prompt_tokens=int(MANY), completion_tokens=int(MANY))),
    "with tokens beyond 64 bits": http(usage(prompt_tokens=1 << 63, completion_tokens=1 << 64)),
    "with tokens below none": http(usage(prompt_tokens=-5, completion_tokens=-(1 << 70))),
    "with tokens that are no numbers": http(usage(prompt_tokens=BAD, completion_tokens=[BAD], total_tokens=1e308)),
    "with a usage that is a list": http(json.dumps({"choices": json.loads(GOOD)["choices"], "usage": [BAD]}).encode()),
    "with an index beyond every count": http(whole(CONTENT, index=int(MANY))),
    "with an index that is a half": http(whole(CONTENT, index=0.5)),
    "with an index below none": http(whole(CONTENT, index=-1)),
    "with an index that is true": http(whole(CONTENT, index=False)),
    "with a content that is a number": http(whole({"content": 1234})),
    "with a content that is an object": http(whole({"content": {"text": BAD}})),
    "with a stop that speaks": http(says("Fine.", stop_reason=BAD)),
    "with a stop of many digits": http(says("Fine.", stop_reason=int(MANY))),
    "with two reasonings": http(whole({"content": "Fine.", "reasoning": BAD, "reasoning_content": "Fine."})),
    "with reasoning of two halves": http(whole({"content": "returns", "reasoning_content": "guaranteed"})),
    "with calls of one index": http(whole({"content": None, "tool_calls": [CALL, CALL]}, "tool_calls")),
    "with many calls": http(whole({"content": None, "tool_calls": [CALL] * 5_000}, "tool_calls")),
    "with a call that is a text": http(whole({"content": None, "tool_calls": BAD}, "tool_calls")),
    "with arguments that are an object": http(
        whole({"content": None, "tool_calls": [{**CALL, "function": {"name": "order", "arguments": {"what": BAD}}}]})
    ),
    "with arguments in which a key speaks": http(
        whole(
            {"tool_calls": [{**CALL, "id": "c", "function": {"name": "order", "arguments": json.dumps({BAD: 1})}}]},
            "tool_calls",
        )
    ),
    "with a refusal that speaks": http(whole({"content": None, "refusal": BAD})),
    "with a role that speaks": http(whole({"role": BAD, "content": "Fine."})),
    "as a stream": chunked(SAYS_STREAM),
    "in chunks of a byte": chunked([bytes([b]) for b in SAYS], "application/json"),
    "with extensions of chunks": chunked([SAYS], "application/json", extension=b";note=" + BAD.encode()),
    "with a trailer": chunked([GOOD], "application/json", trailer=b"X-Note: " + BAD.encode() + b"\r\n"),
    "with a chunk that is too short": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + SAYS,
    "with a chunk of no size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + SAYS,
    "without a last chunk": chunked([SAYS], "application/json")[:-5],
}
STREAMS: dict[str, Answer] = {
    "as a whole": http(SAYS),
    "with a status of its own": http(b"".join(SAYS_STREAM), TEXT, status=f"206 {BAD}"),
    "to elsewhere": http(b"".join(SAYS_STREAM), TEXT, status="302 Found", head="Location: /x\r\n"),
    "compressed": http(gzip.compress(b"".join(SAYS_STREAM)), TEXT, head="Content-Encoding: gzip\r\n"),
    "in chunks of a byte": chunked([bytes([b]) for b in b"".join(SAYS_STREAM)]),
    "with a trailer": chunked(STREAM, trailer=b"X-Note: " + BAD.encode() + b"\r\n"),
    "without a last chunk": chunked(SAYS_STREAM)[:-5],
    "of two ends": chunked([*STREAM, DONE]),
    "that goes on": chunked([*STREAM, *SAYS_STREAM]),
    "with a comment behind": chunked([*STREAM, b": " + BAD.encode() + b"\n\n"]),
    "with text behind": chunked([*STREAM, BAD.encode()]),
    "of lines that end in CR": chunked([piece.replace(b"\n", b"\r") for piece in SAYS_STREAM]),
    "of lines that end in CR LF": chunked([piece.replace(b"\n", b"\r\n") for piece in SAYS_STREAM]),
    "of lines that end in all ways": stream(b"data: {}\r\n\n", delta(CONTENT).replace(b"\n\n", b"\r\r\n")),
    "of data in several lines": chunked([delta(CONTENT).replace(b", ", b",\ndata: "), END, DONE]),
    "of data without a space": chunked([piece.replace(b"data: ", b"data:") for piece in SAYS_STREAM]),
    "of data with two spaces": chunked([piece.replace(b"data: ", b"data:  ") for piece in SAYS_STREAM]),
    "with names in capitals": chunked([piece.replace(b"data", b"DATA") for piece in SAYS_STREAM]),
    "with ids and waits": chunked([b"id: " + BAD.encode() + b"\nretry: 1\nevent: error\n" + STREAM[0], END, DONE]),
    "with a line of nothing else": chunked([b"guaranteed returns\n\n", *STREAM]),
    "of an event that never ends": chunked([delta(CONTENT)[:-2], *[b"data: x\n"] * 150_000]),
    "of comments that never end": chunked([b": x\n\n" * 20_000, *SAYS_STREAM]),
    "of events without data": chunked([b"event: x\n\n" * 10_000, *SAYS_STREAM]),
    "of empty choices": chunked([event(choices=[])] * 1_000 + SAYS_STREAM),
    "of empty deltas": chunked([delta({})] * 1_000 + SAYS_STREAM),
    "of single letters": chunked([*[delta({"content": letter}) for letter in BAD], END, DONE]),
    "of halves of a letter": chunked([*[bytes([b]) for b in delta({"content": "guaranteed\u00a0returns"})], END, DONE]),
    "of halves of a surrogate pair": stream(
        *(b'data: {"choices": [{"index": 0, "delta": {"content": "' + half + b'"}, "finish_reason": null}]}\n\n'
          for half in (b"guaranteed \\ud83d", b"\\ude00returns"))
    ),
    "of invisible letters": chunked([delta({"content": c + "\u200b"}) for c in BAD] + [END, DONE]),
    "of marks": chunked([delta({"content": "guaranteed\u0301 returns"}), END, DONE]),
    "with a role in the middle": chunked(
        [delta({"role": "assistant", "content": "guaranteed"}), delta({"role": "tool", "content": " returns"}),
         delta({"role": "user"}), END, DONE]
    ),
    "with texts in turns": chunked(
        [delta({"content": "guaranteed"}), delta({"reasoning_content": "certain"}), delta({"content": " returns"}),
         delta({"reasoning_content": " profit"}), END, DONE]
    ),
    "with texts in one": chunked([delta({"content": "guaranteed", "reasoning_content": "certain"}),
                                  delta({"content": " returns", "reasoning_content": " profit"}), END, DONE]),
    "with two choices of one number": stream(
        event(choices=[{"index": 0, "delta": {"content": text}} for text in ("guaranteed", " returns")])
    ),
    "with two ends of one choice": chunked([STREAM[0], END, END, DONE]),
    "with an end before its text": chunked([delta({}, finish="stop"), delta(CONTENT), DONE]),
    "with text in its end": chunked([delta(CONTENT, finish="stop"), DONE]),
    "with no end but a length": chunked(
        [delta({"content": "guaranteed"}), delta({"content": " returns"}, finish="length"), DONE]
    ),
    "with a message": chunked([choice(message={"content": BAD}), *STREAM]),
    "with a text": chunked([choice(text=BAD), *STREAM]),
    "with a delta that is a text": stream(choice(delta=BAD)),
    "with a delta that is a list": stream(choice(delta=[BAD])),
    "with choices that are an object": chunked([event(choices={"0": {"delta": CONTENT}}), END, DONE]),
    "with choices that are none": chunked([event(choices=None, note=BAD), END, DONE]),
    "with tokens beyond every count": chunked(
        [*STREAM[:2], event(choices=[], usage=dict.fromkeys(("prompt_tokens", "completion_tokens"), int(MANY))), DONE]
    ),
    "with a name of an index": chunked(calls(("0", order("{}", id=BAD)))),
    "with calls out of order": chunked(
        calls((1, order('{"what": "guaranteed ', None)), (0, order()), (1, order('returns"}')), (0, order("{}", None)))
    ),
    "with a name in pieces": chunked(calls((0, order(None, "guaranteed ", id="c")), (0, order("{}", "returns")))),
    "with arguments in pieces": chunked(
        calls((0, order('{"what": "guar', id="c")), *[(0, order(c, None)) for c in "anteed returns"],
              (0, order('"}', None)))
    ),
    "with arguments in escapes": chunked(calls((0, order('{"what": "\\u0067uaranteed\\u0020returns"}', id="c")))),
    "with a key twice": chunked(calls((0, order('{"what": "guaranteed returns", "what": "x"}', id="c")))),
    "with a call without an end": chunked(calls((0, order('{"what": "guaranteed returns', id="c")))),
    "with a call and no calls": chunked([delta({"tool_calls": [CALL]}), END, DONE]),
    "with a call beyond every count": chunked(calls((int(MANY), order(BAD)))),
    "with a call of another type": chunked(calls((0, {"type": "custom", "custom": {"name": BAD, "input": BAD}}))),
    "with a call of old in pieces": chunked(
        [delta({"function_call": {"name": "order"}}), delta({"function_call": {"arguments": BAD}}),
         delta({}, finish="function_call"), DONE]
    ),
    "with an error that is null": chunked([event(choices=[], error=None, note=BAD), *STREAM]),
    "with an error that is a text": chunked([STREAM[0], event(error=BAD), DONE]),
    "with an object that is an error": chunked([STREAM[0], event(object="error", message=BAD), DONE]),
    "with a finish that is a number": chunked([delta(CONTENT), delta({}, finish=1), DONE]),
    "with a finish of an unknown kind": chunked([STREAM[0], delta({}, finish="guaranteed returns"), DONE]),
    "with a stop that speaks": chunked([STREAM[0], delta({}, finish="stop", stop_reason=BAD), DONE]),
    "with DONE in small": chunked([*SAYS_STREAM[:2], b"data: [done]\n\n"]),
    "with DONE in an object": chunked([*SAYS_STREAM[:2], b'data: {"done": true}\n\n']),
    "with DONE before its end": chunked([delta({"content": "guaranteed"}), DONE, delta({"content": " returns"}), END]),
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Wire]]:
    wire = Wire()
    guard = Guard(Serving(attacked(tmp_path_factory.mktemp("attacks"))), HttpUpstream(wire.url, read_s=5), Kept())
    with served(guard) as url:
        yield url, wire
    wire.close()


def wrong(world: tuple[str, Wire], answer: Answer, route: str, **asked: Any) -> list[str]:
    url, wire = world
    wire.answer = answer
    body = {"prompt": "Hello"} if route == "/v1/completions" else {"messages": [{"role": "user", "content": "Hello"}]}
    body = {"input": "Hello"} if route == "/v1/responses" else body
    case = Case("http", "http", route, "either", body=body | asked)
    return wrong_with(case, send(url, case), NAMED)


def test_there_are_enough_of_them() -> None:
    assert len(WHOLES) + len(STREAMS) >= 120


@pytest.mark.parametrize("name", WHOLES)
def test_nothing_of_an_answer_goes_out(world: tuple[str, Wire], name: str) -> None:
    assert wrong(world, WHOLES[name], "/v1/chat/completions") == []


@pytest.mark.parametrize("name", STREAMS)
def test_nothing_of_a_stream_goes_out(world: tuple[str, Wire], name: str) -> None:
    assert wrong(world, STREAMS[name], "/v1/chat/completions", stream=True) == []


@pytest.mark.slow
@pytest.mark.parametrize(("route", "stream"), list(product(("/v1/responses", "/v1/completions"), (False, True))))
def test_nor_on_another_route(world: tuple[str, Wire], route: str, stream: bool) -> None:
    answers = STREAMS if stream else WHOLES
    assert [f"{n}: {line}" for n, a in answers.items() for line in wrong(world, a, route, stream=stream)] == []


def test_the_guard_goes_on(world: tuple[str, Wire]) -> None:
    url, wire = world
    case = Case(
        "http", "good", "/v1/chat/completions", "served", body={"messages": [{"role": "user", "content": "Hi"}]}
    )
    wire.answer = http(GOOD)
    assert wrong_with(case, send(url, case)) == []
