"""RLOO's own loop: its gradients against enumeration, its samples against the model, and what it refuses."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
import torch

import policykit as pk
from policykit import rewards as rw
from policykit.training.estimators import group_advantages, sequence_loss, sequence_ratio_loss
from policykit.training.rl.draw import draw
from policykit.training.rl.price import Pricer
from policykit.training.rl.rloo import Rloo, RlooSettings
from policykit.training.rl.rollouts import Prompt, Rollouts, Sampler
from policykit.training.rl.score import Replayer, log_probs, logits_of, padded, token_batch

from . import common, tiny

FREE, MASKED, REJECTED = rw.RolloutMode


def priced_by(plan: Any, mode: rw.RolloutMode = FREE, **weights: float) -> Pricer:
    return Pricer(rw.PolicyReward(plan, rw.Fixed(weights or {common.RULE: 1.0}), mode=mode), common.task)


def loop(net: Any, mode: rw.RolloutMode, reference: Any = None, **settings: Any) -> Rloo:
    plan = pk.compile(None, pk.Grammar.from_choices(tiny.TEXTS))
    sampler = Sampler(tiny.vocabulary(), 4, mode, constraint=tiny.constraint(), plan=plan)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
    return Rloo(
        net, optimizer, sampler, priced_by(plan, grammar=1.0), RlooSettings(**settings), reference=reference or net
    )


def rolled(rows: Sequence[tuple[int, ...]], logps: Sequence[tuple[float, ...]], mode: rw.RolloutMode) -> Rollouts:
    digest = tiny.constraint().digest if mode is MASKED else None
    prompts = tuple(Prompt("", tiny.PROMPT, {}) for _ in rows)
    return Rollouts(prompts, tuple(rows), tuple("" for _ in rows), tuple(logps), (True,) * len(rows), mode, digest, 0)


def own_logps(net: Any, mode: rw.RolloutMode) -> list[tuple[float, ...]]:
    """The log-probabilities of every legal row's tokens, by the oracle's rules."""
    found: list[tuple[float, ...]] = []
    for row in tiny.legal_rows():
        with torch.no_grad():
            weights = net(input_ids=torch.tensor([tiny.PROMPT + row])).logits[0].exp()
        among = [tiny.follow(row[:t]) if mode is MASKED else list(range(tiny.SIZE)) for t in range(len(row))]
        found.append(tuple(float((weights[t, row[t]] / weights[t, among[t]].sum()).log()) for t in range(len(row))))
    return found


@pytest.mark.parametrize("mode", [MASKED, REJECTED])
def test_the_loss_has_the_gradient_of_what_is_sampled(mode: rw.RolloutMode) -> None:
    """Over all groups of two, each weighed by its probability, the loop's own loss has the exact gradient."""
    net = tiny.model(1)
    trainer = loop(net, mode)
    raw = tiny.probabilities(net, renormalised=mode is MASKED)
    p = raw / raw.sum()
    rewards = tiny.rewards(2)
    exact = tiny.gradient((p * rewards).sum(), net)
    logps, rows = own_logps(net, mode), tiny.legal_rows()
    expected, planted = torch.zeros_like(exact), torch.zeros_like(exact)
    for i, j in itertools.combinations(range(len(rows)), 2):  # two alike have no advantage
        advantages = group_advantages(rewards[[i, j]], 2)
        group = rolled([rows[i], rows[j]], [logps[i], logps[j]], mode)
        loss, _ = trainer._loss(group, [0, 1], advantages, 2.0, check=True)
        weight = 2 * float((p[i] * p[j]).detach())
        expected -= weight * tiny.gradient(loss, net)
        if mode is MASKED:  # the planted mistake: the model's own log-probabilities
            batch = token_batch([tiny.PROMPT] * 2, [rows[i], rows[j]], tiny.END)
            plain = log_probs(logits_of(net, batch)[0], batch, None)
            planted -= weight * tiny.gradient(sequence_loss(plain.logp, advantages, plain.counts), net)
    assert tiny.cosine(expected, exact) >= 0.9999
    assert float(expected.norm() / exact.norm()) == pytest.approx(1.0, abs=1e-4)
    if mode is MASKED:
        assert tiny.cosine(planted, exact) < 0.99


def test_batches_of_one_add_up_to_a_batch_of_all() -> None:
    grads: list[torch.Tensor] = []
    for batch_size in (1, 3, 64):
        net = tiny.model(3)
        trainer = loop(net, MASKED, batch_size=batch_size, mask_tax=0.1, max_grad_norm=1e9)
        rows = tiny.legal_rows()[:8]
        group = rolled(rows, own_logps(net, MASKED)[:8], MASKED)
        trainer._epoch(group, group_advantages(tiny.rewards(4)[:8], 4), 8.0, first=True)
        grads.append(torch.cat([p.grad.flatten() for p in net.parameters()]))
    assert torch.allclose(grads[0], grads[2], atol=1e-9)
    assert torch.allclose(grads[1], grads[2], atol=1e-9)


