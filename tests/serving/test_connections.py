"""Clients that are slow on purpose: each is let go of within its time, and nobody else waits for it."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from policykit.cli.commands.serve import DEFAULTS
from policykit.diagnostics import PolicyError
from policykit.serving import Guard, Serving
from policykit.serving.connections import BODY_GRACE_S
from policykit.serving.services import GuardSettings
from policykit.serving.upstream_http import HttpUpstream
from policykit.serving.waits import MAX_HEAD_BYTES, VARIABLES, Waits
from tests.serving.peer import Peer, Say
from tests.serving.running import Kept, deployment, served

WAITS = Waits(head_s=0.6, body_s=0.5, read_s=0.7)
SLACK_S = 3.0
"""How much later it may be on a busy machine."""
BODY = json.dumps({"model": "profile:plain", "messages": [{"role": "user", "content": "Hello?"}]}).encode()
KEY = b"authorization: Bearer key-acme\r\n"
POST = b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\n"


def header(more: bytes = KEY, body: bytes = BODY) -> bytes:
    return POST + more + b"content-length: %d\r\n\r\n" % len(body)


@dataclass
class Slow:
    """A guard with short patience, and its peer."""

    url: str
    log: Kept
    peer: Peer = field(default_factory=Peer)

    def connect(self) -> socket.socket:
        at = urlsplit(self.url)
        connection = socket.create_connection((at.hostname, at.port))
        connection.settimeout(20)
        return connection


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slow]:
    peer, log = Peer(), Kept()
    with served(peer) as upstream:
        settings = GuardSettings(body_timeout_s=WAITS.body_s)
        serving = Serving(deployment(tmp_path_factory.mktemp("slow")))
        guard = Guard(serving, HttpUpstream(upstream), log, settings=settings)
        with served(guard, WAITS) as url:
            yield Slow(url, log, peer)


def dribbled(connection: socket.socket, data: bytes, every_s: float = 0.05) -> tuple[bytes, float]:
    """What the server says to bytes that come one by one, and the seconds until it is gone."""
    began, heard = time.monotonic(), b""
    connection.settimeout(every_s)
    for byte in data:
        try:
            connection.sendall(bytes([byte]))
        except OSError:
            break
        try:
            more = connection.recv(65_536)
            if not more:
                break
            heard += more
        except TimeoutError:
            continue
        except OSError:
            break
    else:
        raise AssertionError(f"everything was taken: {heard[:200]!r}")
    return heard, time.monotonic() - began


def rest(connection: socket.socket) -> bytes:
    """What comes until the server is gone."""
    heard = b""
    try:
        while more := connection.recv(65_536):
            heard += more
    except ConnectionResetError:
        pass
    return heard


def test_a_header_that_comes_byte_by_byte_is_late(slow: Slow) -> None:
    with slow.connect() as connection:
        heard, seconds = dribbled(connection, header(b"x-long: " + b"a" * 2000 + b"\r\n"))
    assert not heard or (heard.startswith(b"HTTP/1.1 408 ") and b'"policykit_head_refused"' in heard)
    assert WAITS.head_s * 0.8 <= seconds < WAITS.head_s + SLACK_S


def test_a_second_header_is_bound_as_the_first(slow: Slow) -> None:
    with slow.connect() as connection:
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nhost: g\r\n" + KEY + b"\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        _, seconds = dribbled(connection, header(b"x-long: " + b"a" * 2000 + b"\r\n"))
    assert seconds < WAITS.head_s + SLACK_S


def test_a_connection_that_says_nothing_is_closed(slow: Slow) -> None:
    began = time.monotonic()
    with slow.connect() as connection:
        assert rest(connection) == b""
    assert time.monotonic() - began < WAITS.head_s + SLACK_S


def test_a_header_without_end_is_refused(slow: Slow) -> None:
    with slow.connect() as connection:
        connection.sendall(POST)
        try:
            for _ in range(4 * MAX_HEAD_BYTES // 1024):
                connection.sendall(b"x-more: " + b"a" * 1014 + b"\r\n")
        except OSError:
            pass
        heard = rest(connection)
    assert not heard or (heard.startswith(b"HTTP/1.1 431 ") and b'"policykit_head_refused"' in heard), heard[:200]


def test_a_body_that_comes_byte_by_byte_is_late(slow: Slow) -> None:
    """The guard says so and records it; then the connection is cut, though bytes still come."""
    n_before = len(slow.log.accounts)
    with slow.connect() as connection:
        connection.sendall(header(body=BODY + b" " * 10_000))
        heard, seconds = dribbled(connection, BODY + b" " * 10_000)
    assert heard.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 0.5 s" in heard
    assert seconds < WAITS.body_s + BODY_GRACE_S + SLACK_S
    assert [account.status for account in slow.log.accounts[n_before:]] == [408]


def test_a_body_that_was_answered_before_it_came_does_not_hold_the_connection(slow: Slow) -> None:
    with slow.connect() as connection:
        connection.sendall(header(b"authorization: Bearer no-key\r\n", body=b" " * 100_000))
        heard, seconds = dribbled(connection, b" " * 100_000)
    assert heard.startswith(b"HTTP/1.1 401 ")
    assert seconds < WAITS.body_s + BODY_GRACE_S + SLACK_S


def test_others_are_served_meanwhile(slow: Slow) -> None:
    """Clients that send half a header, and others that send half a body, many at once."""
    connections = [slow.connect() for _ in range(60)]
    for at, connection in enumerate(connections):
        connection.sendall(header()[: -20 if at % 2 else None] + b"{" * (at % 2 == 0))
    began = time.monotonic()
    answer = httpx.post(
        f"{slow.url}/v1/chat/completions", content=BODY, timeout=20,
        headers={"authorization": "Bearer key-acme", "content-type": "application/json"},
    )  # fmt: skip
    assert answer.status_code == 200
    assert time.monotonic() - began < SLACK_S
    for connection in connections:
        rest(connection)
        connection.close()


def test_an_answer_may_take_longer_than_a_header(slow: Slow) -> None:
    """Deadlines are about what the client does, also where a second request waits behind the first."""
    slow.peer.answer = lambda body: Say(("Hello.",), stall_s=WAITS.head_s + 0.4)
    try:
        with slow.connect() as connection:
            connection.sendall((header() + BODY) * 2)
            heard = b""
            while heard.count(b"chat.completion") < 2:
                more = connection.recv(65_536)
                assert more, heard
                heard += more
    finally:
        slow.peer.answer = Peer().answer


def test_trailers_are_no_header(slow: Slow) -> None:
    """What stands behind a body names no key: whoever checks headers before the guard has not seen it."""
    body = b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY)
    with slow.connect() as connection:
        chunked = b"transfer-encoding: chunked\r\nconnection: close\r\n"
        connection.sendall(POST + chunked + b"\r\n" + body + KEY + b"\r\n")
        assert rest(connection).startswith(b"HTTP/1.1 401 ")
    with slow.connect() as connection:
        connection.sendall(POST + chunked + KEY + b"\r\n" + body + b"x-policykit-profile: prompted\r\n\r\n")
        answer = rest(connection)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"profile":"plain"' in answer


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket", b"x"])
@pytest.mark.parametrize("at_once", [True, False])
def test_what_stands_behind_an_upgrade_is_no_second_request(slow: Slow, upgrade: bytes, at_once: bool) -> None:
    """Neither in one piece nor in two: a proxy takes it for the body of the first."""
    hidden = b"GET /v1/models HTTP/1.1\r\nhost: g\r\n" + KEY + b"\r\n"
    head = header(KEY + b"connection: upgrade\r\nupgrade: " + upgrade + b"\r\n", hidden)
    with slow.connect() as connection:
        connection.sendall(head + hidden if at_once else head)
        heard = b"" if at_once else connection.recv(65_536)
        if not at_once:
            with contextlib.suppress(OSError):
                connection.sendall(hidden)
        heard += rest(connection)
    assert heard.count(b"HTTP/1.1 ") == 1
    assert b"profile:plain" not in heard


def test_a_client_that_would_upgrade_is_told_why_its_body_is_not_read(slow: Slow) -> None:
    """As some clients do with the first request to any server that they do not speak TLS with."""
    with slow.connect() as connection:
        connection.sendall(header(KEY + b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\n") + BODY)
        heard = rest(connection)
    assert heard.startswith(b"HTTP/1.1 400 ")
    assert b"no body is read behind the header `upgrade`" in heard


@pytest.mark.parametrize("error", [RuntimeError("the handler is closed"), OSError("broken pipe")])
@pytest.mark.parametrize("at", ["http.response.start", "http.response.body"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("key", ["key-acme", "none"])
def test_a_connection_that_is_closed_under_an_answer_is_no_fault_of_the_guard(
    tmp_path: Path, error: Exception, at: str, stream: bool, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the server says of it when it writes: one record, no error, and nothing raised."""
    log = Kept()

    async def lives() -> None:
        with served(Peer()) as upstream:
            guard = Guard(Serving(deployment(tmp_path)), HttpUpstream(upstream), log)
            body = [{"type": "http.request", "body": json.dumps({**json.loads(BODY), "stream": stream}).encode()}]

            async def receive() -> Any:
                if body:
                    return body.pop()
                await asyncio.sleep(3600)
                raise AssertionError

            async def send(message: Any) -> None:
                if message["type"] == at:
                    raise error

            headers = [(b"authorization", f"Bearer {key}".encode()), (b"content-type", b"application/json")]
            path = "/v1/chat/completions"
            await guard({"type": "http", "method": "POST", "path": path, "headers": headers}, receive, send)
            await guard.aclose()

    asyncio.run(lives())
    assert len(log.accounts) == (1 if key == "key-acme" else 0)
    assert all(account.outcome.value in ("served", "disconnected") for account in log.accounts)
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


