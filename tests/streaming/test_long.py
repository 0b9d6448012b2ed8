"""Long and hostile texts: what is kept does not grow with the text, and the verdict is the whole text's."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator

import pytest

import policykit as pk
from policykit.streaming import areleased
from tests.plan.documents import of, rule

MASK = {"transform": {"mask": {"with": "[{type}_{n}]"}}}
PLAN = pk.compile(
    of(
        rule("promises", {"phrases": ["guaranteed returns", "risk free"], "views": ["compat", "skeleton"]}),
        rule("keys", {"regex": [r"\bAKIA[0-9A-Z]{16}\b", r"secret: \w+ \w+!"]}),
        rule("cards", {"entities": ["payment_card", "iban", "email"]}, MASK),
    )
)
LINE = "We offer guaranteed service, 4111 1111 1111 1112, a.b@c, and secret: words; risk is never free. "
HOSTILE = {
    "begins everywhere": "guaranteed guaranteed " * 400,
    "digits": "4111 1111 1111 1112 " * 300,
    "one number": "41" * 3_000,
    "erased": "guaranteed" + "\u200b" * 5_000 + "return",
    "long image": "\ufdfa" * 2_000,
    "an open match": "secret: " + "a" * 9_000,
    "locals": "a.b." * 2_000 + "@",
    "valid": "so 4111 1111 1111 1111 and GB29NWBK60161331926819 " * 60,
    "a match at the end": "x" * 9_000 + "guaranteed returns",
}


def streamed(text: str, size: int) -> tuple[str, pk.Verdict]:
    stream = PLAN.stream()
    shown = [stream.feed(text[i : i + size]) for i in range(0, len(text), size)]
    rest, verdict = stream.close()
    return "".join([*shown, rest]), verdict


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_are_judged_as_they_are_whole(name: str) -> None:
    text = HOSTILE[name]
    whole = PLAN.verify(text)
    results = [streamed(text, size) for size in (7, 1_000, len(text))]
    assert len({(shown, verdict.decision) for shown, verdict in results}) == 1
    shown, verdict = results[0]
    assert verdict.decision is whole.decision
    if verdict.decision is not pk.Decision.BLOCK:
        assert (shown, verdict.rules) == (whole.text, whole.rules)


@pytest.mark.slow
@pytest.mark.parametrize("size", [64, 4_096])
def test_what_is_kept_does_not_grow_with_the_text(size: int) -> None:
    text = (LINE + "Harmless words about nothing in particular, at some length. " * 30) * 20
    stream = PLAN.stream()

    def feed_all() -> None:
        for i in range(0, len(text), size):
            stream.feed(text[i : i + size])

    for _ in range(10):
        feed_all()
    tracemalloc.start()
    feed_all()
    first, _ = tracemalloc.get_traced_memory()
    for _ in range(50):
        feed_all()
    last, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert last - first < 100_000, "a megabyte more leaves nothing behind"
    assert stream.close()[1].decision is pk.Decision.ALLOW


async def slowly(text: str, size: int) -> AsyncIterator[str]:
    for i in range(0, len(text), size):
        await asyncio.sleep(0)
        yield text[i : i + size]


def test_a_slow_reader_gets_the_same() -> None:
    text = LINE * 3 + "guaranteed returns, and more"

    async def read() -> tuple[list[str], pk.Verdict | None]:
        stream, got = PLAN.stream(), list[str]()
        async for shown in areleased(stream, slowly(text, 5)):
            await asyncio.sleep(0.001)
            got.append(shown)
        return got, stream.verdict

    got, verdict = asyncio.run(read())
    assert ("".join(got), verdict) == streamed(text, len(text))


def test_a_reader_that_is_cancelled_gets_no_more() -> None:
    async def read() -> tuple[list[str], pk.Stream]:
        stream, got = PLAN.stream(), list[str]()

        async def consume() -> None:
            async for shown in areleased(stream, slowly(LINE * 50, 5)):
                got.append(shown)
                await asyncio.sleep(0.001)

        task = asyncio.create_task(consume())
        while len(got) < 3:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        n = len(got)
        await asyncio.sleep(0.01)
        assert len(got) == n
        return got, stream

    got, stream = asyncio.run(read())
    assert (LINE * 50).startswith("".join(got))
    assert stream.verdict is None, "a text that did not end has no verdict"
    assert stream.close()[1].decision is pk.Decision.ALLOW