def test_samples_are_of_the_model_that_scores_them() -> None:
    """Frequencies of masked samples are the enumerated probabilities."""
    net = tiny.model(5)
    n = 2000
    found = draw(
        net, [tiny.PROMPT] * n, [tiny.END], 4, constraint=tiny.constraint(), generator=torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        p = tiny.probabilities(net, renormalised=True)
    counts = torch.tensor([found.token_ids.count(row) for row in tiny.legal_rows()], dtype=torch.float64)
    assert counts.sum() == n
    assert float((counts / n - p).abs().sum()) / 2 < 0.04


@pytest.mark.parametrize("mode", [FREE, MASKED])
def test_replay_equals_the_log_probabilities_of_sampling(mode: rw.RolloutMode) -> None:
    """Rows of several lengths, which leave the batch as they end, and prompts of several lengths."""
    from policykit.engines.transformers import load_model

    model, _ = load_model("embedded")
    torch.manual_seed(0)
    group = common.sampler(mode, 40).roll(model, common.prompts(6, 3), 2)
    assert len({len(row) for row in group.token_ids}) > 3
    batch = token_batch([p.token_ids for p in group.prompts], group.token_ids, common.vocabulary().eos_ids[0])
    masks = None
    if mode is MASKED:
        masks = Replayer(common.constraint()).masks(str(group.plan_digest), group.token_ids, [b""] * 12)
        assert all(common.plan().verify(text).decision == "allow" for text in group.texts)
    with torch.no_grad():
        scored = log_probs(logits_of(model, batch)[0], batch, masks)
    sampled = padded(group.logps, batch.n_tokens)
    assert float((scored.logp - sampled).abs().max()) < 1e-4


def test_rejected_rollouts_comply_and_are_counted() -> None:
    from policykit.engines.transformers import load_model

    model, _ = load_model("embedded")
    torch.manual_seed(1)
    group = common.sampler(REJECTED, 40).roll(model, common.prompts(5, 3), 4)
    kept = [text for text, usable in zip(group.texts, group.is_usable, strict=True) if usable]
    assert all(common.plan().verify(text).decision == "allow" for text in kept)
    assert group.n_drawn > len(kept)
    assert group.acceptance_rate == pytest.approx(len(kept) / group.n_drawn)


def test_what_was_never_accepted_teaches_nothing() -> None:
    """Within no budget some rows stay blocked: no reward, no advantage, in no baseline, and counted."""
    net = tiny.model(2)
    plan = pk.compile(None, pk.Grammar.from_choices(["cc"]))  # seldom
    sampler = Sampler(tiny.vocabulary(), 4, REJECTED, plan=plan, max_attempts=2)
    reward = rw.PolicyReward(plan, rw.Fixed({"grammar": 1.0}), mode=REJECTED)

    def one(prompts: Any, completions: Any, **_: Any) -> list[float | None]:
        return [1.0] * len(completions)

    trainer = Rloo(net, torch.optim.SGD(net.parameters(), lr=0.1), sampler, Pricer(reward, one))
    before = [p.detach().clone() for p in net.parameters()]
    found = trainer.step([Prompt("", tiny.PROMPT, {})] * 4)
    assert found["policy/unusable"] > 0
    assert reward.n_lost == 0
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))  # all rewards are equal


def test_sequence_ratios_at_the_sampler_are_plain_reinforce() -> None:
    logp = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    advantages, counts = (
        torch.tensor([1.0, -2.0, 0.5, 0.0], dtype=torch.float64),
        torch.tensor([[True, True, False]] * 4),
    )
    (one,) = torch.autograd.grad(sequence_ratio_loss(logp, logp, advantages, counts), logp)
    (other,) = torch.autograd.grad(sequence_loss(logp, advantages, counts), logp)
    assert torch.allclose(one, other)
    far = sequence_ratio_loss(logp + 1.0, logp, advantages.abs(), counts)  # above the clip: no gradient
    assert float(far.detach()) == pytest.approx(-1.2 * float(advantages.abs().mean()))


def test_what_could_not_be_exact_is_refused() -> None:
    net, vocabulary = tiny.model(0), tiny.vocabulary()
    with pytest.raises(pk.PolicyError, match="PK768"):
        Sampler(vocabulary, 4, MASKED)
    with pytest.raises(pk.PolicyError, match="PK768"):
        Sampler(vocabulary, 4, REJECTED)
    with pytest.raises(pk.PolicyError, match="PK768: a group of one"):
        loop(net, FREE, group_size=1)
    with pytest.raises(pk.PolicyError, match="PK768: rejected rollouts are used once"):
        loop(net, REJECTED, n_epochs=2)


def test_masks_of_another_plan_or_of_another_sampler_are_refused() -> None:
    net = tiny.model(1)
    trainer = loop(net, MASKED)
    rows, logps = tiny.legal_rows()[:2], own_logps(net, MASKED)[:2]
    group = rolled(rows, logps, MASKED)
    advantages = torch.tensor([1.0, -1.0])
    other = Rollouts(group.prompts, group.token_ids, group.texts, group.logps, group.is_usable, MASKED, "sha256:0")
    with pytest.raises(pk.PolicyError, match="PK762"):
        trainer._loss(other, [0, 1], advantages, 2.0, check=True)
    wrong = rolled(rows, own_logps(net, FREE)[:2], MASKED)  # an engine that reports raw log-probabilities
    with pytest.raises(pk.PolicyError, match="PK766"):
        trainer._loss(wrong, [0, 1], advantages, 2.0, check=True)


def test_a_kl_that_explodes_and_a_gradient_that_is_none_stop_the_run() -> None:
    net, far = tiny.model(1), tiny.model(9)
    trainer = loop(net, MASKED, far, kl_coef=0.1, max_kl=0.01)
    with pytest.raises(pk.PolicyError, match="PK769: the KL to the reference"):
        trainer.step([Prompt("", tiny.PROMPT, {})] * 2)
    broken = loop(net, MASKED)
    group = rolled(tiny.legal_rows()[:2], own_logps(net, MASKED)[:2], MASKED)
    with pytest.raises(pk.PolicyError, match="PK769: the norm"):
        broken._epoch(group, torch.tensor([float("nan"), 1.0]), 2.0, first=False)
