"""Which of two completions is to be preferred, where a verifier has a say: ties, both bad, and labels turned around."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What is learned from a pair."""

    ORDERED = "ordered"
    SWAPPED = "swapped"
    TIE = "tie"
    BOTH_BAD = "both bad"
    CONTRADICTION = "contradiction"


@dataclass(frozen=True, slots=True)
class Preference:
    """``gap`` is by how much the cost of the rejected side exceeds that of the chosen, after a swap; 0 in a tie."""

    outcome: Outcome
    gap: float = 0.0


def preference(
    chosen_cost: float | None, rejected_cost: float | None, *, is_tie: bool = False, relabels: bool = False
) -> Preference:
    """What a pair comes to, of which somebody preferred ``chosen`` (or neither: ``is_tie``).

    A cost above 0 is a violation. Two violations are both bad. One in the chosen completion alone contradicts the
    plan: with ``relabels`` the pair is swapped (SafeDPO, Kim et al. 2025, section 4). One in the rejected completion
    alone decides a tie. Without costs the label stands.

    >>> preference(1.0, 0.0, relabels=True)
    Preference(outcome=<Outcome.SWAPPED: 'swapped'>, gap=1.0)
    """
    if chosen_cost is None or rejected_cost is None:
        return Preference(Outcome.TIE if is_tie else Outcome.ORDERED)
    if chosen_cost > 0 and rejected_cost > 0:
        return Preference(Outcome.BOTH_BAD, max(0.0, rejected_cost - chosen_cost))
    if chosen_cost > 0:
        if relabels or is_tie:
            return Preference(Outcome.SWAPPED, chosen_cost)
        return Preference(Outcome.CONTRADICTION)
    if rejected_cost == 0 and is_tie:
        return Preference(Outcome.TIE)
    return Preference(Outcome.ORDERED, rejected_cost)


def pairs_of(costs: Sequence[float]) -> list[tuple[int, int]]:
    """(chosen, rejected) by index among candidates for one prompt: the cheapest, the first of these, against each that
    costs more. None where all cost the same.

    >>> pairs_of([0.5, 0.0, 0.0, 1.0])
    [(1, 0), (1, 3)]
    """
    best = min(range(len(costs)), key=lambda i: (costs[i], i), default=0)
    return [(best, i) for i in range(len(costs)) if costs[i] > costs[best]]
