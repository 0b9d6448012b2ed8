"""Compiling within bounds of time and memory, in processes that can be ended.

A grammar that somebody sends may be one that takes hours, or all memory, or makes the engine stop the process. It is
compiled in a process of its own; where that takes too long or too much, or ends, the process is replaced and the
grammar refused (PK209). The process that asked goes on, and so does everything else in it.
"""

import atexit
import hashlib
import os
import pickle
import selectors
import signal
import subprocess
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, LifoQueue
from threading import Lock
from typing import Any, TypeVar

from policykit.diagnostics import InternalError, Place, PolicyError
from policykit.ir.document import PolicySet
from policykit.ir.grammar import GrammarSpec
from policykit.plan.compiling import HEADER, compiles, write
from policykit.plan.plan import Plan, compile as compile_here
from policykit.predicates import child

T = TypeVar("T")
DEADLINE_S, MEMORY_MIB, N_PROCESSES = 10.0, 1024, 2
START_S = 60.0
"""For a process to start, which is nobody's grammar's fault."""
MAX_CALLS = 1_000
"""After so many calls a process is replaced, whatever it has kept."""
MAX_SHARED = 8
"""Sets of policies that are kept pickled, and that a process keeps, at most."""
_HELP = "make it smaller: fewer alternatives, lower counts, less nesting; or raise the bound"
Shared = tuple[str, bytes]
"""A value that calls share: its key, and the value pickled."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a call may take, and how much memory it may take on top of what its process holds (Linux)."""

    deadline_s: float = DEADLINE_S
    memory_mib: int = MEMORY_MIB


class Compilers:
    """At most ``n_processes`` processes, started when they are needed. Safe for threads.

    >>> compilers = Compilers(Bounds(deadline_s=5))
    >>> compilers.make(len, "four")
    4
    >>> compilers.close()
    """

    def __init__(self, bounds: Bounds | None = None, n_processes: int = N_PROCESSES) -> None:
        self.bounds = bounds or Bounds()
        self._processes: LifoQueue[_Process] = LifoQueue()
        for _ in range(n_processes):
            self._processes.put(_Process())
        self._n = n_processes
        self._lock = Lock()
        self._policies: OrderedDict[int, tuple[PolicySet, Shared]] = OrderedDict()
        atexit.register(self.close)

    def make(self, function: Callable[..., T], *arguments: object, place: Place | None = None) -> T:
        """What a function of a module makes of values, such as ``Grammar.from_gbnf`` of a source.

        Raises:
            PolicyError: its own, and PK209 where it does not come back within the bounds.
            InternalError: it fails otherwise, or is not one that another process can call.
        """
        return self._call((), function, arguments, place)

    def compile(self, policies: PolicySet | None, grammar: GrammarSpec | None, **context: Any) -> Plan:
        """The plan of :func:`policykit.compile`, once another process has shown that it compiles within the bounds.

        Raises:
            PolicyError: as there, and PK209.
            InternalError: as :meth:`make`.
        """
        self.prove(policies, grammar, **context)
        return compile_here(policies, grammar, **context)

    def prove(self, policies: PolicySet | None, grammar: GrammarSpec | None, **context: Any) -> None:
        """Nothing, where policies and grammar compile within the bounds. Raises as :meth:`compile` does."""
        place = grammar.place if grammar else None
        self._call((self._shared(policies),), compiles, (grammar, context), place)

    def close(self) -> None:
        """End the processes that do nothing; another call starts new ones."""
        idle: list[_Process] = []
        while True:
            try:
                idle.append(self._processes.get_nowait())
            except Empty:
                break
        for process in idle:
            process.end()
            self._processes.put(process)

    def _shared(self, policies: PolicySet | None) -> Shared:
        """Policies, pickled once while they are the same ones."""
        if policies is None:
            return "none", pickle.dumps(None)
        with self._lock:
            found = self._policies.get(id(policies))
            if found is None:
                body = pickle.dumps(policies)
                found = self._policies[id(policies)] = policies, (hashlib.sha256(body).hexdigest(), body)
            self._policies.move_to_end(id(policies))
            if len(self._policies) > MAX_SHARED:
                self._policies.popitem(last=False)
            return found[1]

    def _call(
        self,
        shared: tuple[Shared, ...],
        function: Callable[..., Any],
        arguments: tuple[object, ...],
        place: Place | None,
    ) -> Any:
        bounds = self.bounds
        try:
            process = self._processes.get(timeout=bounds.deadline_s * 2)
        except Empty:
            message = f"{self._n} other grammars are being compiled, and none was done in time"
            raise PolicyError.of("PK209", message, place, "try again later") from None
        try:
            kind, said = process.call(shared, function, arguments, bounds)
        finally:
            self._processes.put(process)
        match kind:
            case "value":
                return said
            case "refused":
                raise PolicyError(said)
            case "late":
                message = f"it is not compiled within {bounds.deadline_s:g} s"
            case "memory":
                message = f"compiling it takes more than {bounds.memory_mib:,} MiB"
            case "ended":
                message = f"its compiler ended ({said}), as it does where memory runs out"
            case _ if "PanicException" in str(said):
                message = "the masking engine fails on it"
            case _:
                raise InternalError(f"the compiler failed: {said}")
        raise PolicyError.of("PK209", message, place, _HELP)


