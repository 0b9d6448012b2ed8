"""The log's PostgreSQL goes away while a server serves, and comes back: nothing goes out that is not recorded."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from policykit.audit import Record, open_reader, parse, verify_log
from policykit.serving.run import application, gateway
from tests.audit.server import Server
from tests.serving.running import served
from tests.serving.test_serve import OPERATOR, Listed, files

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def database() -> Iterator[Server]:
    made = Server()
    try:
        made.start()
        yield made
    finally:
        made.remove()


def eventually(holds: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.1)


def ready(url: str) -> httpx.Response:
    return httpx.get(f"{url}/ready", headers=OPERATOR, timeout=30)


def ask(url: str, stream: bool) -> list[str]:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="key-acme", max_retries=0, timeout=60)
    message: Any = {"role": "user", "content": "Hello?"}
    found: Any = client.chat.completions.create(model="profile:plain", messages=[message], stream=stream)
    if not stream:
        return [found.model_extra["policykit"]["record"]]
    ends = [event for event in found if event.choices and event.choices[0].finish_reason]
    return [event.model_extra["policykit"]["record"] for event in ends]


@pytest.mark.parametrize("ends", ["stop", "kill"])
def test_the_database_goes_and_comes_back(tmp_path: Path, database: Server, ends: str) -> None:
    address = database.database(f"log_{ends}")
    acknowledged: list[str] = []
    with served(Listed()) as upstream:
        asked = replace(files(tmp_path), log=address)
        with served(application(asked, gateway(upstream, None, "base-model"))) as url:
            eventually(lambda: ready(url).status_code == 200)
            acknowledged += ask(url, False) + ask(url, True)
            getattr(database, ends)()
            for stream in (False, True):
                began = time.monotonic()
                with pytest.raises(openai.APIError) as refused:
                    ask(url, stream)
                assert refused.value.code == "policykit_log_unavailable"
                assert time.monotonic() - began < 15
            time.sleep(1.1)  # an answer about readiness is kept for a second
            told = ready(url)
            assert told.status_code == 503
            assert told.json()["checks"]["log"].startswith("PK665")
            assert address not in told.text
            assert httpx.get(f"{url}/health").status_code == 200
            database.start()
            eventually(lambda: ready(url).status_code == 200)
            acknowledged += ask(url, False) + ask(url, True)
    reader = open_reader(address)
    found = [body.request for row in reader.rows() if isinstance(body := parse(row.record), Record)]
    assert verify_log(reader).fault is None
    reader.close()
    assert [one for one in found if one in acknowledged] == acknowledged
    assert len(found) == len(set(found)) == 4, "what was refused is not recorded as served"
