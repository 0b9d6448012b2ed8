"""Rows of a batch: masks follow what a row has written, wherever it stands."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from policykit.constraint import Outcome, Vocabulary
from policykit.diagnostics import InternalError
from policykit.engines.rows import ConstraintRows, packed, unpacked
from tests.engines.phrase_ban import PhraseBan

LETTERS = Vocabulary.from_tokens([b"a", b"b", b"ab", b"", b""], eos_ids=[3], special_ids=[4], allow_incomplete=True)
A, B, AB, END, PAD = range(5)


def ban(*phrases: bytes, **settings: object) -> PhraseBan:
    return PhraseBan(LETTERS, phrases, **settings)  # pyright: ignore[reportArgumentType]


def written(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.int64).reshape(len(rows), -1)


def allowed(rows: ConstraintRows, *texts: list[int]) -> list[set[int]]:
    return [set(np.flatnonzero(row)) for row in unpacked(rows.masks(written(*texts)), LETTERS.size, LETTERS.size)]


@given(st.sets(st.integers(0, 99)), st.integers(90, 130))
def test_a_packed_mask_unpacks_to_the_same_tokens(tokens: set[int], width: int) -> None:
    mask = packed(tokens, 100)
    assert mask.dtype == np.int32
    assert mask.shape == (4,)
    bits = unpacked(np.stack([mask, packed((), 100)]), 100, width)
    assert bits.shape == (2, width)
    assert set(np.flatnonzero(bits[0])) == {t for t in tokens if t < width}
    assert not bits[1].any()


def test_the_first_bits_are_where_llguidance_puts_them() -> None:
    assert packed({0, 1, 33}, 64).tolist() == [3, 2]
    assert packed({31}, 32).tolist() == [-(2**31)]


def test_each_row_gets_the_mask_of_its_own_text() -> None:
    rows = ConstraintRows(ban(b"ab", b"bb"))
    assert allowed(rows, [], []) == [{A, B, END}] * 2
    assert allowed(rows, [A], [B]) == [{A, END}, {A, END}]
    assert allowed(rows, [A, A], [B, A]) == [{A, END}] * 2


def test_reordered_and_duplicated_rows_keep_their_state() -> None:
    rows = ConstraintRows(ban(b"ab", b"bb", b"baa"))
    allowed(rows, [], [])
    allowed(rows, [A], [B])
    assert allowed(rows, [B, A], [A, A], [B, A]) == [{END}, {A, END}, {END}]


def test_rows_with_the_same_text_share_one_state_and_one_mask() -> None:
    constraint = ban(b"ab")
    rows = ConstraintRows(constraint)
    rows.masks(written(*[[]] * 8))
    rows.masks(written(*[[B]] * 8))
    assert (constraint.fills, constraint.copies) == (2, 0)


def test_asking_twice_costs_nothing_and_changes_nothing() -> None:
    constraint = ban(b"ab")
    rows = ConstraintRows(constraint)
    first = allowed(rows, [A])
    assert allowed(rows, [A]) == first
    assert constraint.fills == 1


@given(st.lists(st.lists(st.sampled_from([A, B]), min_size=3, max_size=3), min_size=1, max_size=6))
def test_a_batch_equals_its_rows_alone_and_steps_equal_a_replay(texts: list[list[int]]) -> None:
    legal = [t for t in texts if b"abb" not in LETTERS.decode(t)]
    if not legal:
        return
    rows = ConstraintRows(ban(b"abb"))
    for n in range(4):
        stepped = allowed(rows, *(t[:n] for t in legal))
    assert stepped == [allowed(ConstraintRows(ban(b"abb")), t)[0] for t in legal]


def test_prefixes_prime_groups_of_rows() -> None:
    rows = ConstraintRows(ban(b"ab"), prefixes=(b"a", b""))
    assert allowed(rows, [], [], [], []) == [{A, END}] * 2 + [{A, B, END}] * 2
    with pytest.raises(InternalError, match="3 rows cannot share 2 prefixes"):
        rows.masks(written([], [], []))


def test_after_the_end_only_the_end_is_allowed_and_padding_accepted() -> None:
    rows = ConstraintRows(ban(b"ab"), pad_id=PAD)
    assert allowed(rows, [END]) == [{END}]
    assert allowed(rows, [END, PAD]) == [{END}]
    assert allowed(rows, [END, PAD, END]) == [{END}]
    with pytest.raises(InternalError, match="token 0"):
        rows.masks(written([END, PAD, END, A]))


def test_a_token_against_the_mask_is_an_error_and_never_goes_on() -> None:
    rows = ConstraintRows(ban(b"ab"))
    rows.masks(written([A]))
    with pytest.raises(InternalError, match="token 1, which the mask forbids"):
        rows.masks(written([A, B]))
    with pytest.raises(InternalError, match="token 99"):
        rows.masks(written([99]))


def test_an_empty_mask_is_an_error_that_names_the_row() -> None:
    rows = ConstraintRows(ban(traps={1: frozenset()}, ends_when_dead=False))
    rows.masks(written([], []))
    with pytest.raises(InternalError, match="nothing is allowed in row 0 after 1 tokens"):
        rows.masks(written([A], [B]))


def test_lost_rows_stay_closed_where_they_are_kept() -> None:
    rows = ConstraintRows(ban(b"ab", traps={3: frozenset()}), keeps_lost_rows=True)
    rows.masks(written([A], [A]))
    assert allowed(rows, [A, B], [A, A]) == [set(), {A, END}]
    assert allowed(rows, [A, B, A], [A, A, A]) == [set(), set()], "a dead end is no good end of a hypothesis"


def test_the_outcome_of_a_text_is_found_by_replay() -> None:
    rows = ConstraintRows(ban(b"ab", traps={2: frozenset()}))
    assert rows.outcome([A]) is Outcome.RUNNING
    assert rows.outcome([A, END]) is Outcome.FINISHED
    assert rows.outcome([A, A, END]) is Outcome.DEAD_END
    assert rows.outcome([AB]) is None
    assert rows.outcome([B], prefix=b"a") is None
