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
    def first_mask(self, plan: str, payer: str, is_own: bool, *, begins: bool = False) -> Generator[MaskTime]:
        """While a text's first mask is made, in this thread, with all that comes before it: it is counted where the
        grammar is the request's own. What the text's masks take from then on. ``begins``: the text begins inside the
        grammar's, or has no mask made; what that takes says nothing of the plan, nor the plan of it. Raises PolicyError
        (PK209) where the plan, or its payer, may have none."""
        spent, first = MaskTime(), None
        if is_own:
            spent, first = MaskTime(self.share, plan, payer), FirstMask(self.first, plan, payer)
            spent.check()
            if begins or not self.is_quick(plan):
                first.check()
        began, is_made = time.thread_time(), False
        try:
            yield spent
            is_made = True
        finally:
            seconds = time.thread_time() - began
            if first is not None:
                first.spend(seconds)
            if not begins:
                self._made(plan, seconds, is_made)

    def _made(self, plan: str, seconds: float, is_made: bool) -> None:
        """Making a plan's first mask took so long."""
        with self._lock:
            if seconds >= QUICK_MASK_S:
                self._quick.pop(plan, None)
            elif is_made:
                self._quick[plan] = None
                self._quick.move_to_end(plan)
                while len(self._quick) > MAX_QUICK:
                    self._quick.popitem(last=False)

    def is_quick(self, plan: str) -> bool:
        """Whether the last first mask of a plan was made quickly."""
        return plan in self._quick