class _Process:
    """One process, used by one thread at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._has: set[str] = set()
        self._n_calls = 0

    def call(
        self, shared: tuple[Shared, ...], function: Callable[..., Any], arguments: tuple[object, ...], bounds: Bounds
    ) -> tuple[str, Any]:
        """What became of a call: as the process says, or `late`, or `ended` and by what."""
        process = self._started()
        n_bytes, alarm_s = bounds.memory_mib << 20, int(bounds.deadline_s) + 5
        sent = [(key, None if key in self._has else body) for key, body in shared]
        try:
            body = pickle.dumps((function, arguments, sent, n_bytes, alarm_s))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise InternalError(f"this cannot be sent to a compiler: {error}") from error
        self._n_calls += 1
        self._has |= {key for key, _ in shared}
        found = self._exchange(process, body, bounds.deadline_s)
        is_full = self._n_calls >= MAX_CALLS or len(self._has) > MAX_SHARED
        if found[0] not in ("value", "refused") or is_full:
            self.end()  # what it holds is not known
        return found

    def end(self) -> None:
        process, self._process = self._process, None
        self._has, self._n_calls = set(), 0
        if process is None or self._pid != os.getpid():
            return
        child.end(process)

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._pid != os.getpid():  # forked: the process is the parent's
            self._process, self._pid, self._has, self._n_calls = None, os.getpid(), set(), 0
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.end()
        self._process = process = child.start("policykit.plan.compiling", stderr=subprocess.DEVNULL)
        if self._exchange(process, None, START_S)[0] != "ready":
            self.end()
            raise InternalError("the process that compiles does not start")
        return process

    def _exchange(self, process: "subprocess.Popen[bytes]", body: bytes | None, limit_s: float) -> tuple[str, Any]:
        assert process.stdin is not None, "a pipe was asked for"
        assert process.stdout is not None, "a pipe was asked for"
        until = time.monotonic() + limit_s
        try:
            if body is not None:
                write(process.stdin, body)
        except OSError:
            return "ended", _how(process)
        read, wanted = bytearray(), HEADER.size
        with selectors.DefaultSelector() as waiting:
            waiting.register(process.stdout, selectors.EVENT_READ)
            while len(read) < wanted:
                if not waiting.select(max(until - time.monotonic(), 0)):
                    return "late", None
                some = os.read(process.stdout.fileno(), 1 << 20)
                if not some:
                    return "ended", _how(process)
                read += some
                if len(read) >= HEADER.size:
                    wanted = HEADER.size + HEADER.unpack_from(read)[0]
        return pickle.loads(bytes(read[HEADER.size :]))


def _how(process: "subprocess.Popen[bytes]") -> str:
    """How a process ended."""
    try:
        status = process.wait(1)
    except subprocess.TimeoutExpired:
        return "it closed its pipes"
    return signal.Signals(-status).name if status < 0 else f"status {status}"
