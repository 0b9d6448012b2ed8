"""`policykit check`: load policy files and report everything that is wrong with them, all at once."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from policykit.cli.command import Command, add_format, add_max_warnings
from policykit.cli.exits import Exit, status_of
from policykit.cli.render import counted
from policykit.cli.reports.diagnostics import report_diagnostics
from policykit.cli.streams import Streams
from policykit.diagnostics import PolicyError
from policykit.policy import load_policies


def _configure(parser: ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="policy files, or folders of them")
    add_max_warnings(parser)
    add_format(parser, "json", "sarif", "github")


def _run(args: Namespace, streams: Streams) -> Exit:
    fine = ""
    try:
        policies = load_policies(*args.paths)
        found = policies.warnings
        n_rules = sum(len(document.rules) for document in policies.documents)
        n_tests = sum(len(document.tests) for document in policies.documents)
        sizes = (counted(len(policies.documents), "document"), counted(n_rules, "rule"), counted(n_tests, "test"))
        fine = ", ".join(sizes) + ": no errors"
    except PolicyError as error:
        found = error.diagnostics
    report_diagnostics(streams, args.format, found)
    if fine and args.format == "text":
        streams.out.print(fine)
    return status_of(found, args.max_warnings)


COMMAND = Command("check", "report everything that is wrong with policy files", _configure, _run)
