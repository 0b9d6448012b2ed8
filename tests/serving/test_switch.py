"""The incident switch, turned while answers are on their way."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest

from policykit.serving import Outcome, SwitchState
from policykit.serving.incident import Running
from tests.serving.peer import Say
from tests.serving.running import world
from tests.serving.test_faults import ask, failure


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not holds() and time.monotonic() < until:
        time.sleep(0.01)
    assert holds()


class Turned:
    """A switch that a test turns."""

    state = SwitchState.OPEN


def test_the_switch_is_obeyed_at_once(tmp_path: Path) -> None:
    switch = Turned()
    with world(tmp_path, switch=switch) as house:
        house.peer.answer = lambda body: Say(("Hello, and good day to all of you.",), stall_s=0.05)
        chunks = iter(ask(house, stream=True))
        next(chunks)
        switch.state = SwitchState.REFUSE_ALL
        with pytest.raises(openai.APIError) as raised:
            list(chunks)
        assert raised.value.code == "policykit_switched_off"
        assert failure(house).code == "policykit_switched_off"
        n_asked = len(house.peer.requests)
        switch.state = SwitchState.FALLBACK_ONLY
        assert ask(house).choices[0].message.content == "Please ask a colleague."
        assert house.last.outcome is Outcome.FALLBACK
        assert len(house.peer.requests) == n_asked


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("state", [SwitchState.REFUSE_ALL, SwitchState.FALLBACK_ONLY])
def test_the_switch_ends_what_waits_for_the_upstream(tmp_path: Path, stream: bool, state: SwitchState) -> None:
    """Also where nothing comes that could be held back: the client is told, and the upstream let go of."""
    switch = Turned()
    with world(tmp_path, switch=switch) as house, ThreadPoolExecutor(1) as pool:
        house.peer.answer = lambda body: Say(("Hello, and good day to all of you.",), stall_s=600)
        waiting = pool.submit(lambda: (list if stream else lambda one: [one])(ask(house, stream=stream)))
        wait_until(lambda: house.peer.running == 1)
        switch.state = state
        if state is SwitchState.REFUSE_ALL:
            error = waiting.exception()
            assert isinstance(error, openai.APIStatusError)
            assert (error.status_code, error.code) == (503, "policykit_switched_off")
            assert (house.last.status, house.last.code) == (503, "policykit_switched_off")
        else:
            said = waiting.result()
            parts = [c.choices[0].delta if stream else c.choices[0].message for c in said if c.choices]
            assert "".join(part.content or "" for part in parts) == "Please ask a colleague."
            assert house.last.outcome is Outcome.FALLBACK
        wait_until(lambda: house.peer.cancelled == 1)


def test_a_whole_answer_that_is_there_does_not_go_out_once_the_switch_is_turned(tmp_path: Path) -> None:
    switch = Turned()

    def answer(_: object) -> Say:
        switch.state = SwitchState.REFUSE_ALL
        return Say(("Hello, and good day to all of you.",))

    with world(tmp_path, switch=switch) as house:
        house.peer.answer = answer
        with pytest.raises(openai.APIStatusError) as raised:
            ask(house)
        assert raised.value.code == "policykit_switched_off"
        assert "good day" not in raised.value.response.text


def test_the_switch_is_looked_at_in_whatever_loop_requests_are_served() -> None:
    switch = Turned()
    running = Running(switch)
    switch.state = SwitchState.REFUSE_ALL

    async def heard() -> SwitchState:
        told: asyncio.Future[SwitchState] = asyncio.get_running_loop().create_future()
        with running.telling(lambda state: told.done() or told.set_result(state)):
            return await asyncio.wait_for(told, 20)

    assert [asyncio.run(heard()) for _ in range(2)] == [SwitchState.REFUSE_ALL] * 2
