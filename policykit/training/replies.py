"""What a model that learns from rows writes by itself: the share of its free replies that break each rule.

Rows say how likely the right text becomes, and nothing about the wrong one; so some prompts are answered before the
first step and after the last, the same draws both times, and judged by the plan.
"""
# torch leaves parts of its interface untyped.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from policykit.engines.encoding import prompt_ids
from policykit.plan import Plan
from policykit.rewards import CostModel, Costs
from policykit.training.judging import facts_of
from policykit.training.models import Trained
from policykit.training.rl.processes import gathered, n_processes, rank
from policykit.training.rl.rollouts import Prompt, Sampler
from policykit.training.rows import Row

SEED = 20_261
JUDGED = "policy/judged"
"""The metric of how many replies have been judged: where a check fails, a reply is in no rate."""


@dataclass(frozen=True)
class Replies:
    """One free reply to each of ``prompts``, judged by ``plan``, whose rules know the row's `facts` and `sources`."""

    plan: Plan
    trained: Trained
    prompts: Sequence[Prompt]
    max_new_tokens: int

    def rates(self) -> dict[str, float]:
        """Of the replies that could be judged: the share that breaks any rule, and each, as trainers from rewards log
        them. Every process answers its part, and all get the same numbers."""
        costs = CostModel(self.plan)
        broken = [set(one.fired) for one in gathered(self._costs(costs)) if not one.errors]
        n = len(broken)
        found = {JUDGED: float(n)}
        if n:
            found["violation_rate"] = sum(map(bool, broken)) / n
            for rule in (group.name for group in costs.groups):
                found[f"policy/violation_rate/{rule}"] = sum(rule in rules for rules in broken) / n
        return found

    def _costs(self, costs: CostModel) -> list[Costs]:
        mine = self.prompts[rank() :: n_processes()]
        if not mine:
            return []
        sampler = Sampler(self.trained.vocabulary(), self.max_new_tokens)
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(SEED + rank())
            texts = sampler.roll(self.trained.model, mine, 1).texts
        facts: list[Any] = [facts_of(one.columns, self.plan) for one in mine]
        return [costs.of(self.plan.verify(text, known)) for text, known in zip(texts, facts, strict=True)]


def distinct_prompts(trained: Trained, rows: Iterable[Row], n: int) -> tuple[Prompt, ...]:
    """The first ``n`` prompts that differ, with the other columns of the row in which each came first."""
    found: dict[tuple[int, ...], Prompt] = {}
    for row in rows:
        if len(found) == n:
            break
        ids = tuple(prompt_ids(trained.tokenizer, row.values["prompt"]))
        columns = {name: value for name, value in row.values.items() if name != "prompt"}
        found.setdefault(ids, Prompt(row.values["prompt"], ids, columns))
    return tuple(found.values())
