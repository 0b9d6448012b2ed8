"""The one reward that training sees, composed of the task's reward, the costs and the weights."""

import math
from collections.abc import Mapping

HALLUCINATION = "hallucination"
"""The name under which the share of unsupported claims has its weight."""


def compose(
    task: float | None,
    costs: Mapping[str, float] | None,
    weights: Mapping[str, float],
    hallucination: float | None = 0.0,
) -> float | None:
    """r' = (r − Σ λ_k·v_k − λ_hall·h) / (1 + Σ λ), where the last sum is over all weights, λ_hall among them.

    The divisor keeps r' on the scale of r while weights grow. The KL to the reference is the trainer's. None where any
    term is None: a lost cost would be a free pass. ``costs`` without a weight count nothing.

    >>> compose(1.0, {"promises": 1.0}, {"promises": 1.0})
    0.0
    >>> compose(1.0, None, {"promises": 1.0}) is None
    True
    """
    if task is None or costs is None or hallucination is None:
        return None
    shaped = task - sum(weight * costs[name] for name, weight in weights.items() if name != HALLUCINATION)
    shaped -= weights.get(HALLUCINATION, 0.0) * hallucination
    composed = shaped / (1.0 + math.fsum(weights.values()))
    return composed if math.isfinite(composed) else None
