"""The plans that an engine decodes under, by digest, and their constraints on its vocabulary. No vLLM is imported."""

import os
from asyncio import get_running_loop
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cache
from pathlib import Path
from threading import Lock, Thread
from typing import Generic, TypeVar

from policykit.constraint import Constraint, Vocabulary
from policykit.diagnostics import PolicyError
from policykit.engines import attest
from policykit.engines.plan_names import named
from policykit.engines.vllm.grammars import FREE, unread
from policykit.plan import Plan, RequestBounds, WarmSets, load_plan, load_proved, request_compilers

K = TypeVar("K")
V = TypeVar("V")
MAX_PLANS = 64
MAX_CONSTRAINTS = 32
DEFAULT = "the default plan"
"""What the plan of POLICYKIT_DEFAULT_PLAN is called for who asks."""
CHECK_S = 0.2
"""So long a front end waits to hear of a request's grammar."""


class Kept(Generic[K, V]):
    """At most so many values, the least recently used dropped; each is made once, also where threads ask together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[K, V] = OrderedDict()
        self._making: dict[K, Lock] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        """Values that are kept or being made."""
        with self._lock:
            return len(self._values.keys() | self._making.keys())

    def kept(self, key: K) -> V | None:
        """What is there already."""
        with self._lock:
            return self._values.get(key)

    def get(self, key: K, make: Callable[[], V]) -> V:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            making = self._making.setdefault(key, Lock())
        with making:
            with self._lock:
                if key in self._values:
                    return self._values[key]
            try:
                value = make()
            finally:
                with self._lock:
                    self._making.pop(key, None)  # also of what cannot be made: anyone may ask for that
            with self._lock:
                self._values[key] = value
                while len(self._values) > self._limit:
                    self._values.popitem(last=False)
            return value


class Plans:
    """Plans of a run directory, alone and with requests' grammars."""

    def __init__(self, run: Path | None, default: Path | None) -> None:
        self.run = run
        self._default_path = default
        self._plans: Kept[tuple[str, str, str], Plan] = Kept(MAX_PLANS)

    @staticmethod
    def of_environment() -> "Plans":
        """Those of this process: where front end and engine share one, a grammar is compiled for both at once.

        Raises PolicyError (PK316) where the environment has no usable bounds on compiling.
        """
        RequestBounds.read(os.environ)
        return _of_process(attest.run_directory(), attest.default_plan())

    def base(self, asked: attest.MaskRequest | None) -> Plan:
        """The plan that a request names, or the default one for requests that name none.

        Raises PolicyError: PK740 where none is named and there is no default, PK741 where there is no such plan, and
        what :func:`load_plan` and an expired plan raise.
        """
        if asked is None:
            path = self.find(None)
            with named(path, DEFAULT):
                plan = self._plans.get(_key(None, path), lambda: load_plan(path))
        else:
            plan = self._plans.get(_key(asked, None), lambda: self._load(asked.plan))
        plan.check_date()
        return plan

    def plan(self, asked: attest.MaskRequest | None, option: str, source: str) -> Plan:
        """The plan of a request with its own grammar, if it has one: made in another process, within bounds, whoever
        has looked at it before. Raises PolicyError (PK743, PK209 and others)."""
        base, grammar = self.base(asked), unread(option, source)
        if grammar is None:
            return base
        with self.names(asked, is_logged=False):
            key = base.digest, option, source
            return self._plans.get(key, lambda: request_compilers().with_grammar(base, grammar))

    def names(self, asked: attest.MaskRequest | None, *, is_logged: bool = True) -> AbstractContextManager[None]:
        """Has what is wrong with the plan of a request said of the plan, and not of its file."""
        name, path = DEFAULT, self._default_path
        if asked is not None:
            name, path = f"plan {asked.plan}", self.run and attest.plan_path(self.run, asked.plan)
        return named(path, name, is_logged=is_logged) if path else nullcontext()

    def kept(self, asked: attest.MaskRequest | None, option: str, source: str) -> Plan | None:
        """The plan of :meth:`plan`, where that was made before."""
        base = self._plans.kept(_key(asked, self._default_path))
        if base is None or unread(option, source) is None:
            return base
        return self._plans.kept((base.digest, option, source))

    def find(self, asked: attest.MaskRequest | None) -> Path:
        """The file of :meth:`base`. Raises PolicyError (PK740, PK741) where there is none."""
        if asked is not None:
            return self._path_of(asked.plan)
        if self._default_path is None:
            message = "the request names no plan, and there is no default one"
            help = f"send it through the guard, or set {attest.DEFAULT_PLAN} to a plan file"
            raise PolicyError.of("PK740", message, help=help)
        return self._default_path

    def _path_of(self, digest: str) -> Path:
        path = attest.plan_path(self.run, digest) if self.run else None
        if path is None or not path.is_file():
            message = f"there is no plan `{digest}` in the run directory"
            raise PolicyError.of("PK741", message, help=f"guard and engine need the same {attest.RUN_DIRECTORY}")
        return path

    def _load(self, digest: str) -> Plan:
        path = self._path_of(digest)
        with named(path, f"plan {digest}"):
            plan = load_proved(path)
        if plan.digest != digest:
            raise PolicyError.of("PK741", f"the plan in `{path.name}` has digest `{plan.digest}`", help="save it again")
        return plan


