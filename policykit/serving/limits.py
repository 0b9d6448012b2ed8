"""How much a key may ask at once and per minute."""

import asyncio
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from policykit.profiles import Limits
from policykit.serving.errors import Refused

MINUTE_S = 60.0
MAX_KEYS = 10_000


@dataclass(slots=True)
class _Use:
    """What one key uses of one profile. ``begun`` are the times of its requests of the last minute."""

    running: int = 0
    begun: deque[float] = field(default_factory=deque[float])


class Admission:
    """Counts requests by key and profile in this process. Not for threads: it belongs to the event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._uses: OrderedDict[tuple[str, str], _Use] = OrderedDict()

    @contextmanager
    def admitted(self, key_id: str, profile: str, limits: Limits) -> Generator[None]:
        """Counts a request while it is served. Raises Refused (429), which counts as no request."""
        use = self._use((key_id, profile))
        now = self._clock()
        while use.begun and use.begun[0] <= now - MINUTE_S:
            use.begun.popleft()
        if limits.concurrent is not None and use.running >= limits.concurrent:
            raise _too_many(f"{limits.concurrent} requests of this key are being served", 1)
        if limits.requests_per_minute is not None:
            if len(use.begun) >= limits.requests_per_minute:
                wait_s = use.begun[0] + MINUTE_S - now
                raise _too_many(f"the key may send {limits.requests_per_minute} requests in a minute", wait_s)
            use.begun.append(now)
        use.running += 1
        try:
            yield
        finally:
            use.running -= 1

    def _use(self, key: tuple[str, str]) -> _Use:
        use = self._uses.setdefault(key, _Use())
        self._uses.move_to_end(key)
        if len(self._uses) > MAX_KEYS:
            oldest = next(iter(self._uses))
            if not self._uses[oldest].running:
                del self._uses[oldest]
        return use


class Turns:
    """At most ``n`` at once for each key; others of it wait. Not for threads: it belongs to the event loop."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._turns: dict[str, tuple[asyncio.Semaphore, int]] = {}

    async def take(self, key: str) -> Callable[[], None]:
        """Waits for a turn; what is returned is to be called, once, when it is over."""
        turn = self._count(key, 1)
        try:
            await turn.acquire()
        except BaseException:
            self._count(key, -1)
            raise

        def over() -> None:
            turn.release()
            self._count(key, -1)

        return over

    def _count(self, key: str, more: int) -> asyncio.Semaphore:
        turn, n = self._turns.get(key) or (asyncio.Semaphore(self._n), 0)
        self._turns[key] = turn, n + more
        if n + more == 0:
            del self._turns[key]
        return turn


def _too_many(why: str, wait_s: float) -> Refused:
    seconds = max(1, math.ceil(wait_s))
    return Refused(429, "policykit_rate_limited", f"{why}: try again later", headers={"retry-after": str(seconds)})