@pytest.mark.parametrize(
    "more",
    [b"transfer-encoding: gzip, chunked\r\n", b"content-encoding: br\r\ntransfer-encoding: chunked\r\n"],
    ids=["transfer", "content"],
)
def test_a_body_is_never_compressed(slow: Slow, more: bytes) -> None:
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    with slow.connect() as connection:
        connection.sendall(POST + KEY + more + b"connection: close\r\n\r\n" + body)
        assert rest(connection).startswith(b"HTTP/1.1 415 ")


@pytest.mark.parametrize(("charset", "status"), [("utf-8", 200), ('"UTF-8"', 200), ("utf-7", 415), ("utf-16le", 415)])
def test_json_is_in_utf_8_and_says_nothing_else(slow: Slow, charset: str, status: int) -> None:
    headers = {"authorization": "Bearer key-acme", "content-type": f"application/json; x=y; Charset={charset}"}
    answer = httpx.post(f"{slow.url}/v1/chat/completions", content=BODY, headers=headers)
    assert answer.status_code == status


def test_an_answer_that_nobody_reads_ends() -> None:
    """The application waits for its client no longer than it may take."""
    seconds: list[float] = []

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        began, gone = time.monotonic(), asyncio.ensure_future(receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while time.monotonic() - began < 15:
            await send({"type": "http.response.body", "body": b"a" * 1_000_000, "more_body": True})
            await asyncio.sleep(0)  # sending to nobody does not wait
            if gone.done() and (await gone)["type"] == "http.disconnect":
                break
            if gone.done():
                gone = asyncio.ensure_future(receive())
        seconds.append(time.monotonic() - began)

    with served(endless, WAITS) as url:
        at = urlsplit(url)
        with socket.create_connection((at.hostname, at.port)) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nhost: g\r\n\r\n")
            until = time.monotonic() + 14
            while not seconds and time.monotonic() < until:
                time.sleep(0.05)
    assert seconds
    assert WAITS.read_s * 0.8 <= seconds[0] < WAITS.read_s + SLACK_S


def test_what_the_environment_says_of_it(tmp_path: Path) -> None:
    assert Waits.read({}) == Waits()
    assert Waits.read(WAITS.variables()) == WAITS
    for variable in VARIABLES.values():
        for wrong in ("0", "-1", "soon", "nan", "inf"):
            with pytest.raises(PolicyError, match=f"PK680: `{variable}` is `{wrong}`"):
                Waits.read({variable: wrong})


def test_what_the_command_line_says_by_itself_is_what_the_server_does_by_itself() -> None:
    assert list(DEFAULTS.values()) == list(asdict(Waits()).values())


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the beginning of TLS
        b"guaranteed returns\r\n\r\n",
        header(b"x-policykit-profile: pl\x01ain\r\n"),
        header(b"content-length: 2\r\n"),  # a second one
        header(b"transfer-encoding: chunked\r\n"),
        b"GET /%s HTTP/1.1\r\n\r\n" % b"guaranteed\x1b",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_as_everything_is_and_not_quoted(slow: Slow, data: bytes) -> None:
    with slow.connect() as connection:
        connection.sendall(data)
        head, _, body = rest(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"application/json" in head
    error = json.loads(body)["error"]
    assert (error["code"], error["type"]) == ("policykit_http_refused", "invalid_request_error")
    assert b"guaranteed" not in head + body


def test_what_is_no_http_behind_a_request_is_not_read_as_its_answer(slow: Slow) -> None:
    """Nothing is written into, or in place of, an answer that is on its way."""
    slow.peer.answer = lambda _: Say(("Fine. " * 20,), stall_s=0.02)
    body = json.dumps({"messages": [{"role": "user", "content": "Hello?"}], "stream": True}).encode()
    asked = header(body=body) + body
    with slow.connect() as connection:
        connection.sendall(asked + b"guaranteed returns\r\n\r\n")
        assert rest(connection) == b""
    with slow.connect() as connection:
        connection.sendall(asked)
        heard = connection.recv(65_536)
        assert heard.startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"guaranteed returns\r\n\r\n")
        assert b"HTTP/1.1" not in (heard + rest(connection))[10:]
