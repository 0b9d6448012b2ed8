"""Estimators against the enumeration of all texts of a tabular model, under the masks of a real plan.

The oracle multiplies probabilities along every text and differentiates the sum: it knows neither log-probabilities of
sequences nor baselines. Expectations of estimators are exact too: over every pair of texts, weighed by probability.
"""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import policykit as pk
from policykit.training import estimators as est
from policykit.training.masked import MaskedLogProbs, masked_log_probs
from policykit.training.replay import ReplayedMasks, replay_masks

TOKENS = [b"a", b"b", b"ab", b"c", b"<end>"]
END, SIZE = 4, 5
TEXTS = ["a", "b", "ab", "abc", "ca", "cb", "cab", "cc", "ba", "bab"]


@pytest.fixture(scope="module")
def constraint() -> pk.Constraint:
    plan = pk.compile(None, pk.Grammar.from_choices(TEXTS))
    return plan.constraint(pk.Vocabulary.from_tokens(TOKENS, [END], [END], allow_incomplete=True))


def legal_rows(constraint: pk.Constraint) -> Iterator[list[int]]:
    """Every tokenisation of every text, found without masks: by what its bytes are."""
    for n in range(1, 4):
        for row in itertools.product(range(4), repeat=n):
            if b"".join(TOKENS[i] for i in row).decode() in TEXTS:
                yield [*row, END]


class Tabular:
    """Independent logits for every prefix of tokens."""

    def __init__(self, rows: list[list[int]], seed: int) -> None:
        prefixes = sorted({tuple(row[:t]) for row in rows for t in range(len(row))})
        self.index = {prefix: i for i, prefix in enumerate(prefixes)}
        generator = torch.Generator().manual_seed(seed)
        start = 1.5 * torch.randn(len(prefixes), SIZE, generator=generator, dtype=torch.float64)
        self.table = start.requires_grad_()

    def logits(self, rows: list[list[int]]) -> torch.Tensor:
        width = max(map(len, rows))
        index = [[self.index[tuple(row[:t])] if t < len(row) else 0 for t in range(width)] for row in rows]
        return self.table[torch.tensor(index)]


class World:
    def __init__(self, constraint: pk.Constraint, seed: int) -> None:
        self.rows = list(legal_rows(constraint))
        self.model = Tabular(self.rows, seed)
        self.masks: ReplayedMasks = replay_masks(constraint, constraint.digest, self.rows)
        generator = torch.Generator().manual_seed(seed + 1)
        self.rewards = torch.rand(len(self.rows), generator=generator, dtype=torch.float64)
        width = self.masks.is_real.shape[1]
        self.token_ids = torch.tensor([row + [0] * (width - len(row)) for row in self.rows])
        # Which tokens may follow a prefix: those that some legal row has there.
        self.follow = {p: {row[len(p)] for row in self.rows if tuple(row[: len(p)]) == p} for p in self.model.index}

    def masked(self) -> MaskedLogProbs:
        return masked_log_probs(self.model.logits(self.rows), self.token_ids, self.masks, max_mask_bytes=200)

    def raw(self) -> torch.Tensor:
        logp = self.model.logits(self.rows).log_softmax(-1).gather(-1, self.token_ids[..., None])[..., 0]
        return torch.where(torch.from_numpy(self.masks.is_real), logp, 0.0)

    def probabilities(self, *, renormalised: bool) -> torch.Tensor:
        """Of every row, by multiplication along it."""
        found: list[torch.Tensor] = []
        for row in self.rows:
            p = torch.ones((), dtype=torch.float64)
            for t, token in enumerate(row):
                weights = self.model.table[self.model.index[tuple(row[:t])]].exp()
                among = sorted(self.follow[tuple(row[:t])]) if renormalised else list(range(SIZE))
                p = p * weights[token] / weights[among].sum()
            found.append(p)
        return torch.stack(found)

    def gradient(self, value: torch.Tensor) -> torch.Tensor:
        (found,) = torch.autograd.grad(value, self.model.table)
        return found.flatten()

    def expected_pairs(self, logp: torch.Tensor, counts: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        """The expectation of the loss's gradient over groups of two independent rows."""
        n = len(self.rows)
        pairs = torch.tensor(list(itertools.product(range(n), repeat=2))).flatten()
        advantages = est.group_advantages(self.rewards[pairs], 2)
        weights = (p[:, None] * p[None, :]).flatten().repeat_interleave(2) * n * n
        return self.gradient(-est.sequence_loss(logp[pairs], advantages, counts[pairs], weights.detach()))


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(a, b, dim=0))


