"""`policykit check`: load policy files and report everything that is wrong with them, all at once."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from rich.progress import Progress

from policykit.analysis import MAX_STATES, Idle, Why, analyse
from policykit.cli.command import Command, add_format, add_max_warnings
from policykit.cli.exits import Exit, status_of
from policykit.cli.render import counted
from policykit.cli.reports.diagnostics import report_diagnostics
from policykit.cli.sources import add_context_arguments, context_from, positive
from policykit.cli.streams import Streams
from policykit.cli.visible import shown
from policykit.compile import resolve
from policykit.diagnostics import Diagnostic, PolicyError, Severity
from policykit.ir.document import PolicySet
from policykit.policy import load_policies


def _configure(parser: ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="policy files, or folders of them")
    parser.add_argument(
        "--analyse",
        action="store_true",
        help="prove which rules and phrases can never matter in the request context; each is a warning",
    )
    parser.add_argument(
        "--max-states",
        type=positive,
        default=MAX_STATES,
        metavar="N",
        help=f"states that one proof may meet; beyond them nothing is claimed (default: {MAX_STATES})",
    )
    add_context_arguments(parser)
    add_max_warnings(parser)
    add_format(parser, "json", "sarif", "github")


_SAYS = {
    Why.EMPTY: ("PK702", "finds nothing in any text", "correct or remove it"),
    Why.SHADOWED: ("PK703", "never changes a decision", "remove it, or narrow what covers it"),
    Why.SUBSUMED: ("PK704", "adds nothing to its list", "remove it, or what covers it"),
}


def _warning(idle: Idle) -> Diagnostic:
    code, says, help = _SAYS[idle.why]
    what = f"`{idle.part}` of `{idle.rule}`" if idle.part else f"`{idle.rule}`"
    related = tuple((place, f"`{name}` finds something there too") for name, place in idle.by)
    return Diagnostic(code, f"{what} {says}", idle.place, help, Severity.WARNING, related)


def _analysed(policies: PolicySet, args: Namespace, streams: Streams) -> tuple[Diagnostic, ...]:
    """What can never matter; what nothing is known of is listed on standard error."""
    rules = resolve(policies, context_from(args))
    with Progress(console=streams.err, transient=True, disable=not streams.err.is_terminal) as bar:
        task = bar.add_task("rules", total=len(rules))
        found = analyse(rules, args.max_states, lambda done: bar.update(task, completed=done))
    for rule in found.outside:
        streams.err.print(f"{rule.place}: not analysed: {shown(rule.rule)}: {rule.why}")
    return tuple(map(_warning, found.idle))


def _run(args: Namespace, streams: Streams) -> Exit:
    fine = ""
    try:
        policies = load_policies(*args.paths)
        found = policies.warnings + (_analysed(policies, args, streams) if args.analyse else ())
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
