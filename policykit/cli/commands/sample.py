"""`policykit sample`: texts that a plan passes, by a named strategy, with what they cost and why attempts failed."""

import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from rich.progress import Progress, TextColumn
from rich.text import Text

from policykit.cli.command import Command, add_format
from policykit.cli.commands.verify import facts_from
from policykit.cli.engine import ENGINES, add_model_arguments, load_engine, needing, together
from policykit.cli.exits import Exit
from policykit.cli.reports.plain import to_json
from policykit.cli.sources import above_zero, add_plan_arguments, not_negative, plan_from, positive, share
from policykit.cli.streams import Streams
from policykit.decoding import (
    Answer,
    Best,
    Budget,
    Ending,
    Sampled,
    Settings,
    StrategyName,
    preference_pairs,
    sample,
    sample_all,
    strategy,
    to_line,
    tuning_rows,
)
from policykit.diagnostics import PolicyError
from policykit.plan import Plan


def _configure(parser: ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument(
        "--engine", choices=ENGINES, default=ENGINES[0], help="what runs the model (default: %(default)s)"
    )
    parser.add_argument("--prompt", required=True, action="append", help="what to answer; may be given several times")
    add_plan_arguments(parser)
    parser.add_argument("--facts", metavar="JSON", help="facts about the request: a JSON object, or `@FILE` with one")
    named = ", ".join(name.value for name in StrategyName)
    parser.add_argument("--strategy", default="block", metavar="NAME", help=f"{named} (default: %(default)s)")
    parser.add_argument(
        "--batch", type=positive, default=1, metavar="N", help="prompts at once, on transformers (default: %(default)s)"
    )
    parser.add_argument("--n", type=positive, default=1, metavar="N", help="answers per prompt (default: %(default)s)")
    parser.add_argument("--best-of", type=positive, metavar="N", help="draw N answers and keep the --n that cost least")
    parser.add_argument(
        "--reward-model", type=Path, metavar="FOLDER", help="of `policykit train rm`: keep those that it rewards most"
    )
    parser.add_argument("--max-new-tokens", type=positive, default=256, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--temperature", type=above_zero, default=1.0, metavar="T", help="(default: %(default)s)")
    parser.add_argument("--seed", type=not_negative, default=0, metavar="N", help="(default: %(default)s)")
    budget = parser.add_argument_group("budget of one prompt")
    budget.add_argument("--budget-tokens", type=positive, metavar="N", help="tokens drawn, failures included")
    budget.add_argument("--budget-attempts", type=positive, default=1000, metavar="N", help="(default: %(default)s)")
    budget.add_argument("--budget-seconds", type=above_zero, metavar="S", help="no limit if not given")
    budget.add_argument(
        "--min-legal-mass", type=share, default=Settings().min_legal_mass, metavar="P",
        help="end where less than this share of what the model would write can be legal (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--pairs", type=Path, metavar="FILE", help="write preference pairs, as lines of JSON")
    parser.add_argument("--accepted", type=Path, metavar="FILE", help="write accepted texts, as lines of JSON")
    add_format(parser, "json")


def _least_cost(prompt: str, answer: Answer) -> float:
    return -answer.verdict.cost


def _best(args: Namespace, plan: Plan) -> Best | None:
    """Best-of-n, where it is asked for."""
    if args.best_of is None:
        if args.reward_model is not None:
            help = "say how many to draw: `--best-of N`"
            raise PolicyError.of("PK550", "`--reward-model` has no effect without `--best-of`", help=help)
        return None
    n = max(args.best_of, args.n)
    if args.reward_model is None:
        return Best(n, _least_cost)
    with needing("a reward model", "train"):
        from policykit.adapters.reward_model import RewardModel
    warnings.simplefilter("ignore", FutureWarning)  # of libraries about each other: not about the user's input
    return Best(n, RewardModel.load(args.reward_model, plan).best())


def _run(args: Namespace, streams: Streams) -> Exit:
    chosen = strategy(args.strategy)
    plan = plan_from(args)
    facts = facts_from(args.facts)
    engine = load_engine(args.model, args.engine, args.adapter, plan)
    constraint = plan.constraint(engine.vocabulary)
    budget = Budget(args.budget_tokens, args.budget_seconds, args.budget_attempts)
    best = _best(args, plan)
    found: list[Sampled] = []
    with _progress(streams) as bar:
        task = bar.add_task("sampling", total=len(args.prompt), note="")
        settings = Settings(args.max_new_tokens, args.temperature, args.seed, budget, args.min_legal_mass)
        spent: list[int] = []

        def told(one: Sampled) -> None:
            spent.append(one.n_tokens)
            bar.update(task, advance=1, note=f"{sum(spent)} tokens")

        if args.batch > 1:
            found += sample_all(
                together(engine), args.prompt, plan, chosen, n=args.n, settings=settings, batch=args.batch,
                facts=facts, best=best, constraint=constraint, told=told,
            )  # fmt: skip
        else:
            for i, prompt in enumerate(args.prompt):
                own = replace(settings, seed=args.seed + i)
                one = sample(
                    engine, prompt, plan, chosen, n=args.n, settings=own, facts=facts, best=best, constraint=constraint
                )
                found.append(one)
                told(one)
    _write_rows(args.pairs, found, preference_pairs)
    _write_rows(args.accepted, found, tuning_rows)
    if args.format == "json":
        streams.write(to_json({"digest": plan.digest, "bundle_digest": plan.bundle_digest, "samples": _data(found)}))
    else:
        _print(streams, found)
    return Exit.FINE if all(one.ending is Ending.ACCEPTED for one in found) else Exit.FAILED


def _progress(streams: Streams) -> Progress:
    columns = (*Progress.get_default_columns(), TextColumn("{task.fields[note]}"))
    return Progress(*columns, console=streams.err, transient=True, disable=not streams.err.is_terminal)


def _write_rows(
    path: Path | None, found: Iterable[Sampled], rows: Callable[[Sampled], Iterable[dict[str, object]]]
) -> None:
    if path is not None:
        path.write_text("".join(to_line(row) for one in found for row in rows(one)), "utf-8")


def _data(found: Iterable[Sampled]) -> list[dict[str, object]]:
    return [
        {
            "prompt": one.prompt, "strategy": one.strategy, "ending": one.ending.value, "seed": one.seed,
            "answers": [
                {"text": a.text, "raw": a.raw, "ended_by": a.finish.value, "n_tokens": len(a.token_ids), "logp": a.logp,
                 "log_weight": a.log_weight, "mask_tax": a.mask_tax, "cost": a.verdict.cost, "reward": a.reward}
                for a in one.answers
            ],
            "attempts": [
                {"text": a.text, "n_drawn": a.n_drawn, "kept": a.kept, "ended_by": a.finish.value,
                 "reasons": list(a.reasons)}
                for a in one.attempts
            ],
            "n_tokens": one.n_tokens, "n_prefilled": one.n_prefilled, "n_requests": one.n_requests,
            "acceptance_rate": one.acceptance_rate,
            "tokens_per_answer": one.tokens_per_answer, "mask_tax": one.mask_tax, "reasons": one.reasons,
            "legal_mass_bound": one.legal_mass_bound, "log_z": list(one.log_z),
        }
        for one in found
    ]  # fmt: skip


def _print(streams: Streams, found: Iterable[Sampled]) -> None:
    for one in found:
        for answer in one.answers:
            streams.write(f"{answer.text.strip()}\n")
        streams.out.print(Text(_summary(one), "dim"))
        if one.ending is not Ending.ACCEPTED:
            said = f"{one.ending.value}: at most {one.legal_mass_bound:.3g} of what the model would write is legal"
            streams.out.print(Text(said, "bold red"))


def _summary(one: Sampled) -> str:
    n_accepted = sum(attempt.is_accepted for attempt in one.attempts)
    parts = [f"{one.strategy}: {n_accepted} of {len(one.attempts)} attempts accepted, {one.n_tokens} tokens"]
    if one.mask_tax is not None:
        parts.append(f"mask tax {one.mask_tax:.3f}")
    parts += [f"{reason} refused {count}" for reason, count in sorted(one.reasons.items())]
    return ", ".join(parts)


COMMAND = Command("sample", "draw texts that a plan passes, by a named strategy", _configure, _run)
