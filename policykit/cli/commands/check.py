"""`policykit check`: load policy files and profiles and report everything that is wrong with them, all at once."""

import shlex
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.progress import Progress

from policykit.analysis import MAX_STATES, Idle, Settled, Value, Why, analyse, analyse_conditions
from policykit.cli.command import Command, add_format, add_max_warnings
from policykit.cli.exits import Exit, status_of
from policykit.cli.render import counted
from policykit.cli.reports.diagnostics import report_diagnostics
from policykit.cli.sources import add_context_arguments, context_from, positive, today
from policykit.cli.streams import Streams
from policykit.cli.visible import shown
from policykit.compile import resolve
from policykit.diagnostics import Diagnostic, PolicyError, Severity
from policykit.ir.document import PolicySet
from policykit.policy import load_policies
from policykit.policy.load import SUFFIX
from policykit.profiles import check_profiles, check_reach, load_profiles
from policykit.profiles.documents import holds
from policykit.profiles.key_file import SUFFIX as KEYS
from policykit.profiles.load import NAMING


def _configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="policy files, profiles, or folders of them"
    )
    parser.add_argument(
        "--analyse",
        action="store_true",
        help="prove which rules and phrases can never matter in the request context, and which conditions never "
        "change; each is a warning",
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


_SETTLED = {
    Value.TRUE: ("PK705", "correct it, or remove it: it asks for facts and decides nothing"),
    Value.FALSE: ("PK706", "correct it, or remove what it stands on"),
    Value.IDLE: ("PK707", "remove it, or correct it"),
}


def _about_condition(settled: Settled) -> Diagnostic:
    code, help = _SETTLED[settled.value]
    whose = f"exception `{settled.exception}` of `{settled.rule}`" if settled.exception else f"`{settled.rule}`"
    says = f"the condition of {whose} is {settled.value.value}"
    if settled.value is Value.IDLE:
        says = f"`{settled.part}` changes nothing in the condition of {whose}"
    return Diagnostic(code, says, settled.place, help, Severity.WARNING)


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
    settled, not_settled = analyse_conditions(policies)
    for rule in (*found.outside, *not_settled):
        streams.err.print(f"{rule.place}: not analysed: {shown(rule.rule)}: {rule.why}")
    return (*map(_warning, found.idle), *map(_about_condition, settled))


def _policies(paths: Sequence[Path], args: Namespace, streams: Streams) -> tuple[tuple[Diagnostic, ...], list[str]]:
    """What was found, and how much there is."""
    policies = load_policies(*paths)
    found = policies.warnings + (_analysed(policies, args, streams) if args.analyse else ())
    n_rules = sum(len(document.rules) for document in policies.documents)
    n_tests = sum(len(document.tests) for document in policies.documents)
    return found, [counted(len(policies.documents), "document"), counted(n_rules, "rule"), counted(n_tests, "test")]


def _profiles(paths: Sequence[Path], args: Namespace) -> tuple[tuple[Diagnostic, ...], list[str]]:
    profiles = load_profiles(*paths)
    found = (*profiles.warnings, *check_profiles(profiles, args.at or today()), *check_reach(profiles))
    return found, [counted(len(profiles), "profile")]


def _tried(
    make: Callable[[], tuple[tuple[Diagnostic, ...], list[str]]], paths: Sequence[Path]
) -> tuple[tuple[Diagnostic, ...], list[str]]:
    if not paths:
        return (), []
    try:
        return make()
    except PolicyError as error:
        return error.diagnostics, []


def _check_keys(paths: Sequence[Path]) -> None:
    """Raises PolicyError for files of keys, which are another command's."""
    keys = [str(path) for path in paths if path.name.endswith(KEYS) and not path.is_dir()]
    if keys:
        help = f"policykit keys check {shlex.join(keys)} --profiles PATH"
        raise PolicyError.of("PK550", f"policykit check: `{keys[0]}` is a file of keys", help=help)


def _run(args: Namespace, streams: Streams) -> Exit:
    _check_keys(args.paths)
    of_profiles = [path for path in args.paths if holds(path, NAMING)]
    of_policies = [path for path in args.paths if path not in of_profiles or _holds_policies(path)]
    about_policies, sizes = _tried(lambda: _policies(of_policies, args, streams), of_policies)
    about_profiles, more = _tried(lambda: _profiles(of_profiles, args), of_profiles)
    found = tuple(dict.fromkeys((*about_policies, *about_profiles)))
    report_diagnostics(streams, args.format, found)
    if args.format == "text" and all(diagnostic.severity is Severity.WARNING for diagnostic in found):
        streams.out.print(", ".join((*sizes, *more)) + ": no errors")
    return status_of(found, args.max_warnings)


def _holds_policies(path: Path) -> bool:
    return path.is_dir() and any(path.rglob(f"*{SUFFIX}"))


COMMAND = Command("check", "report everything that is wrong with policy files and profiles", _configure, _run)
