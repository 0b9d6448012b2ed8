"""What a sampling says about itself: reasons, pairs, rewards, checks that fail, engines that see less."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

import policykit as pk
from policykit import Plan, embedded
from policykit.constraint import Constraint, Vocabulary
from policykit.decoding import (
    Ask,
    Best,
    Block,
    Budget,
    Draw,
    Ending,
    Exact,
    Mask,
    Reject,
    Session,
    Settings,
    TableModel,
    Weighted,
    preference_pairs,
    sample,
    strategy,
    to_line,
    tuning_rows,
)
from policykit.decoding.blocks import block_starts
from policykit.decoding.memory import Place
from policykit.decoding.rewind import FromBlock

from .worlds import World, distance, frequencies, noise

LETTERS = World("ab|ca|dd", TableModel(max_length=4, seed=3))


@dataclass(frozen=True)
class BlindEngine:
    """The table model as a server shows it: chosen tokens and their log-probabilities, nothing of the others."""

    model: TableModel
    sees_distributions: bool = False

    @property
    def vocabulary(self) -> Vocabulary:
        return self.model.vocabulary

    def open(self, prompt: str, plan: Plan, constraint: Constraint, temperature: float = 1.0) -> "BlindSession":
        return BlindSession(self.model.open(prompt, plan, constraint, temperature))


@dataclass(frozen=True)
class BlindSession:
    inner: Session
    n_prefilled: int = 0
    n_requests: int = 0

    def draw(self, asks: Sequence[Ask], rng: np.random.Generator) -> tuple[Draw, ...]:
        assert not any(ask.first_is_legal for ask in asks), "nobody can have told"
        return tuple(replace(draw, log_legal=None) for draw in self.inner.draw(asks, rng))


def ask_letters(chosen, n=1, seed=0, **more):
    budget = Budget(n_attempts=more.pop("n_attempts", None))
    return sample(
        LETTERS.model, "p", LETTERS.plan, chosen, n=n, settings=Settings(4, seed=seed, budget=budget),
        constraint=LETTERS.constraint, **more,
    )  # fmt: skip


def test_an_engine_that_shows_chosen_tokens_only_is_sampled_exactly_too():
    found = [
        sample(BlindEngine(LETTERS.model), "p", LETTERS.plan, Exact(), settings=Settings(4, seed=s),
               constraint=LETTERS.constraint)
        for s in range(500)
    ]  # fmt: skip
    drawn = frequencies(one.answers[0].token_ids for one in found)
    assert distance(drawn, LETTERS.exact) <= noise(LETTERS.exact, 500)
    assert all(one.legal_mass_bound >= LETTERS.mass - 1e-9 for one in found)
    assert all(one.mask_tax is None for one in found)
    with pytest.raises(pk.PolicyError, match=r"PK471.*cannot run the strategy `weighted`"):
        sample(BlindEngine(LETTERS.model), "p", LETTERS.plan, Weighted(), constraint=LETTERS.constraint)


def test_every_failure_names_its_rule_and_becomes_a_pair_of_legal_over_illegal():
    found = ask_letters(Reject(), n=20)
    failures = [attempt for attempt in found.attempts if not attempt.is_accepted]
    assert failures
    assert all(attempt.reasons == ("toy#banned",) for attempt in failures)
    assert found.reasons == {"toy#banned": len(failures)}
    assert found.acceptance_rate == 20 / len(found.attempts)
    assert found.n_tokens == sum(attempt.n_drawn for attempt in found.attempts)
    rows = [json.loads(to_line(row)) for row in preference_pairs(found)]
    assert {row["rejected"] for row in rows} == {attempt.text for attempt in failures}
    assert all(LETTERS.plan.verify(row["chosen"]).decision is pk.Decision.ALLOW for row in rows)
    assert all(LETTERS.plan.verify(row["rejected"]).decision is pk.Decision.BLOCK for row in rows)
    assert {row["plan_digest"] for row in rows} == {LETTERS.plan.digest}
    tuning = list(tuning_rows(found))
    assert {row["completion"] for row in tuning} == {answer.raw for answer in found.answers} - {""}
    assert len(tuning) == len({row["completion"] for row in tuning})


def test_bytes_that_are_no_text_are_named_and_become_no_pair():
    """Their text is not what was written: a pair of it would unlearn the sign that stands for them."""
    vocabulary = pk.Vocabulary.from_file(embedded.tokenizer_path())
    constraint = LETTERS.plan.constraint(vocabulary)
    state = constraint.start(prefix=b"a")
    byte = vocabulary.tokens.index(b"\x80")
    assert state.blocked_by(byte) == ("encoding",)
    assert state.blocked_by(min(vocabulary.special_ids - set(vocabulary.eos_ids))) == ("special token",)
    found = ask_letters(Reject(), n=20)
    (failure, *_) = [attempt for attempt in found.attempts if not attempt.is_accepted]
    broken = replace(failure, text="b\ufffd", reasons=("encoding",))
    assert list(preference_pairs(replace(found, attempts=(*found.attempts, broken)))) == list(preference_pairs(found))


def test_a_check_of_the_callers_refuses_texts_and_its_mass_is_proven_bad():
    found = ask_letters(Exact(), n=300, checks=[lambda text: "has an a" if "a" in text else None])
    assert found.ending is Ending.ACCEPTED
    assert not any("a" in answer.text for answer in found.answers)
    without_a = sum(p for text, p in LETTERS.legal.items() if 0 not in text)
    assert found.legal_mass_bound == pytest.approx(without_a, abs=0.02)
    assert found.reasons["has an a"] > 0


def test_a_check_that_crashes_accepts_nothing_and_proves_nothing():
    def crashes(text: str) -> str | None:
        raise RuntimeError("no connection")

    for chosen in (Exact(), Block(), Mask(), Reject()):
        found = ask_letters(chosen, checks=[crashes], n_attempts=15)
        assert found.ending is Ending.OUT_OF_ATTEMPTS
        assert not found.answers
        assert found.legal_mass_bound >= LETTERS.mass
        errored = [attempt for attempt in found.attempts if attempt.is_errored]
        assert errored
        assert all(attempt.reasons == ("check failed: RuntimeError: no connection",) for attempt in errored)
        assert not list(preference_pairs(found))


def test_a_judge_that_wavers_is_asked_once_per_text():
    asked: list[str] = []

    def wavers(text: str) -> str | None:
        asked.append(text)
        return "not this time" if len(asked) % 2 else None

    ask_letters(Reject(), n=100, checks=[wavers])
    assert len(asked) == len(set(asked))


def test_the_best_of_n_is_the_best_and_enough_is_enough():
    def n_letters(prompt, answer):
        return float(len(answer.raw))

    free = ask_letters(Exact(), n=30, seed=5)
    best = ask_letters(Exact(), seed=5, best=Best(30, n_letters))
    assert best.answers[0].reward == max(len(answer.raw) for answer in free.answers)
    early = ask_letters(Exact(), seed=5, best=Best(30, n_letters, enough=2.0))
    assert (early.answers[0].reward or 0.0) >= 2.0
    assert len(early.attempts) < len(best.attempts)
    short = ask_letters(Reject(), seed=5, best=Best(1000, n_letters), n_attempts=20)
    assert short.answers
    assert short.answers[0].reward is not None


def test_a_constraint_of_another_plan_and_an_unknown_strategy_are_refused():
    other = World("aa", LETTERS.model)
    with pytest.raises(pk.PolicyError, match="PK472"):
        sample(LETTERS.model, "p", LETTERS.plan, Mask(), constraint=other.constraint)
    with pytest.raises(pk.PolicyError, match=r"(?s)PK470.*did you mean `exact`"):
        strategy("exakt")


def chain(tokens: Sequence[int]) -> Place:
    place = Place(-1, None, 0)
    for depth, token in enumerate(tokens, 1):
        place = Place(token, place, depth)
    return place


def test_a_block_is_taken_up_again_and_after_its_failures_the_one_before():
    pieces = (b"One", b".", b" Two", b" three", b"")
    failed = chain([0, 1, 2, 3, 2])
    rule = FromBlock(pieces, n_failures=2, min_legal=0.1)
    assert [rule.after(failed).depth for _ in range(3)] == [2, 2, 0]
    rule.begin()
    assert rule.after(failed).depth == 2
    begun = chain([0, 1, 2, 1, 2])  # the third sentence has one token: the second goes too
    assert FromBlock(pieces, 2, 0.1).after(begun).depth == 2
    hopeless = chain([0, 1, 2, 3, 2])
    hopeless.line()[2].legal = 0.05
    assert FromBlock(pieces, 2, 0.1).after(hopeless).depth == 0


@given(st.lists(st.sampled_from([b"a", b" b", b".", b"! ", b"\n", b"", b"1", b"\xe3\x80\x82"]), max_size=12))
def test_blocks_begin_at_the_start_and_behind_the_end_of_a_sentence(tokens):
    starts = block_starts(tokens)
    assert starts[0] == 0
    assert list(starts) == sorted(set(starts))
    for start in starts[1:]:
        before = b"".join(tokens[:start]).rstrip()
        assert before.endswith((b".", b"!", b"\xe3\x80\x82")) or b"\n" in b"".join(tokens[:start])[len(before) :]
