"""Phrases with their letters set apart, against `re` and by example."""

import re

import pytest
from hypothesis import given, settings, strategies as st

from policykit.automata import compile_finder, n_letters, parse_regex, squeeze
from policykit.diagnostics import Place
from policykit.ir.document import Context, Phrase, Phrases, Reading
from policykit.text import view
from policykit.verify.prefilter import compile_prefilter

PLACE = Place("test")
WHITE, TIGHT, DOTS = " \n", "-_*~`\u200b", "./·"


def squeezed(*texts: str, anything_before: bool = False) -> Phrases:
    before = Context(parse_regex("^[^0]*", PLACE), "^[^0]*", 0, PLACE) if anything_before else None
    return Phrases(tuple(Phrase(t, PLACE) for t in texts), False, before, None, Reading(), PLACE, squeeze=True)


def as_re(phrase: str) -> str:
    """A phrase of the letters a and b, and `%`."""
    words = phrase.split(" ")
    inside, anything = r"[^ab1]*", r"[^ab1]+"
    between = f"(?:[{re.escape(WHITE + TIGHT)}]*|[{re.escape(DOTS + TIGHT)}]*)"
    loose = between.join(inside.join(map(re.escape, word)) for word in words)
    apart = anything.join(map(re.escape, "".join(words)))
    left = "(?<![ab1])" if words[0][0] in "ab" else ""
    right = "(?![ab1])" if words[-1][-1] in "ab" else ""
    return f"{left}(?:{loose}|{apart}){right}"


phrases = st.lists(st.text("ab%", min_size=1, max_size=3), min_size=1, max_size=3).map(" ".join)
texts = st.text("ab" * 6 + "1% \n-_\u200b./·,|", max_size=14)


@settings(max_examples=1500, deadline=None)
@given(st.lists(phrases, min_size=1, max_size=3), texts)
def test_letters_set_apart_are_found_as_re_finds_them(wanted: list[str], text: str) -> None:
    leaf = squeezed(*wanted)
    finder = compile_finder(leaf, view("raw"))
    expected = any(re.search(as_re(phrase), text) for phrase in wanted)
    assert finder.search(text) == expected, (wanted, text)
    found = finder.findall(text)
    assert bool(found) == expected
    for item in found:
        assert re.compile(as_re(wanted[item.index])).fullmatch(text, item.start, item.end), (wanted, text, item)
    assert compile_prefilter(leaf, view("raw")).may_find(text) or not expected


@settings(max_examples=600, deadline=None)
@given(phrases, texts)
def test_with_context_they_are_found_the_same(wanted: str, text: str) -> None:
    """The context can stand before everything: the other kind of automaton must agree."""
    expected = re.search(as_re(wanted), text) is not None
    assert compile_finder(squeezed(wanted, anything_before=True), view("raw")).search(text) == expected


def spelled(phrase: str, choices: list[str]) -> str:
    return "".join(char + choices[i % len(choices)] for i, char in enumerate(phrase)).strip()


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from([" ", ".", "-", "_", "*", " . ", " | ", "\n", "/", "·", "  ", ", "]), min_size=1))
def test_every_letter_set_apart_by_anything(choices: list[str]) -> None:
    text = "So " + spelled("guaranteedreturns", choices) + " for you"
    assert compile_finder(squeezed("guaranteed returns"), view("compat")).search(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("guaranteed returns", True),
        ("guaranteedreturns", True),
        ("g u a r a n t e e d   r e t u r n s", True),
        ("G.U.A.R.A.N.T.E.E.D R.E.T.U.R.N.S!", True),
        ("guar-an-teed re_turns", True),
        ("guaranteed/returns", True),
        ("gua\u200branteed re\u00adturns", True),
        ("**guaranteed** **returns**", True),
        ("Delivery is guaranteed, returns are free.", False),
        ("Delivery is guaranteed. Returns are free.", False),
        ("| guaranteed | returns |", False),
        ("guaranteed (returns within 30 days)", False),
        ("xguaranteed returns", False),
        ("guaranteed returnsx", False),
        ("a g u a r a n t e e d r e t u r n s", True),
        ("guaranteed 1 returns", False),
        ("guar日anteed returns", False),
    ],
)
def test_spellings(text: str, expected: bool) -> None:
    finder = compile_finder(squeezed("guaranteed returns"), view("compat"))
    assert finder.search(view("compat").apply(text)) == expected


def test_letters_are_counted_without_marks_between_words() -> None:
    found = squeeze(view("compat"), "Can't -- lose 10%")
    assert found.words == ("can't", "lose", "10%")
    assert n_letters(found) == 10


def test_scripts_without_spaces_are_set_apart_by_other_characters_only() -> None:
    compat = view("compat")
    finder = compile_finder(squeezed("元本保証 必ず儲かる"), compat)
    assert finder.search(compat.apply("これは元・本・保・証・必・ず・儲・か・るです"))
    assert finder.search(compat.apply("元本保証 必ず儲かる"))
    assert not finder.search(compat.apply("これは元 本 保 証、必 ず儲かるです"))
    assert not finder.search(compat.apply("元の本を保証 必ず儲かる"))
