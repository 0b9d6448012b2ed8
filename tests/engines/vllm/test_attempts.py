"""Attempts of strategies in the backend, without vLLM: nothing is closed but what was asked, and the end is seen."""

from math import exp, log
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

import policykit as pk
from policykit.decoding import Ask, Stop
from policykit.engines import attest
from policykit.engines.vllm.attempts import FreeText
from policykit.engines.vllm.requests import asked
from policykit.engines.vllm.sampling import drawn
from tests.engines.vllm.plans import PHRASES, POLICIES, embedded_vocabulary, plan

VOCABULARY = embedded_vocabulary()
ENDS = VOCABULARY.eos_ids
FREE = plan().constraint(VOCABULARY)
ORDER = pk.compile(POLICIES, pk.Grammar.from_regex("(yes|no)!{0,3}")).constraint(VOCABULARY)
CONSTRAINTS = st.sampled_from([FREE, ORDER])
TOKENS = st.lists(st.integers(0, VOCABULARY.size - 1), max_size=8)


def text_of(constraint: pk.Constraint, banned: frozenset[int] = frozenset()) -> FreeText:
    return FreeText(constraint.start(), banned, ENDS)


def row_of(text: FreeText) -> NDArray[np.int32]:
    row = np.full(-(-VOCABULARY.size // 32) + 1, -1, np.int32)
    text.fill(row)
    return row


def allowed(row: NDArray[np.int32]) -> set[int]:
    return set(np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little")).tolist())


def spelled(text: str) -> list[int]:
    """A text in tokens of one byte."""
    singles = {token: i for i, token in enumerate(VOCABULARY.tokens) if len(token) == 1}
    return [singles[bytes([byte])] for byte in text.encode()]


def test_every_token_is_open_until_one_is_refused_and_then_only_the_end_is():
    text = text_of(FREE)
    assert allowed(row_of(text)) == set(range(VOCABULARY.size))
    for token in spelled("a safe be"):
        assert text.accept([token])
        assert allowed(row_of(text)) == set(range(VOCABULARY.size))
    assert not text.is_refused
    # The mask closes the last letter where the phrase would end; drawn freely, it comes and is refused.
    assert text.accept(spelled("t"))
    ended = text.is_refused or not text.accept(spelled("."))
    assert text.is_refused or ended
    assert allowed(row_of(text)) == set(ENDS)
    assert not text.accept(spelled("x"))
    said = text.finished("r", "0", "d", counts_rules=True)
    assert said.closed == {"demo#no-guarantees": 1}
    assert said.tokens == len(text.token_ids)


def test_what_was_tried_may_not_come_first_and_may_come_later():
    banned = frozenset({5, 31, 32, VOCABULARY.size - 1})
    text = text_of(FREE, banned)
    assert allowed(row_of(text)) == set(range(VOCABULARY.size)) - banned
    assert text.allowed_prefix([32]) == []
    assert text.accept(spelled("a"))
    assert allowed(row_of(text)) == set(range(VOCABULARY.size))
    everything = text_of(FREE, frozenset(range(VOCABULARY.size)))
    assert allowed(row_of(everything)) == set(ENDS), "an empty row would have vLLM write token 0"


@settings(deadline=None, max_examples=80)
@given(CONSTRAINTS, TOKENS, st.integers(0, 8))
def test_rollback_is_replay(constraint: pk.Constraint, tokens: list[int], back: int) -> None:
    text = text_of(constraint)
    taken = [token for token in tokens if text.accept([token])]
    back = min(back, len(taken))
    text.rollback(back)
    again = text_of(constraint)
    assert again.accept(taken[: len(taken) - back])
    assert (row_of(text) == row_of(again)).all()
    assert (text.token_ids, text.is_refused) == (again.token_ids, again.is_refused)
    assert text.accept(taken[len(taken) - back :])


@settings(deadline=None, max_examples=80)
@given(CONSTRAINTS, TOKENS, TOKENS)
def test_a_draft_is_judged_as_it_would_be_taken(constraint: pk.Constraint, tokens: list[int], draft: list[int]) -> None:
    text = text_of(constraint)
    for token in tokens:
        text.accept([token])
    before = (row_of(text).tobytes(), list(text.token_ids), text.is_refused)
    kept = text.allowed_prefix(draft)
    assert (row_of(text).tobytes(), list(text.token_ids), text.is_refused) == before
    assert text.accept(kept)
    assert len(kept) == len(draft) or not text.accept([draft[len(kept)]])


@settings(deadline=None, max_examples=40)
@given(CONSTRAINTS, st.integers(0, 10**6))
def test_what_is_refused_is_what_the_mask_forbids(constraint: pk.Constraint, seed: int) -> None:
    rng, text, state = Random(seed), text_of(constraint), constraint.start()
    words = [spelled(word) for word in (*PHRASES, "yes", "no!", "we ", "x")]
    for token in rng.choice(words) + rng.choice(words):
        row = np.zeros(-(-VOCABULARY.size // 32), np.int32)
        legal = state.fill(row) and token in allowed(row)
        assert text.accept([token])
        assert text.is_refused is not legal
        if not legal:
            return
        assert state.accept(token)


def test_the_ban_is_taken_out_of_the_first_probability_and_of_no_other():
    tokens = spelled("ab")
    ask = Ask((), 2, not_first=frozenset(spelled("xy")), explored=0.75)
    draw = drawn(ask, tokens, [log(0.8), log(0.5)], FREE)
    assert [exp(logp) for logp in draw.logps or ()] == pytest.approx([0.8 * 0.25, 0.5])
    assert draw.stop is Stop.LENGTH
    assert drawn(ask, spelled("x"), [0.0], FREE).stop is Stop.DEAD_END


def test_a_draw_ends_with_the_refused_token_and_names_its_rule():
    draw = drawn(Ask((), 40), [*spelled("risk-free."), ENDS[0]], [log(0.5)] * 11, FREE)
    assert draw.stop is Stop.REFUSED
    assert draw.refused_by == ("demo#no-guarantees",)
    assert VOCABULARY.decode(draw.token_ids) in (b"risk-free", b"risk-free.")
    assert len(draw.logps or ()) == len(draw.token_ids)


def test_attempts_are_drawn_only_where_the_engine_was_started_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    request = attest.MaskRequest("r", "sha256:" + "0" * 64, attempt=True, not_first=(1, 2), begun=3)
    given = {attest.XARG: request.render()}
    monkeypatch.delenv(attest.ATTEMPTS, raising=False)
    with pytest.raises(pk.PolicyError, match="PK749"):
        asked(given)
    monkeypatch.setenv(attest.ATTEMPTS, "1")
    assert asked(given) == request


@pytest.mark.parametrize(
    "wrong", ['"attempt": 1', '"begun": -1', '"begun": true', '"not_first": [-1]', '"not_first": "1"']
)
def test_a_malformed_attempt_is_refused(wrong: str) -> None:
    text = f'{{"v": 1, "request": "r", "plan": "sha256:{"0" * 64}", {wrong}}}'
    with pytest.raises(attest.Malformed):
        attest.MaskRequest.parse(text)
