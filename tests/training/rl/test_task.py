"""Functions of a task as a training file names them: what they are given, and what becomes of their faults."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="rewards are learned from with torch")

from policykit.diagnostics import Place, PolicyError  # noqa: E402
from policykit.rewards import check_run  # noqa: E402
from policykit.training.encoding import Fitting  # noqa: E402
from policykit.training.rl.online import Online  # noqa: E402
from policykit.training.rl.price import Priced, Pricer  # noqa: E402
from policykit.training.rl.rollouts import Prompt  # noqa: E402
from policykit.training.rl.task import named  # noqa: E402

AT = Place("c.yaml", 9, 8)


def asked(function: Callable[..., Any], **columns: Any) -> Any:
    return named(function, "task.py:f", AT)(prompts=["a", "b"], completions=["c", "d"], **columns)


def raises(prompts: Any, completions: Any, **columns: Any) -> Any:
    raise KeyError("solution")


def ends(prompts: Any, completions: Any, **columns: Any) -> Any:
    sys.exit(0)


def lazily(prompts: Any, completions: Any, **columns: Any) -> Any:
    return (1 / 0 for _ in completions)


async def later(prompts: Any, completions: Any, **columns: Any) -> Any:
    await asyncio.sleep(0)
    raise ValueError


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (raises, r"`task\.py:f` failed: KeyError: 'solution' \(test_task\.py, line \d+\)"),
        (ends, r"`task\.py:f` failed: SystemExit: 0 \(test_task\.py, line \d+\)"),
        (lazily, "ZeroDivisionError: division by zero"),
        (later, "ValueError: no reason given"),
        (lambda prompts, completions: [], "unexpected keyword argument 'fund'"),
        (lambda prompts, completions, answer, **columns: [], "missing 1 required positional argument: 'answer'"),
    ],
)
def test_what_goes_wrong_in_a_function_is_told_where_it_is_named(function: Callable[..., Any], said: str) -> None:
    with pytest.raises(PolicyError, match=said) as refused:
        asked(function, fund=["x", "y"])
    (one,) = refused.value.diagnostics
    assert (one.code, one.place) == ("PK761", AT)
    assert one.help


def test_a_function_may_have_to_be_waited_for_and_keeps_its_loop() -> None:
    seen: list[object] = []

    async def slow(prompts: Any, completions: Any, **columns: Any) -> Any:
        await asyncio.sleep(0)
        seen.append(asyncio.get_running_loop())
        return (float(len(text)) for text in completions)

    term = named(slow, "task.py:f", AT)
    for _ in range(2):
        assert term(prompts=["a"], completions=["bcd"]) == [3.0]
    assert seen[0] is seen[1], "what it keeps open belongs to its loop"


def whole(
    prompts: Any, completions: Any, completion_ids: Any, log_metric: Any, log_extra: Any, fund: Any, **columns: Any
) -> Any:
    """A function that wants all that TRL's trainers give."""
    log_metric("words", sum(len(text.split()) for text in completions))
    log_extra("fund", fund)
    return [float(len(ids)) for ids in completion_ids]


def test_a_function_of_the_whole_contract_is_tried_and_asked(guarded_reward: Any) -> None:
    columns = {"prompt": ["a", "b"], "fund": ["x", "y"]}
    check_run(guarded_reward, scale_rewards="none", columns=columns, task=whole)
    rollouts: Any = SimpleNamespace(
        prompts=[Prompt("a", (1,), {"fund": "x"})] * 2, texts=["one two", "three"], is_usable=[True, True],
        token_ids=[(1, 2, 3), (4,)],
    )  # fmt: skip
    priced = Pricer(guarded_reward, whole).price(rollouts)
    assert priced.task.tolist() == [3.0, 1.0]
    assert priced.metrics["task/words"] == 3.0


@pytest.fixture
def guarded_reward(tmp_path: Path) -> Any:
    import policykit as pk
    from policykit.rewards import PolicyReward

    (tmp_path / "p.policy.yaml").write_text(
        "apiVersion: policykit/v1\nkind: Policy\n"
        "metadata: {name: p, version: 1.0.0, owner: a@example.org, why: a test}\n"
        "rules: [{id: no, match: {phrases: [never ever]}, action: {block: {}}}]\n"
    )
    return PolicyReward(pk.compile(pk.load_policies(tmp_path / "p.policy.yaml")))


def test_a_row_that_the_model_cannot_read_is_refused_whatever_the_file_allows() -> None:
    config: Any = SimpleNamespace(data=SimpleNamespace(max_tokens=1000, drop_too_long=False, train="rows"))
    model: Any = SimpleNamespace(config=SimpleNamespace(max_position_embeddings=100))
    row = SimpleNamespace
    fits, writes = Fitting(config, model), Fitting(config, model, n_written=20)
    assert fits.fits(AT, row(token_ids=range(100)))  # type: ignore[arg-type]
    assert writes.fits(AT, row(token_ids=range(80)))  # type: ignore[arg-type]
    assert not fits.fits(AT, row(token_ids=range(101)))  # type: ignore[arg-type]
    assert not writes.fits(AT, row(token_ids=range(81)))  # type: ignore[arg-type]
    with pytest.raises(PolicyError, match=r"101 tokens, and the model reads 100\n"):
        fits.check(1)
    with pytest.raises(PolicyError, match=r"81 tokens, and the model reads 100 beside `maxNewTokens`, which is 20\n"):
        writes.check(1)
    assert Fitting(config, SimpleNamespace(config=SimpleNamespace())).fits(AT, row(token_ids=range(999)))  # type: ignore[arg-type]


def test_where_no_held_out_completion_could_be_judged_there_is_no_rate_either() -> None:
    """0 would say that nothing was broken."""

    def evaluated(has: list[bool]) -> dict[str, float]:
        n = len(has)
        priced = Priced(
            torch.ones(n), torch.ones(n), torch.ones(n, 1), torch.ones(1), torch.tensor(has), ("no",), {}
        )  # fmt: skip
        pricer: Any = SimpleNamespace(price=lambda rollouts: priced)
        judge: Any = SimpleNamespace(roll=lambda *about: None)
        learner, prompts = SimpleNamespace(model=None), [Prompt("a", (1,), {})] * n
        return Online(learner, None, pricer, judge, prompts, prompts).evaluate()  # type: ignore[arg-type]

    assert evaluated([False, False]) == {"policy/judged": 0.0}
    assert evaluated([False, True])["policy/violation_rate/no"] == 1.0
    assert evaluated([False, True])["policy/judged"] == 1.0
