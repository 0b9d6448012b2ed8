"""Compiling within bounds of time and memory, in processes that can be ended.

A grammar that somebody sends may be one that takes hours, or all memory, or makes the engine stop the process. It is
compiled in a process of its own; where that takes too long or too much, or ends, the process is replaced and the
grammar refused (PK209). The process that asked goes on, and so does everything else in it.

Nobody waits for long calls of others: what takes more than a second may hold half of the processes. One more that does
makes room, and is begun anew when one of those is done.
"""

import atexit
import hashlib
import os
import pickle
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, LifoQueue
from threading import Lock, Semaphore, Thread
from typing import Any, TypeVar

from policykit.compile import PlanSpec
from policykit.diagnostics import InternalError, Place, PolicyError
from policykit.ir.document import PolicySet
from policykit.ir.grammar import GrammarSpec
from policykit.plan.compiling import Unread, compiles, loads
from policykit.plan.elsewhere import Elsewhere, may_take_long, violations
from policykit.plan.one_process import MAX_SHARED, OVER, POSTPONED, Call, OneProcess, Shared
from policykit.plan.plan import Plan

T = TypeVar("T")
DEADLINE_S, MEMORY_MIB, N_PROCESSES, WAIT_S = 10.0, 1024, 3, 10.0
REFUSED_S = 60.0
"""So long it is known of a call that it does not come back within the bounds. It is then tried again: the machine may
have had other things to do."""
MAX_REFUSED = 1_000
_HELP = "make it smaller: fewer alternatives, lower counts, less nesting; or raise the bound"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a call may take, and how much memory it may take on top of what its process holds (Linux); and how long
    it may wait for a process, and again for its turn among long calls."""

    deadline_s: float = DEADLINE_S
    memory_mib: int = MEMORY_MIB
    wait_s: float = WAIT_S


class Compilers:
    """At most ``n_processes`` processes, started when they are needed. Safe for threads.

    >>> compilers = Compilers(Bounds(deadline_s=5))
    >>> compilers.make(len, "four")
    4
    >>> compilers.close()
    """

    def __init__(self, bounds: Bounds | None = None, n_processes: int = N_PROCESSES) -> None:
        self.bounds = bounds or Bounds()
        self._all = [OneProcess() for _ in range(n_processes)]
        self._policies: OrderedDict[int, tuple[PolicySet, Shared]] = OrderedDict()
        self._refused: OrderedDict[bytes, tuple[float, str]] = OrderedDict()
        self._keeps_ready = self._hurries = False
        self._n_ends = 0
        self._reset()
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_leaving(weakref.ref(self)))

    def make(self, function: Callable[..., T], *arguments: object, place: Place | None = None) -> T:
        """What a function of a module makes of values, such as ``Grammar.from_gbnf`` of a source.

        Raises:
            PolicyError: its own, and PK209 where it does not come back within the bounds.
            InternalError: it fails otherwise, or is not one that another process can call.
        """
        return self._call((), function, arguments, place)

    def compile(self, policies: PolicySet | None, grammar: "GrammarSpec | Unread | None", **context: Any) -> Plan:
        """The plan of :func:`policykit.compile`, made in another process; that reads the grammar, too, where it is
        :class:`Unread`. Texts are judged by it there, too, where that may take long.

        Raises:
            PolicyError: as there, and PK209.
            InternalError: as :meth:`make`.
        """
        place = grammar.place if grammar else None
        spec: PlanSpec = self._call((self._shared(policies),), compiles, (grammar, context), place)
        check = Elsewhere(spec.grammar, self).check if spec.grammar and may_take_long(spec.grammar) else None
        return Plan(replace(spec, policies=policies or PolicySet(())), check_grammar=check)

    def with_grammar(self, plan: Plan, grammar: Unread) -> Plan:
        """:meth:`Plan.with_grammar`, made in another process. Raises as that does, and as :meth:`compile`."""
        plan.check_takes_grammar(grammar.place)
        context = plan.spec.context
        names = ("profile", "tenant", "locale", "jurisdiction", "at")
        made = self.compile(plan.spec.policies, grammar, **{name: getattr(context, name) for name in names})
        return replace(plan, spec=made.spec, check_grammar=made.check_grammar)

    def load(self, path: Path) -> Plan:
        """The plan of :func:`load_plan`, which compiles it anew, made in another process. Raises as that does, and as
        :meth:`compile`."""
        return Plan(self._call((), loads, (str(path),), Place(str(path))))

    def start(self) -> None:
        """Have processes ready, so that no call waits for one to start: now, and whenever one had to be ended."""
        self._keeps_ready = True
        for process in self._taken():
            _replace(process, self._idle)

    def hurry(self) -> None:
        """Compile nothing any more, and end what is compiled: the server is about to stop. Texts are judged to the end.
        Until :meth:`close`."""
        self._hurries, self._keeps_ready = True, False
        for process in self._all:
            process.end_call()

    def close(self) -> None:
        """End all processes, and refuse the calls that are made, or wait (PK209); a later one starts new ones."""
        self._keeps_ready = self._hurries = False
        self._n_ends += 1
        for process in self._all:
            process.end_call()
        for process in self._taken():
            process.end()
            self._idle.put(process)

    def _taken(self) -> list[OneProcess]:
        """All processes that do nothing, which are to be put back."""
        taken: list[OneProcess] = []
        with suppress(Empty):
            while True:
                taken.append(self._idle.get_nowait())
        return taken

    def _reset(self) -> None:
        """No process is in use, and no lock is held."""
        self._idle: LifoQueue[OneProcess] = LifoQueue()
        for process in self._all:
            self._idle.put(process)
        self._long = Semaphore(max(1, len(self._all) // 2))
        self._lock = Lock()

    def leave(self) -> None:
        """Let go of all processes: they are those of the process that this one was forked from."""
        for process in self._all:
            process.leave()
        self._reset()

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
        try:
            body = pickle.dumps((function, arguments))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise InternalError(f"this cannot be sent to a compiler: {error}") from error
        key = hashlib.sha256("".join(name for name, _ in shared).encode() + body).digest()
        message = self._known(key)
        if message is None:
            kind, said = self._answer(shared, body, function is violations, place)
            if kind == "value":
                return said
            if kind == "refused":
                raise PolicyError(said)
            message = _why(kind, said, self.bounds)
            self._keep(key, message)
        raise PolicyError.of("PK209", message, place, _HELP)

    def _answer(self, shared: tuple[Shared, ...], body: bytes, judges: bool, place: Place | None) -> tuple[str, Any]:
        """What became of a call, which may become a long one while others are. Raises PolicyError where it is over
        before it comes back: that is not its arguments' fault."""
        begun = self._n_ends
        long = _Long(self._long)
        call = Call(
            shared, body, self.bounds.memory_mib << 20, self.bounds.deadline_s,
            lambda: begun < self._n_ends or (self._hurries and not judges),
        )  # fmt: skip
        found = self._called(call, long, place)
        if found[0] == OVER:
            raise PolicyError.of("PK209", "it is not made any more: the server stops", place, "try again later")
        return found

    def _called(self, call: Call, long: "_Long", place: Place | None) -> tuple[str, Any]:
        try:
            with self._held(place) as process:
                found = process.call(call, long.begin)
            if found[0] != POSTPONED:
                return found
            if not long.begin(self.bounds.wait_s):
                raise _busy("others that take as long are being compiled", place)
            with self._held(place) as process:
                return process.call(call, lambda: True)
        finally:
            long.end()

    @contextmanager
    def _held(self, place: Place | None = None) -> Generator[OneProcess]:
        """A process while it is in use. Raises PolicyError (PK209) where none is to be had in time."""
        idle = self._idle
        try:
            process = idle.get(timeout=self.bounds.wait_s)
        except Empty:
            raise _busy("others are being compiled, and none was done in time", place) from None
        try:
            yield process
        finally:
            if self._keeps_ready and not process.is_ready:
                Thread(target=_replace, args=(process, idle), name="policykit-compiler", daemon=True).start()
            else:
                idle.put(process)

    def _known(self, key: bytes) -> str | None:
        with self._lock:
            until, message = self._refused.get(key, (0.0, ""))
            return message if time.monotonic() < until else None

    def _keep(self, key: bytes, message: str) -> None:
        with self._lock:
            self._refused[key] = (time.monotonic() + REFUSED_S, message)
            self._refused.move_to_end(key)
            if len(self._refused) > MAX_REFUSED:
                self._refused.popitem(last=False)


