"""Requests that are being answered while the incident switch may be turned: it is looked at for all of them, also where
nothing comes from the upstream."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager

from policykit.serving.errors import Refused
from policykit.serving.hooks import Switch, SwitchState

PERIOD_S = 0.2
"""Between two looks: a switch that is read from a file every half second takes effect within a second."""


def ended() -> Refused:
    """What a client is told whose answer was on its way."""
    return Refused(503, "policykit_switched_off", "an incident has ended the answer")


class Running:
    """Tells requests that the switch was turned. Not for threads: it belongs to the event loop."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._told: set[Callable[[SwitchState], None]] = set()
        self._watch: asyncio.Task[None] | None = None

    @contextmanager
    def telling(self, told: Callable[[SwitchState], None]) -> Generator[None]:
        """Until the end of the block, ``told`` hears of each look that does not find the switch open."""
        self._told.add(told)
        if self._watch is None:
            self._watch = asyncio.create_task(self._look())
        try:
            yield
        finally:
            self._told.discard(told)

    async def _look(self) -> None:
        try:
            while self._told:
                await asyncio.sleep(PERIOD_S)
                state = self._switch.state
                if state is not SwitchState.OPEN:
                    for told in tuple(self._told):
                        told(state)
        finally:
            self._watch = None  # also where its loop has ended: the next request has another
