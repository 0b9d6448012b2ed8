"""The automata of plain expressions say what Python's `re` says, for generated expressions and for every plan's."""

import re
from random import Random

import phonenumbers
import pytest
from hypothesis import given, settings, strategies as st

from policykit.entities.plain import CHARS, DEAD, NotPlain, PlainAutomaton
from tests.entities.sampled import sampled

ATOMS = st.sampled_from(["0", "7", "A", r"\d", "[0-3]", "[12]", r"[A-C\d]", "[7-9A]", "(?:)"])
TIMES = st.sampled_from(["?", "*", "+", "{1}", "{2}", "{0,2}", "{1,3}"])
SOURCES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map("|".join),
        st.tuples(inner, TIMES).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
        inner.map(lambda source: f"({source})"),
    ),
    max_leaves=8,
)


def accepted(automaton: PlainAutomaton, text: str) -> bool:
    state = automaton.start
    for char in text:
        state = automaton.step(state, CHARS.index(char) if char in CHARS[: automaton.n] else automaton.n)
    return automaton.accepts(state)


@settings(deadline=None, max_examples=100)
@given(SOURCES, st.lists(st.text("0127ABx", max_size=6), min_size=1, max_size=20))
def test_what_re_says(source: str, texts: list[str]) -> None:
    automaton, expected = PlainAutomaton(source), re.compile(source)
    for text in texts:
        assert accepted(automaton, text) == bool(expected.fullmatch(text)), (source, text)


def patterns() -> set[str]:
    """Of every region, every pattern for numbers."""
    regions = [phonenumbers.PhoneMetadata.metadata_for_region(region) for region in phonenumbers.SUPPORTED_REGIONS]
    kinds = ("general_desc", "fixed_line", "mobile", "toll_free", "voip", "uan")
    found = [getattr(region, kind) for region in regions for kind in kinds]
    return {one.national_number_pattern for one in found if one and one.national_number_pattern}


def test_numbering_plans_are_plain_and_read_as_re_reads_them() -> None:
    rng = Random(4)
    n_valid = 0
    for source in sorted(patterns()):
        automaton, expected = PlainAutomaton(source), re.compile(source)
        for _ in range(2):
            text = sampled(rng, source)
            at = rng.randrange(len(text))
            for one in (text, text[:at] + rng.choice("0123456789") + text[at + 1 :]):
                is_valid = bool(expected.fullmatch(one))
                assert accepted(automaton, one) == is_valid, (source, one)
                n_valid += is_valid
    assert n_valid > 1_000


@pytest.mark.parametrize(
    "source", ["a", "(?=1)", "1(?!2)", "[^1]", ".", r"\b1", "1$", "1**", "?", "1{2}?", "(1", "1)", "[2-1]", "1{0}", "é"]
)
def test_what_is_not_plain_is_refused(source: str) -> None:
    with pytest.raises(NotPlain):
        PlainAutomaton(source)


def test_what_is_neither_digit_nor_capital_is_in_no_word() -> None:
    automaton = PlainAutomaton(r"[\dA-Z]*")
    assert automaton.accepts(automaton.start)
    assert automaton.step(automaton.start, automaton.n) == DEAD
    assert not automaton.accepts(DEAD)
