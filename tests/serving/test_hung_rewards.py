"""Reward models that do not come back: who waits for them, and for how long."""

import asyncio
import logging
import time
from concurrent.futures import wait
from threading import Event
from typing import Any

import pytest

from policykit.decoding import Answer
from policykit.decoding.run import Exhausted
from policykit.profiles import Best
from policykit.serving.choosing import Choosing, Scored
from policykit.serving.one_thread import OneThread
from policykit.serving.reward import Reward, RewardFailed, RewardLate

ANSWER: Any = Answer("Yes.", "Yes.", (), None, None, None, None, None)  # type: ignore[arg-type]
LONG_S = 60.0
"""More than any test waits."""


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Stuck:
    """A model that comes back from its first call when it is let go."""

    def __init__(self) -> None:
        self.entered, self.go_on = Event(), Event()
        self.n_calls = 0

    def __call__(self, prompt: object, answers: Any) -> list[float]:
        self.n_calls += 1
        if self.n_calls == 1:
            self.entered.set()
            assert self.go_on.wait(LONG_S)
        return [float(self.n_calls)] * len(answers)


@pytest.fixture
def stuck() -> Any:
    model = Stuck()
    yield model
    model.go_on.set()


def soon(seconds: float = 0.05) -> float:
    return time.monotonic() + seconds


def hanging(stuck: Stuck) -> Reward:
    """A reward whose model is in a call that was given up."""
    reward = Reward("helpful", "d", stuck)
    with pytest.raises(RewardLate, match="`helpful` has not answered in time"):
        reward.of("Well?", (ANSWER,), soon())
    assert stuck.entered.is_set()
    return reward


def test_nobody_queues_behind_a_call_that_does_not_come_back(stuck: Stuck) -> None:
    reward = hanging(stuck)
    with pytest.raises(RewardLate, match="has not come back from an earlier call for"):
        reward.of("Well?", (ANSWER,), soon(LONG_S))
    with pytest.raises(RewardLate, match="has not come back from an earlier call for"):
        asyncio.run(reward.later("Well?", (ANSWER,), soon(LONG_S)))
    assert stuck.n_calls == 1, "the others were not even begun"


def test_who_queues_already_is_told_too(stuck: Stuck) -> None:
    """The one in front may take longer than is known when the one behind it comes."""
    reward = Reward("helpful", "d", stuck)

    async def both() -> list[Any]:
        first = asyncio.ensure_future(reward.later("Well?", (ANSWER,), soon(0.3)))
        await asyncio.to_thread(stuck.entered.wait, LONG_S)
        behind = reward.later("Well?", (ANSWER,), soon(LONG_S))
        return await asyncio.gather(first, behind, return_exceptions=True)

    first, behind = asyncio.run(asyncio.wait_for(both(), LONG_S / 2))
    assert (str(first), type(behind)) == ("the reward model `helpful` has not answered in time", RewardLate)
    assert "has not come back from an earlier call" in str(behind)
    assert stuck.n_calls == 1


def test_a_model_that_comes_back_is_asked_again(stuck: Stuck, caplog: pytest.LogCaptureFixture) -> None:
    reward = hanging(stuck)
    with caplog.at_level(logging.WARNING, "policykit.serving"):
        stuck.go_on.set()
        for _ in range(200):
            if reward._thread.hangs_s() is None:
                break
            time.sleep(0.05)
        assert reward.of("Well?", (ANSWER, ANSWER), soon(LONG_S)) == (2.0, 2.0)
    assert any("reward helpful: a call has come back after" in one.message for one in caplog.records)


@pytest.mark.parametrize("waits", ["in a thread", "on the loop"])
def test_who_does_not_want_it_any_more_does_not_wait(stuck: Stuck, waits: str) -> None:
    reward = Reward("helpful", "d", stuck)

    class Gone(Exception):
        pass

    def check() -> None:
        if stuck.entered.is_set():
            raise Gone

    async def cancelled() -> None:
        task = asyncio.ensure_future(reward.later("Well?", (ANSWER,), soon(LONG_S)))
        await asyncio.to_thread(stuck.entered.wait, LONG_S)
        task.cancel()
        await asyncio.wait_for(task, LONG_S / 2)

    if waits == "in a thread":
        with pytest.raises(Gone):
            reward.of("Well?", (ANSWER,), soon(LONG_S), check)
    else:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(cancelled())


