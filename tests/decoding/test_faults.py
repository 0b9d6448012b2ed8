"""What must not go wrong unseen: settings that draw nothing, models without probabilities, budgets, weights."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import exp, inf, nan
from typing import Any

import numpy as np
import pytest

import policykit as pk
from policykit.constraint import Constraint, Vocabulary
from policykit.decoding import (
    Ask,
    Auto,
    Best,
    Block,
    Budget,
    Draw,
    Ending,
    Exact,
    Mask,
    Reject,
    Sampled,
    Session,
    Settings,
    StepSession,
    Stop,
    Strategy,
    TableModel,
    Weighted,
    preference_pairs,
    sample,
    sample_all,
    tuning_rows,
)
from policykit.decoding.steps import Logps

from .worlds import World

LETTERS = World("ab|ca|dd", TableModel(max_length=4, seed=3))
NOTHING = World("[abcd]", TableModel(max_length=3, seed=1))
"""Only the empty text is legal."""
STRATEGIES: list[Strategy] = [Mask(), Reject(), Exact(), Block(), Auto(1), Weighted(4, 1)]
IDS = [strategy.name.value for strategy in STRATEGIES]


def ask(strategy: Strategy, world: World = LETTERS, **more: Any) -> Sampled:
    given: dict[str, Any] = {"settings": Settings(world.model.max_length), "constraint": world.constraint, **more}
    return sample(world.model, world.prompt, world.plan, strategy, **given)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Settings(0), "max_new_tokens=0"),
        (Settings(4, temperature=0.0), "temperature=0.0"),
        (Settings(4, temperature=nan), "temperature=nan"),
        (Settings(4, temperature=inf), "temperature=inf"),
        (Settings(4, seed=-1), "seed=-1"),
        (Settings(4, min_legal_mass=1.5), "min_legal_mass=1.5"),
        (Settings(4, min_legal_mass=nan), "min_legal_mass=nan"),
        (Settings(4, budget=Budget(time_s=nan)), "budget.time_s=nan"),
    ],
)
def test_settings_that_draw_nothing_are_refused_by_name(settings: Settings, said: str) -> None:
    with pytest.raises(pk.PolicyError, match=f"PK473.*{said}"):
        ask(Exact(), settings=settings)


@pytest.mark.parametrize(
    "strategy",
    [Weighted(0), Weighted(4, 0), Block(0), Block(2, 1.5), Block(2, nan), Auto(-1), Auto(1, Block(0))],
    ids=str,
)
def test_strategies_that_never_end_are_refused(strategy: Strategy) -> None:
    with pytest.raises(pk.PolicyError, match=r"PK473.*strategy="):
        ask(strategy)


def test_numbers_of_answers_that_cannot_be_had_are_refused() -> None:
    for more in ({"n": 0}, {"n": 3, "best": Best(2, lambda prompt, answer: 0.0)}):
        with pytest.raises(pk.PolicyError, match="PK473"):
            ask(Exact(), **more)
    with pytest.raises(pk.PolicyError, match=r"PK473.*batch=0"):
        sample_all(LETTERS.model, ["p"], LETTERS.plan, Exact(), batch=0, constraint=LETTERS.constraint)


@dataclass(frozen=True)
class Broken:
    """The table model, with one log-probability replaced at the second token."""

    value: float
    model: TableModel = LETTERS.model
    sees_distributions: bool = True

    @property
    def vocabulary(self) -> Vocabulary:
        return self.model.vocabulary

    def open(self, prompt: str, plan: pk.Plan, constraint: Constraint, temperature: float = 1.0) -> StepSession:
        return StepSession(_BrokenScorer(self), constraint)


@dataclass(frozen=True)
class _BrokenScorer:
    engine: Broken
    n_prefilled: int = 0

    def logps(self, texts: Sequence[tuple[int, ...]]) -> list[Logps]:
        found = [self.engine.model.logps("p", text) for text in texts]
        for text, logps in zip(texts, found, strict=True):
            if text:
                logps[1] = self.engine.value
        return found


@pytest.mark.parametrize("value", [nan, inf, 0.5])
@pytest.mark.parametrize("strategy", STRATEGIES, ids=IDS)
def test_a_model_without_probabilities_is_named_and_nothing_is_drawn_of_it(strategy: Strategy, value: float) -> None:
    with pytest.raises(pk.PolicyError, match="PK474"), np.errstate(all="ignore"):
        sample(Broken(value), "p", LETTERS.plan, strategy, n=50, settings=Settings(4), constraint=LETTERS.constraint)


@dataclass
class Server:
    """The table model as a server shows it; ``logp`` takes the place of every log-probability that is given."""

    model: TableModel
    logp: float
    n_prefilled: int = 0
    n_requests: int = 0
    sees_distributions: bool = False
    _session: Session | None = None

    @property
    def vocabulary(self) -> Vocabulary:
        return self.model.vocabulary

    def open(self, prompt: str, plan: pk.Plan, constraint: Constraint, temperature: float = 1.0) -> "Server":
        self._session = self.model.open(prompt, plan, constraint, temperature)
        return self

    def draw(self, asks: Sequence[Ask], rng: np.random.Generator) -> tuple[Draw, ...]:
        assert self._session is not None
        drawn = self._session.draw(asks, rng)
        self.n_requests += len(asks)
        if asks[0].is_masked:
            return tuple(replace(one, logps=None, log_legal=None) for one in drawn)
        return tuple(replace(one, logps=(self.logp,) * len(one.token_ids), log_legal=None) for one in drawn)


@pytest.mark.parametrize("logp", [nan, inf, -inf, 0.1])
def test_log_probabilities_of_a_server_that_are_none_are_named(logp: float) -> None:
    with pytest.raises(pk.PolicyError, match="PK474"):
        sample(Server(LETTERS.model, logp), "p", LETTERS.plan, Exact(), n=9, settings=Settings(4))


@pytest.mark.parametrize("limit", [1, 3, 8])
@pytest.mark.parametrize("strategy", STRATEGIES, ids=IDS)
def test_no_more_texts_are_tried_than_the_budget_allows(strategy: Strategy, limit: int) -> None:
    """Accepted ones are texts, too, and a population is not begun that has no room."""
    found = ask(strategy, n=50, settings=Settings(4, budget=Budget(n_attempts=limit)))
    assert found.ending is Ending.OUT_OF_ATTEMPTS
    assert len(found.attempts) <= limit
    assert len(found.answers) == sum(attempt.is_accepted for attempt in found.attempts) or strategy.name == "weighted"


@dataclass
class Clock:
    """Each look at a text takes a second."""

    now: float = 0.0
    looks: int = 0

    def __call__(self) -> float:
        return self.now

    def fails(self, text: str) -> str | None:
        self.now += 1.0
        self.looks += 1
        raise TimeoutError("nobody answers")


@pytest.mark.parametrize("strategy", STRATEGIES, ids=IDS)
def test_time_runs_where_nothing_is_drawn_any_more(strategy: Strategy) -> None:
    """A check that fails on a text which is known: no token is spent, and the time is."""
    clock = Clock()
    one = World("[bcd]", TableModel(("a", "b", "c", "d"), max_length=1, seed=0))
    settings = Settings(1, budget=Budget(time_s=9.5, n_attempts=None))
    found = ask(strategy, one, settings=settings, checks=[clock.fails], clock=clock)
    assert found.ending is Ending.OUT_OF_TIME
    assert clock.looks < 9.5 + 4, "a population is judged to its end"
    assert all(attempt.is_errored for attempt in found.attempts if "check" in attempt.reasons[0])


def test_without_any_limit_a_check_that_always_fails_ends_all_the_same() -> None:
    one = World("[bcd]", TableModel(("a", "b", "c", "d"), max_length=1, seed=0))
    settings = Settings(1, budget=Budget(n_tokens=10_000, n_attempts=None))
    found = ask(Exact(), one, settings=settings, checks=[Clock().fails])
    assert found.ending is Ending.OUT_OF_ATTEMPTS
    assert found.legal_mass_bound > 0.0, "an error proves nothing"


@pytest.mark.parametrize("strategy", STRATEGIES, ids=IDS)
def test_where_nothing_is_legal_all_end_by_themselves(strategy: Strategy) -> None:
    """Without any threshold or budget, and with what a server shows only, too."""
    settings = Settings(3, budget=Budget(n_attempts=None), min_legal_mass=0.0)
    found = ask(strategy, NOTHING, settings=settings, checks=[lambda text: None if text else "says nothing"])
    assert (found.ending, found.answers, found.legal_mass_bound) == (Ending.NO_LEGAL_MASS, (), 0.0)


@dataclass
class Stuck(Server):
    """A server whose mask leaves nothing at the start."""

    def draw(self, asks: Sequence[Ask], rng: np.random.Generator) -> tuple[Draw, ...]:
        self.n_requests += len(asks)
        return tuple(Draw((), None, None, Stop.DEAD_END) for _ in asks)


def test_a_dead_end_at_the_start_is_asked_for_once() -> None:
    """It costs no token, so that no budget of tokens would ever end it."""
    settings = Settings(3, budget=Budget(n_tokens=10, n_attempts=None))
    found = sample(Stuck(LETTERS.model, -1.0), "p", LETTERS.plan, Mask(), settings=settings)
    assert (found.ending, found.n_requests, found.legal_mass_bound) == (Ending.NO_LEGAL_MASS, 1, 0.0)


def n_letters(prompt: str, answer: Any) -> float:
    return float(len(answer.raw))


def test_what_is_chosen_by_reward_has_no_weight() -> None:
    for strategy in (Mask(), Exact(), Weighted(4, 1)):
        plain, best = ask(strategy, n=2), ask(strategy, n=2, best=Best(6, n_letters))
        assert all(answer.log_weight is not None for answer in plain.answers)
        assert all(answer.log_weight is None and answer.reward is not None for answer in best.answers)


@pytest.mark.parametrize("reward", [nan, inf, -inf])
def test_a_reward_that_is_no_number_is_no_reward(reward: float) -> None:
    with pytest.raises(pk.PolicyError, match="PK761"):
        ask(Exact(), best=Best(3, lambda prompt, answer: reward))


def test_enough_is_enough_for_every_answer_that_is_wanted() -> None:
    found = ask(Exact(), n=3, best=Best(200, n_letters, enough=2.0))
    assert found.ending is Ending.ACCEPTED
    assert [(answer.reward or 0.0) >= 2.0 for answer in found.answers] == [True] * 3
    assert len(found.attempts) < 200


def test_a_search_for_the_best_that_ends_with_too_few_says_what_ended_it() -> None:
    for strategy in (Exact(), Mask()):
        settings = Settings(4, budget=Budget(n_tokens=9))
        found = ask(strategy, n=5, best=Best(6, n_letters), settings=settings)
        assert 0 < len(found.answers) < 5
        assert found.ending is Ending.OUT_OF_TOKENS


def n_at_least(text: str) -> str | None:
    return None if len(text) >= 2 else "too short"


def test_weights_are_unbiased_over_all_populations_also_where_a_check_refuses_whole_ones() -> None:
    """The estimates of those without an answer count as nothing: left out, they would make the legal mass too large."""
    legal = {text: p for text, p in LETTERS.legal.items() if len([t for t in text if t < 4]) >= 2}
    mass, n = sum(legal.values()), 1500
    runs = [ask(Weighted(2, 1), checks=[n_at_least], settings=Settings(4, seed=seed)) for seed in range(n)]
    firsts = [run.log_z[0] for run in runs]
    z = np.array([exp(first) for first in firsts if first is not None])
    assert len(z) == n
    assert (z == 0.0).any(), "or no population failed"
    assert abs(z.mean() - mass) < 4 * z.std() / n**0.5
    with_answer = z[z > 0]
    assert with_answer.mean() - mass > 4 * with_answer.std() / n**0.5, "planted: the mean over answers is too large"
    usual = max(legal, key=lambda text: legal[text])
    hits = np.array([exp(r.log_z[0] or 0.0) * (r.answers[0].token_ids == usual) * (len(r.log_z) == 1) for r in runs])
    assert abs(hits.mean() - legal[usual]) < 4 * hits.std() / n**0.5


@dataclass
class Wavering:
    """Fails on the first texts that it sees, and passes the others."""

    left: int
    failed: list[str] = field(default_factory=list)

    def __call__(self, text: str) -> str | None:
        if self.left:
            self.left -= 1
            raise ConnectionError("away")
        return None


def test_a_population_with_a_check_that_failed_has_no_estimate() -> None:
    """What was not judged has no weight, and its answer none: it is neither legal nor illegal."""
    found = ask(Weighted(4, 1), n=2, checks=[Wavering(2)])
    assert found.ending is Ending.ACCEPTED
    assert found.log_z[0] is None
    assert found.answers[0].log_weight is None
    assert found.answers[1].log_weight is not None


class End:
    """Writes nothing but the end of text, or one letter first."""

    sees_distributions = True

    @property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary.from_tokens([b"a", b"b", b""], [2], allow_incomplete=True)

    def open(self, prompt: str, plan: pk.Plan, constraint: Constraint, temperature: float = 1.0) -> StepSession:
        return StepSession(_Ends(), constraint)


class _Ends:
    n_prefilled = 0

    def logps(self, texts: Sequence[tuple[int, ...]]) -> list[Logps]:
        return [np.log(np.array([0.05, 0.05, 0.9]) if not text else np.array([0.01, 0.01, 0.98])) for text in texts]


def test_an_empty_reply_is_an_answer_and_no_row_for_training() -> None:
    """It is judged as any other, and trainers take no empty text."""
    plan, settings = World("b", TableModel(max_length=3)).plan, Settings(3, budget=Budget(n_attempts=None))
    found = sample(End(), "p", plan, Exact(), n=400, settings=settings)
    assert {answer.raw for answer in found.answers} >= {"", "a"}
    assert all(answer.finish == "end" for answer in found.answers if not answer.raw)
    assert "" not in {row["completion"] for row in tuning_rows(found)}
    refuses = sample(
        End(), "p", plan, Exact(), n=20, settings=settings, checks=[lambda text: None if text else "empty"]
    )
    assert "" not in {answer.raw for answer in refuses.answers}
    assert "empty" in refuses.reasons
    pairs = list(preference_pairs(refuses))
    assert all(row["rejected"] and row["chosen"] for row in pairs)
    assert pairs, "the banned letter was drawn"


def test_every_end_of_text_of_a_vocabulary_is_one() -> None:
    """Of two ends of text the memory keeps two texts, and both are answers of their own mass."""
    vocabulary = Vocabulary.from_tokens([b"a", b"b", b"", b""], [2, 3], allow_incomplete=True)

    class Two(End):
        @property
        def vocabulary(self) -> Vocabulary:
            return vocabulary

        def open(self, prompt: str, plan: pk.Plan, constraint: Constraint, temperature: float = 1.0) -> StepSession:
            return StepSession(_Two(), constraint)

    class _Two:
        n_prefilled = 0

        def logps(self, texts: Sequence[tuple[int, ...]]) -> list[Logps]:
            return [np.log(np.array([0.2, 0.3, 0.4, 0.1])) for _ in texts]

    plan, n = World("b", TableModel(max_length=2)).plan, 4000
    settings = Settings(2, budget=Budget(n_attempts=None))
    found = sample(Two(), "p", plan, Exact(), n=n, settings=settings)
    by_end = {end: sum(answer.token_ids == (end,) for answer in found.answers) / n for end in (2, 3)}
    mass = 0.5 + 0.2 * 0.7
    assert by_end[2] == pytest.approx(0.4 / mass, abs=0.03)
    assert by_end[3] == pytest.approx(0.1 / mass, abs=0.03)
    assert found.legal_mass_bound == pytest.approx(mass, abs=0.01)


def test_one_who_listens_and_fails_leaves_nobody_waiting() -> None:
    import threading

    def told(sampled: Sampled) -> None:
        raise KeyError("the listener is broken")

    with pytest.raises(KeyError):
        sample_all(LETTERS.model, [f"p{i}" for i in range(6)], LETTERS.plan, Exact(), n=3, settings=Settings(4),
                   batch=6, constraint=LETTERS.constraint, told=told)  # fmt: skip
    for thread in threading.enumerate():
        if thread.name.startswith("policykit-sample-"):
            thread.join(5)
            assert not thread.is_alive()


def test_a_first_token_that_was_tried_already_is_no_draw() -> None:
    """Where a server has nothing left to draw from, the place is exhausted, and nothing hangs."""

    @dataclass
    class Closed(Server):
        def draw(self, asks: Sequence[Ask], rng: np.random.Generator) -> tuple[Draw, ...]:
            if asks[0].not_first:
                return tuple(Draw((), (), None, Stop.DEAD_END) for _ in asks)
            return super().draw(asks, rng)

    settings = Settings(4, budget=Budget(n_attempts=None), min_legal_mass=0.0)
    world = World("[abcd]", LETTERS.model)
    found = sample(Closed(world.model, -0.5), "p", world.plan, Exact(), settings=settings, constraint=world.constraint)
    assert found.ending in (Ending.NO_LEGAL_MASS, Ending.ACCEPTED)
