"""`policykit eval`: how often a model breaks a plan, how well it does its task, and what training changed."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from policykit.adapters.card import update_evaluation
from policykit.cli.command import Command, add_format
from policykit.cli.engine import needing
from policykit.cli.eval_view import compared_view, results_view
from policykit.cli.exits import Exit
from policykit.cli.progress import stages
from policykit.cli.render import print_diagnostics
from policykit.cli.reports.plain import to_json
from policykit.cli.sources import (
    above_zero,
    add_plan_arguments,
    context_from,
    not_negative,
    plan_from,
    positive,
)
from policykit.cli.streams import Streams
from policykit.decoding import StrategyName
from policykit.diagnostics import PolicyError
from policykit.evaluation import (
    Job,
    Settings,
    citations_by,
    read,
    read_answers,
    read_pairs,
    read_prompts,
    share_of,
)
from policykit.evaluation.compare import compare, comparison_page
from policykit.evaluation.making import evaluate
from policykit.evaluation.pages import save_page
from policykit.grammar import load_grammar
from policykit.plan import Plan, compile as compile_plan
from policykit.policy import load_policies

if TYPE_CHECKING:
    from policykit.adapters.loading import LoadedModel

_OF_A_MODEL = ("adapter", "base", "pairs")
_OF_AN_ADAPTER = "`--pin` writes into an adapter that was trained under this bundle"


def _share(text: str) -> float:
    try:
        return share_of(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _temperature(text: str) -> float:
    return 0.0 if text.strip() in ("0", "0.0") else above_zero(text)


def _configure(parser: ArgumentParser) -> None:
    what = parser.add_argument_group("what is evaluated")
    what.add_argument("--model", metavar="MODEL", help="a model folder, an adapter's folder, a hub id, or `embedded`")
    what.add_argument("--adapter", type=Path, metavar="FOLDER", help="a LoRA adapter of the model")
    what.add_argument(
        "--prompts", type=Path, metavar="FILE", help="JSON Lines: `prompt`, and what is wanted of answers"
    )
    what.add_argument("--outputs", type=Path, metavar="FILE", help="JSON Lines with `output` too: nothing is written")
    what.add_argument("--limit", type=positive, metavar="N", help="only the first N prompts")
    what.add_argument(
        "--compare", nargs="+", type=Path, metavar="RUN", help="folders of evaluations, the first against the others"
    )
    add_plan_arguments(parser)
    how = parser.add_argument_group("how answers are drawn")
    named = ", ".join(name.value for name in StrategyName)
    how.add_argument("--decoding", default="free", metavar="NAME", help=f"free (default), {named}")
    how.add_argument(
        "--temperature", type=_temperature, default=1.0, metavar="T", help="0 is greedy (default: %(default)s)"
    )
    how.add_argument("--max-new-tokens", type=positive, default=256, metavar="N", help="(default: %(default)s)")
    how.add_argument("--batch-size", type=positive, default=32, metavar="N", help="(default: %(default)s)")
    how.add_argument("--seed", type=not_negative, default=0, metavar="N", help="(default: %(default)s)")
    judge = parser.add_argument_group("what is measured")
    judge.add_argument("--second", nargs="+", type=Path, metavar="PATH", help="policies that judge beside the plan's")
    judge.add_argument("--base", metavar="MODEL", help="for KL and margins (default: the model without its adapter)")
    judge.add_argument(
        "--schema", type=Path, metavar="PATH", help="what valid answers belong to (default: the plan's grammar)"
    )
    judge.add_argument(
        "--citations", nargs="?", const="", metavar="REGEX",
        help="finds the sources that an answer cites; or their form, [{id}]; alone: as the plan's rules demand them",
    )  # fmt: skip
    judge.add_argument("--pairs", type=Path, metavar="FILE", help="preference pairs, for their margins")
    judge.add_argument(
        "--beta", type=above_zero, default=0.1, metavar="B", help="of the margins (default: %(default)s)"
    )
    judge.add_argument(
        "--masked", type=not_negative, default=100, metavar="N", help="prompts for the mask tax (default: %(default)s)"
    )
    judge.add_argument(
        "--confidence", type=_share, default=0.95, metavar="P", help="of all bounds (default: %(default)s)"
    )
    judge.add_argument(
        "--max-violations", type=_share, metavar="SHARE", help="exit with 1 if an upper bound is above it, such as 1%%"
    )
    parser.add_argument("--pin", action="store_true", help="write the numbers into the adapter's pins and model card")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="write results, answers and reports here")
    add_format(parser, "json")


def _run(args: Namespace, streams: Streams) -> Exit:
    if args.compare:
        return _compare(args, streams)
    _check_flags(args)
    plan = plan_from(args)
    second = compile_second(args.second, plan, args)
    data = read_answers(args.outputs, args.limit) if args.outputs else read_prompts(args.prompts, args.limit)
    pairs = read_pairs(args.pairs) if args.pairs else ()
    schema = load_grammar(args.schema) if args.schema else plan.spec.grammar
    find = None if args.citations is None else citations_by(args.citations or None, plan)
    model = load_with_adapter(args.model, args.adapter, plan) if args.model else None
    base = load_with_adapter(args.base, None, None) if args.base else None
    if model is not None:
        print_diagnostics(streams.err, model.warnings)
    if args.pin and (args.adapter is None or model is None or model.warnings):
        raise PolicyError.of("PK550", _OF_AN_ADAPTER, help="name it with `--adapter`, and its policies")
    settings = Settings(args.decoding, args.temperature, args.max_new_tokens, args.seed, args.batch_size, args.masked)
    job = Job(
        plan, data, model, settings, second, base, schema, find, pairs, args.pairs.name if args.pairs else "",
        args.beta, args.confidence,
    )  # fmt: skip
    with stages(streams) as progress:
        found = evaluate(
            job, args.output, model=args.model, adapter=args.adapter, limit=args.max_violations, progress=progress
        )
    if args.pin:
        update_evaluation(args.adapter, found.numbers())
    if args.format == "json":
        streams.write(to_json(found.results))
    else:
        results_view(streams, found.results, found.exceeded, args.max_violations, args.output)
    return Exit.FAILED if found.exceeded else Exit.FINE


def _check_flags(args: Namespace) -> None:
    if bool(args.prompts) == bool(args.outputs):
        help = "give `--prompts` for a model to answer, or `--outputs` that are made already"
        raise PolicyError.of("PK550", "name one file to evaluate: prompts, or outputs", help=help)
    if args.prompts and not args.model:
        raise PolicyError.of("PK550", "nobody answers the prompts", help="name `--model`, such as `--model embedded`")
    lonely = [name for name in _OF_A_MODEL if getattr(args, name) and not args.model]
    if lonely:
        raise PolicyError.of("PK550", f"`--{lonely[0]}` needs a model", help="name it with `--model`")


def compile_second(paths: Sequence[Path] | None, plan: Plan, args: Namespace) -> Plan | None:
    """The plan of another verifier, for the same request context."""
    if not paths:
        return None
    context = plan.spec.context if args.plan else context_from(args)
    return compile_plan(
        load_policies(*paths), None, profile=context.profile, tenant=context.tenant, locale=context.locale,
        jurisdiction=context.jurisdiction, at=context.at,
    )  # fmt: skip


def load_with_adapter(name: str, adapter: Path | None, plan: Plan | None) -> "LoadedModel":
    """The model with its adapter. Raises NotInstalled where torch or peft is missing."""
    with needing("evaluating a model", "train"):
        from policykit.adapters.loading import load

        return load(name, adapter, plan)


def _compare(args: Namespace, streams: Streams) -> Exit:
    if len(args.compare) < 2:
        raise PolicyError.of("PK550", "one run has nothing to be compared with", help="name two folders, or more")
    if args.prompts or args.outputs or args.model:
        raise PolicyError.of("PK550", "`--compare` reads finished runs", help="leave the other flags out")
    runs = [read(folder) for folder in args.compare]
    found = compare(runs, args.seed)
    page = comparison_page(runs, found)
    if args.output:
        args.output.mkdir(parents=True, exist_ok=True)
        (args.output / "comparison.json").write_text(to_json(found), "utf-8")
        save_page(args.output, page)
    if args.format == "json":
        streams.write(to_json(found))
    else:
        compared_view(streams, page, args.output)
    return Exit.FINE


COMMAND = Command("eval", "measure a model, or texts, under a plan", _configure, _run)
