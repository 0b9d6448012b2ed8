"""`policykit verify`: judge one text by a plan."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

from policykit.cli.classifiers import add_classifier_argument, classifiers_from
from policykit.cli.command import Command, add_format
from policykit.cli.exits import Exit
from policykit.cli.opa import add_opa_arguments, opa_from
from policykit.cli.reports.plain import plain, to_json
from policykit.cli.sources import add_plan_arguments, plan_from
from policykit.cli.streamed import judge_arriving
from policykit.cli.streams import Streams
from policykit.cli.verdict_view import verdict_view
from policykit.cli.visible import shown
from policykit.diagnostics import PolicyError
from policykit.ir.document import Target
from policykit.ir.verdict import Decision, Verdict, Violation
from policykit.verify import Subject


def _configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="the text, UTF-8, without its last line break; `-` is standard input (default)",
    )
    parser.add_argument(
        "--stream",
        action="store_true",
        help="write what may be shown while the text arrives; the verdict goes to standard error",
    )
    parser.add_argument("--facts", metavar="JSON", help="facts about the request: a JSON object, or `@FILE` with one")
    parser.add_argument(
        "--target",
        choices=[target.value for target in Target if target is not Target.JSON],
        default=Target.OUTPUT.value,
        help="what the text is; a tool_call is the call's arguments as JSON",
    )
    parser.add_argument("--tool", metavar="NAME", help="the tool that is called, or that gave the result")
    add_plan_arguments(parser)
    add_opa_arguments(parser)
    add_classifier_argument(parser)
    add_format(parser, "json")


def _is_text(path: Path) -> bool:
    return str(path) == "-" or (path.suffix not in {".yaml", ".yml"} and not path.is_dir())


def _text_name(args: Namespace) -> str:
    """What FILE names. In ``--policies a.yaml reply.txt`` argparse gives both to the flag: the text comes back."""
    if args.file is None and args.policies and len(args.policies) > 1 and _is_text(args.policies[-1]):
        return str(args.policies.pop())
    return args.file or "-"


def _read(name: str, streams: Streams) -> tuple[str, str]:
    """The text and the name to show for it. Raises PolicyError where it is not UTF-8, OSError where there is none."""
    data = streams.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    try:
        return data.decode("utf-8").removesuffix("\n"), "<stdin>" if name == "-" else name
    except UnicodeDecodeError as error:
        raise PolicyError.of(
            "PK554",
            f"`{name}` is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}",
            help="a plan judges text; convert the file first",
        ) from None


def print_text(streams: Streams, text: str) -> None:
    """``text`` on lines of its own: exactly for a pipe, with control characters spelled out for a terminal."""
    lines = text.split("\n")
    streams.write("\n" + "\n".join(map(shown, lines) if streams.out.is_terminal else lines) + "\n")


def facts_from(given: str | None) -> dict[str, object]:
    """The facts. Raises PolicyError (PK506) for what is no JSON object, OSError where there is no such file."""
    if given is None:
        return {}
    source = Path(given[1:]).read_text("utf-8") if given.startswith("@") else given
    help = 'such as `{"user": {"id": "u7"}}`'
    try:
        facts: object = json.loads(source)
    except (ValueError, RecursionError) as error:
        raise PolicyError.of("PK506", f"the facts are no JSON: {error}", help=help) from None
    if not isinstance(facts, dict):
        raise PolicyError.of("PK506", "the facts are no JSON object", help=help)
    return cast("dict[str, object]", facts)


def exit_of(verdict: Verdict) -> Exit:
    """A blocked or escalated text is a failure; a transformed one is not."""
    return Exit.FAILED if verdict.decision in (Decision.BLOCK, Decision.ESCALATE) else Exit.FINE


def verdict_data(verdict: Verdict) -> object:
    """The verdict as data, with the ids of the rules that fired."""
    fields = plain(verdict)
    assert isinstance(fields, dict)
    found = {"violations": _found(verdict.violations), "shadow": _found(verdict.shadow)}
    return {**fields, **found, "rules": verdict.rules}


def _found(violations: Sequence[Violation]) -> list[dict[str, object]]:
    """Violations as data; what lists say about their phrases by the names of the columns."""
    return [{**asdict(violation), "data": dict(violation.data)} for violation in violations]


def _run(args: Namespace, streams: Streams) -> Exit:
    source = _text_name(args)
    plan = plan_from(args)  # before the text: a wrong policy must not wait for standard input
    text, name = ("", "<stdin>" if source == "-" else source) if args.stream else _read(source, streams)
    classifiers = classifiers_from(args)
    subject = Subject(text, Target(args.target), args.tool, facts_from(args.facts))
    with opa_from(args) as opa:
        asking = replace(plan, resources=replace(plan.resources, opa=opa, classifiers=classifiers))
        if args.stream:
            verdict, text = judge_arriving(asking.stream(subject), source, streams)
            return _report_on(verdict, text, name, args.format, streams)
        verdict = asking.verify(subject)
    if args.format == "json":
        streams.write(to_json(verdict_data(verdict)))
        return exit_of(verdict)
    streams.out.print(verdict_view(verdict, text, name, streams.out.width))
    if verdict.decision is not Decision.ALLOW and verdict.text:
        print_text(streams, verdict.text)
    return exit_of(verdict)


def _report_on(verdict: Verdict, text: str, name: str, format: str, streams: Streams) -> Exit:
    """Say on standard error how a text was judged that went to standard output."""
    if format == "json":
        streams.complain(to_json(verdict_data(verdict)).rstrip("\n"))
    else:
        streams.err.print(verdict_view(verdict, text, name, streams.err.width))
    return exit_of(verdict)


COMMAND = Command("verify", "judge a text by a plan", _configure, _run)
