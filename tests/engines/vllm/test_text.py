"""The state that vLLM drives, over the embedded vocabulary: its contract as laws, without vLLM."""

import socket
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

import policykit as pk
from policykit.constraint import Constraint
from policykit.engines import attest
from policykit.engines.vllm.alone import FailsAlone
from policykit.engines.vllm.text import MaskedText, told
from tests.engines.vllm.plans import PHRASES, POLICIES, embedded_vocabulary, plan

VOCABULARY = embedded_vocabulary()
WIDTH = -(-VOCABULARY.size // 32)
DEAD = next(iter(sorted(VOCABULARY.special_ids.difference(VOCABULARY.eos_ids))))
FREE = plan().constraint(VOCABULARY)
ORDER = pk.compile(POLICIES, pk.Grammar.from_regex("(yes|no)!{0,3}")).constraint(VOCABULARY)
CONSTRAINTS = st.sampled_from([FREE, ORDER])


def row_of(text: MaskedText | FailsAlone, width: int = WIDTH) -> NDArray[np.int32]:
    row = np.full(width, -1, np.int32)
    text.fill(row)
    return row


def allowed(row: NDArray[np.int32]) -> list[int]:
    return np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little")).tolist()


def walk(constraint: Constraint, seed: int, n: int) -> tuple[MaskedText, list[int]]:
    """A text of random legal tokens, ends of text among them."""
    rng, text, taken = Random(seed), MaskedText(constraint.start(), DEAD), []
    for _ in range(n):
        taken.append(rng.choice(allowed(row_of(text))))
        assert text.accept(taken[-1:])
    return text, taken


@settings(deadline=None, max_examples=60)
@given(CONSTRAINTS, st.integers(0, 10**6), st.integers(0, 12), st.integers(0, 12))
def test_rollback_is_replay(constraint: Constraint, seed: int, n: int, back: int) -> None:
    text, taken = walk(constraint, seed, n)
    back = min(back, n)
    text.rollback(back)
    again = MaskedText(constraint.start(), DEAD)
    assert again.accept(taken[: n - back])
    assert (row_of(text) == row_of(again)).all()
    assert text.n_tokens == again.n_tokens == n - back


@settings(deadline=None, max_examples=60)
@given(CONSTRAINTS, st.integers(0, 10**6), st.lists(st.integers(0, VOCABULARY.size - 1), max_size=6))
def test_a_draft_is_judged_as_it_would_be_taken(constraint: Constraint, seed: int, draft: list[int]) -> None:
    text, _ = walk(constraint, seed, 4)
    before = row_of(text)
    kept = text.allowed_prefix(draft)
    assert (row_of(text) == before).all()
    assert text.accept(kept)
    if len(kept) < len(draft):
        assert draft[len(kept)] not in allowed(row_of(text))
        assert not text.accept([draft[len(kept)]])


def test_after_the_end_only_ends_are_left() -> None:
    text = MaskedText(ORDER.start(), DEAD)
    end = VOCABULARY.eos_ids[0]
    tokens = [VOCABULARY.tokens.index(bytes([byte])) for byte in b"no"]
    assert text.accept([*tokens, end, end])
    assert allowed(row_of(text)) == sorted(VOCABULARY.eos_ids)
    assert not text.accept([tokens[0]])
    text.rollback(2)
    assert VOCABULARY.tokens.index(b"!") in allowed(row_of(text))


def test_wide_rows_allow_nothing_beyond_the_vocabulary() -> None:
    row = row_of(MaskedText(FREE.start(), DEAD), WIDTH + 3)
    assert max(allowed(row)) < VOCABULARY.size


@pytest.mark.parametrize("dead_end_id", [DEAD, None])
def test_a_dead_end_has_its_own_token(dead_end_id: int | None) -> None:
    # The prefix leaves the grammar one continuation, which completes a phrase: nothing legal can follow.
    grammar = pk.Grammar.from_regex("x guaranteed[a-z ]{0,30}|[^x]*")
    constraint = pk.compile(POLICIES, grammar).constraint(VOCABULARY)
    state = constraint.start(b"x guaranteed return", prefix_in_grammar=True)
    text = MaskedText(state, dead_end_id)
    assert not text.is_dead_end
    stuck = MaskedText(_Stuck(state), dead_end_id)  # type: ignore[arg-type]
    only = [dead_end_id] if dead_end_id is not None else sorted(VOCABULARY.eos_ids)
    assert allowed(row_of(stuck)) == only
    assert stuck.is_dead_end
    if dead_end_id is not None:
        assert stuck.accept([dead_end_id])
        assert allowed(row_of(stuck)) == only
        assert not stuck.accept([5])
        stuck.rollback(1)
        assert stuck.n_tokens == 0
        assert not text.accept([dead_end_id]), "where something can follow, the token means nothing"


class _Stuck:
    """A state in which nothing is legal: plans avoid them, so this one is made by hand."""

    def __init__(self, state: pk.State) -> None:
        self._state = state
        self.vocabulary_size = state.vocabulary_size
        self.finished = False
        self.outcome = "dead_end"
        self.n_tokens = 0

    def fill(self, row: NDArray[np.int32]) -> bool:
        row[:] = 0
        for i in VOCABULARY.eos_ids:
            row.view(np.uint32)[i >> 5] |= np.uint32(1 << (i & 31))
        return False

    def accept(self, token_id: int) -> bool:
        return token_id in VOCABULARY.eos_ids

    def rollback(self, n: int) -> None:
        assert n == 0


def test_the_report_names_the_rules_that_closed_tokens() -> None:
    text = MaskedText(FREE.start(), DEAD)
    for byte in b"a guaranteed returns":
        assert text.accept([VOCABULARY.tokens.index(bytes([byte]))])
        row_of(text)
    report = text.finished("r", "0", "sha256:x", counts_rules=True)
    assert report.tokens == 20 == report.steps
    assert report.closed == {"demo#no-guarantees": 1}, "only after the last letter a full stop would complete it"
    assert VOCABULARY.tokens.index(b"x") in allowed(row_of(text)), "a letter may follow: `returnsx` is another word"
    assert not text.accept([VOCABULARY.tokens.index(b".")])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6))
