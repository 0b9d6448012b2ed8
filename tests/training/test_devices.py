"""What only several processes or a GPU would show, as far as it can be told on a CPU alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import torch.distributed as dist
from accelerate import Accelerator, DeepSpeedPlugin
from hypothesis import given, strategies as st
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from policykit import rewards as rw
from policykit.adapters.reward_model import RewardNet, classifier_of, rewards_of
from policykit.diagnostics import PolicyError
from policykit.engines.encoding import Encoded
from policykit.engines.transformers import load_model, usual_device
from policykit.training import rm
from policykit.training.kinds.sft import KIND
from policykit.training.models import Trained, sharding
from policykit.training.offline import shared, tell_deepspeed
from policykit.training.rl.critics import critics_for
from policykit.training.rl.online import averaged
from policykit.training.rl.price import Pricer
from policykit.training.rl.rollouts import Rollouts
from policykit.training.rl.score import token_batch
from policykit.training.session import prepare, train

from .offline import HEAD, metrics, routed, write_training
from .rl import common

ROWS = [Encoded((1, 2, 3, 4), 2, ()), Encoded((1, 2, 5), 2, ())]


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 8))
def test_every_process_calls_the_model_equally_often(n_rows: int, size: int, n_processes: int) -> None:
    """Where each holds a part of the model, one that computes less would leave the others waiting for ever."""
    rows = list(range(max(n_rows, n_processes)))
    found = [shared(rows, size, process, n_processes) for process in range(n_processes)]
    assert len({len(parts) + len(again) for parts, again in found}) == 1
    assert sorted(row for parts, _ in found for part in parts for row in part) == rows
    assert all(0 < len(part) <= size for parts, again in found for part in (*parts, *again))


def test_a_sharded_evaluation_counts_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers are those of an evaluation in which nothing is computed again."""
    from policykit.training import offline

    text = HEAD.replace("steps: 6", "steps: 1").replace("checkpointEvery: 3", "microBatch: 2")
    train(prepare(KIND, write_training(tmp_path / "plain", text, routed(8, 1), routed(3, 2))))
    plain, evaluate = offline.shared, offline._Loop.evaluate  # pyright: ignore[reportPrivateUsage]
    n_again: list[int] = []

    def more(rows: Any, *how: int) -> Any:
        parts, _ = plain(rows, *how)
        n_again.append(1)
        return parts, parts[:1]

    def evaluated(self: Any) -> dict[str, float]:
        with monkeypatch.context() as inside:
            inside.setattr(offline, "_is_sharded", lambda accelerator: True)
            inside.setattr(offline, "shared", more)
            return evaluate(self)

    monkeypatch.setattr(offline._Loop, "evaluate", evaluated)  # pyright: ignore[reportPrivateUsage]
    train(prepare(KIND, write_training(tmp_path / "again", text, routed(8, 1), routed(3, 2))))
    assert len(n_again) == 2
    assert metrics(tmp_path / "plain" / "run") == metrics(tmp_path / "again" / "run")


