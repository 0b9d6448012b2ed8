"""How `benchmarks/shaping.py` trains on samples: those that are accepted, and pairs of one that is and one that is not.

Every function takes a model and leaves it changed. All that it learns from are verdicts of one plan, the task and the
citations.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from reply_task import MAX_TOKENS
from shaping_task import Asked, task, unsupported

from policykit.constraint import Vocabulary
from policykit.engines.transformers import load_model
from policykit.plan import Plan
from policykit.rewards import PolicyReward
from policykit.training.preferences import dpo_loss
from policykit.training.rl.price import Pricer
from policykit.training.rl.rollouts import Prompt, Rollouts, Sampler
from policykit.training.rl.score import log_probs, logits_of, token_batch


@dataclass(frozen=True, slots=True)
class Writer:
    """A model with its tokenizer, as it is kept in a folder."""

    model: Any
    tokenizer: Any
    vocabulary: Vocabulary

    @staticmethod
    def load(folder: Path) -> "Writer":
        model, tokenizer = load_model(folder)
        return Writer(model, tokenizer, Vocabulary.from_tokenizer(tokenizer))

    def save(self, folder: Path) -> None:
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def prompts(self, asked: Sequence[Asked]) -> list[Prompt]:
        ids = self.tokenizer([one.prompt for one in asked], add_special_tokens=False)["input_ids"]
        columns = ({"name": one.name, "fund": one.fund, "sources": one.sources} for one in asked)
        return [Prompt(one.prompt, tuple(row), of) for one, row, of in zip(asked, ids, columns, strict=True)]

    def logps(self, rollouts: Rollouts, rows: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probabilities of some rows' tokens, [B, T], 0 at padding; and bool [B, T], true where there is one."""
        prompts, replies = (
            [of[i] for i in rows] for of in ([p.token_ids for p in rollouts.prompts], rollouts.token_ids)
        )
        batch = token_batch(prompts, replies, self.vocabulary.eos_ids[0])
        return log_probs(logits_of(self.model, batch)[0], batch, None).logp, batch.is_real


@dataclass(frozen=True, slots=True)
class Drawn:
    """``n_each`` replies to each of some questions, those of one question in a row, and which of them are accepted:
    those that break no rule, do their task, and cite what they were given."""

    rollouts: Rollouts
    is_accepted: tuple[bool, ...]
    n_each: int


def drawn(writer: Writer, plan: Plan, asked: Sequence[Asked], n_each: int, generator: torch.Generator) -> Drawn:
    """Free replies, judged by the plan."""
    rollouts = Sampler(writer.vocabulary, MAX_TOKENS).roll(writer.model, writer.prompts(asked), n_each, generator)
    priced = Pricer(PolicyReward(plan, hallucination_weight=1.0), task, unsupported).price(rollouts)
    accepted = (priced.task == 1) & (priced.costs.sum(-1) == 0)
    return Drawn(rollouts, tuple(accepted.tolist()), n_each)


@dataclass(frozen=True, slots=True)
class Fit:
    """How often samples are gone through, and how fast they are learned; the rate falls to 0."""

    n_epochs: int
    lr: float
    batch: int = 32


def fit(writer: Writer, n: int, how: Fit, loss_of: Callable[[Sequence[int]], torch.Tensor]) -> int:
    """Go through ``n`` rows in random order, by the loss of some of them; how many steps that were."""
    optimizer = torch.optim.AdamW(writer.model.parameters(), lr=how.lr, weight_decay=0.0)
    n_steps = how.n_epochs * -(-n // how.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: 1 - i / n_steps)
    for _ in range(how.n_epochs):
        order = torch.randperm(n).tolist()
        for i in range(0, n, how.batch):
            optimizer.zero_grad()
            loss_of(order[i : i + how.batch]).backward()
            torch.nn.utils.clip_grad_norm_(writer.model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return n_steps


UNLIKELY = 0.1
"""The share of accepted replies that is left out: those that the model itself would hardly write are mostly debris."""


def tune(writer: Writer, samples: Drawn, how: Fit) -> int:
    """Rejection tuning: −mean log π over the tokens of what was accepted, but for the least likely."""
    accepted = [i for i, ok in enumerate(samples.is_accepted) if ok]
    accepted.sort(key=lambda i: sum(samples.rollouts.logps[i]))
    accepted = accepted[int(UNLIKELY * len(accepted)) :]

    def loss(rows: Sequence[int]) -> torch.Tensor:
        logps, is_real = writer.logps(samples.rollouts, [accepted[i] for i in rows])
        return -logps.sum() / is_real.sum()

    return fit(writer, len(accepted), how, loss)


def pairs(samples: Drawn) -> list[tuple[int, int]]:
    """To every question, an accepted reply beside each that was not, as long as there are some of both."""
    found: list[tuple[int, int]] = []
    for start in range(0, len(samples.is_accepted), samples.n_each):
        rows = range(start, start + samples.n_each)
        good, bad = ([i for i in rows if samples.is_accepted[i] is wanted] for wanted in (True, False))
        found += list(zip(good, bad, strict=False))
    return found


def prefer(writer: Writer, samples: Drawn, how: Fit, beta: float = 0.1) -> int:
    """DPO on the pairs of the samples, and the likelihood of the chosen sides: without it both sides become unlikely.

    The reference is the model that drew them, so that its log-probabilities are known.
    """
    chosen_rejected = pairs(samples)
    drawn_at = [sum(row) for row in samples.rollouts.logps]

    def loss(rows: Sequence[int]) -> torch.Tensor:
        sides = list(zip(*(chosen_rejected[i] for i in rows), strict=True))
        (chosen, is_real), (rejected, _) = (writer.logps(samples.rollouts, side) for side in sides)
        references = (torch.tensor([drawn_at[i] for i in side]) for side in sides)
        preferred = dpo_loss(chosen.sum(-1), rejected.sum(-1), *references, beta=beta).mean()
        return preferred - chosen.sum() / is_real.sum()

    return fit(writer, len(chosen_rejected), how, loss)
