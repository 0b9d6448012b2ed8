"""`policykit compile`: policies and a grammar into one plan file, with the table of what is enforced where."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from policykit.cli.command import Command, add_format, add_max_warnings
from policykit.cli.exits import Exit, status_of
from policykit.cli.plan_view import level_counts, plan_data, plan_view
from policykit.cli.render import print_diagnostics
from policykit.cli.reports.plain import to_json
from policykit.cli.sources import above_zero, add_compile_arguments, compile_from, positive
from policykit.cli.streams import Streams
from policykit.plan import Bounds, Compilers, Plan
from policykit.plan.bounded import DEADLINE_S, MEMORY_MIB


def _configure(parser: ArgumentParser) -> None:
    add_compile_arguments(parser, policies_required=True)
    parser.add_argument("-o", "--output", type=Path, metavar="PLAN.json", help="write the plan to this file")
    bounds = parser.add_argument_group("bounds", "compile in another process, and refuse (PK209) what exceeds them")
    bounds.add_argument("--deadline", type=above_zero, metavar="S", help="seconds")
    bounds.add_argument("--memory", type=positive, metavar="MIB", help="mebibytes (Linux)")
    add_max_warnings(parser)
    add_format(parser, "json")


def _run(args: Namespace, streams: Streams) -> Exit:
    plan = _bounded(args) if args.deadline or args.memory else compile_from(args)
    if args.output:
        plan.save(args.output)
    print_diagnostics(streams.err, plan.warnings)
    if args.format == "json":
        streams.write(to_json(plan_data(plan)))
    else:
        streams.out.print(plan_view(plan), soft_wrap=False)
        counts = level_counts(plan.enforcements)
        streams.out.print(f"\n{counts}" + (f"; wrote {args.output}" if args.output else ""))
    return status_of(plan.warnings, args.max_warnings)


def _bounded(args: Namespace) -> Plan:
    compilers = Compilers(Bounds(args.deadline or DEADLINE_S, args.memory or MEMORY_MIB), n_processes=1)
    try:
        return compile_from(args, compilers)
    finally:
        compilers.close()


COMMAND = Command("compile", "compile policies and a grammar into a plan", _configure, _run)