def test_a_step_has_its_rate_before_its_gradient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DeepSpeed moves the weights in `backward`: with the rate of the step before, a warm-up would begin at the top."""
    seen: list[float] = []
    plain = Accelerator.backward

    def backward(self: Any, loss: Any, **more: Any) -> None:
        seen.append(self._optimizers[0].param_groups[0]["lr"])
        plain(self, loss, **more)

    monkeypatch.setattr(Accelerator, "backward", backward)
    text = HEAD.replace("steps: 6", "steps: 3").replace("schedule: constant", "schedule: constant, warmup: 2")
    train(prepare(KIND, write_training(tmp_path, text, routed(8, 1), routed(4, 2))))
    assert seen == pytest.approx([0.0025, 0.005, 0.005])


def test_deepspeed_is_told_what_it_would_ask_for(tmp_path: Path) -> None:
    """Of accelerate's own plugin: unsaid rows are an error there, and an unsaid clip is one of its own."""
    config: Any = prepare(KIND, write_training(tmp_path, f"{HEAD}", routed(8, 1), routed(4, 2))).start.config
    plugin = DeepSpeedPlugin(zero_stage=2)
    assert plugin.is_auto("train_micro_batch_size_per_gpu")
    assert plugin.is_auto("gradient_clipping")
    tell_deepspeed(plugin, config, 4)
    assert plugin.get_value("train_micro_batch_size_per_gpu") == 2
    assert plugin.get_value("gradient_clipping") == 1.0
    tell_deepspeed(None, config, 4)
    cut = HEAD.replace("batch: 8", "batch: 8, microBatch: 1")
    config = prepare(KIND, write_training(tmp_path / "cut", cut, routed(8, 1), routed(4, 2))).start.config
    with pytest.raises(PolicyError, match="micro-batch") as error:
        tell_deepspeed(plugin, config, 4)
    assert error.value.diagnostics[0].code == "PK780"


def test_processes_are_counted_before_the_model_is_handed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share of no rows is a setting that DeepSpeed refuses in words that name nothing of the training file."""

    def too_late(*_: object, **__: object) -> None:
        raise AssertionError("handed over")

    monkeypatch.setattr(Accelerator, "num_processes", property(lambda self: 16))
    monkeypatch.setattr(Accelerator, "prepare", too_late)
    monkeypatch.setattr("policykit.training.offline.tell_deepspeed", too_late)
    with pytest.raises(PolicyError, match="a batch of 8 rows cannot be shared by 16 processes") as error:
        train(prepare(KIND, write_training(tmp_path, HEAD, routed(8, 1), routed(4, 2))))
    assert error.value.diagnostics[0].code == "PK780"


def test_each_process_loads_to_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert usual_device() == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert usual_device() == "cuda:0"
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert usual_device() == "cuda:3"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)  # each process sees its own alone
    assert usual_device() == "cuda:0"


def test_rewards_and_values_of_a_half_precision_model_are_not_rounded_to_it() -> None:
    """Models on a GPU are bfloat16, of which 8 bits tell numbers apart: two near rewards would be one."""
    model: Any = load_model("embedded", "cpu")[0].to(torch.bfloat16)
    net = RewardNet(classifier_of(model, 0))
    with torch.no_grad():
        net.classifier.score.weight.normal_(generator=torch.Generator().manual_seed(0))
        found = rewards_of(net, net, ROWS, [(), ()], 0)
    assert found.dtype == torch.float32
    assert (found != found.to(torch.bfloat16).float()).all()
    critics = critics_for(model, 2)
    batch = token_batch([(1, 2), (1, 2)], [(3, 4), (5,)], 0)
    hidden = torch.zeros(2, 2, model.config.hidden_size, dtype=torch.bfloat16)
    assert critics(batch, hidden).dtype == torch.float32
    assert critics_for(model, 2, with_body=True)(batch, None).shape == (2, 2, 2)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A process group of one, for what shards is the same for one as for many."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        yield
    finally:
        dist.destroy_process_group()


def _in(dtype: torch.dtype, **how: Any) -> RewardNet:
    net = RewardNet(classifier_of(load_model("embedded", "cpu")[0].to(dtype), 0).requires_grad_(True), 2, **how)
    with torch.no_grad():
        net.classifier.score.weight.normal_(generator=torch.Generator().manual_seed(0))
        cast("Any", net.features).weight.fill_(0.5)
    return net


def _sharded(net: RewardNet, **how: Any) -> None:
    for layer in net.classifier.model.layers:
        fully_shard(layer, **how)
    fully_shard(net, **how)


def test_rewards_are_float32_whatever_a_wrapper_makes_of_the_parameters(alone: None) -> None:
    """DeepSpeed casts the module, FSDP what it gathers."""
    features, half = [(0.0, 1.0), (3.0, 0.0)], torch.bfloat16
    net = _in(torch.float32)
    with torch.no_grad():
        expected = rewards_of(net, net, ROWS, features, 0)
        plain = rewards_of(net, net, ROWS, [(0.0, 0.0)] * 2, 0)
    assert (expected - plain).tolist() == pytest.approx([0.5, 1.5], abs=1e-5)  # by hand: 0.5 · φ
    for wrap in (lambda net: net.to(half), lambda net: _sharded(net, mp_policy=MixedPrecisionPolicy(half))):
        net = _in(torch.float32)
        cast("Any", wrap)(net)
        found = rewards_of(net, net, ROWS, features, 0)
        assert found.dtype == torch.float32
        assert found.tolist() == pytest.approx(expected.tolist(), rel=0.1)  # the body is rounded too
        found.sum().backward()
        assert all(p.grad is not None for p in net.parameters() if p.requires_grad and p.shape[0] == 1)


def test_a_sharded_net_is_of_one_type(alone: None) -> None:
    mixed = _in(torch.bfloat16)
    _sharded(mixed)
    with pytest.raises(AssertionError, match="uniform original parameter dtype"):
        rewards_of(mixed, mixed, ROWS, [(0.0, 0.0)] * 2, 0)
    net = _in(torch.bfloat16, in_one_dtype=True)
    assert {p.dtype for p in net.parameters()} == {torch.bfloat16}
    _sharded(net)
    assert rewards_of(net, net, ROWS, [(0.0, 0.0)] * 2, 0).dtype == torch.float32


@pytest.mark.parametrize(
    ("variable", "value", "by"),
    [("ACCELERATE_USE_FSDP", "true", ["FSDP"]), ("ACCELERATE_USE_DEEPSPEED", "1", ["DeepSpeed"]), ("X", "1", [])],
)
@pytest.mark.parametrize("weights", ["full", "lora"])
def test_a_head_is_half_precise_only_where_all_weights_are_sharded(
    weights: str, variable: str, value: str, by: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An adapter is float32, and what is trained must be of one type."""
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(rm, "with_lora", lambda classifier, *_: classifier)  # pyright: ignore[reportUnknownLambdaType]
    trained = Trained(load_model("embedded", "cpu")[0].to(torch.bfloat16), load_model("embedded", "cpu")[1])
    net = rm._net(trained, cast("Any", None), rm.Settings(weights=weights), 1)  # pyright: ignore[reportPrivateUsage]
    assert sharding() == by
    expected = torch.bfloat16 if weights == "full" and by else torch.float32
    assert {net.classifier.score.weight.dtype, cast("Any", net.features).weight.dtype} == {expected}


