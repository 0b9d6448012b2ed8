"""OpenRLHF's and verl's contracts for reward functions, which need not be installed.

A file that they load has a function at its top, made here:

    compute_score = verl_compute_score(PolicyReward(load_plan("plan.json"), Fixed({"promises": 1.0})), task)

Both call it from several threads, and some versions send it to workers: a reward can be pickled, by Ray too, if the
functions that it holds can, and its plan is compiled anew there. Departures: neither knows a row without a reward, so a
check that fails raises (PK763) instead of giving a number. OpenRLHF logs an exception of a reward function and goes on
without a reward; look at its log where a run breaks. Both run reward functions in several processes, in each of which a
moving λ would go its own way: weights are fixed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from policykit.diagnostics import PolicyError
from policykit.rewards.controllers import Fixed
from policykit.rewards.reward import PolicyReward, RewardRow, check_digests
from policykit.rewards.trl import DIGEST_COLUMN, metrics

Score = Callable[[str, str, Any], float | None]
"""(prompt, completion, label) to the task's reward."""


def openrlhf_reward(
    reward: PolicyReward, task: Score, tensor: Callable[[list[float]], Any], ends: Sequence[str] = ()
) -> Callable[..., dict[str, Any]]:
    """`reward_func(queries, prompts, labels)` for ``--remote_rm_url FILE.py``.

    ``queries`` are prompts and completions, decoded with special tokens: ``ends`` are taken off the end. ``tensor`` is
    `torch.tensor`: of one number it is a number to the framework, where a list would be a row. ``scores`` are the
    task's; where one is 0, the framework takes the reward for it. PK761 for a query that does not begin with its
    prompt.
    """
    _check_fixed(reward)

    def reward_func(queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any], **_: Any) -> dict[str, Any]:
        if not len(queries) == len(prompts) == len(labels):
            message = f"{len(queries)} queries, {len(prompts)} prompts, {len(labels)} labels"
            raise PolicyError.of("PK761", message, help="give one of each for each completion")
        texts = [_completion(query, prompt, ends) for query, prompt in zip(queries, prompts, strict=True)]
        scores = [task(*terms) for terms in zip(prompts, texts, labels, strict=True)]
        rows = reward.price(texts, scores)
        logs = {name: tensor([value] * len(rows)) for name, value in metrics(rows).items()}
        rewards = [_number(row) for row in rows]
        return {"rewards": tensor(rewards), "scores": tensor([row.task or 0.0 for row in rows]), "extra_logs": logs}

    return reward_func


def verl_compute_score(reward: PolicyReward, task: Score) -> Callable[..., dict[str, Any]]:
    """`compute_score(data_source, solution_str, ground_truth, extra_info)` for ``custom_reward_function``.

    For the reward managers that score one completion at a time (`naive`, `dapo`, the reward loop). The dict's ``score``
    is the reward, and every other entry is logged, the same ones for every completion; none is called ``reward``, which
    validation keeps for its own. Not for `prime`: that takes numbers alone, from functions that lie at the top of the
    file, and 0 for anything else, and for whatever raises, without a word. A function there that returns this one's
    ``score`` serves it, but where a check fails the reward is 0 all the same.

    The prompt is ``extra_info["prompt"]``, else empty; ``bundle_digest`` and ``facts`` beside it are read, if there.
    """
    compute_scores = verl_compute_scores(reward, task)

    def compute_score(
        data_source: str, solution_str: str, ground_truth: Any, extra_info: Mapping[str, Any] | None = None, **_: Any
    ) -> dict[str, Any]:
        (found,) = compute_scores([data_source], [solution_str], [ground_truth], [extra_info])
        return found

    return compute_score


def verl_compute_scores(reward: PolicyReward, task: Score) -> Callable[..., list[dict[str, Any]]]:
    """`compute_score(data_sources, solution_strs, ground_truths, extra_infos)` for the reward manager `batch`: a dict
    for each completion, as :func:`verl_compute_score` gives it. PK761 for lists of different lengths."""
    _check_fixed(reward)

    def compute_scores(
        data_sources: Sequence[str],
        solution_strs: Sequence[str],
        ground_truths: Sequence[Any],
        extra_infos: Sequence[Mapping[str, Any] | None],
        **_: Any,
    ) -> list[dict[str, Any]]:
        if not len(data_sources) == len(solution_strs) == len(ground_truths) == len(extra_infos):
            message = f"{len(solution_strs)} completions, {len(ground_truths)} answers, {len(extra_infos)} rows"
            raise PolicyError.of("PK761", message, help="give one of each for each completion")
        extras = [extra or {} for extra in extra_infos]
        for source, extra in zip(data_sources, extras, strict=True):
            if DIGEST_COLUMN in extra:
                check_digests([extra[DIGEST_COLUMN]], reward.plan, f"a row of `{source}`")
        prompts = [str(extra.get("prompt", "")) for extra in extras]
        scores = [task(*terms) for terms in zip(prompts, solution_strs, ground_truths, strict=True)]
        rows = reward.price(list(solution_strs), scores, facts=[extra.get("facts") or {} for extra in extras])
        return [_entries(row) for row in rows]

    return compute_scores


def _entries(row: RewardRow) -> dict[str, Any]:
    costs = {f"cost/{name}": cost for name, cost in row.costs.items()}
    named = {"bundle_digest": row.bundle_digest, "rules": " ".join(row.fired)}
    return {"score": _number(row), "task": row.task, **costs, **named}


def _check_fixed(reward: PolicyReward) -> None:
    if not isinstance(reward.controller, Fixed):
        message = "the framework calls rewards in several processes, where weights would part"
        raise PolicyError.of("PK764", message, help="use `Fixed` weights")


def _completion(query: str, prompt: str, ends: Sequence[str]) -> str:
    if not query.startswith(prompt):
        message = f"the query does not begin with its prompt: {query[:60]!r}"
        raise PolicyError.of("PK761", message, help="decode both alike, with special tokens")
    text = query.removeprefix(prompt)
    while end := next((end for end in ends if end and text.endswith(end)), ""):
        text = text.removesuffix(end)
    return text


def _number(row: RewardRow) -> float:
    if row.reward is None:
        message = f"a completion has no reward: {'; '.join(row.errors)}"
        raise PolicyError.of("PK763", message, help="repair the check: the framework cannot leave a row out")
    return row.reward
