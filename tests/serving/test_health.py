"""A server is ready when its plans are compiled, whatever is being warmed; a reload takes the place of what is cold."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import given, strategies as st

from policykit.serving import health
from policykit.serving.health import PlansReady

LONG_S = 30.0


class Warmed:
    """What plans have been warmed, in order, and the most that were warmed at once. ``go`` lets them end."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.at_once = self.most = 0
        self.begun, self.go, self._lock = threading.Semaphore(0), threading.Event(), threading.Lock()


class Slow:
    """Stands for a plan; ``fails`` when it is warmed."""

    def __init__(self, name: str, warmed: Warmed, fails: bool = False) -> None:
        self.name, self._warmed, self._fails = name, warmed, fails

    def warm(self) -> None:
        warmed = self._warmed
        with warmed._lock:  # pyright: ignore[reportPrivateUsage]
            warmed.names.append(self.name)
            warmed.at_once += 1
            warmed.most = max(warmed.most, warmed.at_once)
        warmed.begun.release()
        assert warmed.go.wait(LONG_S)
        with warmed._lock:  # pyright: ignore[reportPrivateUsage]
            warmed.at_once -= 1
        if self._fails:
            raise RuntimeError("out of memory")


class Served:
    """Stands for a server's deployments, each a tuple of plans."""

    def __init__(self, *plans: Slow) -> None:
        self.deployment = plans


@pytest.fixture(autouse=True, scope="module")
def plans_are_what_is_deployed() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(health, "plans_of", list)
        yield


def plans_of(served: Served) -> PlansReady:
    return PlansReady(cast("Any", served))


async def ended(ready: PlansReady) -> None:
    warming = ready._warming  # pyright: ignore[reportPrivateUsage]
    assert warming is not None
    await asyncio.wait_for(asyncio.wait({warming}), LONG_S)


def test_nothing_waits_for_plans_that_were_replaced() -> None:
    warmed = Warmed()

    async def run() -> None:
        served = Served(Slow("old 1", warmed), Slow("old 2", warmed))
        ready = plans_of(served)
        assert await ready.check() == "plans are being compiled"
        await ready.prepare()
        assert await ready.check() is None
        assert await asyncio.to_thread(warmed.begun.acquire, timeout=LONG_S)
        for revision in ("between", "new"):
            served.deployment = (Slow(f"{revision} 1", warmed), Slow(f"{revision} 2", warmed))
            assert await ready.check() is None
        warmed.go.set()
        await ended(ready)

    asyncio.run(run())
    assert warmed.names == ["old 1", "new 1", "new 2"]
    assert warmed.most == 1


def test_a_plan_that_cannot_be_warmed_is_told_and_the_next_is_warmed(caplog: pytest.LogCaptureFixture) -> None:
    warmed = Warmed()
    warmed.go.set()

    async def run() -> None:
        ready = plans_of(Served(Slow("a", warmed, fails=True), Slow("b", warmed)))
        await ready.prepare()
        await ended(ready)
        assert await ready.check() is None

    with caplog.at_level(logging.ERROR):
        asyncio.run(run())
    assert warmed.names == ["a", "b"]
    assert "a plan could not be warmed" in caplog.text
    assert "out of memory" in caplog.text


def test_a_server_that_stops_warms_no_more() -> None:
    warmed = Warmed()

    async def run() -> None:
        ready = plans_of(Served(Slow("a", warmed), Slow("b", warmed)))
        await ready.prepare()
        assert await asyncio.to_thread(warmed.begun.acquire, timeout=LONG_S)
        ready.close()
        warmed.go.set()
        await ended(ready)

    asyncio.run(run())
    assert warmed.names == ["a"]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=4))
def test_what_is_served_last_is_warmed(sizes: list[int]) -> None:
    warmed = Warmed()
    warmed.go.set()

    async def run() -> None:
        served = Served()
        ready = plans_of(served)
        for revision, size in enumerate(sizes):
            served.deployment = tuple(Slow(f"{revision} {i}", warmed) for i in range(size))
            await ready.prepare()
            assert await ready.check() is None
        await ended(ready)

    asyncio.run(run())
    last = len(sizes) - 1
    assert [name for name in warmed.names if name.startswith(f"{last} ")] == [f"{last} {i}" for i in range(sizes[-1])]
    assert len(set(warmed.names)) == len(warmed.names)
    assert warmed.most <= 1
