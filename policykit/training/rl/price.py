"""Rollouts to rewards: the task's reward and the costs of every completion, priced by the plan.

The task is a function of TRL's contract, so that one serves our loops and TRL's trainers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch

from policykit.rewards import HALLUCINATION, PolicyReward, RewardRow
from policykit.rewards.trl import Term, metrics, text_of
from policykit.training.rl.rollouts import Prompt, Rollouts


@dataclass(frozen=True, slots=True)
class Priced:
    """What N completions are worth. ``rewards`` [N] is composed, ``task`` [N] alone, both 0 where ``has`` (bool [N]) is
    False. ``costs`` [N, K] and ``weights`` [K] are by ``names``: the groups of rules, and last the share of unsupported
    claims where it has a weight."""

    rewards: torch.Tensor
    task: torch.Tensor
    costs: torch.Tensor
    weights: torch.Tensor
    has: torch.Tensor
    names: tuple[str, ...]
    metrics: Mapping[str, float]


@dataclass
class _ByTask:
    """What functions of the task tell besides, as TRL lets them: numbers, and what is of each completion, of which no
    table is kept here."""

    metrics: dict[str, float] = field(default_factory=dict[str, float])

    def log_metric(self, name: str, value: float) -> None:
        self.metrics[f"task/{name}"] = float(value)

    def log_extra(self, column: str, values: Sequence[object]) -> None:
        pass


@dataclass(frozen=True)
class Pricer:
    """The plan's reward, with the functions that judge what a completion is for."""

    reward: PolicyReward
    task: Term
    hallucination: Term | None = None

    def price(self, rollouts: Rollouts) -> Priced:
        """Prices the usable completions. Raises PolicyError as :meth:`policykit.rewards.PolicyReward.price` does."""
        chosen = [i for i, usable in enumerate(rollouts.is_usable) if usable]
        rows: list[RewardRow | None] = [None] * len(rollouts.texts)
        by_task = _ByTask()
        if chosen:
            columns: dict[str, Any] = columns_of([rollouts.prompts[i] for i in chosen])
            prompts = [rollouts.prompts[i].given for i in chosen]
            said = [_like(rollouts.prompts[i].given, rollouts.texts[i]) for i in chosen]
            columns["completion_ids"] = [list(rollouts.token_ids[i]) for i in chosen]
            columns |= {"log_metric": by_task.log_metric, "log_extra": by_task.log_extra}
            task = self.task(prompts=prompts, completions=said, **columns)
            shares = self.hallucination(prompts=prompts, completions=said, **columns) if self.hallucination else None
            facts = cast("Sequence[Mapping[str, object] | None] | None", columns.get("facts"))
            for i, row in zip(chosen, self.reward.price([text_of(s) for s in said], task, shares, facts), strict=True):
                rows[i] = row
        else:
            self.reward.price((), ())  # other processes have some, and wait until all have told what they saw
        return self._priced(rows, by_task.metrics)

    def _priced(self, rows: Sequence[RewardRow | None], by_task: Mapping[str, float]) -> Priced:
        weights = self.reward.weights
        names = tuple(name for name in weights if name != HALLUCINATION or weights[name] > 0)
        has = [row is not None and row.reward is not None for row in rows]
        kept = [row if ok else None for row, ok in zip(rows, has, strict=True)]
        logged = {**by_task, **metrics([row for row in rows if row is not None])}
        logged["policy/unusable"] = sum(row is None for row in rows) / len(rows)
        return Priced(
            torch.tensor([(row.reward or 0.0) if row else 0.0 for row in kept]),
            torch.tensor([(row.task or 0.0) if row else 0.0 for row in kept]),
            torch.tensor([[_cost(row, name) for name in names] for row in kept]).view(len(rows), len(names)),
            torch.tensor([weights[name] for name in names]),
            torch.tensor(has),
            names,
            logged,
        )


def columns_of(prompts: Sequence[Prompt]) -> dict[str, list[object]]:
    """The columns that any of the prompts has, as reward functions get them: None where a row has no such column."""
    names = dict.fromkeys(name for prompt in prompts for name in prompt.columns)
    return {name: [prompt.columns.get(name) for prompt in prompts] for name in names}


def _like(given: object, text: str) -> object:
    return text if isinstance(given, str) else [{"role": "assistant", "content": text}]


def _cost(row: RewardRow | None, name: str) -> float:
    if row is None:
        return 0.0
    return (row.hallucination or 0.0) if name == HALLUCINATION else row.costs[name]
