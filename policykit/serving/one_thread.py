"""A thread that calls are made in one after another, and that knows when the one it is in should have come back."""

import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Generic, TypeVar

_LOG = logging.getLogger("policykit.serving")

T = TypeVar("T")
IDLE_S = 60.0
"""So long without a call, and the thread ends; the next call starts another."""
SLACK = 2.0
"""A call that was begun late may take so many times what the slowest one took that came back in time."""


@dataclass(eq=False, slots=True)
class _Call(Generic[T]):
    make: Callable[[], T]
    until: float
    future: "Future[T]" = field(default_factory=lambda: Future[T]())
    began: float = 0.0
    may_take_until: float = 0.0


class OneThread(Generic[T]):
    """Calls in the order in which they came. The thread is none that a process waits for when it ends."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name, self._clock = name, clock
        self._changed = Condition()
        self._calls: deque[_Call[T]] = deque()
        self._current: _Call[T] | None = None
        self._has_thread = False
        self._slowest_s = 0.0

    def submit(self, make: Callable[[], T], until: float) -> "Future[T]":
        """A call that is waited for until then, on the clock. Cancelled before it has begun, it is never made."""
        call = _Call(make, until)
        with self._changed:
            if not self._has_thread:
                Thread(target=self._run, name=self._name, daemon=True).start()
                self._has_thread = True
            self._calls.append(call)
            self._changed.notify()
        return call.future

    def hangs_s(self) -> float | None:
        """Seconds since the current call began, where it has taken longer than it may: nobody should queue behind it.
        None where there is no such call, or none any more."""
        with self._changed:
            call, now = self._current, self._clock()
            return None if call is None or now <= call.may_take_until else now - call.began

    def _run(self) -> None:
        while (call := self._next()) is not None:
            try:
                value = call.make()
            except BaseException as error:  # whatever it is, it is for whoever waits to judge
                self._is_back()
                call.future.set_exception(error)
            else:
                self._is_back()
                call.future.set_result(value)
            del call  # and what it was about, which is of a request

    def _next(self) -> _Call[T] | None:
        with self._changed:
            while True:
                if not self._calls and not self._changed.wait(IDLE_S) and not self._calls:
                    self._has_thread = False
                    return None
                while self._calls:
                    call = self._calls.popleft()
                    if call.future.set_running_or_notify_cancel():
                        call.began = self._clock()
                        # Who waited long in the queue has little time left, which says nothing of the call.
                        call.may_take_until = max(call.until, call.began + SLACK * self._slowest_s)
                        self._current = call
                        return call

    def _is_back(self) -> None:
        with self._changed:
            call, self._current = self._current, None
            now = self._clock()
            assert call is not None, "what comes back was begun"
            took_s = now - call.began
            if now <= call.until:
                self._slowest_s = max(self._slowest_s, took_s)
        if now > call.may_take_until:
            _LOG.warning("%s: a call has come back after %.0f s", self._name, took_s)
