"""The process that compiles for :mod:`policykit.plan.bounded`: `python -m policykit.plan.compiling`.

It reads calls from standard input and answers on what was standard output: pickles, each after its length as eight
bytes. Both ends are ours. It has a bound on memory for each call (Linux: `RLIMIT_DATA` above what it holds already),
and an alarm, so that it ends also where nobody is left who could end it.
"""

import os
import pickle
import signal
import struct
import sys
from contextlib import suppress
from typing import IO, Any, TypeAlias

from policykit.diagnostics import PolicyError
from policykit.plan.plan import compile as compile_plan

HEADER = struct.Struct(">Q")
Kept: TypeAlias = dict[str, object]
"""Values that were sent once, such as policies, by key."""


def compiles(policies: Any, grammar: Any, context: dict[str, Any]) -> None:
    """Compile, and forget the plan: that it comes back is what is asked."""
    compile_plan(policies, grammar, **context)


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


def answer(kept: Kept, call: bytes) -> tuple[str, object]:
    """What became of a call: `value`, `refused` with diagnostics, `memory`, or `failed` with what was said."""
    try:
        function, arguments, shared, n_bytes, alarm_s = pickle.loads(call)
        signal.alarm(alarm_s)
        kept.update({key: pickle.loads(pickled) for key, pickled in shared if pickled is not None})
        values = [kept[key] for key, _ in shared]
        bound_memory(n_bytes)
        return "value", function(*values, *arguments)
    except PolicyError as error:
        return "refused", error.diagnostics
    except MemoryError:
        return "memory", None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic of the engine is no Exception
        return "failed", f"{type(error).__name__}: {str(error)[:200]}"
    finally:
        signal.alarm(0)
        bound_memory(None)


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with suppress(AttributeError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to act on
    kept: Kept = {}
    write(answers, pickle.dumps(("ready", None)))
    while (call := read(sys.stdin.buffer)) is not None:
        write(answers, pickle.dumps(answer(kept, call)))


if __name__ == "__main__":
    main()
