"""`policykit test`: run the tests that stand beside the rules."""

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from functools import partial
from pathlib import Path

from rich.progress import Progress
from rich.text import Text

from policykit.cli.classifiers import add_classifier_argument, classifiers_from
from policykit.cli.command import Command, add_format
from policykit.cli.exits import Exit
from policykit.cli.opa import add_opa_arguments, opa_from
from policykit.cli.reports.diagnostics import report_diagnostics
from policykit.cli.reports.mutants import report_mutants
from policykit.cli.sources import add_grammar_arguments, grammar_from, positive
from policykit.cli.streams import Streams
from policykit.cli.version import installed_version
from policykit.cli.visible import shown
from policykit.diagnostics import Diagnostic, PolicyError, Severity
from policykit.ir.document import PolicySet
from policykit.policy import load_policies
from policykit.testing import (
    Status,
    TestReport,
    report_github,
    report_json,
    report_junit,
    report_sarif,
    report_text,
    run_tests,
)
from policykit.testing.coverage import coverage_of
from policykit.testing.mutation import mutate
from policykit.verify import NONE, Resources


def _configure(parser: ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="policy files, or folders of them")
    parser.add_argument("--only", metavar="NAME", help="run the tests of this name; `*` stands for any text")
    parser.add_argument(
        "--mutate",
        action="store_true",
        help="change the policies in one place at a time, and show the changes that no test notices",
    )
    parser.add_argument(
        "--min-score", type=_share, metavar="PERCENT", help="exit with 2 where fewer of these changes are noticed"
    )
    parser.add_argument(
        "--coverage", action="store_true", help="list the rules, phrases, expressions and exceptions that no test uses"
    )
    parser.add_argument(
        "--min-coverage", type=_share, metavar="PERCENT", help="exit with 2 where tests use less (implies --coverage)"
    )
    parser.add_argument("--jobs", type=positive, default=1, metavar="N", help="run in this many processes (default: 1)")
    parser.add_argument(
        "--update-golden",
        action="store_true",
        help="write the outputs that came out into the golden files that expect others; refused where CI is set",
    )
    add_grammar_arguments(parser, "judge under this grammar too")
    parser.add_argument(
        "--max-warnings",
        type=int,
        metavar="N",
        help="exit with 2 where more rules than this are covered by no test (default: no limit)",
    )
    add_opa_arguments(parser)
    add_classifier_argument(parser)
    add_format(parser, "json", "junit", "github", "sarif")


def _status(report: TestReport, max_warnings: int | None) -> Exit:
    """A failed test or an untested document comes first, then what could not be judged, then coverage."""
    if report.untested or not report.results or report.count(Status.FAILED):
        return Exit.FAILED
    if report.count(Status.ERRORED):
        return Exit.UNAVAILABLE
    return Exit.OVER_LIMIT if max_warnings is not None and len(report.uncovered) > max_warnings else Exit.FINE


def _share(text: str) -> float:
    """A flag's value in percent, as a share."""
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise ArgumentTypeError(f"`{text}` is not a percentage from 0 to 100")
    return value / 100


def _covered(policies: PolicySet, args: Namespace, streams: Streams) -> Exit:
    """What of the policies no passing test brings into play."""
    if args.mutate or args.format == "junit":
        raise PolicyError.of("PK550", "coverage is listed by itself, and not as JUnit", help="run the command twice")
    grammar = grammar_from(args)
    deployment = Resources(classifiers=classifiers_from(args)) if args.classifier else NONE
    with opa_from(args) as opa:
        coverage = coverage_of(policies, grammar, opa=opa, deployment=deployment)
    found = [
        Diagnostic("PK511", f"no passing test uses {part.kind} `{part.name}`", part.place, None, Severity.WARNING)
        for part in coverage.uncovered
    ]
    report_diagnostics(streams, args.format, found)
    if args.format == "text":
        n_used = coverage.n_parts - len(found)
        streams.out.print(f"{n_used} of {coverage.n_parts} parts used by a test: coverage {coverage.share:.1%}")
    return Exit.OVER_LIMIT if args.min_coverage is not None and coverage.share < args.min_coverage else Exit.FINE


def _mutated(policies: PolicySet, args: Namespace, streams: Streams) -> Exit:
    """Run the tests against every small change of the policies."""
    grammar = grammar_from(args)
    bar = Progress(console=streams.err, transient=True, disable=not streams.err.is_terminal)
    with bar, opa_from(args) as opa:
        task = bar.add_task("mutants", total=None)
        report = mutate(
            policies,
            grammar=grammar,
            jobs=args.jobs,
            opa=opa,
            deployment=_deployment(args),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    report_mutants(streams, args.format, report)
    return Exit.OVER_LIMIT if args.min_score is not None and report.score < args.min_score else Exit.FINE


def _deployment(args: Namespace) -> Resources:
    return Resources(classifiers=classifiers_from(args)) if args.classifier else NONE


def _refuse_on_ci() -> None:
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        message = "`--update-golden` is refused where `CI` is set"
        raise PolicyError.of("PK509", message, help="update on a desk, look at the difference, commit the files")


def _update(report: TestReport, streams: Streams) -> int:
    """Write every golden file that holds another output than came out; how many."""
    changed = [result.golden for result in report.results if result.golden]
    for golden in changed:
        golden.write()
        streams.err.print(f"wrote {shown(golden.path)}")
    return len(changed)


def _coloured(report: str) -> Text:
    text = Text("\n".join(map(shown, report.rstrip("\n").split("\n"))))
    text.highlight_regex(r"(?m)(?<=: )(FAIL|ERROR)(?= )", "bold red")
    text.highlight_regex(r"(?m)(?<=: )warning(?=: )", "bold yellow")
    return text


def _run(args: Namespace, streams: Streams) -> Exit:
    if args.update_golden:
        _refuse_on_ci()
    grammar = grammar_from(args)
    policies = load_policies(*args.paths)
    if args.coverage or args.min_coverage is not None:
        return _covered(policies, args, streams)
    if args.mutate:
        return _mutated(policies, args, streams)
    deployment = _deployment(args)
    with opa_from(args) as opa:
        run = partial(run_tests, grammar=grammar, select=args.only, jobs=args.jobs, opa=opa, deployment=deployment)
        report = run(policies)
        if args.update_golden and _update(report, streams):
            report = run(policies)
    match args.format:
        case "json":
            streams.write(report_json(report))
        case "junit":
            streams.write(report_junit(report))
        case "github":
            streams.write(report_github(report))
        case "sarif":
            streams.write(report_sarif(report, installed_version()))
        case _:
            streams.out.print(_coloured(report_text(report)))
    return _status(report, args.max_warnings)


COMMAND = Command("test", "run the tests that stand beside the rules", _configure, _run)
