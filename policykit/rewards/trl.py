"""TRL's contract for reward functions (GRPO, RLOO): one function that returns the composed reward.

TRL sums the rewards of several functions and drops a None among them, so that a cost that was lost would be a free
pass: pass this one alone, with the task's reward in it. What TRL hands over is read by name; the module does not
import TRL.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, cast

from policykit.diagnostics import PolicyError
from policykit.rewards.controllers import Fixed
from policykit.rewards.reward import PolicyReward, RewardRow, check_digests, check_scale, checked_rewards

Rewards = list[float | None]
Term = Callable[..., Sequence[float | None]]
AsyncTerm = Callable[..., Awaitable[Sequence[float | None]] | Sequence[float | None]]

DIGEST_COLUMN = "bundle_digest"
"""The column in which a data set says under which policies it was made; checked where there is one."""


def reward_function(reward: PolicyReward, task: Term, hallucination: Term | None = None) -> Callable[..., Rewards]:
    """A reward function for ``reward_funcs``. ``task`` and ``hallucination`` are functions of the same contract.

    A column `facts` is given to conditions. With ``log_metric`` every group's rate of violations, mean cost and λ are
    logged, with ``log_extra`` the rules that fired, the errors and the bundle digest, for every completion.
    """

    def policy_reward(prompts: Sequence[object], completions: Sequence[object], **columns: Any) -> Rewards:
        _check(reward, columns)
        of_task = task(prompts=prompts, completions=completions, **columns)
        shares = None
        if hallucination is not None:
            shares = _given(hallucination(prompts=prompts, completions=completions, **columns))
        return _priced(reward, completions, of_task, shares, columns)

    return policy_reward


def async_reward_function(
    reward: PolicyReward, task: AsyncTerm, hallucination: AsyncTerm | None = None
) -> Callable[..., Awaitable[Rewards]]:
    """As :func:`reward_function`, for rewards that wait for something; TRL awaits it beside its others. One of the two
    may be a plain function."""

    async def policy_reward(prompts: Sequence[object], completions: Sequence[object], **columns: Any) -> Rewards:
        _check(reward, columns)
        of_task = await _waited(task(prompts=prompts, completions=completions, **columns))
        shares = None
        if hallucination is not None:
            shares = _given(await _waited(hallucination(prompts=prompts, completions=completions, **columns)))
        return _priced(reward, completions, of_task, shares, columns)

    return policy_reward


def _given(shares: Sequence[float | None] | None) -> Sequence[float | None]:
    """A function that forgets to return is no function that finds nothing."""
    if shares is None:
        message = "the share of unsupported claims is `None`, and not one for each completion"
        raise PolicyError.of("PK761", message, help="give a list, with one for each completion")
    return shares


async def _waited(values: Awaitable[Sequence[float | None]] | Sequence[float | None]) -> Sequence[float | None]:
    return await values if isawaitable(values) else values


def check_run(
    reward: PolicyReward,
    *,
    scale_rewards: object,
    columns: Mapping[str, Sequence[object]],
    task: Term | None = None,
    n_probed: int = 2,
    aggregation: object = None,
) -> None:
    """Before the first step: refuse what would make the run worthless.

    Raises PolicyError: PK760 for rewards scaled by groups, PK762 for data of another bundle, PK761 for a ``task`` that
    gives the first ``n_probed`` prompts, with empty completions, another number of rewards.
    """
    check_scale(scale_rewards, reward, aggregation)
    check_digests(columns.get(DIGEST_COLUMN, ()), reward.plan)
    if task is not None:
        sample: dict[str, Any] = {name: list(values[:n_probed]) for name, values in columns.items() if name != "prompt"}
        prompts = list(columns.get("prompt", ())[:n_probed])
        completions = [_like(prompt) for prompt in prompts]
        sample |= {"completion_ids": [[] for _ in prompts], "log_metric": _not_logged, "log_extra": _not_logged}
        checked_rewards(task(prompts=prompts, completions=completions, **sample), len(prompts), "the task's reward")


def _not_logged(name: str, value: object) -> None:
    """What is logged while a function is tried is no metric of a run."""


def text_of(completion: object) -> str:
    """A completion's text: a string, or the contents of the assistant's messages of a conversation."""
    if isinstance(completion, str):
        return completion
    if isinstance(completion, list):
        messages = cast("list[Mapping[str, object]]", completion)
        said = [m.get("content") for m in messages if m.get("role") == "assistant"]
        if all(isinstance(text, str) for text in said):
            return "\n".join(cast("list[str]", said))
    raise PolicyError.of("PK761", "a completion is neither text nor messages of text", help="train on texts")


def _like(prompt: object) -> object:
    return "" if isinstance(prompt, str) else [{"role": "assistant", "content": ""}]


def _check(reward: PolicyReward, columns: Mapping[str, Any]) -> None:
    check_digests(columns.get(DIGEST_COLUMN, ()), reward.plan)
    if "trainer_state" in columns and not reward.is_attached and not isinstance(reward.controller, Fixed):
        message = "a weight moves, and no callback keeps it in checkpoints and still in evaluations"
        help = "pass `callbacks=[PolicyCallback(reward)]` of `policykit.training.rl.callback`"
        raise PolicyError.of("PK764", message, help=help)


def _priced(
    reward: PolicyReward,
    completions: Sequence[object],
    task: Sequence[float | None],
    shares: Sequence[float | None] | None,
    columns: Mapping[str, Any],
) -> Rewards:
    facts = cast("Sequence[Mapping[str, object] | None] | None", columns.get("facts"))
    rows = reward.price([text_of(completion) for completion in completions], task, shares, facts)
    log_metric = cast("Callable[[str, float], None] | None", columns.get("log_metric"))
    if log_metric is not None:
        for name, value in metrics(rows).items():
            log_metric(name, value)
    log_extra = cast("Callable[[str, list[str]], None] | None", columns.get("log_extra"))
    if log_extra is not None:
        log_extra("policy/bundle_digest", [row.bundle_digest for row in rows])
        log_extra("policy/rules", [" ".join(row.fired) for row in rows])
        log_extra("policy/errors", ["; ".join(row.errors) for row in rows])
    return [row.reward for row in rows]


def metrics(rows: Sequence[RewardRow]) -> dict[str, float]:
    """Numbers of one batch by name: lost rows, and for every group λ, the rate of violations and the mean cost."""
    if not rows:
        return {}
    found = {"policy/lost": sum(row.reward is None for row in rows) / len(rows)}
    found |= {f"policy/lambda/{name}": weight for name, weight in rows[0].weights.items()}
    judged = [row.costs for row in rows if row.costs]
    for name in judged[0] if judged else ():
        values = [costs[name] for costs in judged]
        found[f"policy/violation_rate/{name}"] = sum(value > 0 for value in values) / len(values)
        found[f"policy/cost/{name}"] = sum(values) / len(values)
    return found
