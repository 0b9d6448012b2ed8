"""How long masks may hold up an engine: its steps wait for the masks of all of their texts.

An ambiguous grammar compiles at once, and its masks then take longer with every token: with the square of the text's
length and more, without one of them being slow enough to stand out. So a text owes what its masks take, less what each
may take; and what texts owe for grammars that came with requests is taken from a share of the engine's time.
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
SHARE, BURST_S = 0.1, 2.0
"""What all grammars of requests may owe together: this part of the time that goes by, and so much at once."""
MAX_OWED_WHEN_SPENT_S = 0.1
"""What one text may owe where that share is spent."""
_HELP = "make the grammar smaller, or less ambiguous: no rule that repeats what repeats itself"


def check_first(began: float) -> float:
    """The processor's time of this thread since ``began``. Raises PolicyError (PK209) where it was too long."""
    took = time.thread_time() - began
    if took > MAX_MASK_S:
        message = f"one mask of it takes {took:.1f} s of the processor's time, at most {MAX_MASK_S:g} s"
        raise PolicyError.of("PK209", message, help=_HELP)
    return took


class EngineShare:
    """The part of an engine's time that slow masks may have. Safe for threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._left_s, self._at = BURST_S, clock()

    def take(self, seconds: float) -> bool:
        """Whether something is left behind what is taken, which is taken in any case, down to nothing."""
        with self._lock:
            now = self._clock()
            left = min(BURST_S, self._left_s + SHARE * (now - self._at)) - seconds
            self._left_s, self._at = max(0.0, left), now
            return left >= 0


class MaskTime:
    """What one text's masks have taken. ``share``: of an engine, for a text whose grammar came with its request."""

    def __init__(self, share: EngineShare | None = None) -> None:
        self._share = share
        self._owed_s = 0.0

    def spend(self, seconds: float) -> None:
        """Count one mask. Raises PolicyError (PK209) where the text owes too much."""
        over = seconds - QUICK_S
        self._owed_s = max(0.0, self._owed_s + over)
        is_spent = over > 0 and self._share is not None and not self._share.take(over)
        if self._owed_s > MAX_OWED_S:
            message = f"its masks hold up the engine: by {self._owed_s:.1f} s of the processor's time so far"
            raise PolicyError.of("PK209", f"{message}, at most {MAX_OWED_S:g} s", help=_HELP)
        if is_spent and self._owed_s > MAX_OWED_WHEN_SPENT_S:
            message = "its masks hold up the engine, as those of other requests do"
            raise PolicyError.of("PK209", message, help=f"{_HELP}; or try again later")
