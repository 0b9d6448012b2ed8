"""The reward functions, called as TRL, OpenRLHF and verl call them."""

import asyncio
from collections import defaultdict
from typing import Any

import pytest

from policykit import rewards as rw

from .test_rewards import BAD, GOOD, PLAN, fixed, refused


def one(prompts: list[Any], completions: list[Any], **columns: Any) -> list[float | None]:
    return [1.0] * len(completions)


async def slow_one(prompts: list[Any], completions: list[Any], **columns: Any) -> list[float | None]:
    await asyncio.sleep(0)
    return [1.0] * len(completions)


class Logged:
    """What TRL hands to reward functions to log with."""

    def __init__(self) -> None:
        self.numbers: dict[str, list[float]] = defaultdict(list)
        self.columns: dict[str, list[Any]] = {}

    def log_metric(self, name: str, value: float) -> None:
        self.numbers[name].append(value)

    def log_extra(self, name: str, values: list[Any]) -> None:
        self.columns[name] = values


def as_trl_calls(logged: Logged, completions: list[Any], **columns: Any) -> dict[str, Any]:
    own = {"completion_ids": [[1]] * len(completions), "trainer_state": object(), "environments": None}
    logs = {"log_metric": logged.log_metric, "log_extra": logged.log_extra}
    return {"prompts": ["p"] * len(completions), "completions": completions, **own, **logs, **columns}


def test_trl_gets_rewards_metrics_and_columns() -> None:
    logged = Logged()
    function = rw.reward_function(fixed(guarantees=1.0, risk=0.0), one)
    said = [[{"role": "assistant", "content": BAD}], GOOD]
    assert function(**as_trl_calls(logged, said, bundle_digest=[PLAN.bundle_digest] * 2)) == [0.0, 0.5]
    assert logged.numbers["policy/violation_rate/guarantees"] == [0.5]
    assert logged.numbers["policy/lambda/guarantees"] == [1.0]
    assert logged.numbers["policy/lost"] == [0.0]
    assert logged.columns["policy/bundle_digest"] == [PLAN.bundle_digest] * 2
    assert logged.columns["policy/rules"] == ["guarantees", ""]


def test_a_reward_that_waits_is_awaited() -> None:
    function = rw.async_reward_function(fixed(guarantees=1.0, risk=0.0), slow_one, slow_one)
    assert asyncio.iscoroutinefunction(function)
    found = function(**as_trl_calls(Logged(), [BAD, GOOD]))
    assert asyncio.run(found) == [0.0, 0.5]  # type: ignore[arg-type] (a coroutine, as just asserted)


def test_what_is_wrong_is_refused_when_called() -> None:
    function = rw.reward_function(fixed(), lambda prompts, completions, **_: [1.0])
    with refused("PK761"):
        function(**as_trl_calls(Logged(), [BAD, GOOD]))
    with refused("PK761"):
        rw.reward_function(fixed(), one)(**as_trl_calls(Logged(), [7]))
    with refused("PK762"):
        rw.reward_function(fixed(), one)(**as_trl_calls(Logged(), [BAD], bundle_digest=["sha256:0"]))


def test_what_is_wrong_is_refused_before_the_first_step() -> None:
    columns = {"prompt": ["a", "b", "c"], "bundle_digest": [PLAN.bundle_digest] * 3}
    rw.check_run(fixed(), scale_rewards="none", columns=columns, task=one)
    rw.check_run(fixed(guarantees=0.0, risk=0.0), scale_rewards="group", columns={})
    for scale in ("group", True):
        with refused("PK760"):
            rw.check_run(fixed(), scale_rewards=scale, columns=columns)
    with refused("PK762: row 2 is of"):
        digests = [PLAN.bundle_digest] * 2 + ["sha256:0"]
        rw.check_run(fixed(), scale_rewards="none", columns={**columns, "bundle_digest": digests})
    with refused("PK761"):
        rw.check_run(fixed(), scale_rewards="none", columns=columns, task=lambda **_: [1.0])


def test_openrlhf_gets_what_it_reads() -> None:
    """It calls the function with one completion at a time, and reads three keys."""
    torch = pytest.importorskip("torch")
    function = rw.openrlhf_reward(
        fixed(guarantees=1.0, risk=0.0), lambda p, c, y: float(y in c), torch.tensor, ["</s>"]
    )
    for text, wanted in ((BAD, 0.0), (GOOD, 0.5)):
        info = function([f"<s>Ask {text}</s></s>"], ["<s>Ask "], ["It"])
        assert info["rewards"].tolist() == [wanted]
        assert info["scores"].tolist() == [1.0]
        assert all(len(value) == 1 for value in info["extra_logs"].values())
    with refused("PK761"):
        function(["Ask it"], ["other"], ["It"])
    with refused("PK761"):
        function(["Ask it"], ["Ask"], [])


def test_verl_gets_what_it_reads() -> None:
    """It calls the function by keyword, reads `score`, and keeps every entry as a column."""
    function = rw.verl_compute_score(fixed(guarantees=1.0, risk=0.0), lambda p, c, y: float(y in c))
    kept = defaultdict[str, list[Any]](list)
    for text in (BAD, GOOD):
        extra = {"index": 1, "bundle_digest": PLAN.bundle_digest}
        result = function(data_source="d", solution_str=text, ground_truth="It", extra_info=extra)
        for name, value in result.items():
            kept[name].append(value)
    assert kept["score"] == [0.0, 0.5]
    assert kept["cost/guarantees"] == [1.0, 0.0]
    assert {len(values) for values in kept.values()} == {2}
    with refused("PK762"):
        function("d", GOOD, "It", {"bundle_digest": "sha256:0"})


def test_frameworks_without_empty_rows_get_an_error_and_no_moving_lambda() -> None:
    with refused("PK763"):
        rw.verl_compute_score(fixed(), lambda *_: None)("d", GOOD, "It")
    moving = rw.PolicyReward(PLAN, rw.Lagrangian({"guarantees": 0.1, "risk": 0.1}))
    with refused("PK764"):
        rw.openrlhf_reward(moving, lambda *_: 1.0, list)
