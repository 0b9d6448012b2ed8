"""Decisions from an Open Policy Agent over its REST API."""

import asyncio
import json
import os
import time
import weakref
from collections.abc import Callable, Coroutine
from threading import Lock, Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from policykit.diagnostics import PolicyError
from policykit.ir.decision import Answer
from policykit.opa.answers import read_answer
from policykit.opa.breaker import Breaker, BreakerState
from policykit.opa.errors import OpaError, TimedOut, UnusableInput
from policykit.opa.settings import OpaSettings

if TYPE_CHECKING:
    from policykit.opa.transport import Transport

_T = TypeVar("_T")
_GRACE_S = 1.0
"""Beyond the deadline, for an event loop that does not get to run; then the question is given up."""


class Opa:
    """An OPA that is asked over HTTP: a :class:`policykit.ir.decision.Decider`, for all threads of a process.

    ``clock`` gives seconds and never goes back; the circuit breaker reads it. Close it, or use it as a context manager.

    Raises PolicyError: the package opa-python-client is not installed (PK161), or the certificates cannot be read
    (PK162).
    """

    def __init__(self, settings: OpaSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._breaker = Breaker(settings.open_after, settings.open_s, clock)
        self._lock = Lock()
        self._line: _Line | None = None
        self._new_transport()  # opens nothing; an unusable setting is told here and not with the first question

    @property
    def breaker(self) -> BreakerState:
        """Whether OPA is asked at the moment."""
        return self._breaker.state

    def decide(self, reference: str, document: dict[str, object]) -> Answer:
        """What OPA says about ``reference`` (such as `data.refunds.allow`) when ``document`` is its `input`.

        Takes at most the deadline of the settings. Raises OpaError.
        """
        _check_sendable(document)
        self._breaker.admit()
        try:
            reply = self._within_deadline(reference, document)
        except OpaError as error:
            (self._breaker.failed if error.is_outage else self._breaker.answered)()
            raise
        except BaseException:
            self._breaker.failed()
            raise
        self._breaker.answered()
        return read_answer(reference, reply)

    def _within_deadline(self, reference: str, document: dict[str, object]) -> dict[str, object]:
        line = self._open_line()
        patience_s = self._settings.deadline_s + _GRACE_S
        return line.wait(line.transport.ask(reference, document), patience_s)

    def _new_transport(self) -> "Transport":
        try:
            from policykit.opa.transport import Transport
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in ("opa_client", "aiohttp"):
                raise
            message = f"asking OPA needs `{error.name}`, which is not installed"
            raise PolicyError.of("PK161", message, help="pip install 'policykit[opa]'") from error
        return Transport(self._settings)

    def _open_line(self) -> "_Line":
        with self._lock:
            if self._line is None or self._line.pid != os.getpid():  # a thread does not survive a fork
                self._line = _Line(self._new_transport())
            return self._line

    def close(self) -> None:
        """Give up the connections; the next question opens new ones."""
        with self._lock:
            line, self._line = self._line, None
        if line is not None:
            line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class _Line:
    """A transport with the thread whose event loop it lives in."""

    def __init__(self, transport: "Transport") -> None:
        self.transport = transport
        self.pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        thread = Thread(target=self._loop.run_forever, name="opa", daemon=True)
        thread.start()
        self.close = weakref.finalize(self, _hang_up, transport, self._loop, thread, self.pid)

    def wait(self, question: Coroutine[Any, Any, _T], patience_s: float) -> _T:
        asked = asyncio.run_coroutine_threadsafe(question, self._loop)
        try:
            return asked.result(patience_s)
        except TimeoutError:
            asked.cancel()
            raise TimedOut(f"OPA gave no answer within {patience_s:g} s") from None
        except BaseException:
            asked.cancel()
            raise


def _hang_up(transport: "Transport", loop: asyncio.AbstractEventLoop, thread: Thread, pid: int) -> None:
    if pid != os.getpid():
        return
    asyncio.run_coroutine_threadsafe(transport.close(), loop).result(_GRACE_S)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(_GRACE_S)
    if not thread.is_alive():
        loop.close()


def _check_sendable(document: dict[str, object]) -> None:
    """Raises UnusableInput for what is no JSON: NaN, dates, half a surrogate pair."""
    try:
        json.dumps(document, allow_nan=False, ensure_ascii=False).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise UnusableInput(f"the facts cannot be sent to OPA: {error}") from None
