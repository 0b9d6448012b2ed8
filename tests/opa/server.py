"""A server that speaks OPA's documented Data API over HTTP, and one that breaks it in every way that tests ask for.

Where an `opa` binary is found, :func:`agent` runs that instead for the same questions; both answer to ``REGO``.
"""

import json
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.request import urlopen

REGO = """\
package test

import rego.v1

yes := true

no := false

word := "yes"

small if input.amount <= 500

default quiet := false

quiet if not contains(input.text, "shout")

fails if to_number(input.word) > 1
"""
BINARY = shutil.which("opa")
UNDEFINED = object()


class BuiltinError(Exception):
    """What OPA answers to an error in a built-in function, where it is asked to be strict about those."""


def _fails(given: dict[str, Any]) -> object:
    try:
        return True if float(given["word"]) > 1 else UNDEFINED
    except ValueError:
        raise BuiltinError from None


RULES: dict[str, Callable[[dict[str, Any]], object]] = {
    "test/yes": lambda _: True,
    "test/no": lambda _: False,
    "test/word": lambda _: "yes",
    "test/small": lambda given: True if given.get("amount", 501) <= 500 else UNDEFINED,
    "test/quiet": lambda given: "text" in given and "shout" not in given["text"],
    "test/fails": _fails,
}
"""The same rules, for the server of this module."""


@dataclass
class Reply:
    """Bytes to send as they are, in pieces with a pause between them; ``resets`` cuts the connection off."""

    pieces: list[bytes]
    pause_s: float = 0.0
    resets: bool = False


def reply(status: int, body: bytes | dict[str, Any], *headers: str, length: int | None = None) -> Reply:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json", "Connection: close", *headers]
    lines.append(f"Content-Length: {len(data) if length is None else length}")
    return Reply(["\r\n".join([*lines, "", ""]).encode() + data])


@dataclass
class Server:
    """``broken`` are replies that are sent first, one per question; ``questions`` is what was asked."""

    url: str
    token: str | None
    broken: list[Reply] = field(default_factory=list)
    questions: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    always: Reply | None = None
    over: Event = field(default_factory=Event)


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_POST(self) -> None:
            data = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            path, _, query = self.path.partition("?")
            server.headers.append(dict(self.headers))
            server.questions.append((path, data))
            broken = server.broken.pop(0) if server.broken else server.always
            if broken is not None:
                self._break(broken)
            elif server.token is not None and self.headers.get("Authorization") != f"Bearer {server.token}":
                self._send(401, {"code": "unauthorized", "message": "server authorization failed"})
            elif not path.startswith("/v1/data/"):
                self._send(404, {"code": "resource_not_found", "message": "not found"})
            else:
                self._decide(path.removeprefix("/v1/data/"), data["input"], "strict-builtin-errors=true" in query)

        def _decide(self, name: str, given: dict[str, Any], strict: bool) -> None:
            answer: dict[str, Any] = {"decision_id": f"d-{len(server.questions)}"}
            try:
                result = RULES[name](given) if name in RULES else UNDEFINED
            except BuiltinError:
                if strict:
                    message = "error(s) occurred while evaluating query"
                    self._send(500, {"code": "internal_error", "message": message})
                    return
                result = UNDEFINED
            if result is not UNDEFINED:
                answer["result"] = result
            self._send(200, answer)

        def _send(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _break(self, broken: Reply) -> None:
            self.close_connection = True
            try:
                for piece in broken.pieces:
                    self.wfile.write(piece)
                    self.wfile.flush()
                    if server.over.wait(broken.pause_s):
                        break
            except OSError:
                return  # the other side has hung up, as it should
            if broken.resets:
                # With no time to linger, closing resets the connection (SO_LINGER, socket(7)).
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                self.connection.close()

    return Handler


@contextmanager
def speaking(token: str | None = None, certificate: tuple[Path, Path] | None = None) -> Iterator[Server]:
    """The server of this module, on a free port of this machine."""
    server = Server("", token)
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(server))
    http.daemon_threads = True
    http.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that distrusts us hangs up
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        http.socket = context.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
    server.url = f"http{'s' if certificate else ''}://localhost:{http.server_port}"
    thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        http.shutdown()
        thread.join()
        http.server_close()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def agent() -> Iterator[str]:
    """The address of a real OPA where there is one, else of the server of this module."""
    if BINARY is None:
        with speaking() as server:
            yield server.url
        return
    with tempfile.TemporaryDirectory() as folder:
        policy = Path(folder) / "test.rego"
        policy.write_text(REGO)
        address = f"127.0.0.1:{free_port()}"
        command = [BINARY, "run", "--server", "--addr", address, "--set", "decision_logs.console=true", str(policy)]
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_for(f"http://{address}/health")
            yield f"http://{address}"
        finally:
            running.terminate()
            running.wait()


def _wait_for(url: str) -> None:
    give_up = time.monotonic() + 20
    while True:
        try:
            with urlopen(url, timeout=1):
                return
        except OSError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)
