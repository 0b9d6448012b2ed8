"""Calls with a deadline. A call that takes too long is given up; the thread that it holds is counted."""

from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Generic, TypeVar

T = TypeVar("T")
MAX_STUCK = 16


class TookTooLong(Exception):
    """The deadline has passed, or too many earlier calls still hold their threads."""


class _Call(Generic[T]):
    """One call in a thread of its own. ``outcome`` is set once ``done``."""

    def __init__(self, function: Callable[[], T]) -> None:
        self.function = function
        self.done = Event()
        self.value: T | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.value = self.function()
        except BaseException as error:  # whatever it is, it is the caller's to judge
            self.error = error
        self.done.set()


class Workers:
    """Runs calls in threads, at most ``max_stuck`` of which may be past their deadline at a time.

    A thread cannot be ended from outside. A call that never lets go of the interpreter lock stops all threads of the
    process, this deadline included.
    """

    def __init__(self, max_stuck: int = MAX_STUCK) -> None:
        self._max_stuck = max_stuck
        self._lock = Lock()
        self._late: set[Event] = set()

    def run(self, function: Callable[[], T], deadline_s: float) -> T:
        """The value of the call, or what it raises. Raises TookTooLong."""
        with self._lock:
            self._late = {event for event in self._late if not event.is_set()}
            if len(self._late) >= self._max_stuck:
                raise TookTooLong(f"{len(self._late)} earlier calls have not come back")
        call = _Call(function)
        Thread(target=call.run, daemon=True, name="policykit call").start()
        if not call.done.wait(deadline_s):
            with self._lock:
                self._late.add(call.done)
            raise TookTooLong(f"no answer within {deadline_s:g} s")
        if call.error is not None:
            raise call.error
        return call.value  # pyright: ignore[reportReturnType] # it is done without an error