def test_random_texts_hold_no_phrase(seed: int) -> None:
    text, taken = walk(FREE, seed, 25)
    written = VOCABULARY.decode(taken).decode("utf-8", "ignore").casefold()
    assert not any(phrase in written for phrase in PHRASES)
    assert text.n_tokens == 25


@pytest.mark.parametrize("failing", ["fill", "accept", "rollback"])
def test_an_error_is_this_texts_alone(failing: str) -> None:
    """vLLM would take the engine down. Its request ends as failed: nothing is accepted any more."""
    heard: list[str] = []
    text = FailsAlone(MaskedText(_Broken(FREE.start(), failing), DEAD), lambda error: heard.append(str(error)))  # type: ignore[arg-type]
    letter = VOCABULARY.tokens.index(b"a")
    n_open = len(allowed(row_of(text)))
    assert text.accept([letter]) is (failing == "rollback")
    text.rollback(1)
    assert heard == ["the grammar engine failed"]
    assert len(allowed(row_of(text))) == 1, "a row without a token would be sampled from, too"
    for token_id in (letter, VOCABULARY.eos_ids[0], DEAD):
        assert not text.accept([token_id])
    assert text.allowed_prefix([letter]) == []
    assert (n_open == 1) is (failing == "fill")


class _Broken:
    """A state of which one method raises."""

    def __init__(self, state: pk.State, failing: str) -> None:
        self._state, self._failing = state, failing

    def __getattr__(self, name: str) -> object:
        return self._raises if name == self._failing else getattr(self._state, name)

    def _raises(self, *_: object) -> bool:
        raise pk.diagnostics.InternalError("the grammar engine failed")


def test_whatever_fails_while_a_mask_is_made_is_told(tmp_path: Path) -> None:
    """Also what is looked at before the plan; of a request that does not say who asks, nobody is told."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "guard.sock"))
        ear.settimeout(5)
        request = attest.MaskRequest("r", "sha256:" + "0" * 64, "guard.sock")
        failures = (
            (pk.PolicyError.of("PK746", "not served"), "PK746"),
            (ValueError("no such form"), "PK747"),
            (KeyError("x"), "PK747"),
        )
        for error, code in failures:
            with pytest.raises(type(error)), told(tmp_path, {attest.XARG: request.render()}, "0_r"):
                raise error
            said = attest.parse(ear.recv(attest.MAX_DATAGRAM))
            assert (type(said), said.request, said.child) == (attest.Failed, "r", "0_r")
            assert isinstance(said, attest.Failed)
            assert said.code == code
        for extra in (None, {}, {attest.XARG: "no request"}):
            with pytest.raises(KeyError), told(tmp_path, extra, "0_r"):
                raise KeyError
        with told(tmp_path, {attest.XARG: request.render()}, "0_r"):
            pass
        ear.settimeout(0.2)
        with pytest.raises(TimeoutError):
            ear.recv(attest.MAX_DATAGRAM)
