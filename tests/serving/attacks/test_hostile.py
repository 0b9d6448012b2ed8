"""Every attack against the guard before an upstream that says what is forbidden wherever it can."""

import asyncio
import json
import time
from collections.abc import Iterator
from itertools import cycle, product
from pathlib import Path
from typing import Any

import pytest

from policykit.serving import Guard, Serving
from policykit.serving.upstream_http import HttpUpstream
from tests.serving.attacks.cases import Case, load
from tests.serving.attacks.hostile import FAULTS, PLACES, SPELLINGS, Hostile
from tests.serving.attacks.house import attacked
from tests.serving.attacks.oracle import leaks
from tests.serving.attacks.sending import send, wrong_with
from tests.serving.running import Kept, served

CASES = load()
GOOD = Case("good", "good", "/v1/chat/completions", "served", body={"messages": [{"role": "user", "content": "Hello"}]})


class Upstream:
    """A server that is as hostile as a test wants."""

    def __init__(self) -> None:
        self.hostile = Hostile()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        data = b""
        while True:
            message = await receive()
            data += message.get("body", b"")
            if not message.get("more_body"):
                break
        status, kind, pieces = self.hostile(scope["path"], json.loads(data))
        headers = [(b"content-type", kind.encode()), (b"x-note", " ".join(self.hostile.text.split()).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Upstream]]:
    upstream = Upstream()
    with served(upstream) as address:
        guard = Guard(Serving(attacked(tmp_path_factory.mktemp("attacks"))), HttpUpstream(address), Kept())
        with served(guard) as url:
            yield url, upstream


def test_there_are_enough_attacks() -> None:
    assert len(CASES) >= 300
    assert len({case.family for case in CASES}) >= 12


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted({case.family for case in CASES}))
def test_nothing_forbidden_goes_out(world: tuple[str, Upstream], family: str) -> None:
    url, upstream = world
    wrong: list[str] = []
    modes = cycle(product(PLACES, SPELLINGS))
    for case in (case for case in CASES if case.family == family):
        place, text = next(modes)
        upstream.hostile = Hostile(text, place)
        found = wrong_with(case, send(url, case), FAULTS)
        wrong += [f"{case.id} (hostile in {place}): {line}" for line in found]
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("route", ["/v1/chat/completions", "/v1/completions", "/v1/responses"])
def test_no_place_and_no_spelling_gets_through(world: tuple[str, Upstream], route: str, stream: bool) -> None:
    """Every place of an answer, every spelling, cut at every length."""
    url, upstream = world
    asked: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello"}]}
    asked = {"prompt": "Hello"} if route.endswith("v1/completions") else asked
    asked = {"input": "Hello"} if route.endswith("responses") else asked
    wrong: list[str] = []
    for place, text, cut in product(PLACES, SPELLINGS, (1, 11) if stream else (1,)):
        upstream.hostile = Hostile(text, place, cut)
        case = Case("places", f"{place} {text!a} {cut}", route, "either", body=asked | {"stream": stream})
        wrong += [f"{case.id}: {line}" for line in wrong_with(case, send(url, case), FAULTS)]
    assert wrong == []


def test_the_guard_is_alive_afterwards(world: tuple[str, Upstream]) -> None:
    url, upstream = world
    upstream.hostile = Hostile("Good morning.")
    answer = send(url, GOOD)
    assert answer.status == 200
    assert "Good morning." in answer.data.decode()


def test_the_oracle_sees_what_is_planted(world: tuple[str, Upstream]) -> None:
    """Each spelling in each place of what the upstream says, whole and as events, is found where no guard stands."""
    for place, text, stream in product(PLACES, SPELLINGS, (False, True)):
        _, _, pieces = Hostile(text, place, 3)("/v1/chat/completions", {"stream": stream})
        assert leaks(b"".join(pieces)), (place, text, stream)


def test_a_stream_in_single_letters_is_joined() -> None:
    events = [
        b'data: {"choices": [{"index": 1, "delta": {"content": "%s"}}]}\n\n' % bytes([c]) for c in b"certain profit"
    ]
    other = b'data: {"choices": [{"index": 0, "delta": {"content": "fine"}}]}\n\n'
    assert leaks(other.join(events))
    assert not leaks(other.join(events[:-1]))


def test_what_is_wrong_is_said() -> None:
    started = time.monotonic()
    case = Case("x", "x", "/", "refused", says="seed")
    from tests.serving.attacks.sending import Answer

    def said(status: int, data: bytes) -> str:
        return "; ".join(wrong_with(case, Answer(status, (), data), FAULTS))

    assert "was served" in said(200, b"{}")
    assert "status 500" in said(500, b"{}")
    assert "says nothing" in said(400, b'{"error": {"message": "no", "code": "policykit_x"}}')
    assert "does not say `seed`" in said(400, b'{"error": {"message": "this is not good", "code": "policykit_x"}}')
    assert said(400, b'{"error": {"message": "the seed is not good", "code": "policykit_x"}}') == ""
    assert "leak" in said(400, b'{"error": {"message": "the seed is Certain  Profit", "code": "policykit_x"}}')
    begun = {"messages": [{"role": "assistant", "content": "a certain "}], "continue_final_message": True}
    met = wrong_with(Case("x", "y", "/", "served", body=begun), Answer(200, (), b'{"content": "profit"}'))
    assert any("leak behind the message: 'certain profit'" in line for line in met)
    assert time.monotonic() - started < 5


def test_a_case_with_an_unknown_name_or_that_stands_twice_is_an_error(tmp_path: Path) -> None:
    def write(cases: str) -> None:
        (tmp_path / "a.json").write_text('{"why": "x", "cases": [' + cases + "]}")

    one = '{"name": "a", "route": "/", "expect": "served"}'
    write(one)
    assert len(load(tmp_path)) == 1
    for bad in (f"{one},{one}", one.replace("route", "rout"), one.replace("served", "fine"), one[:-1] + ',"name":"b"}'):
        write(bad)
        with pytest.raises((AssertionError, TypeError)):
            load(tmp_path)