def test_a_call_that_nobody_waits_for_any_more_is_not_begun(stuck: Stuck) -> None:
    """The model does not work for the dead once it is back."""
    reward = Reward("helpful", "d", stuck)

    async def impatient() -> None:
        first = asyncio.ensure_future(reward.later("Well?", (ANSWER,), soon(LONG_S)))
        await asyncio.to_thread(stuck.entered.wait, LONG_S)
        with pytest.raises(RewardLate):
            await reward.later("Well?", (ANSWER,), soon())
        stuck.go_on.set()
        assert await first == (1.0,)
        assert await reward.later("Well?", (ANSWER,), soon(LONG_S)) == (2.0,)

    asyncio.run(impatient())
    assert stuck.n_calls == 2


def test_a_call_that_was_begun_late_hangs_only_where_it_takes_longer_than_others() -> None:
    """One who waited in the queue has little time left: that a call outlives it says nothing of the model."""
    clock, thread, entered, go_on = Clock(), None, Event(), Event()
    thread = OneThread[int]("t", clock)

    def slow(seconds: float) -> Any:
        def call() -> int:
            clock.now += seconds
            return 1

        return call

    def blocked() -> int:
        entered.set()
        assert go_on.wait(LONG_S)
        return 2

    assert thread.submit(slow(4.0), until=10.0).result(LONG_S) == 1
    late = thread.submit(blocked, until=5.0)
    assert entered.wait(LONG_S)
    for now, hangs_s in ((5.5, None), (12.0, None), (12.1, 8.1)):  # begun at 4, the slowest took 4
        clock.now = now
        found = thread.hangs_s()
        assert found == (None if hangs_s is None else pytest.approx(hangs_s))
    go_on.set()
    assert late.result(LONG_S) == 2
    assert thread.hangs_s() is None
    entered.clear()
    go_on.clear()
    thread.submit(blocked, until=13.0)
    assert entered.wait(LONG_S)
    clock.now += 8.0
    assert thread.hangs_s() is None, "what came back too late is no measure"
    clock.now += 0.1
    assert thread.hangs_s() is not None
    go_on.set()


def test_a_thread_without_calls_ends_and_the_next_call_starts_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policykit.serving.one_thread.IDLE_S", 0.01)
    thread = OneThread[int]("t")
    assert thread.submit(lambda: 1, soon(LONG_S)).result(LONG_S) == 1
    for _ in range(200):
        if not thread._has_thread:
            break
        time.sleep(0.02)
    assert not thread._has_thread
    assert thread.submit(lambda: 2, soon(LONG_S)).result(LONG_S) == 2


def test_calls_are_made_one_after_another_in_their_order() -> None:
    thread, seen, n_in = OneThread[int]("t"), [], [0]

    def call(number: int) -> int:
        n_in[0] += 1
        assert n_in[0] == 1
        seen.append(number)
        time.sleep(0.001)
        n_in[0] -= 1
        return number

    calls = [thread.submit(lambda number=number: call(number), soon(LONG_S)) for number in range(20)]
    assert not wait(calls, LONG_S).not_done
    assert [one.result() for one in calls] == seen == list(range(20))


def test_a_model_that_wants_to_end_the_process_ends_nothing() -> None:
    def leaving(prompt: object, answers: object) -> list[float]:
        raise SystemExit(3)

    reward = Reward("helpful", "d", leaving)
    for _ in range(2):
        with pytest.raises(RewardFailed, match="`helpful` failed: SystemExit"):
            reward.of("Well?", (ANSWER,), soon(LONG_S))


def test_a_late_reward_ends_the_search_where_there_are_others_and_the_choice_where_there_are_none(stuck: Stuck) -> None:
    choosing = Choosing(Best(4, "helpful", "d"), Reward("helpful", "d", stuck), "Well?", "", soon(0.2))
    with pytest.raises(RewardLate):
        choosing.score(ANSWER, Scored(), soon(LONG_S), lambda: None)
    scored = Scored([0.5], n_without=1)
    with pytest.raises(Exhausted, match="out_of_time"):
        choosing.score(ANSWER, scored, soon(LONG_S), lambda: None)
    assert scored.missing(4, "accepted") == {"no_reward": 1, "reward_late": 2}
    assert choosing.report(scored.scores, scored.missing(4, "accepted")).missing == (
        ("no_reward", 1),
        ("reward_late", 2),
    )
