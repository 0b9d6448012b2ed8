"""`policykit generate`: let a model write under a plan, and judge what it wrote by the same plan."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from policykit.cli.command import Command, add_format
from policykit.cli.commands.verify import exit_of, facts_from, print_text, verdict_data
from policykit.cli.engine import Sampling, add_model_arguments, load_adapted_model
from policykit.cli.exits import Exit
from policykit.cli.reports.plain import to_json
from policykit.cli.sources import above_zero, add_plan_arguments, plan_from, positive
from policykit.cli.streams import Streams
from policykit.cli.verdict_view import verdict_view
from policykit.constraint import Constraint, Outcome
from policykit.ir.verdict import Verdict

if TYPE_CHECKING:
    from policykit.engines.transformers import Generation


@dataclass(frozen=True, slots=True)
class Written:
    """One text that the model wrote, how it ended (`end`, `length` or `dead_end`), and its verdict."""

    prompt: str
    text: str
    ended_by: str
    n_tokens: int
    verdict: Verdict


def _add_sampling_arguments(parser: ArgumentParser) -> None:
    """How long a text may get and how its tokens are chosen."""
    parser.add_argument("--max-new-tokens", type=positive, default=256, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--temperature", type=above_zero, default=1.0, metavar="T", help="(default: %(default)s)")
    parser.add_argument("--greedy", action="store_true", help="always the most probable token that is allowed")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(default: %(default)s)")


def _configure(parser: ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument("--prompt", required=True, help="what to answer")
    add_plan_arguments(parser)
    parser.add_argument("--facts", metavar="JSON", help="facts about the request: a JSON object, or `@FILE` with one")
    _add_sampling_arguments(parser)
    parser.add_argument("--n", type=positive, default=1, metavar="N", help="number of texts (default: %(default)s)")
    parser.add_argument("--free", action="store_true", help="leave the model free, and only judge what it writes")
    add_format(parser, "json")


def _ended_by(generation: "Generation", constraint: Constraint | None) -> str:
    """How a text ended. Only a state knows a dead end from an end: the tokens are replayed."""
    if constraint is not None:
        state = constraint.start()
        if all(state.accept(token_id) for token_id in generation.token_ids) and state.outcome is Outcome.DEAD_END:
            return Outcome.DEAD_END.value
    return generation.finish_reason.value


def _print(streams: Streams, written: Sequence[Written]) -> None:
    for number, one in enumerate(written, 1):
        name = f"reply {number}" if len(written) > 1 else "reply"
        streams.write("\n" if number > 1 else "")
        streams.out.print(verdict_view(one.verdict, one.text, name, streams.out.width))
        streams.out.print(Text(f"{one.n_tokens} tokens, ended by {one.ended_by}", "dim"))
        print_text(streams, one.text)


def _run(args: Namespace, streams: Streams) -> Exit:
    plan = plan_from(args)
    facts = facts_from(args.facts)
    model = load_adapted_model(args.model, args.adapter, plan)
    constraint = None if args.free else plan.constraint(model.vocabulary)
    sampling = Sampling(args.max_new_tokens, args.greedy, args.temperature, args.seed)
    batch = model.write([args.prompt] * args.n, constraint, sampling)
    written = [
        Written(args.prompt, one.text, _ended_by(one, constraint), len(one.token_ids), plan.verify(one.text, facts))
        for one in batch.generations
    ]
    if args.format == "json":
        rows = [
            {"prompt": one.prompt, "text": one.text, "ended_by": one.ended_by, "n_tokens": one.n_tokens,
             "verdict": verdict_data(one.verdict)}
            for one in written
        ]  # fmt: skip
        streams.write(to_json({"digest": plan.digest, "texts": rows}))
    else:
        _print(streams, written)
    return max(exit_of(one.verdict) for one in written)


COMMAND = Command("generate", "let a model write under a plan", _configure, _run)