def _replace(process: OneProcess, idle: "LifoQueue[OneProcess]") -> None:
    try:
        with suppress(InternalError, OSError):  # the call after this tries again, and says so
            process.started()
    finally:
        idle.put(process)


class _Long:
    """The place that a call takes among the long ones, if it becomes one."""

    def __init__(self, places: Semaphore) -> None:
        self._places = places
        self._is_held = False

    def begin(self, wait_s: float = 0.0) -> bool:
        self._is_held = self._places.acquire(timeout=wait_s) if wait_s else self._places.acquire(blocking=False)
        return self._is_held

    def end(self) -> None:
        if self._is_held:
            self._places.release()


def _busy(why: str, place: Place | None) -> PolicyError:
    return PolicyError.of("PK209", f"it was not begun: {why}", place, "try again later")


def _why(kind: str, said: object, bounds: Bounds) -> str:
    """Why a call did not come back within its bounds. Raises InternalError where it is not its arguments' fault."""
    match kind:
        case "late":
            return f"it is not compiled within {bounds.deadline_s:g} s"
        case "memory":
            return f"compiling it takes more than {bounds.memory_mib:,} MiB"
        case "ended":
            return f"its compiler ended ({said}), as it does where memory runs out"
        case _ if "PanicException" in str(said):
            return "the masking engine fails on it"
        case _ if "RecursionError" in str(said):
            return "it is nested too deeply"
        case _:
            raise InternalError(f"the compiler failed: {said}")


def _leaving(found: "weakref.ref[Compilers]") -> Callable[[], None]:
    def leave() -> None:
        compilers = found()
        if compilers is not None:
            compilers.leave()

    return leave
