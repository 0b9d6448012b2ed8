"""An engine's purses for masks of requests' grammars, and which plans are known to have their masks quickly."""

import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Lock

from policykit.engines.mask_time import EngineShare, FirstMask, MaskTime, first_masks

MAX_QUICK = 1024
"""Plans that are known to have their masks quickly."""
QUICK_MASK_S = 0.1


class Purses:
    """Those of one engine. Safe for threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.share, self.first = EngineShare(clock), first_masks(clock)
        self._quick: OrderedDict[str, None] = OrderedDict()
        self._lock = Lock()

    @contextmanager
    def first_mask(self, plan: str, payer: str, is_own: bool) -> Generator[MaskTime]:
        """While a text's first mask is made, in this thread: it is counted where the grammar is the request's own. What
        the text's masks take from then on. Raises PolicyError (PK209) where the plan, or its payer, may have none."""
        if not is_own:
            yield MaskTime()
            return
        spent, first = MaskTime(self.share, plan, payer), FirstMask(self.first, plan, payer)
        spent.check()
        if not self.is_quick(plan):
            first.check()
        began = time.thread_time()
        try:
            yield spent
        finally:
            first.spend(time.thread_time() - began)

    def made(self, plan: str, seconds: float) -> None:
        """A plan's first mask took so long."""
        if seconds < QUICK_MASK_S:
            with self._lock:
                self._quick[plan] = None
                self._quick.move_to_end(plan)
                while len(self._quick) > MAX_QUICK:
                    self._quick.popitem(last=False)

    def is_quick(self, plan: str) -> bool:
        return plan in self._quick
