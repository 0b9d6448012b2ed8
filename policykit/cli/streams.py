"""Where a command reads and writes: the only way a command touches the terminal."""

import sys
from dataclasses import dataclass
from io import TextIOWrapper
from typing import IO, TextIO

from rich.console import Console

LOG_WIDTH = 120  # where there is no terminal to ask: wide enough for most source lines, narrow enough to read


class _PipedConsole(Console):
    """A console that lets a closed pipe surface: rich would exit with status 1, which here means a failed test."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


@dataclass(frozen=True, slots=True)
class Streams:
    """Standard output, standard error and standard input of one command."""

    out: Console
    err: Console
    stdin: TextIO

    def write(self, text: str) -> None:
        """Write exactly ``text`` to standard output: for machines, so neither wrapped nor coloured."""
        self.out.file.write(text)
        self.out.file.flush()


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
    """The process's own streams, as they are now; what their encoding cannot print is escaped."""
    for file in (sys.stdout, sys.stderr):
        if isinstance(file, TextIOWrapper):  # pyright: ignore[reportUnnecessaryIsInstance] # tests put others here
            file.reconfigure(errors="backslashreplace")
    return Streams(console(sys.stdout), console(sys.stderr), sys.stdin)
