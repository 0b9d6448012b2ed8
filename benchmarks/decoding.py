"""What each decoding strategy costs and keeps, on a small model that breaks a policy in two replies of five.

    python benchmarks/decoding.py --out benchmarks/results/decoding.json

First the task of `benchmarks/reply_task.py`: violations by a second search, replies that are well-formed from end to
end, and tokens per accepted reply beside free sampling, under the policy alone and with a check of citations besides.
Then models of which every text is listed: the total-variation distance to the exact conditional distribution.
What a threshold of legal mass refuses, on the model of `benchmarks/decoding_vllm.py`, is a file of its own:

    python benchmarks/decoding.py --least-mass --heads 3 --out benchmarks/results/decoding_least_mass.json
"""

import argparse
import json
import os
import platform
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import exp
from pathlib import Path
from time import perf_counter
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from reply_task import (
    MAX_TOKENS,
    POLICY,
    Question,
    breaks_policy,
    cites_wrongly,
    is_well_formed,
    questions,
    train,
)
from rich.console import Console
from rich.progress import Progress

from policykit.decoding import (
    Auto,
    Block,
    Budget,
    Ending,
    Engine,
    Exact,
    Finish,
    Mask,
    Reject,
    Sampled,
    Settings,
    Strategy,
    TableModel,
    Weighted,
    sample,
)
from policykit.engines.sampling import TransformersEngine
from policykit.engines.transformers import load_model
from policykit.ir.document import PolicySet
from policykit.plan import Plan, compile as compile_plan
from policykit.policy import parse_document

HARMLESS = """\
apiVersion: policykit/v1
kind: Policy
metadata: {name: bench/%s, version: 1.0.0, owner: team@example.org, why: what is measured}
rules: [{id: banned, match: {regex: ['%s']}, action: {block: {message: no}}}]
tests: [{name: t, given: {output: "-"}, expect: {decision: allow, rules: []}}]
"""
Row = dict[str, Any]
LEAST = Settings().min_legal_mass
"""What is asked for by default, chosen by `least_mass_rows`."""


class Results:
    """The rows of a file, which is written anew with each of them."""

    def __init__(self, path: Path, console: Console, benchmark: str = "decoding", **machine: str) -> None:
        self.path, self.console, self.benchmark, self.machine = path, console, benchmark, machine
        self.flags = ""
        parts = ("task", "almost_no_legal_mass", "least_legal_mass", "listed_models")
        self.rows: dict[str, list[Row]] = {part: [] for part in parts}
        if path.is_file():
            self.rows |= {name: rows for name, rows in json.loads(path.read_text("utf-8")).items() if name in self.rows}

    def has(self, part: str, **named: object) -> bool:
        return any(named.items() <= row.items() for row in self.rows[part])

    def add(self, part: str, row: Row) -> None:
        self.console.print(json.dumps(row))
        self.rows[part].append(row)
        for one in self.rows["task"]:
            base = self.rows["task"][0]  # the free model's
            one["tokens_beside_free"] = one["tokens_per_answer"] / base["tokens_per_answer"]
            one["well_formed_beside_free"] = one["well_formed"] / base["well_formed"]
        machine = {"python": platform.python_version(), "torch": torch.__version__, "cpus": os.cpu_count()}
        machine |= self.machine
        script = self.benchmark.removesuffix("_least_mass")
        command = f"python benchmarks/{script}.py {self.flags}--out benchmarks/results/{self.benchmark}.json"
        rows = {part: rows for part, rows in self.rows.items() if rows}
        whole = {"benchmark": self.benchmark, "command": command, "machine": machine, **rows}
        self.path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")


def plan_of(text: str) -> Plan:
    return compile_plan(PolicySet((parse_document(text, "bench.policy.yaml"),)))


