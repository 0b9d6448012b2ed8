"""Replay and masked log-probabilities: against the engine that sampled, in batches, at padding, and what is refused."""

import numpy as np
import pytest
import torch

import policykit as pk
from policykit.rewards import RolloutMode
from policykit.training import estimators as est
from policykit.training.masked import check_replay, loss_mask, masked_log_probs
from policykit.training.replay import check_one_mode, replay_masks

from .test_exact_gradients import END, SIZE, TOKENS

Sampled = tuple[pk.Constraint, list[list[int]], torch.Tensor, torch.Tensor]
CHOICES = pk.Grammar.from_choices(["abc", "ab", "cab", "cc"])
VOCABULARY = pk.Vocabulary.from_tokens(TOKENS, [END], [END], allow_incomplete=True)
ROWS = [[0, 1, 3, 4], [2, 4], [3, 2, 4], [3, 3, 4], [2, 3, 4], [3, 0, 1], [0], [0, 1, 4]]


def plan() -> pk.Plan:
    return pk.compile(None, CHOICES)


def padded(rows: list[list[int]]) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [0] * (width - len(row)) for row in rows])


def scored(n: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, width, SIZE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_one_mask_by_hand() -> None:
    """After `ab`: `c` and the end are allowed. With logits 0, the end has probability 1/2, and Z is 2/5."""
    masks = replay_masks(plan().constraint(VOCABULARY), plan().digest, [[2, 4]])
    found = masked_log_probs(torch.zeros(1, 2, SIZE), torch.tensor([[2, 4]]), masks)
    assert masks.n_allowed.tolist() == [[3, 2]]  # a, ab, c begin a text
    assert found.logp.tolist() == [pytest.approx([np.log(1 / 3), np.log(1 / 2)])]
    assert found.log_z.tolist() == [pytest.approx([np.log(3 / 5), np.log(2 / 5)])]
    assert found.mask_tax.tolist() == pytest.approx([-np.log(6 / 25)])


def test_forced_and_transformed_tokens_do_not_count() -> None:
    masks = replay_masks(plan().constraint(VOCABULARY), plan().digest, [[0, 1, 3, 4], [2, 4]])
    assert loss_mask(masks).tolist() == [[True, False, True, False], [True, True, False, False]]
    transformed = torch.tensor([[True, False, False, False], [False, True, False, False]])
    assert loss_mask(masks, transformed).tolist() == [[False, False, True, False], [True, False, False, False]]


def test_eight_rows_are_eight_times_one_row_and_chunks_change_nothing() -> None:
    constraint = plan().constraint(VOCABULARY)
    logits = scored(8, 4).requires_grad_()
    advantages = torch.linspace(-1, 1, 8, dtype=torch.float64)

    def parts(rows: slice, max_bytes: int = 2**20) -> tuple[torch.Tensor, torch.Tensor]:
        masks = replay_masks(constraint, constraint.digest, ROWS[rows])
        width = masks.is_real.shape[1]
        terms = logits[rows, :width], padded(ROWS[rows]), masks
        found = masked_log_probs(*terms, temperature=0.7, max_mask_bytes=max_bytes)
        loss = est.token_ratio_loss(found.logp, found.logp.detach() - 0.1, advantages[rows], found.counts)
        return loss, found.counts.sum()

    whole, n = parts(slice(None))
    (gradient,) = torch.autograd.grad(whole, logits)
    singles = [parts(slice(i, i + 1)) for i in range(8)]
    one_by_one = sum(loss * count for loss, count in singles) / n
    (again,) = torch.autograd.grad(one_by_one, logits)
    assert torch.allclose(gradient, again, atol=1e-12)
    (chunked,) = torch.autograd.grad(parts(slice(None), 1)[0], logits)
    assert torch.allclose(gradient, chunked, atol=1e-12)


def test_padding_has_no_gradient_even_where_its_logits_are_no_numbers() -> None:
    constraint = plan().constraint(VOCABULARY)
    masks = replay_masks(constraint, constraint.digest, ROWS)
    padding = ~torch.from_numpy(masks.is_real)
    logits = scored(8, 4)
    logits[padding] = float("nan")
    logits.requires_grad_()
    found = masked_log_probs(logits, padded(ROWS), masks)
    loss = est.token_ratio_loss(found.logp, found.logp.detach(), torch.ones(8), found.counts) + found.mask_tax.sum()
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(gradient).all()
    assert not gradient[padding].any()
    assert gradient[~padding].any()


def test_what_was_not_sampled_under_these_masks_is_refused() -> None:
    constraint = plan().constraint(VOCABULARY)
    with pytest.raises(pk.PolicyError, match="PK762"):
        replay_masks(constraint, "sha256:0", ROWS)
    for row in ([1], [0, 1, 3, 4, 4], [99], [-1]):
        with pytest.raises(pk.PolicyError, match=r"PK766: token .* completion 1"):
            replay_masks(constraint, constraint.digest, [[2], row])
    real = torch.ones(1, 2, dtype=torch.bool)
    engine = torch.tensor([[-1.0, -2.0]])
    assert check_replay(engine + torch.tensor([[0.04, -0.04]]), engine, real) == pytest.approx(0.04)
    for replayed in (engine + 0.06, engine * torch.nan):
        with pytest.raises(pk.PolicyError, match="PK766"):
            check_replay(replayed, engine, real)
    check_replay(engine * torch.nan, engine, ~real)


def test_modes_are_not_mixed_in_a_group() -> None:
    free, masked = RolloutMode.FREE, RolloutMode.MASKED
    check_one_mode([free, free, masked, masked], 2)
    with pytest.raises(pk.PolicyError, match="PK767: group 1"):
        check_one_mode([free, free, free, masked], 2)


def test_replay_is_what_an_engine_sampled(embedded: Sampled) -> None:
    """transformers samples under the plan's masks; its own processed scores are the log-probabilities to meet."""
    constraint, rows, engine, logits = embedded
    masks = replay_masks(constraint, constraint.digest, rows)
    found = masked_log_probs(logits, padded(rows), masks, temperature=0.8, max_mask_bytes=10_000)
    real = torch.from_numpy(masks.is_real)
    assert float((found.logp - engine)[real].abs().max()) <= 1e-4
    assert check_replay(found.logp, engine, real) <= 1e-4
    assert float(found.mask_tax.max()) > 0.1  # the masks closed something
    raw = masked_log_probs(logits, padded(rows), masks, temperature=1.6)
    with pytest.raises(pk.PolicyError, match="PK766"):
        check_replay(raw.logp, engine, real)
