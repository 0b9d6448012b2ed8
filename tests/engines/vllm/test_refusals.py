"""Streams begin when it is known whether there is a mask, lose nothing, and errors say what the engine said."""

import asyncio
import gc
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, strategies as st

from policykit.diagnostics import InternalError, PolicyError
from policykit.engines.vllm import refusals
from policykit.engines.vllm.refusals import Reason


@dataclass
class Said:
    """vLLM's `CompletionOutput`, as far as it is read, and its `RequestOutput` around it."""

    finish_reason: str | None = None
    stop_reason: int | str | None = None

    @property
    def outputs(self) -> list["Said"]:
        return [self]


def failed(error: Exception) -> Said:
    return Said("error", refusals.render(error))


GRAMMAR = PolicyError.of("PK209", "it is not compiled within 6 s", help="make it smaller")


@pytest.mark.parametrize(
    ("error", "is_fault", "says"),
    [
        (GRAMMAR, False, "PK209: it is not compiled within 6 s\n  help: make it smaller"),
        (PolicyError.of("PK307", "the policies forbid every text"), False, "PK307"),
        (PolicyError.of("PK741", "there is no plan"), True, "PK741"),
        (InternalError("secrets of the house"), True, "its log says why"),
        (ZeroDivisionError("secrets of the house"), True, "its log says why"),
    ],
)
def test_what_is_said_comes_through(error: Exception, is_fault: bool, says: str) -> None:
    reason = refusals.reason_in([Said(), failed(error)])
    assert reason is not None
    assert (reason.is_fault, says in reason.message, "secrets" in reason.message) == (is_fault, True, False)


@pytest.mark.parametrize(
    "said", [Said("stop", refusals.render(GRAMMAR)), Said("error", 7), Said("error", None), Said("error", "PK209")]
)
def test_what_a_text_stopped_at_is_no_reason(said: Said) -> None:
    assert refusals.reason_in([said]) is None


class Failed(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.message)


class House:
    """A handler of chats as vLLM has them: it makes events of an engine's outputs, and of errors, too."""

    def __init__(self, steps: list[Any], waits: bool = True, lazily: bool = False, hides: bool = False) -> None:
        self._steps, self._waits, self._lazily, self._hides = steps, waits, lazily, hides
        self.n_begun = self.n_closed = 0

    async def engine(self) -> AsyncGenerator[Said]:
        self.n_begun += 1
        refusals.added()
        try:
            for step in self._steps:
                for _ in range(step if isinstance(step, int) else 1):
                    await asyncio.sleep(0)
                if isinstance(step, Said):
                    yield step
        finally:
            self.n_closed += 1

    def outputs(self) -> AsyncGenerator[Said]:
        return refusals.explained(self.engine(), refusals.begun(self._waits), Failed)

    async def serve(self) -> AsyncGenerator[Any]:
        return self.events(None if self._lazily else self.outputs())

    async def events(self, outputs: AsyncGenerator[Said] | None) -> AsyncGenerator[Any]:
        yield "created"
        try:
            async for said in outputs or self.outputs():
                yield said
        except Failed:
            if not self._hides:
                raise
            yield "internal error"
        yield "done"


async def answer(house: House, seconds: float = 30) -> list[Any]:
    return [event async for event in await refusals.settled(house.serve(), seconds)]


@pytest.mark.parametrize("lazily", [False, True])
@pytest.mark.parametrize("hides", [False, True])
@pytest.mark.parametrize("wait", [0, 1, 7])
def test_no_stream_of_a_refused_request_begins(lazily: bool, hides: bool, wait: int) -> None:
    house = House([wait, failed(GRAMMAR)], lazily=lazily, hides=hides)
    with pytest.raises(Failed, match="PK209: it is not compiled within 6 s"):
        asyncio.run(refusals.settled(house.serve(), 30))
    assert house.n_closed == 1


@pytest.mark.parametrize("lazily", [False, True])
def test_what_fails_later_is_told_in_the_stream(lazily: bool) -> None:
    text = Said()
    house = House([3, text, 2, failed(GRAMMAR)], lazily=lazily, hides=True)
    assert asyncio.run(answer(house)) == ["created", text, "internal error", "done"]
    assert house.n_closed == 1


@pytest.mark.parametrize("lazily", [False, True])
def test_a_stream_without_a_grammar_begins_at_once(lazily: bool) -> None:
    async def begins() -> list[Any]:
        house = House([10**9], waits=False, lazily=lazily)
        stream = await asyncio.wait_for(refusals.settled(house.serve(), 3600), 20)
        found = [await anext(stream)]
        await stream.aclose()
        assert house.n_closed == house.n_begun
        return found

    assert asyncio.run(begins()) == ["created"]


def test_a_stream_begins_when_that_takes_too_long() -> None:
    async def begins() -> Any:
        stream = await asyncio.wait_for(refusals.settled(House([10**9]).serve(), 0.05), 20)
        first = await anext(stream)
        await stream.aclose()
        return first

    assert asyncio.run(begins()) == "created"


def test_a_client_that_leaves_meanwhile_ends_it() -> None:
    async def leaves() -> int:
        house = House([10**9])
        task = asyncio.create_task(refusals.settled(house.serve(), 3600))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return house.n_closed

    assert asyncio.run(leaves()) == 1


@pytest.mark.parametrize("lazily", [False, True])
@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize(("n", "waits"), [(10**9, False), (3, True)])
def test_a_stream_that_nobody_reads_ends_its_request(lazily: bool, closes: bool, n: int, waits: bool) -> None:
    """The client is gone before the first piece is asked for: the engine's request ends with the stream, whether it
    has had a piece by then or not."""

    async def is_dropped() -> House:
        house = House([n, Said(), 10**9], waits, lazily)
        stream = await asyncio.wait_for(refusals.settled(house.serve(), 3600), 20)
        assert (house.n_begun, house.n_closed) == (1, 0)
        if closes:
            await stream.aclose()
        del stream
        gc.collect()
        for _ in range(50):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert house.n_closed == 1
        return house

    asyncio.run(is_dropped())