@cache
def _of_process(run: Path | None, default: Path | None) -> Plans:
    return Plans(run, default)


def _key(asked: attest.MaskRequest | None, default: Path | None) -> tuple[str, str, str]:
    """Under which a plan is kept that is no request's own."""
    return ("", str(default), "") if asked is None else (asked.plan, "", "")


class Checks:
    """What can be said of a request's plan before the engine has it. What takes longer than ``wait_s``, or would wait
    for another, is left to the engine, which fails the request alone and says why; and so is every grammar on an event
    loop, which all streams of a server go through."""

    def __init__(self, plans: Plans, wait_s: float | None = None) -> None:
        self._plans = plans
        self._wait_s = wait_s
        self._compiling = ThreadPoolExecutor(1, thread_name_prefix="policykit-check")
        self._last: Future[Plan] | None = None
        self._is_ready = False

    def check(self, asked: attest.MaskRequest | None, option: str, source: str) -> None:
        """Raises PolicyError as :meth:`Plans.plan` does, where that is soon known."""
        self._plans.find(asked)
        if _on_a_loop() or (asked is not None and (option, source) == ("REGEX", FREE)):
            return  # whoever names a plan has compiled it
        if not self._is_ready:
            self._is_ready = True
            Thread(target=request_compilers().start, name="policykit-compilers", daemon=True).start()
        if self._last is not None and not self._last.done():
            return
        self._last = self._compiling.submit(self._plans.plan, asked, option, source)
        with suppress(TimeoutError):
            self._last.result(CHECK_S if self._wait_s is None else self._wait_s)


def _on_a_loop() -> bool:
    try:
        get_running_loop()
    except RuntimeError:
        return False
    return True


class Constraints:
    """Constraints on one vocabulary, shared by all requests of a plan. Those of rules that texts have met before, in
    other processes too, begin with what is in the ``warm`` sets."""

    def __init__(self, vocabulary: Vocabulary, warm: WarmSets | None = None) -> None:
        self.vocabulary = vocabulary
        self._warm = warm
        self._kept: Kept[str, Constraint] = Kept(MAX_CONSTRAINTS)

    def of(self, plan: Plan) -> Constraint:
        return self._kept.get(plan.digest, lambda: self._made(plan))

    def _made(self, plan: Plan) -> Constraint:
        constraint = plan.constraint(self.vocabulary)
        if self._warm is not None:
            self._warm.meet(plan, constraint)
            self._warm.keep_on()
        return constraint
