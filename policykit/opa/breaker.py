"""The circuit breaker (Nygard, "Release It!", 2007): what is down is not asked again and again."""

from collections.abc import Callable
from enum import StrEnum
from threading import Lock

from policykit.opa.errors import CircuitOpen


class BreakerState(StrEnum):
    """``half-open``: one question is on its way that finds out; all others still fail."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Opens after ``open_after`` outages in a row, for ``open_s`` seconds of ``clock``; may be shared by threads.

    Every question that was admitted ends in exactly one of :meth:`answered` and :meth:`failed`.
    """

    def __init__(self, open_after: int, open_s: float, clock: Callable[[], float]) -> None:
        self._open_after = open_after
        self._open_s = open_s
        self._clock = clock
        self._lock = Lock()
        self._in_a_row = 0
        self._opened_at: float | None = None
        self._probing = False

    @property
    def state(self) -> BreakerState:
        with self._lock:
            if self._opened_at is None:
                return BreakerState.CLOSED
            return BreakerState.HALF_OPEN if self._probing else BreakerState.OPEN

    def admit(self) -> None:
        """Raises CircuitOpen where OPA is not to be asked now."""
        with self._lock:
            if self._opened_at is None:
                return
            left = self._opened_at + self._open_s - self._clock()
            if self._probing or left > 0:
                when = f"it is asked again in {left:.1f} s" if left > 0 else "one question is finding out"
                raise CircuitOpen(f"OPA was down {self._in_a_row} times in a row and is not asked: {when}")
            self._probing = True

    def answered(self) -> None:
        """OPA is there, whatever it said."""
        with self._lock:
            self._in_a_row = 0
            self._opened_at = None
            self._probing = False

    def failed(self) -> None:
        """OPA is not there."""
        with self._lock:
            self._in_a_row += 1
            if self._probing or self._in_a_row >= self._open_after:
                self._opened_at = self._clock()
            self._probing = False