def run_row(
    engine: Engine,
    asked: Sequence[Question],
    plan: Plan,
    strategy: Strategy,
    *,
    name: str,
    with_citations: bool,
    tick: Any,
    budget: int = 64 * MAX_TOKENS,
    min_legal_mass: float = LEAST,
) -> Row:
    """One strategy over all questions, each within a budget of tokens."""
    constraint = plan.constraint(engine.vocabulary)
    results: list[Sampled] = []
    started = perf_counter()
    for i, one in enumerate(asked):

        def check(text: str, sources: tuple[str, str] = one.sources) -> str | None:
            return cites_wrongly(text, sources)

        settings = Settings(max_new_tokens=MAX_TOKENS, seed=i, budget=Budget(n_tokens=budget))
        settings = replace(settings, min_legal_mass=min_legal_mass)
        checks = [check] if with_citations else []
        results.append(
            sample(engine, one.prompt, plan, strategy, settings=settings, constraint=constraint, checks=checks)
        )
        tick()
    answered = [(q, r.answers[0]) for q, r in zip(asked, results, strict=True) if r.answers]
    n = len(asked)
    taxes = [answer.mask_tax for _, answer in answered if answer.mask_tax is not None]
    attempts = sum(len(r.attempts) for r in results)
    return {
        "strategy": name,
        "prompts": n,
        "answered": len(answered),
        "endings": dict(Counter(r.ending.value for r in results)),
        "violations": sum(breaks_policy(a.raw) for _, a in answered),
        "wrong_citations": sum(cites_wrongly(a.raw, q.sources) is not None for q, a in answered),
        "well_formed": sum(is_well_formed(a.raw) and a.finish is Finish.END for _, a in answered) / n,
        "tokens_per_answer": sum(r.n_tokens for r in results) / max(1, len(answered)),
        "requests_per_answer": sum(r.n_requests for r in results) / max(1, len(answered)),
        "prefilled_per_answer": sum(r.n_prefilled for r in results) / max(1, len(answered)),
        "most_tokens": max(r.n_tokens for r in results),
        "legal_mass_bound": float(np.median([r.legal_mass_bound for r in results])),
        "acceptance": len(answered) / attempts,
        "mask_tax_nats": float(np.mean(taxes)) if taxes else None,
        "seconds": round(perf_counter() - started, 1),
    }


NOTHING = HARMLESS % ("nothing", "(?i)fund")
"""Every reply names a fund: next to nothing of what the model writes is legal."""
LITTLE = 4 * MAX_TOKENS
HOPELESS: tuple[Strategy, ...] = (Block(), Exact(), Reject(), Auto(), Mask())


def hopeless_rows(engine: Engine, asked: Sequence[Question], kept: "Results") -> None:
    """Prompts with almost no legal mass, within the tokens of four replies: what comes out, and what is proven."""
    plan = plan_of(NOTHING)
    for strategy in HOPELESS:
        name = strategy.name.value
        if not kept.has("almost_no_legal_mass", strategy=name):
            row = run_row(
                engine, asked, plan, strategy,
                name=name, with_citations=False, tick=lambda: None, budget=LITTLE, min_legal_mass=LEAST,
            )  # fmt: skip
            del row["violations"], row["wrong_citations"]  # those of the task's own policy, which is not this one
            kept.add("almost_no_legal_mass", row | {"budget_tokens": LITTLE, "min_legal_mass": LEAST})


_CLAIM = "not certain|Past results|get back less|We expect|guarantee|risk free|cannot lose|promise"
"""All claims but one, which an eighth of the replies that the model has learnt from make."""
_PAST = f"{_CLAIM}|Last year|So far"
RUNGS = (
    ("an eighth", 0.12, _CLAIM),
    ("a twenty-fifth", 0.04, _PAST),
    ("a fiftieth", 0.02, f"{_PAST}|averaged [6-9]"),
    ("a hundredth", 0.01, f"{_PAST}|averaged [4-9]"),
    ("a two-hundredth", 0.005, f"{_PAST}|averaged [3-9]"),
    ("nothing", 0.0, "(?i)fund"),
)
"""Rules by the share of the replies learnt from that they leave: what is left below a few percent is mostly debris."""
LEAST_MASSES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1)


def least_mass_rows(
    engine: Engine, asked: Sequence[Question], kept: "Results", least: Sequence[float] = LEAST_MASSES
) -> None:
    """What a threshold of legal mass refuses that would have been well-formed, and what debris it lets through."""
    for rung, share, banned in RUNGS:
        plan = plan_of(HARMLESS % ("rung", banned))
        for strategy in (Block(), Exact()):
            for mass in least:
                named = {"rung": rung, "strategy": strategy.name.value, "min_legal_mass": mass}
                if kept.has("least_legal_mass", **named):
                    continue
                row = run_row(
                    engine, asked, plan, strategy, name=strategy.name.value, with_citations=False,
                    tick=lambda: None, budget=LITTLE, min_legal_mass=mass,
                )  # fmt: skip
                names = ("prompts", "answered", "endings", "well_formed", "most_tokens", "legal_mass_bound")
                kept.add("least_legal_mass", named | {"legal_share_learnt": share} | {n: row[n] for n in names})


