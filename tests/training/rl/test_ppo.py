"""PPO's own loop: advantages and gradients against enumeration, its control of the KL, and what it refuses."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

import policykit as pk
from policykit import rewards as rw
from policykit.training.estimators import token_ratio_loss
from policykit.training.ppo import combined_advantages, combined_by_group, whitened
from policykit.training.rl.critics import critics_for
from policykit.training.rl.ppo import KlControl, Ppo, PpoSettings
from policykit.training.rl.price import Priced, Pricer
from policykit.training.rl.rollouts import Prompt, Sampler

from . import tiny
from .test_rloo import own_logps, rolled

FREE, MASKED, REJECTED = rw.RolloutMode


def one(prompts: Any, completions: Any, **_: Any) -> list[float | None]:
    return [float(len(text)) for text in completions]


def loop(net: Any, mode: rw.RolloutMode = MASKED, *, reference: Any = None, rate: float = 0.0, **settings: Any) -> Ppo:
    plan = pk.compile(None, pk.Grammar.from_choices(tiny.TEXTS))
    sampler = Sampler(tiny.vocabulary(), 4, mode, constraint=tiny.constraint(), plan=plan)
    reward = rw.PolicyReward(plan, rw.Fixed({"grammar": 1.0}), mode=mode)
    critics = critics_for(net, 2).double()
    optimizers = torch.optim.SGD(net.parameters(), lr=rate), torch.optim.SGD(critics.parameters(), lr=rate)
    return Ppo(
        net, critics, *optimizers, sampler, Pricer(reward, one), PpoSettings(**settings), reference=reference or net
    )


def priced(task: Sequence[float], costs: Sequence[Sequence[float]], weights: Sequence[float]) -> Priced:
    n, names = len(task), tuple(f"k{i}" for i in range(len(weights)))
    of_costs = torch.tensor(costs, dtype=torch.float64).view(n, len(names))
    of_task = torch.tensor(task, dtype=torch.float64)
    return Priced(of_task, of_task, of_costs, torch.tensor(weights), torch.ones(n, dtype=torch.bool), names, {})


@pytest.mark.parametrize("mode", [MASKED, FREE])
def test_without_critics_the_gradient_is_of_the_lagrangian(mode: rw.RolloutMode) -> None:
    """With values 0 and no discount, tokens' advantages are the rest of (r − Σ λ·c)/(1 + Σ λ): the gradient over all
    completions, weighed by their probabilities, is that of its expectation."""
    net, rows = tiny.model(1), tiny.legal_rows()
    trainer = loop(net, mode, kl_coef=0.0, decay=1.0)
    p = tiny.probabilities(net, renormalised=mode is MASKED)
    task, costs = tiny.rewards(2), torch.stack([tiny.rewards(3), tiny.rewards(4)], -1)
    exact = tiny.gradient((p * (task - 0.5 * costs[:, 0] - 2.0 * costs[:, 1]) / 3.5).sum(), net)
    group = rolled(rows, own_logps(net, mode), mode)
    found = torch.zeros_like(exact)
    for i in range(len(rows)):
        batch = trainer._scorer.batch(group, [i])
        scored, _ = trainer._scorer.scored(group, [i], batch)
        worth = priced([float(task[i])], [costs[i].tolist()], [0.5, 2.0])
        old, values = scored.logp.detach(), torch.zeros(1, batch.n_tokens, 3)
        advantages, returns = trainer._advantages(old, old, batch.is_real, values, worth)
        assert returns[0, :, 1].tolist() == pytest.approx([float(costs[i, 0])] * batch.n_tokens)
        loss = token_ratio_loss(scored.logp, old, advantages, scored.counts) * scored.counts.sum()
        found -= float(p[i].detach()) * tiny.gradient(loss, net)
    assert tiny.cosine(found, exact) >= 0.9999
    assert float(found.norm() / exact.norm()) == pytest.approx(1.0, abs=1e-4)


def test_the_kl_has_one_weight_for_every_weight_of_costs() -> None:
    trainer = loop(tiny.model(1), kl_coef=0.1, decay=1.0)
    old, ref = torch.tensor([[-1.0, -2.0]]), torch.tensor([[-1.5, -2.2]])
    real, values = torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 2, 2)
    for weight in (0.0, 1.0, 7.0):
        advantages, _ = trainer._advantages(old, ref, real, values, priced([0.0], [[0.0]], [weight]))
        assert advantages[0].tolist() == pytest.approx([-0.1 * (0.5 + 0.2), -0.1 * 0.2])


def test_the_weight_of_the_kl_stays_or_follows_its_target() -> None:
    fixed, moved = KlControl(0.1, None, 100), KlControl(0.1, 2.0, 100)
    fixed.update(50.0, 10)
    assert fixed.coef == 0.1
    moved.update(2.2, 10)  # a tenth above: 1 + 0.1 · 10/100
    assert moved.coef == pytest.approx(0.1 * 1.01)
    moved.update(50.0, 10)  # at most a fifth
    assert moved.coef == pytest.approx(0.1 * 1.01 * 1.02)
    moved.update(0.0, 10)
    assert moved.coef == pytest.approx(0.1 * 1.01 * 1.02 * 0.98)


def test_advantages_combine_and_are_whitened_as_by_hand() -> None:
    a, b, c = (torch.tensor(x) for x in ([[1.0, 3.0]], [[2.0, 0.0]], [[0.0, 4.0]]))
    combined = combined_by_group(a, [b, c], torch.tensor([1.0, 0.5]))
    assert torch.allclose(combined, torch.tensor([[-1.0 / 2.5, 1.0 / 2.5]]))
    assert torch.allclose(combined_by_group(a, [b], torch.tensor([2.0])), combined_advantages(a, b, 2.0))
    values, counts = torch.tensor([[1.0, 3.0, 9.0]]), torch.tensor([[True, True, False]])
    assert torch.allclose(whitened(values, counts), torch.tensor([[-1.0, 1.0, 0.0]]), atol=1e-5)


def test_what_cannot_be_exact_and_what_diverges_is_refused() -> None:
    net = tiny.model(1)
    with pytest.raises(pk.PolicyError, match="PK768: PPO"):
        loop(net, REJECTED)
    far = loop(net, reference=tiny.model(9), max_kl=0.01)
    with pytest.raises(pk.PolicyError, match="PK769: the KL to the reference"):
        far.step([Prompt("", tiny.PROMPT, {})] * 8)


def test_a_loop_goes_on_from_its_state() -> None:
    def trained(net: Any, trainer: Ppo, steps: range) -> list[float]:
        found: list[float] = []
        for step in steps:
            torch.manual_seed(step)
            found.append(trainer.step([Prompt("", tiny.PROMPT, {})] * 16)["loss"])
        return found

    net = tiny.model(1)
    how: dict[str, Any] = {"rate": 0.05, "reference": tiny.model(1), "kl_target": 1.0, "kl_horizon": 50}
    whole = trained(net, loop(net, **how), range(4))
    first = tiny.model(1)
    stopped = loop(first, **how)
    trained(first, stopped, range(2))
    second = tiny.model(3)
    second.load_state_dict(first.state_dict())
    resumed = loop(second, **how)
    resumed.load_state_dict(stopped.state_dict())
    assert trained(second, resumed, range(2, 4)) == whole[2:]
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), second.parameters(), strict=True))


def test_critics_of_their_own_leave_the_policy_alone() -> None:
    net = tiny.model(1)
    critics = critics_for(net, 2, with_body=True).double()
    trainer = loop(net)
    group = rolled(tiny.legal_rows()[:3], own_logps(net, MASKED)[:3], MASKED)
    batch = trainer._scorer.batch(group, [0, 1, 2])
    values = critics(batch, None)
    assert values.shape == (3, batch.n_tokens, 2)
    assert not values.any()
    with torch.no_grad():
        critics.head[2].weight += 1.0
    critics(batch, None).sum().backward()
    assert all(p.grad is None for p in net.parameters())
    assert any(p.grad is not None and p.grad.any() for p in critics.body.parameters())


@pytest.mark.parametrize("mode", [MASKED, FREE])
def test_two_processes_descend_by_the_means_of_one(mode: rw.RolloutMode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens weigh alike, whichever process has them: gradients of parts add up to the gradient of all."""
    net, rows = tiny.model(1), tiny.legal_rows()
    trainer = loop(net, mode, kl_coef=0.0, mask_tax=0.1 if mode is MASKED else 0.0)
    n, group = len(rows), rolled(rows, own_logps(net, mode), mode)
    worth = priced([float(i) for i in range(n)], [[0.5, 1.0]] * n, [0.5, 2.0])
    trainer.critics = critics_for(net, 3).double()
    experience, _, _ = trainer._experience(group, worth)
    found: list[torch.Tensor] = []

    def descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> float:
        parts = torch.autograd.grad(loss, [*net.parameters(), *trainer.critics.parameters()], allow_unused=True)
        found.append(torch.cat([part.flatten() for part in parts if part is not None]))
        return 0.0

    monkeypatch.setattr(trainer, "_descend", descend)
    trainer._update(group, experience, list(range(n)))
    whole, parts = found[:2], (list(range(3)), list(range(3, n)))
    real = [experience.is_real[part].sum().item() for part in parts]
    assert real[0] / 3 != real[1] / (n - 3), "or a mean of means is the mean"
    found.clear()
    counts = float(experience.counts.sum()), float(experience.is_real.sum()), float(n)
    monkeypatch.setattr("policykit.training.rl.ppo.summed", lambda *own: counts if len(own) == 3 else own)
    for part in parts:
        trainer._update(group, experience, part)
    for i in (0, 1):
        torch.testing.assert_close(found[i] + found[2 + i], whole[i])
