"""`policykit explain`: what a diagnostic code means, or what a plan enforces where."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from textwrap import indent

from rich.console import Group
from rich.text import Text

from policykit.cli.command import Command, add_format
from policykit.cli.exits import Exit
from policykit.cli.plan_view import plan_data, plan_view
from policykit.cli.render import print_diagnostics
from policykit.cli.reports.plain import to_json
from policykit.cli.sources import add_compile_arguments, plan_from
from policykit.cli.streams import Streams
from policykit.diagnostics import CATALOGUE, CodeEntry, PolicyError, did_you_mean


def _configure(parser: ArgumentParser) -> None:
    parser.add_argument("code", nargs="?", metavar="CODE", help="a diagnostic code, such as PK031")
    parser.add_argument("--codes", action="store_true", help="list all codes")
    parser.add_argument(
        "--plan",
        nargs="?",
        const="",  # without a file: compile from the other flags
        metavar="PLAN.json",
        help="show a plan: of this file, or compiled from --policies and --grammar",
    )
    add_compile_arguments(parser, policies_required=False)
    add_format(parser, "json")


def _entry(code: str) -> CodeEntry:
    known = CATALOGUE.get(code.upper())
    if known is None:
        advice = did_you_mean(code, CATALOGUE) or "`policykit explain --codes` lists all codes"
        raise PolicyError.of("PK551", f"unknown code `{code}`", help=advice)
    return known


def _entry_view(entry: CodeEntry) -> Group:
    title = Text.assemble((f"{entry.code}: ", "bold red"), (entry.title, "bold"))
    parts = [title, Text(), Text(entry.explanation)]
    if entry.example:
        parts += [Text(), Text("For example:", "bold")]
        parts += [Text(), Text(indent(entry.example.rstrip(), "    "), no_wrap=True, overflow="ignore")]
    return Group(*parts)


def _explain_codes(args: Namespace, streams: Streams) -> Exit:
    entries = tuple(CATALOGUE.values()) if args.codes else (_entry(args.code),)
    if args.format == "json":
        streams.write(to_json(entries if args.codes else entries[0]))
    elif args.codes:
        for entry in entries:
            streams.out.print(Text.assemble((entry.code, "bold"), f"  {entry.title}"))
    else:
        streams.out.print(_entry_view(entries[0]), soft_wrap=False)
    return Exit.FINE


def _explain_plan(args: Namespace, streams: Streams) -> Exit:
    args.plan = Path(args.plan) if args.plan else None
    plan = plan_from(args)
    print_diagnostics(streams.err, plan.warnings)
    if args.format == "json":
        streams.write(to_json(plan_data(plan)))
    else:
        streams.out.print(plan_view(plan), soft_wrap=False)
    return Exit.FINE


def _run(args: Namespace, streams: Streams) -> Exit:
    asked = [bool(args.code), bool(args.codes), args.plan is not None]
    if sum(asked) != 1:
        raise PolicyError.of("PK550", "nothing to explain, or too much", help="name one of CODE, `--codes`, `--plan`")
    return _explain_plan(args, streams) if args.plan is not None else _explain_codes(args, streams)


COMMAND = Command("explain", "explain a diagnostic code, or a plan", _configure, _run)
