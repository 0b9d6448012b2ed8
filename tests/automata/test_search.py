"""The search automata against oracles that share no code with them: google-re2, and string search by hand."""

import random

import pytest
import re2
from hypothesis import given, settings, strategies as st

from policykit.automata import compile_finder, parse_regex
from policykit.automata.frames import Trimmed
from policykit.automata.lazy import RegexAutomaton
from policykit.automata.nfa import Pattern, build
from policykit.diagnostics import Place
from policykit.ir.document import Context, Phrase, Phrases, Reading, Regexes, RegexSource
from policykit.text import view

PLACE = Place("test")


def regexes(*sources: str, before: tuple[str, int] | None = None, after: tuple[str, int] | None = None) -> Regexes:
    def context(given: tuple[str, int] | None) -> Context | None:
        return Context(parse_regex(given[0], PLACE), given[0], given[1], PLACE) if given else None

    made = tuple(RegexSource(s, parse_regex(s, PLACE), PLACE) for s in sources)
    return Regexes(made, context(before), context(after), Reading(), PLACE)


def phrases(*texts: str, exact: bool = False) -> Phrases:
    return Phrases(tuple(Phrase(t, PLACE) for t in texts), exact, None, None, Reading(), PLACE)


atoms = st.sampled_from(["a", "b", "c", " ", ".", "[ab]", "[^a]", r"\w", r"\d", r"\b", r"\B", "^", "$", "1", r"\s"])
sources = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda t: f"(?:{t[0]}|{t[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{0,2}", "{2}"])).map(lambda t: f"(?:{t[0]}){t[1]}"),
    ),
    max_leaves=6,
)
texts = st.text("abc1 _-\n", max_size=8)


@settings(max_examples=600, deadline=None)
@given(sources, st.lists(texts, min_size=1, max_size=5), st.sampled_from(["", "(?s)", "(?m)", "(?i)"]))
def test_an_expression_finds_what_re2_finds(source: str, samples: list[str], flags: str) -> None:
    compiled = re2.compile(flags + source)
    if compiled.search(""):
        return  # refused in policies: it matches everywhere
    finder = compile_finder(regexes(flags + source), view("raw"))
    for text in samples:
        expected = compiled.search(text) is not None
        assert finder.search(text) == expected, (flags + source, text)
        assert bool(finder.findall(text)) == expected


@settings(max_examples=300, deadline=None)
@given(sources, texts)
def test_the_first_span_is_leftmost_longest(source: str, text: str) -> None:
    options = re2.Options()
    options.longest_match = True
    compiled = re2.compile(source, options)
    if compiled.search(""):
        return
    expected = compiled.search(text)
    found = compile_finder(regexes(source), view("raw")).findall(text)
    assert (found[0].start, found[0].end) == expected.span() if expected else not found


def naive_find(phrase: str, text: str) -> bool:
    """Whole words only, any run of separators for a space; by hand, character by character."""
    separators = " -_*~`\t\n"
    words = phrase.split(" ")

    def ends_at(at: int, word: str) -> int | None:
        return at + len(word) if text.startswith(word, at) else None

    for start in range(len(text)):
        if start and text[start - 1].isalnum():
            continue
        at: int | None = start
        for i, word in enumerate(words):
            if i:
                skip = at
                while skip < len(text) and text[skip] in separators:
                    skip += 1
                at = None if skip == at else skip
            at = ends_at(at, word) if at is not None else None
            if at is None:
                break
        if at is not None and (at == len(text) or not text[at].isalnum()):
            return True
    return False


@settings(max_examples=800, deadline=None)
@given(
    st.lists(st.lists(st.text("ab", min_size=1, max_size=2), min_size=1, max_size=3), min_size=1, max_size=4),
    st.text("ab -_.", max_size=12),
)
def test_phrases_are_found_as_a_reader_would(groups: list[list[str]], text: str) -> None:
    wanted = [" ".join(words) for words in groups]
    finder = compile_finder(phrases(*wanted), view("raw"))
    expected = any(naive_find(phrase, text) for phrase in wanted)
    assert finder.search(text) == expected
    found = finder.findall(text)
    assert bool(found) == expected
    for item in found:
        assert naive_find(wanted[item.index], text[item.start : item.end])


@pytest.mark.parametrize(
    ("phrase", "text", "expected"),
    [
        ("guaranteed returns", "Guaranteed  RETURNS", True),
        ("guaranteed returns", "**guaranteed** _returns_", True),
        ("guaranteed returns", "ｇｕａｒａｎｔｅｅｄ returns", True),
        ("guaranteed returns", "guar\u200banteed\u00a0returns", True),
        ("guaranteed returns", "guaranteed\n-\nreturns", True),
        ("guaranteed returns", "unguaranteed returns", False),
        ("guaranteed returns", "guaranteed returnsx", False),
        ("risk-free", "risk free", True),
        ("risk-free", "riskfree", False),
        ("schon", "schön", False),
        ("$100 bonus", "a$100  bonus!", True),
        ("straße", "STRASSE", True),
    ],
)
def test_compat_spellings(phrase: str, text: str, expected: bool) -> None:
    compat = view("compat")
    assert compile_finder(phrases(phrase), compat).search(compat.apply(text)) == expected


def test_exact_phrases_take_their_spaces_literally() -> None:
    finder = compile_finder(phrases("a b", exact=True), view("raw"))
    assert finder.search("x a b.")
    assert not finder.search("a  b")
    assert not finder.search("a-b")


def test_context_limits_a_match_and_stays_outside_its_span() -> None:
    finder = compile_finder(regexes(r"\d{4}", before=("card ", 3), after=("!", 0)), view("raw"))
    assert [(f.start, f.end) for f in finder.findall("card  x1234!")] == [(7, 11)]
    assert not finder.search("card 12345678!")
    assert not finder.search("card 1234 !")
    assert not finder.search("1234!")


def test_a_state_that_only_completes_is_dead() -> None:
    nfa = build(view("raw"), Pattern(parse_regex(r"a(?:\b|\B)", PLACE)))
    automaton = RegexAutomaton(nfa)
    symbol = nfa.alphabet.of("a")
    assert automaton.step(automaton.start, symbol)
    assert not Trimmed(automaton).step(automaton.start, symbol)


def test_many_phrases_build_from_their_characters() -> None:
    rng = random.Random(5)
    wanted = list({"".join(rng.choices("abcdefgh", k=6)) for _ in range(2000)})
    finder = compile_finder(phrases(*wanted), view("compat"))
    assert all(finder.search(f"x {phrase} y") for phrase in wanted[:200])
    assert not finder.search("zzzzzz yyyyyy")
