"""The step worth showing: where the plan divides what a free model wanted to write next."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policykit.cli.demo_view import Candidate, Step
from policykit.cli.engine import Batch
from policykit.constraint import Constraint, State, Vocabulary

N_CLOSED = 5
N_OPEN = 5
MIN_MASKED = 0.1  # less than this is no step to look at

Probabilities = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Recorded:
    """Keeps the model's probabilities of every step, one float32 [B, V] each: small for the embedded model only."""

    steps: list[Probabilities]

    def __call__(self, input_ids: object, scores: Any) -> Any:
        self.steps.append(scores.softmax(dim=-1).float().cpu().numpy())
        return scores


@dataclass(frozen=True, slots=True)
class Moment:
    """A step of a free reply as the plan would have seen it; ``masked_mass`` is the probability that it closes."""

    row: int
    at: int
    masked_mass: float
    probabilities: Probabilities
    state: State


def _allowed(state: State, n_tokens: int) -> NDArray[np.bool_]:
    row = np.zeros(-(-n_tokens // 32), np.int32)
    state.fill(row)
    return np.unpackbits(row.view(np.uint8), count=n_tokens, bitorder="little").astype(np.bool_)


def _moments(
    row: int, token_ids: Sequence[int], steps: Sequence[Probabilities], state: State, size: int
) -> Iterator[Moment]:
    """Every step of a free reply up to and including the first token that the plan refuses."""
    for at, token_id in enumerate(token_ids):
        probabilities = steps[at][row, :size]
        masked = float(probabilities[~_allowed(state, len(probabilities))].sum())
        yield Moment(row, at, masked, probabilities, state.copy())
        if not state.accept(token_id):
            return


def interesting(free: Batch, steps: Sequence[Probabilities], constraint: Constraint) -> Moment | None:
    """The step whose probability the mask divides most evenly, so that both sides show; None if it closed little."""
    moments = [
        moment
        for row, generation in enumerate(free.generations)
        for moment in _moments(row, generation.token_ids, steps, constraint.start(), constraint.vocabulary.size)
    ]
    closing = (moment for moment in moments if moment.masked_mass >= MIN_MASKED)
    return min(closing, key=lambda moment: abs(moment.masked_mass - 0.5), default=None)


def step_of(moment: Moment, prompt: str, token_ids: Sequence[int], vocabulary: Vocabulary) -> Step:
    """The moment as it is shown: the text so far, and the most probable tokens that are closed and that are open."""
    probabilities = moment.probabilities
    likely = np.argsort(-probabilities)
    allowed = _allowed(moment.state, len(probabilities))[likely]
    chosen = sorted([*likely[~allowed][:N_CLOSED], *likely[allowed][:N_OPEN]], key=lambda i: -probabilities[i])
    candidates = tuple(
        Candidate(_token(vocabulary, int(i)), float(probabilities[i]), moment.state.blocked_by(int(i))) for i in chosen
    )
    written = vocabulary.decode(token_ids[: moment.at]).decode("utf-8", "replace")
    return Step(prompt, written, candidates, moment.masked_mass)


def _token(vocabulary: Vocabulary, token_id: int) -> str:
    if token_id in vocabulary.eos_ids:
        return "(end of text)"
    return vocabulary.decode([token_id]).decode("utf-8", "replace")
