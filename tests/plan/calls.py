"""Calls that do not come back as they should, in a module that is imported quickly."""

import ctypes
import os
import time


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
