"""Calls that do not come back as they should, in a module that is imported quickly."""

import ctypes
import os
import time
from pathlib import Path


def sleeps(seconds: float) -> str:
    time.sleep(seconds)
    return "slept"


def grows() -> int:
    return len(bytearray(2 << 30))


def crashes() -> None:
    ctypes.string_at(0)


def panics() -> None:
    class PanicException(BaseException):
        pass

    raise PanicException("called `Option::unwrap()` on a `None` value")


def fails() -> None:
    raise ValueError("no grammar's fault")


def process_id() -> int:
    return os.getpid()


def holds(path: str, seconds: int) -> None:
    """Writes the process's id to a file, and then holds the interpreter lock: no Python code runs beside it."""
    Path(path).write_text(str(os.getpid()))
    ctypes.PyDLL(None).sleep(seconds)


def waits_for(path: str) -> str:
    """Tells that it has begun by a file beside, and comes back when there is one of that name."""
    Path(f"{path}.{os.getpid()}.begun").touch()
    while not Path(path).exists():
        time.sleep(0.02)
    return "came"
