"""What a command is: a name, one line about it, its arguments, and what it does."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass

from policykit.cli.exits import Exit
from policykit.cli.streams import Streams


@dataclass(frozen=True, slots=True)
class Command:
    """One entry of the command line. A command is one module that exports one of these as ``COMMAND``.

    ``run`` returns the exit status; it raises `PolicyError` for invalid input and lets everything else rise.
    """

    name: str
    summary: str
    configure: Callable[[ArgumentParser], None]
    run: Callable[[Namespace, Streams], Exit]


def add_format(parser: ArgumentParser, *formats: str) -> None:
    """``--format``, with human text as the default."""
    parser.add_argument(
        "--format", choices=("text", *formats), default="text", help="what to print (default: text, for people)"
    )


def add_max_warnings(parser: ArgumentParser) -> None:
    """``--max-warnings``, which turns warnings into a status."""
    parser.add_argument(
        "--max-warnings", type=int, metavar="N", help="exit with 2 where there are more warnings (default: no limit)"
    )
