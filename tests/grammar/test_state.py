"""The state contract over small random vocabularies; the oracle for masks is plain string prefixes."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from policykit.diagnostics import InternalError, Place, PolicyError
from policykit.grammar import CompiledGrammar, GrammarState, TokenTable, choices, json_schema, lark, regex

PLACE = Place("case")
ALPHABET = "abc"
GRAMMARS = {
    "loop": regex("(ab|ac)*c?", PLACE),
    "finite": regex("abc", PLACE),
    "json": json_schema({"type": "array", "items": {"enum": ["a", "ab", "bc"]}}, PLACE),
    "recursive": lark('start: "a" start "b" | "c"', PLACE),
}
OUTSIDE = '[]",'

pieces = st.text(ALPHABET, min_size=2, max_size=4).map(str.encode)


@st.composite
def tables(draw: st.DrawFn) -> TokenTable:
    """Every byte that the grammars need, random longer tokens (with repetitions), an empty one, two ends."""
    ordinary = [c.encode() for c in ALPHABET + OUTSIDE] + draw(st.lists(pieces, max_size=8)) + [b""]
    shuffled = draw(st.permutations([*ordinary, b"<end>", b"<stop>", b"<tool>"]))
    named = {name: shuffled.index(name) for name in (b"<end>", b"<stop>", b"<tool>")}
    return TokenTable(tuple(shuffled), frozenset(named.values()), (named[b"<end>"], named[b"<stop>"]))


def allowed(state: GrammarState, table: TokenTable) -> list[int]:
    row = np.zeros(table.row_words, dtype=np.int32)
    state.fill(row)
    bits = np.unpackbits(row.view(np.uint8), bitorder="little")
    assert not bits[len(table.tokens) :].any(), "bits beyond the vocabulary"
    return [int(i) for i in np.flatnonzero(bits)]


def describe(state: GrammarState, table: TokenTable) -> tuple[list[int], bool, bool, bytes]:
    return allowed(state, table), state.accepting, state.finished, state.forced_bytes()


def walk(state: GrammarState, table: TokenTable, picks: list[int]) -> list[int]:
    taken: list[int] = []
    for pick in picks:
        options = allowed(state, table)
        token = options[pick % len(options)]
        assert state.accept(token), "a token of the mask was refused"
        taken.append(token)
    return taken


@settings(max_examples=60, deadline=None)
@given(tables(), st.sampled_from(sorted(GRAMMARS)), st.lists(st.integers(0, 1000), max_size=12), st.integers(0, 12))
def test_rollback_is_replay(table: TokenTable, name: str, picks: list[int], n: int) -> None:
    compiled = CompiledGrammar(GRAMMARS[name], table)
    state = compiled.start()
    taken = walk(state, table, picks)
    n = min(n, len(taken))
    state.rollback(n)
    replayed = compiled.start()
    for token in taken[: len(taken) - n]:
        assert replayed.accept(token)
    assert describe(state, table) == describe(replayed, table)
    for token in taken[len(taken) - n :]:
        assert state.accept(token)
    with pytest.raises(ValueError, match="cannot take back"):
        state.rollback(len(taken) + 1)


@settings(max_examples=60, deadline=None)
@given(tables(), st.sampled_from(sorted(GRAMMARS)), st.lists(st.integers(0, 1000), max_size=10))
def test_looking_and_refusing_change_nothing(table: TokenTable, name: str, picks: list[int]) -> None:
    compiled = CompiledGrammar(GRAMMARS[name], table)
    state, plain = compiled.start(), compiled.start()
    for pick in picks:
        before = describe(state, table)
        assert describe(state, table) == before
        for token in set(range(-1, len(table.tokens) + 2)) - set(before[0]):
            assert not state.accept(token)
        assert describe(state, table) == before
        token = before[0][pick % len(before[0])]
        twin = state.copy()
        assert twin.accept(token)
        assert describe(state, table) == before, "a copy moved its original"
        assert state.accept(token)
        assert plain.accept(token)
        assert describe(state, table) == describe(plain, table) == describe(twin, table)


@settings(max_examples=60, deadline=None)
@given(
    tables(),
    st.lists(st.text(ALPHABET, min_size=1, max_size=6), min_size=1, max_size=5, unique=True),
    st.lists(st.integers(0, 1000), max_size=8),
)
def test_masks_are_exact_for_choices(table: TokenTable, texts: list[str], picks: list[int]) -> None:
    state = CompiledGrammar(choices(texts, PLACE), table).start()
    written = ""
    for pick in picks:
        expected = {
            i
            for i, token in enumerate(table.tokens)
            if token and i not in table.special_ids and any(t.startswith(written + token.decode()) for t in texts)
        }
        if written in texts:
            expected |= set(table.eos_ids)
        assert set(allowed(state, table)) == expected
        assert state.accepting == (written in texts)
        token = sorted(expected)[pick % len(expected)]
        assert state.accept(token)
        if token in table.eos_ids:
            break
        written += table.tokens[token].decode()


@settings(max_examples=200, deadline=None)
@given(tables(), st.sampled_from(sorted(GRAMMARS)), st.lists(st.integers(0, 99), max_size=6), st.data())
def test_many_tokens_are_taken_as_one_by_one_or_not_at_all(
    table: TokenTable, name: str, picks: list[int], data: st.DataObject
) -> None:
    state = CompiledGrammar(GRAMMARS[name], table).start()
    taken = walk(state, table, picks)
    more = data.draw(st.lists(st.integers(-1, len(table.tokens)), max_size=4))
    one_by_one, before = state.copy(), describe(state, table)
    ends = any(i in table.eos_ids for i in more)
    expected = not ends and not state.finished and all(one_by_one.accept(i) for i in more)
    if not state.finished:
        ahead = state.ahead()
        assert ahead.accept_all(more) == expected
        assert describe(ahead, table) == (describe(one_by_one, table) if expected else before)
        ahead.rollback(len(more) if expected else 0)
        assert describe(ahead, table) == before
        with pytest.raises(ValueError, match="cannot take back"):
            ahead.rollback(1)
    assert describe(state, table) == before
    assert state.accept_all(more) == expected
    assert describe(state, table) == (describe(one_by_one, table) if expected else before)
    state.rollback(len(taken) + (len(more) if expected else 0))
    assert describe(state, table) == describe(CompiledGrammar(GRAMMARS[name], table).start(), table)


def test_an_end_of_text_is_a_step_like_any_other() -> None:
    table = TokenTable((b"a", b"b", b"c", b"<end>", b"<stop>"), frozenset({3, 4}), (3, 4))
    state = CompiledGrammar(GRAMMARS["finite"], table).start()
    for token in (0, 1, 2, 4):  # the engine stops at 2 and forgets what comes later
        assert state.accept(token)
    assert state.finished
    assert allowed(state, table) == [3, 4]
    assert state.accept(3), "a batch pads with ends of text"
    assert not state.accept(0)
    state.rollback(1)
    assert state.finished
    state.rollback(1)
    assert (state.finished, state.accepting, allowed(state, table)) == (False, True, [3, 4])
    state.rollback(1)
    assert (state.accepting, allowed(state, table)) == (False, [2])
    state.rollback(2)
    assert allowed(state, table) == [0]


def test_every_tokenisation_of_forced_text_is_offered() -> None:
    table = TokenTable((b"a", b"b", b"c", b"ab", b"abc", b"bc", b"<end>"), frozenset({6}), (6,))
    state = CompiledGrammar(GRAMMARS["finite"], table).start()
    assert state.forced_bytes() == b"abc"
    assert allowed(state, table) == [0, 3, 4]
    assert state.accept(0)
    assert allowed(state, table) == [1, 5]


def test_special_tokens_are_not_their_text() -> None:
    table = TokenTable((*(bytes([i]) for i in range(256)), b"<tool>", b"<end>"), frozenset({256, 257}), (257,))
    free = CompiledGrammar(regex("(?s).*", PLACE), table).start()
    assert 256 not in allowed(free, table)
    assert 257 in allowed(free, table)
    named = CompiledGrammar(lark('start: "a" <tool> "b"', PLACE), table).start()
    assert named.accept(ord("a"))
    assert allowed(named, table) == [256]
    assert named.accept(256)
    assert allowed(named, table) == [ord("b")]


def test_a_dead_end_is_an_error_and_not_an_end() -> None:
    table = TokenTable((b"a", b"c", b"<end>"), frozenset({2}), (2,))  # no `b` to go on with
    state = CompiledGrammar(GRAMMARS["finite"], table).start()
    assert state.accept(0)
    row = np.zeros(1, dtype=np.int32)
    with pytest.raises(InternalError):
        state.fill(row)
    assert not state.accept(2)
    state.rollback(1)
    assert allowed(state, table) == [0]


def test_byte_matcher_is_the_same_language() -> None:
    table = TokenTable((b"ab", b"c", b"<end>"), frozenset({2}), (2,))
    compiled = CompiledGrammar(GRAMMARS["finite"], table)
    state = compiled.byte_matcher()
    assert all(state.accept(byte) for byte in b"abc")
    assert state.accepting
    assert compiled.start().accept(0), "states do not share anything"


@pytest.mark.parametrize("row", [np.zeros(2, np.int32), np.zeros(1, np.int64), np.zeros((1, 1), np.int32)])
def test_a_row_of_another_shape_is_refused(row: np.ndarray) -> None:
    table = TokenTable((b"a", b"b", b"c", b"<end>"), frozenset({3}), (3,))
    with pytest.raises(ValueError, match="mask row"):
        CompiledGrammar(GRAMMARS["finite"], table).start().fill(row)


@pytest.mark.parametrize(("special", "eos"), [(frozenset({0}), ()), (frozenset({9}), (0,)), (frozenset[int](), (5,))])
def test_a_vocabulary_needs_its_ends(special: frozenset[int], eos: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"token id|end of text"):
        TokenTable((b"a",), special, eos)


def test_an_unknown_special_token_is_an_error() -> None:
    table = TokenTable((b"a", b"<end>"), frozenset({1}), (1,))
    with pytest.raises(PolicyError, match="PK219: `<nowhere>` is no special token"):
        CompiledGrammar(lark('start: "a" <nowhere>', PLACE), table)
