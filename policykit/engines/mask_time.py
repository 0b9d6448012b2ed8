"""How long masks may hold up an engine: its steps wait for the masks of all of their texts.

An ambiguous grammar compiles at once, and its masks then take longer with every token: with the square of the text's
length and more, without one of them being slow enough to stand out. So a text owes what its masks take, less what each
may take, and fails where it owes too much. Grammars that came with requests owe together, too, whichever texts they
have: each plan has a purse of what its masks have taken beyond an everyday mask's time, and purses are forgiven a share
of the time that goes by, equal parts each. The texts of a plan fail when it owes more than its fair part of
:data:`BURST_S`: the part that would be left to it if no plan owed more than it does. So:

- In any T seconds the masks of n such plans take at most ``EVERYDAY_S`` each, and together beyond that ``SHARE`` * T,
  the sum of max(``FREE_S``, ``BURST_S`` / k) over k = 1 to n, and for each plan the one mask that it fails with (one
  for each thread that masks are made in at once).
- No text fails for the others while its plan owes at most ``FREE_S``, whatever they do; nor while it owes at most
  ``BURST_S`` over the number of plans that owe.

A plan is one grammar under one policy, and the engine is not told whose: who sends ever other grammars has a purse for
each, and pays with its compilation.
"""

import time
from collections.abc import Callable
from threading import Lock

from policykit.diagnostics import PolicyError

MAX_MASK_S = 5.0
"""Of the processor's time, for a text's first mask, which is made in a thread."""
QUICK_S = 0.02
"""What a mask may take that costs its text nothing. Everyday ones take 0.1 to 3 ms, and where a state is met first
rarely more than this."""
MAX_OWED_S = 1.0
EVERYDAY_S = 0.002
"""What a mask may take that costs its plan nothing: several times the mean of everyday ones."""
SHARE, BURST_S = 0.1, 2.0
"""What all grammars of requests may owe together: this part of the time that goes by, and so much at once."""
FREE_S = 0.3
"""What a plan may owe whatever the others do: a few slow masks, of states that are met first. Not less,
since who sends ever other grammars has for each the one mask that it fails with in any case."""
_HELP = "make the grammar smaller, or less ambiguous: no rule that repeats what repeats itself"


def check_first(began: float) -> float:
    """The processor's time of this thread since ``began``. Raises PolicyError (PK209) where it was too long."""
    took = time.thread_time() - began
    if took > MAX_MASK_S:
        message = f"one mask of it takes {took:.1f} s of the processor's time, at most {MAX_MASK_S:g} s"
        raise PolicyError.of("PK209", message, help=_HELP)
    return took


class EngineShare:
    """The part of an engine's time that masks of requests' grammars may have: a purse for each plan. Safe for threads.

    Linear in the number of plans that owe, and constant for a plan that does not."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._owed_s: dict[str, float] = {}  # by plan; what owes nothing is not there
        self._at = clock()

    def take(self, plan: str, seconds: float) -> None:
        """Count one mask of a plan."""
        over = seconds - EVERYDAY_S
        if over <= 0 and plan not in self._owed_s:
            return
        with self._lock:
            self._forgive()
            owed = self._owed_s.pop(plan, 0.0) + over
            if owed > 0:
                self._owed_s[plan] = owed

    def owed_s(self, plan: str) -> float:
        """What a plan owes now."""
        with self._lock:
            self._forgive()
            return self._owed_s.get(plan, 0.0)

    def is_spent(self, plan: str) -> bool:
        """Whether a plan owes more than its fair part."""
        if self._owed_s.get(plan, 0.0) <= FREE_S:
            return False
        with self._lock:
            self._forgive()
            owed = self._owed_s.get(plan, 0.0)
            return owed > FREE_S and sum(min(owed, other) for other in self._owed_s.values()) > BURST_S

    def _forgive(self) -> None:
        """Take the share of the time that went by off the purses, in equal parts: small ones are empty first."""
        now = self._clock()
        left, self._at = SHARE * (now - self._at), now
        while left > 0 and self._owed_s:
            least, n = min(self._owed_s.values()), len(self._owed_s)
            part = min(least, left / n)
            left = left - least * n if least <= left / n else 0.0
            self._owed_s = {plan: owed - part for plan, owed in self._owed_s.items() if owed > part}


class MaskTime:
    """What one text's masks have taken. ``share``: of an engine, for a text whose grammar came with its request;
    ``plan``: whose purse there."""

    def __init__(self, share: EngineShare | None = None, plan: str = "") -> None:
        self._share, self._plan = share, plan
        self._owed_s = 0.0

    def check(self) -> None:
        """Before a mask. Raises PolicyError (PK209) where the text's plan owes more than its fair part."""
        if self._share is not None and self._share.is_spent(self._plan):
            message = (
                "its masks hold up the engine: with those of the same grammar for more than their part of the time"
            )
            raise PolicyError.of("PK209", message, help=f"{_HELP}; or try again later")

    def spend(self, seconds: float) -> None:
        """Count one mask. Raises PolicyError (PK209) where the text, or its plan, owes too much."""
        self._owed_s = max(0.0, self._owed_s + seconds - QUICK_S)
        if self._share is not None:
            self._share.take(self._plan, seconds)
        if self._owed_s > MAX_OWED_S:
            message = f"its masks hold up the engine: by {self._owed_s:.1f} s of the processor's time so far"
            raise PolicyError.of("PK209", f"{message}, at most {MAX_OWED_S:g} s", help=_HELP)
        self.check()
