"""Where a command reads and writes: the only way a command touches the terminal."""

import errno
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from io import StringIO, TextIOWrapper, UnsupportedOperation
from typing import IO, TextIO

from rich.console import Console

LOG_WIDTH = 120  # where there is no terminal to ask: wide enough for most source lines, narrow enough to read


class _PipedConsole(Console):
    """A console that lets a closed pipe surface: rich would exit with status 1, which here means a failed test."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class StreamFault(Exception):
    """A standard stream that cannot be used, as one line for people."""


@dataclass(frozen=True, slots=True)
class Streams:
    """Standard output, standard error and standard input of one command; None where there is no standard input."""

    out: Console
    err: Console
    given: TextIO | None

    @property
    def stdin(self) -> TextIO:
        """Standard input. Raises `StreamFault` where the command was started without one."""
        if self.given is None:
            raise StreamFault("cannot read the input: standard input is closed")
        return self.given

    def write(self, text: str) -> None:
        """Write exactly ``text`` to standard output: for machines, so neither wrapped nor coloured."""
        self.out.file.write(text)
        self.out.file.flush()

    def complain(self, line: str) -> None:
        """Print ``line`` to standard error, if that can be written to: nothing is left to say it with otherwise."""
        with suppress(OSError):
            self.err.print(line)


def console(file: IO[str], width: int | None = None, no_color: bool | None = None) -> Console:
    """A console that prints what it is given: no markup, no emoji codes, no guessed highlights, no wrapping.

    Colour appears on a terminal only, and never where NO_COLOR is set.
    """
    if width is None and not file.isatty():
        width = LOG_WIDTH
    return _PipedConsole(
        file=file, width=width, no_color=no_color, markup=False, emoji=False, highlight=False, soft_wrap=True
    )


def standard_streams() -> Streams:
    """The process's own streams, as they are now; what their encoding cannot print is escaped.

    A closed standard error takes what is printed and shows it nowhere. Raises `StreamFault` where standard output is
    closed: a command that cannot answer is not started.
    """
    for file in (sys.stdout, sys.stderr):
        if isinstance(file, TextIOWrapper):  # pyright: ignore[reportUnnecessaryIsInstance] # tests put others here
            file.reconfigure(errors="backslashreplace")
    if sys.stdout is None:
        raise StreamFault("cannot write the output: standard output is closed")
    return Streams(console(sys.stdout), console(sys.stderr or StringIO()), sys.stdin)


def fault_of(error: OSError) -> StreamFault | None:
    """What ``error`` says about a standard stream or a full device; None where it is about something else."""
    why = (error.strerror or str(error)).lower()
    if error.errno in _FULL or not _is_writable(sys.stdout):
        return StreamFault(f"cannot write the output: {why}")
    return StreamFault(f"cannot read the input: {why}") if error.errno == errno.EBADF else None


def _is_writable(file: TextIO) -> bool:
    try:
        file.flush()  # what could not be written is still in the buffer
        os.write(file.fileno(), b"")  # where there is no buffer, this asks without writing
    except UnsupportedOperation:  # a file in memory
        return True
    except OSError:
        return False
    return True


def discard_unwritable() -> None:
    """Point a standard stream that cannot be written to at nothing: the interpreter's own flush at exit would fail
    again, and its status would hide ours."""
    for file in (sys.stdout, sys.stderr):
        if file is not None and not _is_writable(file):
            os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())
