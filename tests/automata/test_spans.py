"""Spans of expressions against google-re2 and against brute force over all pairs of positions."""

import re

import pytest
import re2
from hypothesis import example, given, settings, strategies as st

from policykit.automata import compile_finder, spans
from policykit.text import view
from tests.automata.test_search import regexes, sources, texts

BODIES = ["a+", "ab|b.*c", "a{1,3}", "[ab]c?", "(?:ab)+", "b", "a.?"]
CONTEXTS = ["c", "a|bb", "b+", "[ac]{2}", "c.a"]


@settings(max_examples=600, deadline=None)
@given(sources, texts)
@example("ab|b[^c]*d", "ab  bd")  # the longer match from 1 is no match, since 0 comes first; the one from 4 is
def test_successive_spans_are_those_of_re2(source: str, text: str) -> None:
    options = re2.Options()
    options.longest_match = True
    compiled = re2.compile(source, options)
    if compiled.search(""):
        return  # refused in policies: it matches everywhere
    found = compile_finder(regexes(source), view("raw")).findall(text)
    expected = dict.fromkeys(match.span() for match in compiled.finditer(text))  # it lists an empty last match twice
    assert [(f.start, f.end) for f in found] == list(expected)


def brute_force(body: str, before: tuple[str, int] | None, after: tuple[str, int] | None, text: str) -> list[list[int]]:
    """All pairs of positions, with the contexts tried at every distance; then first and longest."""
    places = range(len(text) + 1)

    def begins(at: int) -> bool:
        if before is None:
            return True
        ends = range(max(0, at - before[1]), at + 1)
        return any(re.fullmatch(before[0], text[i:j]) for j in ends for i in range(j + 1))

    def ends(at: int) -> bool:
        if after is None:
            return True
        starts = range(at, min(len(text), at + after[1]) + 1)
        return any(re.fullmatch(after[0], text[i:j]) for i in starts for j in range(i, len(text) + 1))

    found = [[i, j] for i in places if begins(i) for j in places if j > i and ends(j) and re.fullmatch(body, text[i:j])]
    chosen: list[list[int]] = []
    for span in sorted(found, key=lambda pair: (pair[0], -pair[1])):
        if not chosen or span[0] >= chosen[-1][1]:
            chosen.append(span)
    return chosen


around = st.none() | st.tuples(st.sampled_from(CONTEXTS), st.integers(0, 3))


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(BODIES), around, around, st.text("abc", max_size=9))
def test_context_stays_outside_and_is_never_missed(
    body: str, before: tuple[str, int] | None, after: tuple[str, int] | None, text: str
) -> None:
    found = compile_finder(regexes(body, before=before, after=after), view("raw")).findall(text)
    assert [[f.start, f.end] for f in found] == brute_force(body, before, after, text)


def test_forgetting_states_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    source, text = r"(?:a|b)*a[ab]{3}c|ab", "abbaabab" * 6 + "c" + "babbab" * 5
    whole = compile_finder(regexes(source), view("raw")).findall(text)
    monkeypatch.setattr(spans, "MAX_STATES", 3)
    assert compile_finder(regexes(source), view("raw")).findall(text) == whole


@pytest.mark.parametrize(
    ("source", "text", "n"),
    [
        ("x[^y]*y|x", "x" * 40_000, 40_000),  # every match is followed by a search for `y` in vain
        ("a{900}", "a" * 100_000, 111),  # 900 places in the expression for every character
        ("(?:a|b)*a[ab]{12}c", "ab" * 3_000, 0),
    ],
)
def test_hostile_texts_are_read_in_linear_time(source: str, text: str, n: int) -> None:
    """Read in quadratic time these would take minutes to hours."""
    assert len(compile_finder(regexes(source), view("raw")).findall(text)) == n
