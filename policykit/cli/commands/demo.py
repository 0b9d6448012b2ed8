"""`policykit demo`: the embedded model answers the same prompts freely and under the shipped policies."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from random import Random

from rich.console import Console

import policykit
from policykit import embedded
from policykit.cli.command import Command
from policykit.cli.demo_step import Recorded, interesting, step_of
from policykit.cli.demo_view import Pair, Reply, heading, intro, pair_view, score_view, step_view
from policykit.cli.engine import LanguageModel, Sampling, load_language_model
from policykit.cli.exits import Exit
from policykit.cli.plan_view import enforcement_table, legend
from policykit.cli.sources import positive, today
from policykit.cli.streams import Streams, console
from policykit.diagnostics import PolicyError
from policykit.embedded.corpus import DOMAINS, chat
from policykit.ir.plan import Level
from policykit.ir.verdict import Decision, Verdict
from policykit.plan import Plan, compile as compile_plan
from policykit.policy import load_policies

MAX_WIDTH = 120
MAX_NEW_TOKENS = 160
TEMPERATURE = 1.0
PROFILE = "answer"
"""What the shipped policies are compiled for: its replies are an assistant's, and not research with sources."""


def _configure(parser: ArgumentParser) -> None:
    parser.add_argument("--policies", nargs="+", type=Path, metavar="PATH", help="other policies than the shipped ones")
    parser.add_argument("--prompts", type=positive, default=5, metavar="N", help="number of prompts (default: 5)")
    parser.add_argument("--seed", type=int, default=3, metavar="N", help="decides prompts and replies (default: 3)")
    parser.add_argument("--no-color", action="store_true", help="no colours, on a terminal either")
    parser.add_argument(
        "--width", type=positive, metavar="N", help=f"columns (default: the terminal's, at most {MAX_WIDTH})"
    )


def shipped_policies() -> Path:
    """The folder of the policies that come with policykit. Raises PolicyError where this installation has none."""
    folder = Path(policykit.__file__).resolve().parent.parent / "policies"
    if not folder.is_dir():
        raise PolicyError.of(
            "PK553", f"`{folder}` cannot be read: there is no such folder", help="name policies with `--policies`"
        )
    return folder


def _prompts(n: int, seed: int) -> list[str]:
    """``n`` customers' messages, from one domain of service after the other."""
    rng = Random(seed)
    return [chat(rng, DOMAINS[i % len(DOMAINS)]).prompt for i in range(n)]


def _leaks(plan: Plan, verdict: Verdict) -> bool:
    """Whether a text that was written under the plan breaks a rule that the mask should have held."""
    held = {row.name.rpartition("#")[2] for row in plan.enforcements if row.level is Level.DECODE}
    return any(rule.rpartition("#")[2] in held for rule in verdict.rules)


def _reply(plan: Plan, text: str) -> Reply:
    """A constrained text as the plan releases it, judged again as it is released; a leak of the mask is shown raw."""
    verdict = plan.verify(text)
    if verdict.decision is Decision.ALLOW or _leaks(plan, verdict):
        return Reply(text, verdict)
    return Reply(verdict.text, plan.verify(verdict.text), verdict.rules)


def _busy(streams: Streams, what: str) -> AbstractContextManager[object]:
    return streams.err.status(what) if streams.err.is_terminal else nullcontext()


def _screen(args: Namespace, streams: Streams) -> Console:
    return console(streams.out.file, args.width or min(streams.out.width, MAX_WIDTH), no_color=args.no_color)


def _run(args: Namespace, streams: Streams) -> Exit:
    screen = _screen(args, streams)
    policies = load_policies(*(args.policies or [shipped_policies()]))
    plan = compile_plan(policies, None, profile=None if args.policies else PROFILE, at=today())
    with _busy(streams, "loading the embedded model"):
        model = load_language_model(embedded.NAME)
        constraint = plan.constraint(model.vocabulary)
    prompts = _prompts(args.prompts, args.seed)
    sampling = Sampling(MAX_NEW_TOKENS, greedy=False, temperature=TEMPERATURE, seed=args.seed)
    seen = Recorded([])
    with _busy(streams, "writing freely, then under the plan"):
        model.write(prompts, None, Sampling(1, True, 1.0, 0))  # the first call of a model is slow: not a reply's fault
        free = model.write(prompts, None, sampling, (seen,))
        held = model.write(prompts, constraint, sampling)
    pairs = [
        Pair(prompt, Reply(loose.text, plan.verify(loose.text)), _reply(plan, kept.text))
        for prompt, loose, kept in zip(prompts, free.generations, held.generations, strict=True)
    ]
    screen.print(intro(len(prompts), _described(model), len(plan.enforcements), plan.digest))
    _show_pairs(screen, pairs)
    _show_plan(screen, plan)
    if moment := interesting(free, seen.steps, constraint):
        screen.print(heading("One step", "what the free model wanted next, and what the mask leaves open there"))
        token_ids = free.generations[moment.row].token_ids
        screen.print(step_view(step_of(moment, prompts[moment.row], token_ids, model.vocabulary)), soft_wrap=False)
    screen.print()
    screen.print(score_view(pairs, free.n_tokens / free.seconds, held.n_tokens / held.seconds))
    return Exit.FINE


def _described(model: LanguageModel) -> str:
    return f"{model.name}, {model.n_parameters / 1e6:.1f} million parameters"


def _show_pairs(screen: Console, pairs: Sequence[Pair]) -> None:
    for number, pair in enumerate(pairs, 1):
        screen.print(pair_view(pair, number, len(pairs), screen.width), soft_wrap=False)
        screen.print()


def _show_plan(screen: Console, plan: Plan) -> None:
    screen.print(heading("The plan", "where each rule is enforced, and why there"))
    screen.print(enforcement_table(plan.enforcements), soft_wrap=False)
    screen.print()
    screen.print(legend(plan.enforcements))


COMMAND = Command("demo", "watch the embedded model, free and under the shipped policies", _configure, _run)
