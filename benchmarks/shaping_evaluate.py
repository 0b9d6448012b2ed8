"""How `benchmarks/shaping.py` judges a model: by both policies, by the task, and by what the masks would still cost.

The second policy is seen by nothing that trains. What it finds in a reply that the first one passes is an evasion.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
from reply_task import MAX_TOKENS
from shaping_task import Asked, has_ended, is_well_formed, task, unsupported
from shaping_train import Writer

from policykit.constraint import Constraint
from policykit.evaluation.statistics import rate
from policykit.plan import Plan
from policykit.rewards import RolloutMode
from policykit.training.masked import check_replay
from policykit.training.rl.rollouts import Rollouts, Sampler
from policykit.training.rl.score import Replayer, log_probs, logits_of, padded, token_batch

Row = dict[str, Any]
AT_ONCE = 250
N_SHOWN = 5
MODES = (RolloutMode.FREE, RolloutMode.MASKED)


def share(hits: Sequence[bool]) -> Row:
    """How many of how many, with the exact bounds at 95 %."""
    found = rate(sum(hits), len(hits))
    return {**asdict(found), "share": found.value}


def judged(texts: Sequence[str], plan: Plan) -> tuple[list[bool], dict[str, int]]:
    """Whether each text breaks a rule; and how many break each."""
    fired = [plan.verify(text).rules for text in texts]
    return [bool(rules) for rules in fired], dict(Counter(rule for rules in fired for rule in rules))


def report(rollouts: Sequence[Rollouts], by: Plan, second: Plan) -> Row:
    """What replies came to, by both policies and by the task."""
    texts = [text for one in rollouts for text in one.texts]
    ids = [row for one in rollouts for row in one.token_ids]
    columns = [prompt.columns for one in rollouts for prompt in one.prompts]
    of: dict[str, Any] = {name: [row[name] for row in columns] for name in columns[0]}
    is_broken, by_rule = judged(texts, by)
    is_broken_2, by_rule_2 = judged(texts, second)
    does_task = [v == 1.0 for v in task((), texts, completion_ids=ids, **of)]
    cites_wrongly = [v == 1.0 for v in unsupported((), texts, **of)]
    forms = zip(texts, ids, of["name"], of["fund"], strict=True)
    evasions = [two and not one for one, two in zip(is_broken, is_broken_2, strict=True)]
    whole = zip(is_broken, is_broken_2, cites_wrongly, does_task, strict=True)
    return {
        "violations": share(is_broken),
        "violations_by_rule": by_rule,
        "second_violations": share(is_broken_2),
        "second_violations_by_rule": by_rule_2,
        "found_by_second_only": share(evasions),
        "found_by_second_only_texts": [text for text, is_one in zip(texts, evasions, strict=True) if is_one][:N_SHOWN],
        "wrong_citations": share(cites_wrongly),
        "task": share(does_task),
        "well_formed": share([has_ended(row) and is_well_formed(text, *whom) for text, row, *whom in forms]),
        "all_right": share([ok and not (one or two or three) for one, two, three, ok in whole]),
        "tokens_per_reply": sum(map(len, ids)) / len(ids),
    }


def evaluate(writer: Writer, base: Writer, asked: Sequence[Asked], by: Plan, second: Plan, seed: int) -> Row:
    """Free replies, and replies under the masks of ``by``, one to each of the questions."""
    constraint = by.constraint(writer.vocabulary)
    samplers = (Sampler(writer.vocabulary, MAX_TOKENS, mode, constraint=constraint) for mode in MODES)
    free, masked = (_rolled(writer, asked, sampler, seed) for sampler in samplers)
    of_free = report(free, by, second)
    return {
        "free": of_free | {"kl_from_base_nats": sum(_kl(base, one) for one in free) / len(asked)},
        "acceptance": 1 - of_free["violations"]["share"],
        "masked": report(masked, by, second) | _tax(writer, masked, constraint),
    }


def _rolled(writer: Writer, asked: Sequence[Asked], sampler: Sampler, seed: int) -> list[Rollouts]:
    generator = torch.Generator().manual_seed(seed)
    chunks = (writer.prompts(asked[i : i + AT_ONCE]) for i in range(0, len(asked), AT_ONCE))
    return [sampler.roll(writer.model, chunk, 1, generator) for chunk in chunks]


@torch.no_grad()
def _kl(base: Writer, rollouts: Rollouts) -> float:
    """Σ log π(y) − log π_base(y) over the replies, which are π's."""
    of_base, _ = base.logps(rollouts, range(len(rollouts.texts)))
    return sum(map(sum, rollouts.logps)) - float(of_base.sum())


@torch.no_grad()
def _tax(writer: Writer, masked: Sequence[Rollouts], constraint: Constraint) -> Row:
    """−Σ log Z a reply, from masks that are replayed; and how far replayed log-probabilities are from the sampler's."""
    replayer = Replayer(constraint)
    tax, differences = 0.0, list[float]()
    for one in masked:
        prompts = [prompt.token_ids for prompt in one.prompts]
        batch = token_batch(prompts, one.token_ids, writer.vocabulary.eos_ids[0])
        masks = replayer.masks(one.plan_digest or "", one.token_ids, [b""] * len(prompts))
        scored = log_probs(logits_of(writer.model, batch)[0], batch, masks)
        differences.append(check_replay(scored.logp, padded(one.logps, batch.n_tokens), batch.is_real))
        tax += float(scored.mask_tax.sum())
    n = sum(len(one.texts) for one in masked)
    return {"mask_tax_nats": tax / n, "replay_difference_nats": max(differences)}
