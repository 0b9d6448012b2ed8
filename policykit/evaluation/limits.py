"""Whether a run keeps a limit on violations."""

import re

from policykit.evaluation.results import Results


def limits_exceeded(results: Results, limit: float) -> tuple[str, ...]:
    """Why a run does not keep the limit on violations: the upper bound of a verifier's rate is above it, a check could
    not run, or nothing was judged. Empty where it keeps the limit."""
    reasons: list[str] = []
    for name, one in (("the plan", results.first), ("the second verifier", results.second)):
        if one is None:
            continue
        if not one.whole.n:
            reasons.append(f"{name} judged no text")
        elif one.whole.high > limit:
            share = f"{one.whole.k} of {one.whole.n}"
            reasons.append(
                f"{name}: {share} texts violate it, at most {one.whole.high:.2%}, and the limit is {limit:.2%}"
            )
        if one.n_errors:
            reasons.append(f"{name}: {one.n_errors} checks could not run, on {one.n_errored} undecided texts")
    return tuple(reasons)


_SHARE = re.compile(r"(\d+(?:\.\d+)?) ?(%?)")


def share_of(text: str) -> float:
    """A share as people write it.

    >>> share_of("1%"), share_of("0.01")
    (0.01, 0.01)
    """
    match = _SHARE.fullmatch(text.strip())
    value = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if not 0 <= value <= 1:
        raise ValueError(f"`{text}` is no share such as 1% or 0.01")
    return value
