"""Several samplings at once: their draws go on in lockstep, so that each step is one forward pass for all of them.

Each sampling has its own random numbers and its own memory, and waits for nothing but its own draws: a batch gives what
its prompts give one by one, as far as the model's arithmetic does not depend on the batch. Strategies run in threads
that wait for one another; none of them runs while a step is computed.
"""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from policykit.constraint import Constraint, Vocabulary
from policykit.decoding.engine import Ask, Draw
from policykit.decoding.judge import Check
from policykit.decoding.result import Sampled
from policykit.decoding.sample import Best, Settings, sample
from policykit.decoding.steps import Logps, Row
from policykit.decoding.strategy import Strategy
from policykit.diagnostics import PolicyError
from policykit.plan import Plan

Key = tuple[int, tuple[int, ...]]
"""A prompt's number, and a text that follows it."""


class BatchScorer(Protocol):
    """The model after several prompts."""

    def logps(self, texts: Sequence[Key]) -> Sequence[Logps]:
        """For each text the log-probabilities of its next token, float64 [V]."""
        ...

    def n_prefilled(self, prompt: int) -> int:
        """Positions of one prompt that were computed besides the drawn tokens."""
        ...


class BatchEngine(Protocol):
    """An engine that sees whole distributions, of several prompts at once."""

    @property
    def vocabulary(self) -> Vocabulary: ...

    @property
    def sees_distributions(self) -> bool: ...

    def open_all(self, prompts: Sequence[str], temperature: float = 1.0) -> BatchScorer: ...


def sample_all(
    engine: BatchEngine,
    prompts: Sequence[str],
    plan: Plan,
    strategy: Strategy,
    *,
    n: int = 1,
    settings: Settings | None = None,
    batch: int = 8,
    facts: Mapping[str, object] | None = None,
    checks: Sequence[Check] = (),
    best: Best | None = None,
    constraint: Constraint | None = None,
    told: Callable[[Sampled], None] = lambda sampled: None,
) -> tuple[Sampled, ...]:
    """What :func:`policykit.decoding.sample` gives for each prompt, the i-th with the seed ``settings.seed + i``, by at
    most ``batch`` at a time. ``told`` hears of each that is done. Raises what ``sample`` raises."""
    settings = settings or Settings()
    if batch < 1:
        raise PolicyError.of("PK473", f"nothing can be drawn with batch={batch}", help="draw for one prompt at least")
    constraint = constraint or plan.constraint(engine.vocabulary)
    scorer = engine.open_all(prompts, settings.temperature)
    rounds = _Rounds(scorer, constraint)

    def one(number: int, session: "_Waiting") -> Sampled:
        opened = _Opened(session, engine.vocabulary, engine.sees_distributions)
        own = replace(settings, seed=settings.seed + number)
        return sample(
            opened, prompts[number], plan, strategy,
            n=n, settings=own, facts=facts, checks=checks, best=best, constraint=constraint,
        )  # fmt: skip

    return rounds.run(len(prompts), batch, one, told)


class _Stopped(Exception):
    """Another sampling has failed."""


@dataclass(slots=True)
class _Asked:
    number: int
    rows: list[Row]
    rng: np.random.Generator


@dataclass(slots=True)
class _Ended:
    number: int
    result: Sampled | BaseException


@dataclass
class _Waiting:
    """A session whose draws are made with those of others."""

    rounds: "_Rounds"
    number: int
    n_requests: int = 0
    drawn: "queue.SimpleQueue[tuple[Draw, ...] | None]" = field(
        default_factory=lambda: queue.SimpleQueue[tuple[Draw, ...] | None]()
    )

    @property
    def n_prefilled(self) -> int:
        return self.rounds.scorer.n_prefilled(self.number)

    def draw(self, asks: Sequence[Ask], rng: np.random.Generator) -> tuple[Draw, ...]:
        self.n_requests += len(asks)
        rows = [Row(ask, self.rounds.constraint) for ask in asks]
        self.rounds.inbox.put(_Asked(self.number, rows, rng))
        found = self.drawn.get()
        if found is None:
            raise _Stopped
        return found


@dataclass(frozen=True, slots=True)
class _Opened:
    session: _Waiting
    vocabulary: Vocabulary
    sees_distributions: bool

    def open(self, prompt: str, plan: Plan, constraint: Constraint, temperature: float = 1.0) -> _Waiting:
        return self.session


class _Rounds:
    """Makes all draws, step by step. Between two steps every sampling has either a row under way, or has ended."""

    def __init__(self, scorer: BatchScorer, constraint: Constraint) -> None:
        self.scorer, self.constraint = scorer, constraint
        self.inbox: queue.SimpleQueue[_Asked | _Ended] = queue.SimpleQueue()
        self._sessions: dict[int, _Waiting] = {}
        self._asked: dict[int, _Asked] = {}

    def run(
        self,
        n: int,
        batch: int,
        one: Callable[[int, _Waiting], Sampled],
        told: Callable[[Sampled], None],
    ) -> tuple[Sampled, ...]:
        found: dict[int, Sampled] = {}
        begun = 0
        try:
            while len(found) < n:
                while begun < n and len(self._sessions) < batch:
                    self._begin(begun, one)
                    begun += 1
                ended = self._heard()
                for number, result in ended:
                    if isinstance(result, BaseException):
                        raise result
                    found[number] = result
                    told(result)
                if not ended:
                    self._step()
        except BaseException:
            self._stop()  # nobody waits for draws that never come
            raise
        return tuple(found[number] for number in range(n))

    def _begin(self, number: int, one: Callable[[int, _Waiting], Sampled]) -> None:
        session = self._sessions[number] = _Waiting(self, number)

        def work() -> None:
            try:
                self.inbox.put(_Ended(number, one(number, session)))
            except BaseException as error:
                self.inbox.put(_Ended(number, error))

        threading.Thread(target=work, name=f"policykit-sample-{number}", daemon=True).start()

    def _heard(self) -> list[tuple[int, Sampled | BaseException]]:
        """Wait for every sampling without a row under way: what it asks next, or that it has ended."""
        ended: list[tuple[int, Sampled | BaseException]] = []
        while len(self._asked) < len(self._sessions):
            said = self.inbox.get()
            if isinstance(said, _Asked):
                self._asked[said.number] = said
                self._answer(said)
            else:
                del self._sessions[said.number]
                ended.append((said.number, said.result))
        return ended

    def _step(self) -> None:
        """One token for every row, in the order of the prompts."""
        live = [(a, row) for _, a in sorted(self._asked.items()) for row in a.rows if row.stop is None]
        if not live:
            return
        for (asked, row), logps in zip(
            live, self.scorer.logps([(asked.number, row.text) for asked, row in live]), strict=True
        ):
            row.step(logps, asked.rng)
        for asked in list(self._asked.values()):
            self._answer(asked)

    def _answer(self, asked: _Asked) -> None:
        """Hand a draw over that is done: its sampling goes on."""
        if all(row.stop is not None for row in asked.rows):
            del self._asked[asked.number]
            self._sessions[asked.number].drawn.put(tuple(row.drawn() for row in asked.rows))

    def _stop(self) -> None:
        for session in self._sessions.values():  # those that ask later, too
            session.drawn.put(None)
