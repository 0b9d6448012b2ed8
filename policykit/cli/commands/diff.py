"""`policykit diff`: what changes from one plan to the next, in the rules and on the texts of a corpus."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rich.progress import Progress

from policykit.cli.classifiers import add_classifier_argument, classifiers_from
from policykit.cli.command import Command, add_format
from policykit.cli.diff_view import difference_view
from policykit.cli.exits import Exit
from policykit.cli.opa import add_opa_arguments, opa_from
from policykit.cli.reports.plain import plain, to_json
from policykit.cli.sources import add_context_arguments, add_grammar_arguments, context_from, grammar_from, positive
from policykit.cli.streams import Streams
from policykit.diagnostics import PolicyError
from policykit.plan import Plan, compile as compile_plan, load_plan
from policykit.policy import load_policies
from policykit.testing.corpus import Entry, read_corpus
from policykit.testing.difference import Difference, Kind, difference

_FAILS: dict[str, Callable[[Difference], bool]] = {
    "any": lambda found: bool(found.changes),
    "looser": lambda found: bool(found.count(Kind.LOOSER)),
    "stricter": lambda found: bool(found.count(Kind.STRICTER)),
    "none": lambda _: False,
}


def _configure(parser: ArgumentParser) -> None:
    for name in ("OLD", "NEW"):
        parser.add_argument(name.lower(), type=Path, metavar=name, help="a plan, a policy file, or a folder of them")
    parser.add_argument(
        "--corpus",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="texts to judge by both: .jsonl, .csv, .tsv, a text per line, or a folder of *.txt and *.md",
    )
    parser.add_argument(
        "--fail-on",
        choices=tuple(_FAILS),
        default="any",
        help="which differences give exit status 1 (default: any); checks that could not run give 4 in any case",
    )
    parser.add_argument(
        "--examples", type=positive, default=5, metavar="N", help="how many texts to show of each kind (default: 5)"
    )
    parser.add_argument("--jobs", type=positive, default=1, metavar="N", help="run in this many processes (default: 1)")
    add_grammar_arguments(parser, "judge under this grammar too")
    add_context_arguments(parser)
    add_opa_arguments(parser)
    add_classifier_argument(parser)
    add_format(parser, "json")


def _plan(path: Path, args: Namespace) -> Plan:
    """A plan from its file, or compiled for the context that the flags name."""
    if path.suffix == ".json":
        return load_plan(path)
    context = context_from(args)
    return compile_plan(
        load_policies(path),
        grammar_from(args),
        profile=context.profile,
        tenant=context.tenant,
        locale=context.locale,
        jurisdiction=context.jurisdiction,
        at=context.at,
    )


def _corpus(paths: list[Path]) -> list[Entry]:
    return [entry for path in paths for entry in read_corpus(path)]


def _run(args: Namespace, streams: Streams) -> Exit:
    plans = [_plan(args.old, args), _plan(args.new, args)]
    corpus = _corpus(args.corpus)
    classifiers = classifiers_from(args)
    with opa_from(args) as opa:
        outside = opa is not None or bool(classifiers)
        if outside and args.jobs > 1:
            help = "leave `--jobs` out"
            raise PolicyError.of("PK550", "an agent and classifiers are asked from one process", help=help)
        if outside:
            plans = [replace(p, resources=replace(p.resources, opa=opa, classifiers=classifiers)) for p in plans]
        with Progress(console=streams.err, transient=True, disable=not streams.err.is_terminal) as bar:
            task = bar.add_task("texts", total=len(corpus))
            old, new = plans
            found = difference(old, new, corpus, jobs=args.jobs, progress=lambda n: bar.update(task, completed=n))
    if args.format == "json":
        streams.write(to_json(_data(found)))
    else:
        streams.out.print(difference_view(found, args.examples))
    if _FAILS[args.fail_on](found):
        return Exit.FAILED
    return Exit.UNAVAILABLE if found.n_unchecked else Exit.FINE


def _data(found: Difference) -> object:
    fields = plain(replace(found, decisions={}))
    assert isinstance(fields, dict)
    decisions = [
        {"old": old.value, "new": new.value, "texts": count} for (old, new), count in sorted(found.decisions.items())
    ]
    return {**fields, "decisions": decisions}


COMMAND = Command("diff", "what changes from one plan to the next, on texts of your own", _configure, _run)
