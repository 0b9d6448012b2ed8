"""What a sample says about a share or a difference: exact bounds, exact tests, and a seeded bootstrap.

Functions of numbers alone; nothing here knows what was counted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
N_RESAMPLES = 10_000

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rate:
    """``k`` of ``n``, with the bounds of Clopper and Pearson (1934); without trials the bounds are 0 and 1."""

    k: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        """The share; None of nothing."""
        return self.k / self.n if self.n else None


def rate(k: int, n: int, confidence: float = CONFIDENCE) -> Rate:
    """The share of ``k`` in ``n`` with its exact two-sided bounds.

    >>> r = rate(2, 600)
    >>> round(r.low, 5), round(r.high, 5)
    (0.0004, 0.01199)
    >>> rate(0, 0)
    Rate(k=0, n=0, low=0.0, high=1.0)
    """
    low, high = clopper_pearson(k, n, confidence)
    return Rate(k, n, low, high)


def clopper_pearson(k: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The shares p at which P(X >= k) and P(X <= k) of X ~ Bin(n, p) are (1 - confidence) / 2 (Clopper, Pearson 1934).

    At least ``confidence`` of such intervals hold the true share, for every share and every n. The binomial sums are
    inverted by halving, to the precision of a float. Raises ValueError unless 0 <= k <= n and 0 < confidence < 1.
    """
    if not 0 <= k <= n or not 0 < confidence < 1:
        raise ValueError(f"no interval for {k} of {n} at {confidence}")
    tail = (1 - confidence) / 2
    high = 1.0 if k == n else _share_at(k, n, tail)
    # P(X >= k) at p is P(n - X <= n - k) at 1 - p: one function serves both ends.
    low = 0.0 if k == 0 else 1.0 - _share_at(n - k, n, tail)
    return low, high


def _share_at(k: int, n: int, tail: float) -> float:
    """The p with P(X <= k) = ``tail``; k < n. The sum falls as p grows."""
    terms = np.arange(k + 1)
    log_choose = np.array([math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in range(k + 1)])
    low, high = k / n, 1.0
    while (middle := (low + high) / 2) not in (low, high):
        logs: Floats = log_choose + terms * math.log(middle) + (n - terms) * math.log1p(-middle)
        if math.fsum(np.exp(logs).tolist()) > tail:
            low = middle
        else:
            high = middle
    return high


def sign_test(n_better: int, n_worse: int) -> float:
    """The two-sided exact p-value of the sign test: ties are left out, and both signs are as likely.

    >>> sign_test(5, 0)
    0.0625
    >>> sign_test(0, 0)
    1.0
    """
    n, k = n_better + n_worse, min(n_better, n_worse)
    return float(min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n)) if n else 1.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over prompts with the bounds of its bootstrap."""

    value: float
    low: float
    high: float
    n: int


def bootstrap(
    values: Sequence[float],
    seed: int = 0,
    *,
    confidence: float = CONFIDENCE,
    n_resamples: int = N_RESAMPLES,
) -> Estimate | None:
    """The mean of one value per prompt, with the percentile bounds of ``n_resamples`` resampled means (Efron 1979).

    Differences of two runs on the same prompts make it a paired bootstrap. The same seed gives the same bounds. None
    of no values.
    """
    if not values:
        return None
    found = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    step = max(1, 2_000_000 // len(found))
    means = [
        found[rng.integers(0, len(found), (min(step, n_resamples - start), len(found)))].mean(1)
        for start in range(0, n_resamples, step)
    ]
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return Estimate(float(found.mean()), float(low), float(high), len(found))


@dataclass(frozen=True, slots=True)
class Spread:
    """How values are spread: mean, deviation and quantiles."""

    n: int
    mean: float
    deviation: float
    minimum: float
    q05: float
    q25: float
    median: float
    q75: float
    q95: float
    maximum: float


def spread(values: Sequence[float]) -> Spread | None:
    """None of no values; the deviation is that of the values themselves (divided by n)."""
    if not values:
        return None
    found = np.asarray(values, dtype=np.float64)
    quantiles = np.quantile(found, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]).tolist()
    return Spread(len(found), float(found.mean()), float(found.std()), *quantiles)


@dataclass(frozen=True, slots=True)
class WinRate:
    """How often one run beats another on the same prompts. A tie is half a win in ``estimate``; ``p`` is the sign
    test's, without ties. ``n_left_out`` pairs could not be compared."""

    n_won: int
    n_tied: int
    n_lost: int
    n_left_out: int
    estimate: Estimate | None
    p: float


def win_rate(pairs: Sequence[tuple[Sequence[float], Sequence[float]] | None], seed: int = 0) -> WinRate:
    """The share of prompts on which the first of two keys is the greater, keys compared from left to right."""
    known = [pair for pair in pairs if pair is not None]
    points = [0.5 if tuple(a) == tuple(b) else float(tuple(a) > tuple(b)) for a, b in known]
    won, tied, lost = (points.count(value) for value in (1.0, 0.5, 0.0))
    return WinRate(won, tied, lost, len(pairs) - len(known), bootstrap(points, seed), sign_test(won, lost))
