"""The `policykit` command: one parser, one dispatch, and one place where errors become exit codes."""

import sys
import traceback
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from policykit.cli.command import Command
from policykit.cli.engine import NotInstalled
from policykit.cli.exits import INTERRUPTED, PIPE_CLOSED, Exit
from policykit.cli.render import print_diagnostics
from policykit.cli.streams import StreamFault, Streams, discard_unwritable, fault_of, standard_streams
from policykit.cli.version import installed_version
from policykit.diagnostics import Diagnostic, InternalError, PolicyError, did_you_mean

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

COMMANDS = (
    "check", "test", "fmt", "explain", "compile", "compare", "diff", "verify", "generate", "sample", "train",
    "eval", "adapter", "demo", "serve", "new", "keys", "bundle", "audit",
)  # fmt: skip
"""The names of all commands, each that of its module."""


_EPILOG = """\
exit status:
  0  fine
  1  a test or a verdict failed
  2  coverage or warnings over the limit
  3  invalid input
  4  internal error, or something needed is not installed
"""


class _Parser(ArgumentParser):
    """argparse, with a wrong command line reported like any other invalid input (argparse would exit with 2)."""

    def error(self, message: str) -> NoReturn:
        raise PolicyError.of("PK550", f"{self.prog}: {message}", help=f"see `{self.prog} --help`")

    def _print_message(self, message: str, file: "SupportsWrite[str] | None" = None) -> None:
        """Help and version; argparse would not say that they could not be written."""
        (file or sys.stdout).write(message)


def command(name: str) -> Command:
    """The command of a name. Only the commands that are asked for are loaded: all of them take as long as the rest."""
    found: Command = import_module(f"policykit.cli.commands.{name}").COMMAND
    return found


def build_parser(names: Sequence[str] = COMMANDS) -> ArgumentParser:
    """The command line with these commands; each command module adds its own arguments."""
    parser = _Parser(
        prog="policykit",
        description="Policies and grammars, compiled once: token masks, verifiers and tests that cannot drift apart.",
        epilog=_EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"policykit {installed_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)
    for each in map(command, names):
        sub = commands.add_parser(each.name, help=each.summary, description=each.summary)
        each.configure(sub)
        sub.set_defaults(run=each)
    return parser


def _parse(argv: Sequence[str]) -> Namespace:
    if argv and argv[0] in COMMANDS:
        return build_parser(argv[:1]).parse_args(argv)
    if argv and not argv[0].startswith("-"):
        advice = did_you_mean(argv[0], COMMANDS) or f"the commands are {', '.join(f'`{name}`' for name in COMMANDS)}"
        raise PolicyError.of("PK550", f"policykit: unknown command `{argv[0]}`", help=advice)
    return build_parser().parse_args(argv)


def _run(argv: Sequence[str], streams: Streams) -> int:
    try:
        args = _parse(argv)
        asked: Command = args.run
        return asked.run(args, streams)
    except PolicyError as error:
        print_diagnostics(streams.err, error.diagnostics)
        return Exit.INVALID
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.filename is None:
            raise
        why = f"`{error.filename}`: {error.strerror or error}"
        print_diagnostics(streams.err, (Diagnostic("PK553", why, help="check the path and its permissions"),))
        return Exit.INVALID
    except NotInstalled as error:
        print_diagnostics(streams.err, (error.diagnostic,))
        return Exit.UNAVAILABLE
    except InternalError as error:
        streams.err.print(f"policykit: {error}")
        return Exit.UNAVAILABLE
    except SystemExit as done:  # argparse, after --help or --version
        return done.code if isinstance(done.code, int) else Exit.FINE


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; nothing raised by a command leaves this function."""
    try:
        streams = standard_streams()
    except StreamFault as fault:
        if sys.stderr is not None:
            with suppress(OSError):
                print(f"policykit: {fault}", file=sys.stderr)
        status = Exit.UNAVAILABLE
    else:
        status = _guarded(sys.argv[1:] if argv is None else argv, streams)
    discard_unwritable()
    return status


def _guarded(argv: Sequence[str], streams: Streams) -> int:
    """The status of a command whatever it raises: the interpreter would exit with 1, which says that a test failed."""
    try:
        status = _run(argv, streams)
        sys.stdout.flush()
    except KeyboardInterrupt:
        streams.complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        return PIPE_CLOSED
    except Exception as error:
        fault = fault_of(error) if isinstance(error, OSError) else error if isinstance(error, StreamFault) else None
        why = fault or "internal error; the traceback above is worth a bug report"
        if fault is None:
            streams.complain(traceback.format_exc().rstrip())
        streams.complain(f"policykit: {why}")
        return Exit.UNAVAILABLE
    return status


if __name__ == "__main__":
    sys.exit(main())
