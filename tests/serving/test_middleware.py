"""The guard as a middleware of the server that it protects, configured as `vllm serve --middleware` configures it."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from policykit.audit import Record, open_reader, parse
from policykit.diagnostics import PolicyError
from policykit.profiles import digest_of_key
from policykit.serving.connections import Connection
from policykit.serving.middleware import Middleware
from tests.serving.peer import Say, whole
from tests.serving.running import deployment, served
from tests.serving.test_attested import Engine

KEYS = """\
apiVersion: policykit/v1
kind: Keys
keys:
  - {id: k1, sha256: %s, tenant: acme, profiles: [plain], default: plain}
"""


async def chat(request: Request) -> Response:
    """An application's own route: it reads what its server put into the state of the application."""
    engine: Engine = request.app.state.engine
    assert "authorization" not in request.headers
    say: Say = engine(await request.json())
    return JSONResponse(whole("/v1/chat/completions", say))


async def anything(request: Request) -> Response:
    return PlainTextResponse("guaranteed returns")


def application(run: Path) -> Starlette:
    routes = [
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/health", anything, methods=["GET", "POST"]),
        Route("/tokenize", anything, methods=["GET", "POST"]),
    ]
    app = Starlette(routes=routes)
    app.state.engine = Engine(run)
    app.add_middleware(Middleware)
    return app


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "profiles"
    folder.mkdir()
    deployment(folder)
    (tmp_path / "acme.keys.yaml").write_text(KEYS % digest_of_key("key-acme"), "utf-8")
    for name, value in {
        "POLICYKIT_PROFILES": folder,
        "POLICYKIT_KEYS": tmp_path / "acme.keys.yaml",
        "POLICYKIT_LOG": tmp_path / "log",
        "POLICYKIT_RUN": tmp_path / "run",
        "POLICYKIT_MODEL": "m",
    }.items():
        monkeypatch.setenv(name, str(value))
    return tmp_path


@pytest.fixture
def url(environment: Path) -> Iterator[str]:
    with served(application(environment / "run")) as found:
        yield found


def test_the_application_is_reached_through_the_guard_alone(url: str, environment: Path) -> None:
    ask: Any = [{"role": "user", "content": "Hello?"}]
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="key-acme", max_retries=0)
    answer = client.chat.completions.create(model="", messages=ask)
    assert answer.choices[0].message.content == "Hello, and good day."
    assert answer.model_extra["policykit"]["mask"] == "attested"
    headers = {"authorization": "Bearer key-acme"}
    assert httpx.post(f"{url}/tokenize", json={}, headers=headers).status_code == 404
    assert httpx.post(f"{url}/health", json={}, headers=headers).status_code == 404
    assert httpx.get(f"{url}/tokenize", headers={"authorization": "Bearer nothing"}).status_code == 401
    assert httpx.get(f"{url}/health").status_code == 200
    assert httpx.get(f"{url}/openapi.json", headers=headers).status_code == 404
    assert httpx.get(f"{url}/openapi.json").status_code == 401
    reader = open_reader(environment / "log")
    records = [parse(row.record) for row in reader.rows()]
    reader.close()
    assert [record.engine for record in records if isinstance(record, Record)] == ["vllm"]


def test_without_its_environment_it_does_not_start(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLICYKIT_KEYS")
    monkeypatch.setitem(os.environ, "POLICYKIT_RUN", "")
    with pytest.raises(PolicyError) as raised:
        Middleware(application(environment))
    assert "PK680" in str(raised.value)
    assert "POLICYKIT_KEYS, POLICYKIT_RUN" in str(raised.value)


def test_keys_that_grant_what_there_is_not_are_told_before_it_starts(environment: Path) -> None:
    wrong = (KEYS % digest_of_key("key-acme")).replace("[plain], default: plain", "[plain, nowhere], default: plain")
    (environment / "acme.keys.yaml").write_text(wrong, "utf-8")
    with pytest.raises(PolicyError, match="nowhere"):
        Middleware(application(environment))
    assert not (environment / "log").exists()


def test_the_log_is_closed_before_the_server_says_that_it_has_stopped(environment: Path) -> None:
    """What comes after that is cancelled with the event loop."""
    told: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        for what in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{what}.complete"})

    async def live() -> None:
        waiting = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

        async def receive() -> Any:
            return waiting.pop(0)

        async def send(message: Any) -> None:
            told.append(message["type"])

        middleware = Middleware(inner)
        close = middleware._log.close
        middleware._log.close = lambda: (close(), told.append("closed"))  # type: ignore[method-assign]
        await middleware({"type": "lifespan"}, receive, send)

    asyncio.run(live())
    assert told == ["lifespan.startup.complete", "closed", "lifespan.shutdown.complete"]


def test_vllms_own_server_gets_connections_that_do_not_wait_for_ever(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the application's state when the server starts, and has not listened yet."""
    monkeypatch.setenv("POLICYKIT_HEAD_TIMEOUT", "3")
    app = application(environment / "run")
    app.state.server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    app.state.server.config.load()
    with served(app):
        made = app.state.server.config.http_protocol_class
    assert issubclass(made, Connection)
    assert made.waits.head_s == 3