# What is worth most comes first: a run that is broken off has the rows that it has written, and goes on behind them.
JOBS: tuple[tuple[Strategy | None, bool], ...] = (
    (None, False), (Mask(), False), (Block(), False), (Exact(), False), (Reject(), False),
    (Block(), True), (Mask(), True), (Exact(), True), (Reject(), True),
    (Auto(), False), (Weighted(n_particles=4), False),
)  # fmt: skip


def task_rows(folder: Path, n: int, seed: int, kept: Results) -> None:
    """Every row of the task that is not kept yet. Without a strategy the model is free."""
    model, tokenizer = load_model(folder)
    engine = TransformersEngine.of(model, tokenizer, chat=False)
    asked = questions(n, seed)
    free, plan = plan_of(HARMLESS % ("free", "qqqqqqqq")), plan_of(POLICY)
    with Progress(console=kept.console) as progress:
        for strategy, cited in JOBS:
            name = strategy.name.value if strategy else "free"
            if kept.has("task", strategy=name, citations_checked=cited):
                continue
            bar = progress.add_task(name, total=n)
            used = plan if strategy else free
            row = run_row(
                engine, asked, used, strategy or Reject(), name=name, with_citations=cited,
                tick=lambda bar=bar: progress.advance(bar),
            )  # fmt: skip
            kept.add("task", row | {"citations_checked": cited})
    hopeless_rows(engine, asked[:50], kept)


WORLDS = (
    ("letters", "ab|ca|dd", TableModel(max_length=4, seed=3)),
    ("sentences", "ba|ca", TableModel(("a", "b", "c", ". "), max_length=5, seed=20, sharpness=2.0)),
)
N_DRAWS = 2000


def distances(kept: Results) -> None:
    """Each strategy's distance to the listed distribution, and how far as many exact draws lie from it by chance."""
    for name, banned, model in WORLDS:
        plan = plan_of(HARMLESS % ("table", banned))
        constraint = plan.constraint(model.vocabulary)
        pieces = [*model.pieces, ""]
        legal = {
            text: exp(logp)
            for text, logp in model.texts("p")
            if not re.search(banned, "".join(pieces[i] for i in text))
        }
        mass = sum(legal.values())
        p = np.array(list(legal.values())) / mass
        rng = np.random.default_rng(1)
        noise = np.array([np.abs(rng.multinomial(N_DRAWS, p) / N_DRAWS - p).sum() / 2 for _ in range(200)])
        for strategy in (Mask(), Reject(), Exact(), Block(), Auto(1), Weighted(4, 1)):
            if kept.has("listed_models", world=name, strategy=strategy.name.value):
                continue
            drawn: Counter[tuple[int, ...]] = Counter()
            for seed in range(N_DRAWS):
                settings = Settings(max_new_tokens=model.max_length, seed=seed)
                found = sample(model, "p", plan, strategy, settings=settings, constraint=constraint)
                assert found.ending is Ending.ACCEPTED
                drawn[found.answers[0].token_ids] += 1
            far = sum(abs(drawn[text] / N_DRAWS - q) for text, q in zip(legal, p, strict=True)) / 2
            illegal = sum(count for text, count in drawn.items() if text not in legal)
            bound = (1 - mass) ** 2 if isinstance(strategy, Auto) else 1 - mass
            kept.add(
                "listed_models",
                {
                    "world": name, "strategy": strategy.name.value, "legal_mass": mass, "illegal": illegal,
                    "tv": float(far), "noise_mean": float(noise.mean()), "noise_max": float(noise.max()),
                    "stated_bound": 0.0 if isinstance(strategy, Reject | Exact) else bound,
                },
            )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="decoding strategies: what they cost and what they keep")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="a folder that `reply_task.train` wrote (default: train one)")
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=999)
    parser.add_argument("--heads", type=int, default=4, help="heads of attention of the model that is trained")
    parser.add_argument("--least-mass", action="store_true", help="what a threshold of legal mass refuses, alone")
    args = parser.parse_args()
    kept = Results(args.out, Console(file=sys.stderr), "decoding_least_mass" if args.least_mass else "decoding")
    kept.flags = f"--least-mass --heads {args.heads} " if args.least_mass else ""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.model
        if folder is None:
            folder = Path(scratch) / "model"
            kept.console.print("training the model: a minute or two")
            train(folder, n_heads=args.heads)
        if args.least_mass:
            engine = TransformersEngine.of(*load_model(folder), chat=False)
            least_mass_rows(engine, questions(40, args.seed), kept)
            return
        task_rows(folder, args.prompts, args.seed, kept)
    distances(kept)


if __name__ == "__main__":
    main()
