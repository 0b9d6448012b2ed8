"""What differences of rewards are worth as probabilities: a temperature, and how far predictions are from what is so.

Functions of numbers alone. A margin Δ is the reward of the completion that was preferred less that of the other;
σ(Δ/T) is the predicted probability of that preference.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
N_BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Pairs of similar confidence: their number, the mean of it, and the share that was predicted right."""

    n: int
    confidence: float
    accuracy: float


def temperature(margins: Sequence[float]) -> float | None:
    """The T that makes σ(Δ/T) likeliest (Guo et al. 2017, section 4.2); None where no T > 0 does.

    None is a model that is no better than chance on these pairs: the mean margin is not above 0. The target is
    (n + 1)/(n + 2) and not 1 (Platt 1999, section 2.2), without which pairs that are all predicted right would have
    T = 0. The derivative by 1/T is a rising function; its root is found by halving, to the precision of a float.

    >>> t = temperature([2.0, 3.0, -1.0])
    >>> t is not None and math.isclose(temperature([4.0, 6.0, -2.0]) or 0.0, 2 * t)
    True
    """
    found = np.asarray(margins, np.float64)
    if not len(found) or not found.mean() > 0:
        return None
    found, scale = found / np.abs(found).max(), float(np.abs(found).max())
    target = (len(found) + 1) / (len(found) + 2)

    def slope(inverse: float) -> float:
        return float((found * (_sigmoid(inverse * found) - target)).mean())

    low, high = 0.0, 1.0
    while slope(high) < 0:
        low, high = high, 2 * high
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return scale / high


def nll(margins: Sequence[float], at: float = 1.0) -> float:
    """The mean of −log σ(Δ/T), in nat."""
    return float(np.logaddexp(0.0, -np.asarray(margins, np.float64) / at).mean())


def accuracy(margins: Sequence[float]) -> float:
    """The share of pairs that are ordered as they were preferred; equal rewards are half right."""
    found = np.asarray(margins, np.float64)
    return float(((found > 0) + 0.5 * (found == 0)).mean())


def bins(margins: Sequence[float], at: float = 1.0, n_bins: int = N_BINS) -> tuple[Bin, ...]:
    """Pairs by the confidence σ(|Δ|/T) of their prediction, in bins of equal width from ½ to 1; empty ones left out."""
    found = np.asarray(margins, np.float64)
    confidence = _sigmoid(np.abs(found) / at)
    right = (found > 0) + 0.5 * (found == 0)
    index = np.minimum((2 * (confidence - 0.5) * n_bins).astype(int), n_bins - 1)
    chosen = [index == i for i in range(n_bins)]
    return tuple(
        Bin(int(here.sum()), float(confidence[here].mean()), float(right[here].mean())) for here in chosen if here.any()
    )


def calibration_error(found: Sequence[Bin]) -> float:
    """The expected calibration error Σ n_b/n · |accuracy_b − confidence_b| (Guo et al. 2017, eq. 3)."""
    n = sum(one.n for one in found)
    return math.fsum(one.n * abs(one.accuracy - one.confidence) for one in found) / n


@dataclass(frozen=True, slots=True)
class Calibration:
    """Held-out pairs before and after. ``temperature`` is of all pairs, None where none makes them likelier; what is
    said of afterwards is cross-fitted: each half is scored with the temperature of the other, None where a half has
    none."""

    n_pairs: int
    accuracy: float
    temperature: float | None
    before: tuple[Bin, ...]
    after: tuple[Bin, ...] | None
    nll_before: float
    nll_after: float | None

    @property
    def error_before(self) -> float:
        return calibration_error(self.before)

    @property
    def error_after(self) -> float | None:
        return None if self.after is None else calibration_error(self.after)


def calibrate(margins: Sequence[float], halves: Sequence[int]) -> Calibration | None:
    """How the margins of held-out pairs are calibrated; None of no pairs. ``halves`` are 0 or 1 for each pair: pairs
    that depend on each other, such as those of one prompt, belong to the same half."""
    if not margins:
        return None
    parts = [[m for m, half in zip(margins, halves, strict=True) if half == side] for side in (0, 1)]
    fitted = temperature(parts[1]), temperature(parts[0])
    scaled: list[float] | None = None
    if fitted[0] is not None and fitted[1] is not None:
        scaled = [m / t for part, t in zip(parts, fitted, strict=True) if t is not None for m in part]
    return Calibration(
        len(margins),
        accuracy(margins),
        temperature(margins),
        bins(margins),
        None if scaled is None else bins(scaled),
        nll(margins),
        None if scaled is None else nll(scaled),
    )


def _sigmoid(x: Floats) -> Floats:
    return np.exp(-np.logaddexp(0.0, -x))
