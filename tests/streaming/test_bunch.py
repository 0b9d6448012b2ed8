"""Parts that are stepped together find what each finds alone, in whatever bunches they are, whatever is forgotten."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings, strategies as st

from policykit.automata import parse_regex
from policykit.automata.finder import trie_of
from policykit.automata.nfa import Pattern, build
from policykit.diagnostics import Place
from policykit.streaming import joint as joints
from policykit.streaming.bunch import Part, bunches_of
from policykit.streaming.expressions import TaggedExpression
from policykit.streaming.joint import Cursor, Joint, Match
from policykit.streaming.phrases import TaggedPhrases
from policykit.text import view

REGEXES = (r"ab+a", r"\bb\w", r"a\sb", r"b$", r"\d{2,3}", r"a(?:b|1){2,70}1", r"[^a]bb", r"\b1\b")


def parts() -> list[Part]:
    """Expressions with phrases between them, on two views."""
    made: list[Part] = []
    for i, source in enumerate(REGEXES):
        on = view("compat" if i % 3 else "raw")
        made.append(TaggedExpression(build(on, Pattern(parse_regex(source, Place("test"))))))
        if i in (2, 5):
            made.append(TaggedPhrases(trie_of(on, ["a b", "b", "ab a"], False, False)))
    return made


PARTS = parts()
GROUPS = (frozenset(range(len(PARTS))), frozenset({1, 3, 4}))
ALONE = [Joint([part], (frozenset({0}), frozenset({0}))) for part in parts()]
texts = st.text(st.sampled_from("ab1 Aé\u200b-"), max_size=120)


def found_alone(text: str) -> list[set[tuple[int, int, int]]]:
    return [{(m.pattern, m.start, m.end) for m in matches(joint, [text])} for joint in ALONE]


def matches(joint: Joint, pieces: Sequence[str]) -> list[Match]:
    cursor = Cursor(joint, joint.start)
    found = [match for piece in pieces for match in cursor.read(joint.symbols(piece))]
    return found + cursor.finish()


def agree(joint: Joint, text: str, cut: int) -> None:
    found = matches(joint, [text[:cut], text[cut:]])
    assert [{(m.pattern, m.start, m.end) for m in found if m.part == i} for i in range(len(PARTS))] == found_alone(text)


TOGETHER = Joint(PARTS, GROUPS)


@given(texts, st.integers(0, 120))
def test_together_they_find_what_each_finds_alone(text: str, cut: int) -> None:
    agree(TOGETHER, text, cut)


@settings(max_examples=30, deadline=None)
@given(texts, st.integers(0, 120))
def test_forgetting_changes_nothing(text: str, cut: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joints, "MAX_CELLS", 200)
        agree(Joint(PARTS, GROUPS), text, cut)


@given(texts)
def test_the_oldest_start_is_that_of_the_part_that_has_it(text: str) -> None:
    together = Cursor(TOGETHER, TOGETHER.start)
    together.read(TOGETHER.symbols(text))
    for group, members in enumerate(GROUPS):
        oldest = []
        for i in members:
            cursor = Cursor(ALONE[i], ALONE[i].start)
            cursor.read(ALONE[i].symbols(text))
            oldest.append(cursor.oldest(0))
        assert together.oldest(group) == min(oldest)


def test_every_part_is_in_one_bunch_and_phrases_are_alone() -> None:
    numbers = [bunch.numbers for bunch in bunches_of(PARTS, GROUPS)]
    assert sorted(i for own in numbers for i in own) == list(range(len(PARTS)))
    assert [own for own in numbers if any(PARTS[i].is_varied for i in own)] == [(3,), (7,)]
    assert max(map(len, numbers)) < len(PARTS) / 2
