"""Settings that nobody names: what each kind of upstream is told of them, and how often one is asked what it is."""

import asyncio
import json
from typing import Any

import pytest

from policykit.engines.attest import WHOLE
from policykit.serving import Kind
from policykit.serving.neutral import AGAIN_S, KNOWN_EVERYWHERE, Neutral
from policykit.serving.upstream_app import AppUpstream
from tests.serving.running import World

VLLM = json.dumps({"data": [{"id": "m", "owned_by": "vllm"}]}).encode()


class Listing:
    """An upstream that lists its models."""

    def __init__(self, body: bytes | None, status: int = 200) -> None:
        self.body, self.status, self.n_asked = body, status, 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert (scope["method"], scope["path"]) == ("GET", "/v1/models")
        self.n_asked += 1
        if self.body is None:
            await asyncio.sleep(3600)
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": self.body})


def told(listing: Listing, kind: Kind = Kind.PLAIN, passes: tuple[float, ...] = (0.0,)) -> list[Any]:
    now = [1000.0]

    async def ask() -> list[Any]:
        neutral, found = Neutral(AppUpstream(listing, kind=kind), lambda: now[0]), []
        for seconds in passes:
            now[0] += seconds
            found.append(await neutral.settings())
        return found

    return asyncio.run(ask())


def test_a_vllm_is_told_all_of_them_and_asked_once() -> None:
    listing = Listing(VLLM)
    assert told(listing, passes=(0.0, 1.0, 1e6)) == [WHOLE] * 3
    assert listing.n_asked == 1
    assert told(listing, Kind.VLLM) == [WHOLE]
    assert listing.n_asked == 1, "of our own backend nobody has to ask"


@pytest.mark.parametrize(
    "body", [b'{"data": [{"owned_by": "openai"}]}', b"{}", b"[]", b"no", b"[" * 100_000, b" " * (2 << 20)]
)
def test_any_other_is_told_what_every_server_takes(body: bytes) -> None:
    assert told(Listing(body)) == [KNOWN_EVERYWHERE]
    assert set(KNOWN_EVERYWHERE) == {"presence_penalty", "frequency_penalty"}


def test_one_that_does_not_answer_is_asked_again_later() -> None:
    listing = Listing(VLLM, status=503)
    assert told(listing, passes=(0.0, 1.0, AGAIN_S, 1.0)) == [KNOWN_EVERYWHERE] * 4
    assert listing.n_asked == 2


def test_one_that_hangs_holds_up_no_request_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policykit.serving.neutral.ASKED_S", 0.05)
    assert told(Listing(None)) == [KNOWN_EVERYWHERE]


def test_requests_say_them_and_what_a_client_says_stays(house: World) -> None:
    asked: Any = [{"role": "user", "content": "Hello?"}]
    for more in ({}, {"presence_penalty": 1.5}):
        house.client().chat.completions.create(model="", messages=asked, **more)
        sent = house.peer.bodies[-1]
        assert {name: sent.get(name) for name in WHOLE} == dict.fromkeys(WHOLE) | KNOWN_EVERYWHERE | more
