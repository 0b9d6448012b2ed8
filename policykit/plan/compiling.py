"""The process that compiles for :mod:`policykit.plan.bounded`: `python -m policykit.plan.compiling`.

It reads calls from standard input and answers on what was standard output: pickles, each after its length as eight
bytes. Both ends are ours. It has a bound on memory for each call (Linux: `RLIMIT_DATA` above what it holds already).
It ends with whoever asks: at the end of its input, and in the midst of a call by a signal (Linux) or an alarm, which
need no interpreter to be heard.
"""

import os
import pickle
import select
import signal
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import IO, Any, TypeAlias

from policykit.compile import PlanSpec
from policykit.diagnostics import InternalError, Place, PolicyError
from policykit.grammar import try_first_mask
from policykit.ir.document import PolicySet
from policykit.ir.grammar import GrammarSpec
from policykit.plan.file import load_plan
from policykit.plan.plan import compile as compile_plan

HEADER = struct.Struct(">Q")
Kept: TypeAlias = dict[str, object]
"""Values that were sent once, such as policies, by key."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A grammar that nobody has looked at: what reads it, a function of a module, and what that is given."""

    reads: Callable[..., GrammarSpec | None]
    arguments: tuple[str, ...]
    place: Place


def compiles(policies: PolicySet | None, grammar: "GrammarSpec | Unread | None", context: dict[str, Any]) -> PlanSpec:
    """The plan, without the policies: whoever sent them has them."""
    made = grammar.reads(*grammar.arguments) if isinstance(grammar, Unread) else grammar
    spec = compile_plan(policies, made, **context).spec
    if spec.grammar is not None:
        try:
            try_first_mask(spec.grammar)
        except InternalError as error:
            message = f"no mask can be made of it: {error}"
            raise PolicyError.of("PK209", message, spec.grammar.place, "make it smaller") from error
    return replace(spec, policies=PolicySet(()))


def loads(path: str) -> PlanSpec:
    return load_plan(path).spec


def read(stream: IO[bytes]) -> bytes | None:
    head = stream.read(HEADER.size)
    return stream.read(HEADER.unpack(head)[0]) if len(head) == HEADER.size else None


def write(stream: IO[bytes], body: bytes) -> None:
    stream.write(HEADER.pack(len(body)) + body)
    stream.flush()


def bound_memory(n_bytes: int | None) -> None:
    """Take no more than so much on top of what is held; None: as much as there is. Only Linux knows how."""
    if not sys.platform.startswith("linux"):
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if n_bytes is None:
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))
        return
    with open("/proc/self/status", encoding="ascii") as status:
        held = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:"))
    wanted = held + n_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if hard < 0 else min(wanted, hard), hard))


def end_with_caller(is_on: bool) -> None:
    """While a call is answered nothing comes in, so that whatever happens to the input means that nobody is left to
    hear the answer. SIGIO then ends the process, also in the midst of what holds the interpreter (Linux)."""
    if not sys.platform.startswith("linux"):
        return
    import fcntl

    with suppress(OSError):
        flags = fcntl.fcntl(0, fcntl.F_GETFL)
        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, flags | os.O_ASYNC if is_on else flags & ~os.O_ASYNC)
    if is_on:
        waiting = select.poll()
        waiting.register(0, select.POLLHUP)
        if waiting.poll(0):
            os._exit(0)


def answer(kept: Kept, call: bytes) -> bytes:
    """What became of a call, pickled: `value`, `refused` with diagnostics, `memory`, or `failed` with what was said."""
    try:
        body, shared, n_bytes, alarm_s = pickle.loads(call)
        signal.alarm(alarm_s)
        end_with_caller(True)
        function, arguments = pickle.loads(body)
        kept.update({key: pickle.loads(pickled) for key, pickled in shared if pickled is not None})
        values = [kept[key] for key, _ in shared]
        bound_memory(n_bytes)
        return pickle.dumps(("value", function(*values, *arguments)))
    except PolicyError as error:
        return pickle.dumps(("refused", error.diagnostics))
    except MemoryError:
        return pickle.dumps(("memory", None))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic of the engine is no Exception
        return pickle.dumps(("failed", f"{type(error).__name__}: {str(error)[:200]}"))
    finally:
        signal.alarm(0)
        bound_memory(None)
        end_with_caller(False)


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with suppress(AttributeError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to act on
    kept: Kept = {}
    write(answers, pickle.dumps(("ready", None)))
    while (call := read(sys.stdin.buffer)) is not None:
        write(answers, answer(kept, call))


if __name__ == "__main__":
    main()