def test_what_is_no_stream_and_what_a_handler_raises_stay() -> None:
    async def whole() -> str:
        return "an answer"

    async def raises() -> str:
        raise ZeroDivisionError

    assert asyncio.run(refusals.settled(whole(), 1)) == "an answer"
    with pytest.raises(ZeroDivisionError):
        asyncio.run(refusals.settled(raises(), 1))


def test_a_fault_before_any_output_is_raised_as_it_is() -> None:
    class Broken(House):
        async def engine(self) -> AsyncGenerator[Said]:
            await asyncio.sleep(0)
            raise ZeroDivisionError
            yield Said()

    with pytest.raises(ZeroDivisionError):
        asyncio.run(refusals.settled(Broken([]).serve(), 30))


@pytest.mark.parametrize("lazily", [False, True])
def test_what_is_wrong_before_the_engine_has_it_is_raised_for_a_stream_too(lazily: bool) -> None:
    """A parameter that is refused, of a request without a grammar."""

    class Wrong(House):
        async def engine(self) -> AsyncGenerator[Said]:
            raise Failed(Reason("`ignore_eos` is not served", is_fault=False))
            yield Said()

    with pytest.raises(Failed, match="ignore_eos"):
        asyncio.run(refusals.settled(Wrong([], waits=False, lazily=lazily, hides=True).serve(), 30))


STEPS = st.lists(st.one_of(st.integers(0, 3), st.builds(Said), st.just(failed(GRAMMAR))), max_size=8)


@given(STEPS, st.booleans(), st.booleans(), st.booleans(), st.sampled_from([0.0, 30.0]))
def test_a_stream_is_whole_or_refused(steps: list[Any], waits: bool, lazily: bool, hides: bool, seconds: float) -> None:
    """By a walk over the steps: with time, what fails first is refused before the stream begins; without a wait the
    failure may come either way; all else comes in order, once, and the engine is let go once."""
    house = House(steps, waits, lazily, hides)
    outputs = [step for step in steps if isinstance(step, Said)]
    good = next((n for n, said in enumerate(outputs) if said.finish_reason), len(outputs))
    fails = good < len(outputs)
    got: list[Any] = []

    async def all_of_it() -> None:
        async for event in await refusals.settled(house.serve(), seconds):
            got.append(event)

    try:
        asyncio.run(all_of_it())
        was_raised = False
    except Failed:
        was_raised = True
    must_refuse = fails and good == 0 and waits and seconds > 0
    whole = ["created", *outputs[:good], *(["internal error"] if fails else []), "done"]
    if must_refuse:
        assert was_raised
        assert got == []
    elif was_raised:
        assert fails
        assert not hides or got == []
        assert got in ([], ["created", *outputs[:good]])
    else:
        assert got == whole
    assert house.n_closed == house.n_begun <= 1


# ---- several choices


@dataclass
class Choice:
    index: int
    text: str = ""
    finish_reason: str | None = None
    stop_reason: int | str | None = None


@dataclass
class Output:
    outputs: list[Choice]


async def told(outputs: list[Output], n: int) -> tuple[list[Output], Exception | None]:
    async def engine() -> AsyncGenerator[Output]:
        for output in outputs:
            yield output

    got: list[Output] = []
    try:
        async for output in refusals.explained(engine(), None, Failed, n):
            got.append(output)
    except Failed as error:
        return got, error
    return got, None


END = "policykit refuses: PK209: it is not compiled within 6 s\n  help: make it smaller"


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_of_several_choices_each_fails_for_itself(ways: list[tuple[int, bool]], rng: Any) -> None:
    """``ways``: how many texts come of a choice, and whether it fails then. In a stream, in any order: all texts come,
    and a failed choice ends with its reason; only where all fail before any text is that the request's error."""
    rest = {i: [*(Choice(i, "x") for _ in range(n)), ending(i, fails)] for i, (n, fails) in enumerate(ways)}
    stream: list[Output] = []
    while rest:
        i = rng.choice(sorted(rest))
        stream.append(Output([rest[i].pop(0)]))
        if not rest[i]:
            del rest[i]
    got, error = asyncio.run(told(stream, len(ways)))
    if all(fails for _, fails in ways) and not any(n for n, _ in ways):
        assert (got, str(error)) == ([], END.removeprefix("policykit refuses: "))
        return
    assert error is None
    assert got == stream
    ends = {c.index: (c.finish_reason, c.stop_reason) for output in got for c in output.outputs if c.finish_reason}
    assert ends == {i: ("content_filter", END) if fails else ("stop", None) for i, (_, fails) in enumerate(ways)}


@given(st.lists(st.booleans(), min_size=2, max_size=4))
def test_of_a_whole_answer_each_choice_fails_for_itself(ways: list[bool]) -> None:
    choices = [ending(i, fails) for i, fails in enumerate(ways)]
    got, error = asyncio.run(told([Output(choices)], len(ways)))
    assert (error is not None) is all(ways)
    assert got == ([] if all(ways) else [Output(choices)])
    if not all(ways):
        assert [c.finish_reason for c in choices] == ["content_filter" if fails else "stop" for fails in ways]


def ending(index: int, fails: bool) -> Choice:
    return Choice(index, "", "error", refusals.render(GRAMMAR)) if fails else Choice(index, "", "stop")
