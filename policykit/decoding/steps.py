"""Draws for engines that see the whole distribution of the next token: all but the forward pass is here."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from policykit.constraint import Constraint, Outcome, State
from policykit.decoding.early import Values
from policykit.decoding.engine import Ask, Draw, Stop
from policykit.diagnostics import PolicyError
from policykit.verify.judgement import GRAMMAR

Logps = NDArray[np.float64]
NO_MASS = 1e-12
"""Less probability than this is none: what is left of it is the rounding of sums."""


WRONG_TOTAL = 1e-3
"""A sum of probabilities that is further from 1 than this is none; NaN is, too."""


class Scorer(Protocol):
    """The model itself, after one prompt."""

    def logps(self, texts: Sequence[tuple[int, ...]]) -> Sequence[Logps]:
        """For each text, which follows the prompt, the log-probabilities of its next token, float64 [V]."""
        ...

    @property
    def n_prefilled(self) -> int: ...


class StepSession:
    """Draws token by token, the asks of a batch in lockstep."""

    def __init__(self, scorer: Scorer, constraint: Constraint) -> None:
        self._scorer = scorer
        self._constraint = constraint
        self.n_requests = 0

    @property
    def n_prefilled(self) -> int:
        return self._scorer.n_prefilled

    def draw(self, asks: Sequence[Ask], rng: np.random.Generator) -> tuple[Draw, ...]:
        self.n_requests += len(asks)
        rows = [Row(ask, self._constraint) for ask in asks]
        while live := [row for row in rows if row.stop is None]:
            for row, logps in zip(live, self._scorer.logps([row.text for row in live]), strict=True):
                row.step(logps, rng)
        return tuple(row.drawn() for row in rows)


class Starts(Protocol):
    """What states of texts begin with: a constraint, or one behind text that stands before."""

    def start(self) -> State: ...


def state_after(constraint: Starts, prefix: tuple[int, ...]) -> State:
    """The state behind a text that is legal so far. Raises ValueError where it is not."""
    state = constraint.start()
    for token in prefix:
        if not state.accept(token):
            raise ValueError("the prefix to go on from is not legal itself")
    return state


def take(state: State, token_id: int) -> bool:
    """Accept the token, or leave the state as it is: the leave to end that it gives at a dead end is no end."""
    if not state.accept(token_id):
        return False
    if state.finished and state.outcome is Outcome.DEAD_END:
        state.rollback(1)
        return False
    return True


class Row:
    """One text being drawn. Raises ValueError for a prefix that is not legal."""

    def __init__(self, ask: Ask, constraint: Constraint) -> None:
        self._ask = ask
        self._state = state_after(constraint, ask.prefix)
        self._size = constraint.vocabulary.size
        self._ends = constraint.vocabulary.eos_ids
        self._tokens: list[int] = []
        self._logps: list[float] = []
        self._log_legal: list[float] = []
        self._refused_by: tuple[str, ...] = ()
        self._packed = np.zeros(-(-self._size // 32), np.int32)
        self._values = Values.after(ask, constraint.vocabulary.tokens)
        self.stop: Stop | None = Stop.LENGTH if len(ask.prefix) >= ask.max_length else None

    @property
    def text(self) -> tuple[int, ...]:
        return (*self._ask.prefix, *self._tokens)

    def drawn(self) -> Draw:
        stop = self.stop or Stop.LENGTH
        return Draw(tuple(self._tokens), tuple(self._logps), tuple(self._log_legal), stop, self._refused_by)

    def step(self, logps: Logps, rng: np.random.Generator) -> None:
        p = np.exp(logps)
        check_total(float(p.sum()))
        is_live = self._state.fill(self._packed)  # at a dead end the mask lets the text end: no legal mass
        allowed = np.unpackbits(self._packed.view(np.uint8), count=self._size, bitorder="little").astype(bool)
        legal = p * allowed if is_live else np.zeros_like(p)
        mass = float(legal.sum())
        ask = self._ask
        is_first = not self._tokens
        if (ask.is_masked or (is_first and ask.first_is_legal)) and mass <= NO_MASS:
            self.stop = Stop.DEAD_END
            return
        weights = legal if ask.is_masked or (is_first and ask.first_is_legal) else p
        if is_first and ask.not_first:
            weights[list(ask.not_first)] = 0.0
            if not weights.any():
                self.stop = Stop.DEAD_END
                return
        token = pick(weights, rng)
        self._tokens.append(token)
        self._logps.append(float(logps[token]))
        self._log_legal.append(float(np.log(min(mass, 1.0))) if mass > NO_MASS else float("-inf"))
        self._take(token, is_live)

    def _take(self, token: int, is_live: bool) -> None:
        """Accept the token, or stop: the state's own leave to end at a dead end is no end."""
        if not is_live or not self._state.accept(token):
            self.stop = Stop.REFUSED
            self._refused_by = self._state.blocked_by(token) if is_live else ("nothing legal follows",)
        elif self._values is not None and self._values.breaks(token):
            self.stop, self._refused_by = Stop.BROKEN, (GRAMMAR,)
        elif self._state.outcome is Outcome.FINISHED:
            self.stop = Stop.END
        elif len(self._ask.prefix) + len(self._tokens) >= self._ask.max_length:
            self.stop = Stop.LENGTH


def check_total(total: float) -> None:
    """Raises PolicyError (PK474) where all next tokens together have another probability than 1."""
    if not abs(total - 1.0) < WRONG_TOTAL:
        message = f"the model's next tokens have a probability of {total:g} together"
        raise PolicyError.of("PK474", message, help="load the model in a wider type, and look at its logits")


def pick(weights: Logps, rng: np.random.Generator) -> int:
    """An index, with probability in proportion to its weight; never one of weight 0."""
    sums = np.cumsum(weights)
    at = int(np.searchsorted(sums, rng.random() * float(sums[-1]), side="right"))
    if at < len(weights) and weights[at] > 0:
        return at
    return max(i for i, weight in enumerate(weights) if weight > 0)  # rounding at the upper end
