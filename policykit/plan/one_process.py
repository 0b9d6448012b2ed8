"""One process that compiles, used by one thread at a time (:mod:`policykit.plan.bounded` has several)."""

import os
import pickle
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from policykit.diagnostics import InternalError
from policykit.plan.compiling import HEADER, write
from policykit.predicates import child

START_S = 60.0
"""For a process to start, which is nobody's grammar's fault."""
QUICK_S = 1.0
"""What takes longer is a long call."""
MAX_CALLS = 1_000
"""After so many calls a process is replaced, whatever it has kept."""
MAX_SHARED = 32
"""Values that calls share, such as sets of policies, that a process keeps, at most."""
GIVES_WAY = 10
"""How nice a process is whose call has become a long one."""
Shared = tuple[str, bytes]
"""A value that calls share: its key, and the value pickled."""
POSTPONED, OVER = "postponed", "over"


@dataclass(frozen=True, slots=True)
class Call:
    """A function and its arguments, pickled, behind values that are sent once; ``n_bytes`` may be taken for it."""

    shared: tuple[Shared, ...]
    body: bytes
    n_bytes: int
    deadline_s: float
    is_over: Callable[[], bool] = lambda: False
    """Whether whoever called wants no answer any more, as where a server stops."""


class OneProcess:
    """Starts with the first call, and is started anew by the call after one that it did not survive."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._has: set[str] = set()
        self._n_calls = 0
        self._current: Call | None = None

    def call(self, call: Call, may_be_long: Callable[[], bool]) -> tuple[str, Any]:
        """What became of a call: as the process says, or `late`, `ended` and by what, or `over`.

        Behind :data:`QUICK_S` it is asked whether the call may go on; where not, it is `postponed`, and nothing is left
        of it. One that goes on does so with less of the processor, and its process is not used again.
        """
        if call.is_over():  # a process may take seconds to start
            return OVER, None
        self._current = call
        try:
            found = self._called(call, may_be_long)
        finally:
            self._current = None
        return (OVER, None) if found[0] in ("ended", POSTPONED) and call.is_over() else found

    def end_call(self) -> None:
        """Have a call that is over end now, in whatever thread it is made: its process is killed."""
        call, process = self._current, self._process
        if call is not None and process is not None and call.is_over() and self._pid == os.getpid():
            process.kill()

    def _called(self, call: Call, may_be_long: Callable[[], bool]) -> tuple[str, Any]:
        process = self.started()
        if call.is_over():  # from here on whoever ends it finds the process
            return POSTPONED, None
        sent = [(key, None if key in self._has else body) for key, body in call.shared]
        self._n_calls += 1
        self._has |= {key for key, _ in call.shared}
        asked = pickle.dumps((call.body, sent, call.n_bytes, int(call.deadline_s) + 5))
        read, begun, is_long = bytearray(), time.monotonic(), False
        found = self._sent(process, asked)
        if found is None and call.deadline_s > QUICK_S:
            found = self._answer(process, read, begun + QUICK_S)
            if found is None and not may_be_long():
                self.end()
                return POSTPONED, None
            is_long = found is None
        if is_long:
            _give_way(process.pid)
        found = found or self._answer(process, read, begun + call.deadline_s) or ("late", None)
        is_full = self._n_calls >= MAX_CALLS or len(self._has) > MAX_SHARED
        if found[0] not in ("value", "refused") or is_full or is_long:
            self.end()  # what it holds is not known, or it is slow now
        return found

    def end(self) -> None:
        process, self._process = self._process, None
        self._has, self._n_calls = set(), 0
        if process is None or self._pid != os.getpid():
            return
        child.end(process)

    def leave(self) -> None:
        """Let go of a process that is another's: this one was forked from that. Its pipes are closed here only."""
        process, self._process = self._process, None
        self._has, self._n_calls = set(), 0
        for stream in (process.stdin, process.stdout) if process else ():
            raw = getattr(stream, "raw", None)  # what was not yet written is not for us to write
            if raw is not None:
                with suppress(OSError):
                    raw.close()

    @property
    def is_ready(self) -> bool:
        return self._process is not None and self._pid == os.getpid() and self._process.poll() is None

    def started(self) -> "subprocess.Popen[bytes]":
        """Raises InternalError where it does not start."""
        if self._process is not None and self.is_ready:
            return self._process
        self.end()
        self._pid = os.getpid()
        self._process = process = child.start("policykit.plan.compiling", stderr=subprocess.DEVNULL)
        found = self._answer(process, bytearray(), time.monotonic() + START_S)
        if found is None or found[0] != "ready":
            self.end()
            raise InternalError("the process that compiles does not start")
        return process

    def _sent(self, process: "subprocess.Popen[bytes]", asked: bytes) -> tuple[str, Any] | None:
        assert process.stdin is not None, "a pipe was asked for"
        try:
            write(process.stdin, asked)
        except OSError:
            return "ended", _how(process)
        return None

    def _answer(self, process: "subprocess.Popen[bytes]", read: bytearray, until: float) -> tuple[str, Any] | None:
        """The whole of an answer; None where it is not there in time. ``read`` has what there is of it."""
        assert process.stdout is not None, "a pipe was asked for"
        wanted = HEADER.size + HEADER.unpack_from(read)[0] if len(read) >= HEADER.size else HEADER.size
        with selectors.DefaultSelector() as waiting:
            waiting.register(process.stdout, selectors.EVENT_READ)
            while len(read) < wanted:
                if not waiting.select(max(until - time.monotonic(), 0)):
                    return None
                some = os.read(process.stdout.fileno(), 1 << 20)
                if not some:
                    return "ended", _how(process)
                read += some
                if len(read) >= HEADER.size:
                    wanted = HEADER.size + HEADER.unpack_from(read)[0]
        return pickle.loads(bytes(read[HEADER.size :]))


def _give_way(pid: int) -> None:
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, pid, GIVES_WAY)


def _how(process: "subprocess.Popen[bytes]") -> str:
    """How a process ended."""
    try:
        status = process.wait(1)
    except subprocess.TimeoutExpired:
        return "it closed its pipes"
    return signal.Signals(-status).name if status < 0 else f"status {status}"
