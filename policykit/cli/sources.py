"""From flags to values: the plan that a command works with, read from a file or compiled on the spot."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import UTC, date, datetime
from pathlib import Path

from policykit.diagnostics import PolicyError
from policykit.grammar import NO_DOCUMENTS, folder_documents, load_grammar
from policykit.ir.grammar import GrammarSpec
from policykit.ir.plan import CompileContext
from policykit.plan import Compilers, Plan, compile as compile_plan, load_plan
from policykit.policy import load_policies

_CONTEXT = ("profile", "tenant", "locale", "jurisdiction")


def today() -> date:
    """The current day in UTC: the one place where the clock enters the command line."""
    return datetime.now(UTC).date()


def date_flag(text: str) -> date:
    """A flag's value as a day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"`{text}` is not a date such as 2026-06-01") from None


def positive(text: str) -> int:
    """A flag's value as an integer of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"`{text}` is not a whole number above 0")
    return int(text)


def not_negative(text: str) -> int:
    """A flag's value as an integer of at least 0."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"`{text}` is not a whole number of at least 0")
    return int(text)


def above_zero(text: str) -> float:
    """A flag's value as a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"`{text}` is not a number above 0")
    return value


def share(text: str) -> float:
    """A flag's value as a number between 0 and 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ArgumentTypeError(f"`{text}` is not a number between 0 and 1")
    return value


def add_compile_arguments(parser: ArgumentParser, policies_required: bool) -> None:
    """What a plan is compiled from: policies, a grammar, and the request context."""
    parser.add_argument(
        "--policies",
        nargs="+",
        action="extend",
        type=Path,
        metavar="PATH",
        required=policies_required,
        help="policy files or folders",
    )
    add_grammar_arguments(parser, "a grammar file: JSON Schema, Lark or regex")
    add_context_arguments(parser)


def add_grammar_arguments(parser: ArgumentParser, help: str) -> None:
    """A grammar, and the documents that a schema may refer to."""
    parser.add_argument("--grammar", type=Path, metavar="PATH", help=help)
    parser.add_argument(
        "--documents",
        type=Path,
        metavar="DIR",
        help="a folder of the schemas that the grammar refers to, by `$id` or path",
    )


def grammar_from(args: Namespace) -> GrammarSpec | None:
    """The grammar that the flags name. Raises `PolicyError`."""
    if args.documents and not args.grammar:
        raise PolicyError.of("PK550", "`--documents` goes with `--grammar`", help="name the schema that refers to them")
    if not args.grammar:
        return None
    return load_grammar(args.grammar, folder_documents(args.documents) if args.documents else NO_DOCUMENTS)


def add_context_arguments(parser: ArgumentParser) -> None:
    """The request context, which selects the rules that apply."""
    context = parser.add_argument_group("request context")
    for name in _CONTEXT:
        context.add_argument(f"--{name}", help=f"compile for this {name}")
    context.add_argument("--at", type=date_flag, metavar="DATE", help="compile for this day, UTC (default: today)")


def context_from(args: Namespace) -> CompileContext:
    """The request context that the flags name."""
    named: dict[str, str | None] = {name: getattr(args, name) for name in _CONTEXT}
    return CompileContext(**named, at=args.at or today())


def add_plan_arguments(parser: ArgumentParser) -> None:
    """A plan from a file, or what it is compiled from."""
    parser.add_argument("--plan", type=Path, metavar="PLAN.json", help="a plan that `policykit compile` wrote")
    add_compile_arguments(parser, policies_required=False)


def compile_from(args: Namespace, compilers: Compilers | None = None) -> Plan:
    """Load and compile what the flags name, in a process of ``compilers`` if they are given.

    Raises `PolicyError` with everything that is wrong.
    """
    policies = load_policies(*args.policies) if args.policies else None
    context: dict[str, str | None] = {name: getattr(args, name) for name in _CONTEXT}
    day = args.at or today()
    if compilers is None:
        return compile_plan(policies, grammar_from(args), at=day, **context)
    named = Namespace(grammar=args.grammar, documents=args.documents)
    return compilers.compile(policies, compilers.make(grammar_from, named), at=day, **context)


def plan_from(args: Namespace) -> Plan:
    """The plan that the flags name: read from ``--plan``, else compiled. Naming both is refused, as is neither."""
    sources = [args.policies, args.grammar]
    if args.plan and any([*sources, args.documents, args.at, *(getattr(args, name) for name in _CONTEXT)]):
        raise PolicyError.of(
            "PK550",
            "`--plan` was compiled for its own policies, grammar and context",
            help="leave the other flags out, or compile a new plan",
        )
    if args.plan:
        return load_plan(args.plan)
    if not any(sources):
        raise PolicyError.of("PK550", "nothing to enforce", help="name `--plan`, `--policies` or `--grammar`")
    return compile_from(args)