@pytest.mark.parametrize("seed", range(4))
def test_masks_are_those_of_the_enumeration(constraint: pk.Constraint, seed: int) -> None:
    world = World(constraint, seed)
    assert len(world.rows) > len(TEXTS)  # some texts have several tokenisations
    for i, row in enumerate(world.rows):
        allowed = world.masks.allowed(0, len(row), SIZE)[i]
        for t in range(len(row)):
            assert set(allowed[t].nonzero().flatten().tolist()) == world.follow[tuple(row[:t])]
            assert world.masks.n_allowed[i, t] == len(world.follow[tuple(row[:t])])
    p = world.probabilities(renormalised=True)
    assert p.sum().item() == pytest.approx(1.0)
    assert torch.allclose(world.masked().logp.sum(-1).exp(), p)
    raw = world.probabilities(renormalised=False)
    assert torch.allclose((world.masked().logp + world.masked().log_z).sum(-1).exp(), raw)


@pytest.mark.parametrize("seed", range(4))
def test_the_masked_estimator_has_the_gradient_of_what_is_sampled(constraint: pk.Constraint, seed: int) -> None:
    world = World(constraint, seed)
    p = world.probabilities(renormalised=True)
    exact = world.gradient((p * world.rewards).sum())
    masked = world.masked()
    found = world.expected_pairs(masked.logp, masked.counts, p)
    assert cosine(found, exact) >= 0.9999
    assert float(found.norm() / exact.norm()) == pytest.approx(1.0, abs=1e-6)
    # The planted mistake: log-probabilities without the mask.
    real = torch.from_numpy(world.masks.is_real)
    assert cosine(world.expected_pairs(world.raw(), real, p.detach()), exact) < 0.99


@pytest.mark.parametrize("seed", range(4))
def test_the_rejected_estimator_has_the_gradient_of_what_complies(constraint: pk.Constraint, seed: int) -> None:
    world = World(constraint, seed)
    raw = world.probabilities(renormalised=False)
    p = raw / raw.sum()
    exact = world.gradient((p * world.rewards).sum())
    real = torch.from_numpy(world.masks.is_real)
    found = world.expected_pairs(world.raw(), real, p.detach())
    assert cosine(found, exact) >= 0.9999
    assert float(found.norm() / exact.norm()) == pytest.approx(1.0, abs=1e-6)


def test_self_normalised_ratios_have_the_gradient_of_what_complies(constraint: pk.Constraint) -> None:
    """Over one group that holds every text, each as likely as another, the weights are the distribution itself."""
    world = World(constraint, 7)
    n = len(world.rows)
    real = torch.from_numpy(world.masks.is_real)
    uniform = torch.zeros_like(world.raw())
    ratios = est.self_normalised_ratios(world.raw(), uniform, real, n)
    raw = world.probabilities(renormalised=False)
    assert torch.allclose(ratios / n, raw / raw.sum())
    found = world.gradient((ratios * world.rewards).mean())
    exact = world.gradient((raw / raw.sum() * world.rewards).sum())
    assert torch.allclose(found, exact)
    masses = est.self_normalised_masses(world.masked().log_z, n)
    masked = world.probabilities(renormalised=True)
    weighed = masked * masses
    assert torch.allclose(weighed / weighed.sum(), raw / raw.sum())


def test_gradients_are_finite_differences(constraint: pk.Constraint) -> None:
    world = World(constraint, 3)
    advantages = est.group_advantages(world.rewards[: len(world.rows) // 2 * 2], 2)
    n = len(advantages)
    with torch.no_grad():
        old = world.masked().logp + 0.05

    def loss(table: torch.Tensor) -> torch.Tensor:
        world.model.table = table
        masked = world.masked()
        ratio = est.token_ratio_loss(masked.logp[:n], old[:n], advantages, masked.counts[:n])
        return ratio + 0.1 * masked.mask_tax.mean()

    assert torch.autograd.gradcheck(loss, (world.model.table.detach().clone().requires_grad_(),), atol=1e-6)


def test_the_mask_tax_is_the_lost_mass(constraint: pk.Constraint) -> None:
    world = World(constraint, 5)
    ratio = world.probabilities(renormalised=True) / world.probabilities(renormalised=False)
    assert torch.allclose(world.masked().mask_tax, ratio.log())
    assert np.all(world.masked().mask_tax.detach().numpy() >= 0)
