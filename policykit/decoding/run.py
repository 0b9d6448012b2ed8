"""One sampling under way: what has been drawn, judged, learnt and spent."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import log

import numpy as np

from policykit.constraint import Vocabulary
from policykit.decoding.early import cut
from policykit.decoding.engine import Ask, Draw, Session, Stop
from policykit.decoding.judge import Judge, Judgement, text_of
from policykit.decoding.memory import Place, new_root
from policykit.decoding.result import Answer, Attempt, Budget, Ending, Finish
from policykit.grammar import ClosingRules

MAX_IDLE = 100
"""A text that is known costs nothing, and so does a check that fails on it: after so many in a row the sampling ends,
where no budget ends it before."""


class Exhausted(Exception):
    """The sampling cannot go on; ``ending`` says why. Caught where it began, and returned as an outcome."""

    def __init__(self, ending: Ending) -> None:
        self.ending = ending
        super().__init__(ending.value)


@dataclass(slots=True)
class Run:
    """What strategies share. Drawing is only done through it, so that nothing escapes the budget."""

    session: Session
    vocabulary: Vocabulary
    judge: Judge
    rng: np.random.Generator
    budget: Budget
    max_length: int
    min_legal_mass: float
    clock: Callable[[], float]
    started: float
    closing: ClosingRules | None = None
    """What of the grammar is judged while a text is drawn, beside the mask."""
    floor: Callable[[], int] = lambda: 0
    """Tokens that have been shown: a text is never taken up again before their end."""
    root: Place = field(default_factory=new_root)
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    n_tokens: int = 0
    n_idle: int = 0
    """Attempts in a row that drew nothing and taught nothing."""
    log_z: list[float | None] = field(default_factory=list[float | None])

    def begin(self, n_attempts: int = 1) -> None:
        """To be called before attempts are made. Raises Exhausted where the budget has no room for so many more."""
        budget = self.budget
        if budget.n_attempts is not None and len(self.attempts) + n_attempts > budget.n_attempts:
            raise Exhausted(Ending.OUT_OF_ATTEMPTS)
        if self.n_idle >= MAX_IDLE:
            raise Exhausted(Ending.OUT_OF_ATTEMPTS)
        self._check_time()

    def draw(self, *asks: Ask) -> tuple[tuple[Draw, ...], bool]:
        """One draw per ask, and whether the budget cut them short. Raises Exhausted where nothing is left."""
        self._check(len(asks))
        left = None if self.budget.n_tokens is None else (self.budget.n_tokens - self.n_tokens) // len(asks)
        fitted = tuple(ask if left is None else _within(ask, left) for ask in asks)
        if self.closing is not None:
            fitted = tuple(replace(ask, closing=self.closing) for ask in fitted)
        draws = self.session.draw(fitted, self.rng)
        self.n_tokens += sum(len(draw.token_ids) for draw in draws)
        if self.closing is not None:  # engines that do not draw token by token have drawn on
            tokens = self.vocabulary.tokens
            draws = tuple(cut(ask, draw, tokens) for ask, draw in zip(fitted, draws, strict=True))
        is_cut = any(
            draw.stop is Stop.LENGTH and cut.max_length < ask.max_length
            for draw, cut, ask in zip(draws, fitted, asks, strict=True)
        )
        return draws, is_cut

    def _check(self, n_asks: int) -> None:
        budget = self.budget
        if budget.n_tokens is not None and self.n_tokens + n_asks > budget.n_tokens:
            raise Exhausted(Ending.OUT_OF_TOKENS)
        self._check_time()

    def _check_time(self) -> None:
        if self.budget.time_s is not None and self.clock() - self.started >= self.budget.time_s:
            raise Exhausted(Ending.OUT_OF_TIME)

    def text(self, token_ids: tuple[int, ...], finish: Finish) -> str:
        is_whole = finish is Finish.END
        return text_of(self.vocabulary.decode(token_ids), is_whole=is_whole)

    def record(
        self, token_ids: tuple[int, ...], kept: int, finish: Finish, judged: Judgement | tuple[str, ...]
    ) -> None:
        """Add an attempt. Raises Exhausted for one that the budget of tokens has cut."""
        reasons = judged.reasons if isinstance(judged, Judgement) else judged
        is_errored = isinstance(judged, Judgement) and judged.is_errored
        text = self.text(token_ids, finish)
        self.attempts.append(Attempt(text, len(token_ids) - kept, kept, finish, reasons, is_errored))
        if finish is Finish.CUT:
            raise Exhausted(Ending.OUT_OF_TOKENS)
        self.n_idle = self.n_idle + 1 if reasons and len(token_ids) == kept else 0

    def answer(self, place: Place, finish: Finish, judged: Judgement, log_weight: float | None) -> Answer:
        """The answer that ends at ``place``."""
        line = place.line()
        knows = all(step.knows_mask for step in line[:-1])
        return Answer(
            judged.verdict.text,
            self.text(place.text, finish),
            place.text,
            finish,
            sum(log(step.p) for step in line[1:]),
            log_weight,
            -sum(log(step.open_mass) for step in line[:-1]) if knows else None,
            judged.verdict,
        )

    def answer_of(self, token_ids: tuple[int, ...], finish: Finish, judged: Judgement) -> Answer:
        """An answer of which no probabilities are known."""
        text = self.text(token_ids, finish)
        return Answer(judged.verdict.text, text, token_ids, finish, None, None, None, judged.verdict)


def _within(ask: Ask, n_tokens: int) -> Ask:
    """The ask with at most ``n_tokens`` new tokens."""
    length = min(ask.max_length, len(ask.prefix) + n_tokens)
    return replace(ask, max_length=length)