def test_a_process_without_rates_leaves_those_of_the_others() -> None:
    """Where all its rows were lost a process has no rates: numbers are matched by name, and not by place."""
    first = {"reward": 1.0, "policy/lost": 0.5, "policy/violation_rate/a": 0.25}
    assert averaged([first, {"reward": 3.0, "policy/lost": 1.0}]) == {
        "reward": 2.0, "policy/lost": 0.75, "policy/violation_rate/a": 0.25,
    }  # fmt: skip


def test_a_process_without_usable_completions_says_so_to_the_others() -> None:
    """Others have some, and wait until every process has told what it saw."""
    told: list[list[Any]] = []

    def gather(rows: list[Any]) -> list[Any]:
        told.append(rows)
        return rows

    reward = rw.PolicyReward(common.plan(), rw.Lagrangian({common.RULE: 0.4}), mode=rw.RolloutMode.REJECTED)
    reward.attach(gather)
    prompts = tuple(common.prompts(2, 1))
    rollouts = Rollouts(prompts, ((1,), (2,)), ("a", "b"), ((0.0,), (0.0,)), (False, False), rw.RolloutMode.REJECTED)
    priced = Pricer(reward, common.task).price(rollouts)
    assert told == [[]]
    assert not priced.has.any()
    assert reward.weights == {common.RULE: 1.0, "hallucination": 0.0}
