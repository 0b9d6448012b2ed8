"""Laws of the verifier over generated texts and rules, against oracles that share no code with it."""

import json
import re
import unicodedata

from hypothesis import assume, given, settings, strategies as st

from policykit.automata import compile_finder
from policykit.ir.document import Join, Within
from policykit.text import view
from policykit.verify import Verifier
from policykit.verify.prefilter import Undecided, compile_prefilter
from tests.verify.build import context, mask, phrases, reading, regexes, replacement, rule

# Small alphabets make matches, near misses and overlaps frequent.
LETTERS = "abAB\uff41\uff22"  # a, B full-width
JUNK = "\u200b\u00ad"  # ignored by compat
TEXTS = st.text(st.sampled_from([*LETTERS, *JUNK, *" -_.ß1é"]), max_size=24)
WORDS = st.text(st.sampled_from("abß1"), min_size=1, max_size=3)
PHRASES = st.lists(st.lists(WORDS, min_size=1, max_size=3).map(" ".join), min_size=1, max_size=4, unique=True)
ON_COMPAT = {
    "a+b": "a+b",
    r"\bab\b": r"\bab\b",
    "[^a]b": "[^a]b",
    "(?:ab|ba){2}": "(?:ab|ba){2}",
    r"\d": r"\d",
    "a.{0,2}b": "a.{0,2}b",
    "^b": "^b",
    "A$": "a$",
    r"\B1": r"\B1",
    "ß": "ss",
    "é": "e\u0301",
    "(?i)B1": "b1",
    "[a-b]1": "[a-b]1",
    r"(?:a|-)\s": r"(?:a|-)\s",
}
"""Expressions, and what they mean on `compat` as Python's `re` would write it."""
REGEXES = st.lists(st.sampled_from(list(ON_COMPAT)), min_size=1, max_size=3, unique=True)


def oracle_view(text: str) -> tuple[str, list[int]]:
    """`compat` on these alphabets by the standard library, with the origin of every character."""
    out: list[str] = []
    origin: list[int] = []
    for at, char in enumerate(text):
        image = "" if char in JUNK else unicodedata.normalize("NFKD", char).casefold()
        out.append(image)
        origin += [at] * len(image)
    return "".join(out), origin


def is_word(char: str) -> bool:
    return unicodedata.category(char)[0] in "LMN"


def oracle_finds(phrase: str, text: str) -> bool:
    """Brute force: every start, every way to read on over separators."""

    def ends(words: list[str], at: int) -> set[int]:
        if not text.startswith(words[0], at):
            return set()
        at += len(words[0])
        if len(words) == 1:
            return {at}
        run = at
        found: set[int] = set()
        while run < len(text) and text[run] in " -_":
            run += 1
            found |= ends(words[1:], run)
        return found

    def is_boundary(at: int) -> bool:
        before = at > 0 and is_word(text[at - 1])
        after = at < len(text) and is_word(text[at])
        return before != after

    words = oracle_view(phrase)[0].split(" ")
    return any(
        (is_boundary(start) or not is_word(words[0][0])) and (is_boundary(end) or not is_word(words[-1][-1]))
        for start in range(len(text) + 1)
        for end in ends(words, start)
    )


@settings(max_examples=300, deadline=None)
@given(PHRASES, TEXTS)
def test_phrases_match_where_brute_force_finds_them(found: list[str], text: str) -> None:
    verdict = Verifier((rule("r", phrases(*found)),), None, "").verify(text)
    seen, _ = oracle_view(text)
    assert (verdict.decision == "block") == any(oracle_finds(phrase, seen) for phrase in found)


@settings(max_examples=300, deadline=None)
@given(REGEXES, TEXTS.map(lambda text: text.replace("é", "e")))  # `re` takes a mark for no word character
def test_expressions_match_where_re_finds_them(sources: list[str], text: str) -> None:
    verdict = Verifier((rule("r", regexes(*sources)),), None, "").verify(text)
    seen, _ = oracle_view(text)
    assert (verdict.decision == "block") == any(re.search(ON_COMPAT[source], seen) for source in sources)


@settings(max_examples=200, deadline=None)
@given(PHRASES, TEXTS)
def test_a_span_is_text_whose_view_contains_the_phrase(found: list[str], text: str) -> None:
    for violation in Verifier((rule("r", phrases(*found)),), None, "").verify(text).violations:
        assert violation.start is not None
        assert violation.end is not None
        stretch = text[violation.start : violation.end]
        seen, origin = oracle_view(stretch)
        assert origin[0] == 0, "the span begins with a character of the match"
        assert origin[-1] == len(stretch) - 1, "the span ends with a character of the match"
        words = oracle_view(violation.matched)[0]
        assert words.replace(" ", "") in seen.translate(str.maketrans("", "", " -_"))


@settings(max_examples=200, deadline=None)
@given(PHRASES, REGEXES, TEXTS)
def test_the_prefilter_changes_no_verdict(found: list[str], sources: list[str], text: str) -> None:
    rules = (rule("p", phrases(*found)), rule("r", regexes(*sources)), rule("m", phrases("ab"), mask()))
    assert Verifier(rules, None, "", prefilter=True).verify(text) == Verifier(rules, None, "", prefilter=False).verify(
        text
    )


@settings(max_examples=300, deadline=None)
@given(PHRASES, REGEXES, st.sampled_from(["raw", "compat", "unmarked"]), TEXTS, TEXTS, TEXTS, st.booleans())
def test_what_the_finder_finds_the_prefilter_lets_pass(
    found: list[str], sources: list[str], name: str, left: str, text: str, right: str, with_context: bool
) -> None:
    on = view(name)
    around = context("a|1", 2) if with_context else None
    for leaf in (phrases(*found, before=around), regexes(*sources, after=around), phrases(*found, exact=True)):
        seen = on.apply(text)
        if compile_finder(leaf, on).search(seen):
            prefilter = compile_prefilter(leaf, on)
            assert prefilter.may_find(seen)
            assert prefilter.may_find(on.apply(left) + seen + on.apply(right)), "as a part of a longer text"


@settings(max_examples=200, deadline=None)
@given(PHRASES, REGEXES, TEXTS, st.sampled_from(["[X]", "", "{type}{n}", "ab"]))
def test_what_a_transform_releases_is_allowed(found: list[str], sources: list[str], text: str, template: str) -> None:
    rules = (rule("p", phrases(*found), mask(template, "T")), rule("r", regexes(*sources), replacement("#")))
    verdict = Verifier(rules, None, "").verify(text)
    if verdict.decision == "transform":
        again = Verifier(rules, None, "").verify(verdict.text)
        assert (again.decision, again.text, again.transforms) == ("allow", verdict.text, ())
    elif verdict.decision == "allow":
        assert verdict.text == text


@settings(max_examples=200, deadline=None)
@given(PHRASES, REGEXES, TEXTS)
def test_transforms_are_disjoint_and_make_the_text(found: list[str], sources: list[str], text: str) -> None:
    rules = (rule("p", phrases(*found), replacement("%")), rule("r", regexes(*sources), replacement("#")))
    verdict = Verifier(rules, None, "").verify(text)
    at, out = 0, ""
    for edit in verdict.transforms:
        assert at <= edit.start <= edit.end
        out += text[at : edit.start] + edit.replacement
        at = edit.end
    if verdict.decision == "transform":
        assert verdict.text == out + text[at:]


def spell(content: str, escaped: list[bool]) -> str:
    """A JSON string with chosen characters written as escapes."""
    chars = (
        f"\\u{ord(char):04x}" if flag or char in '"\\' or char < " " else char
        for char, flag in zip(content, escaped, strict=False)
    )
    return '"' + "".join(chars) + '"'


@settings(max_examples=300, deadline=None)
@given(PHRASES, st.lists(TEXTS, max_size=4), st.data())
def test_escapes_hide_nothing_in_json_strings(found: list[str], contents: list[str], data: st.DataObject) -> None:
    flags = [data.draw(st.lists(st.booleans(), min_size=len(c), max_size=len(c))) for c in contents]
    text = "[" + ", ".join(spell(c, f) for c, f in zip(contents, flags, strict=True)) + "]"
    assert json.loads(text) == contents
    matcher = phrases(*found, read=reading(within=Within.JSON_STRINGS))
    verdict = Verifier((rule("r", matcher),), None, "").verify(text)
    expected = any(oracle_finds(phrase, oracle_view(content)[0]) for phrase in found for content in contents)
    assert (verdict.decision == "block") == expected
    for violation in verdict.violations:
        decoded = json.loads('"' + text[violation.start : violation.end] + '"')
        assert any(oracle_finds(phrase, oracle_view(decoded)[0]) for phrase in found)


@settings(max_examples=300, deadline=None)
@given(PHRASES, st.lists(TEXTS, max_size=4), st.text(st.sampled_from('x"\\\n\x01é'), max_size=4), st.booleans())
def test_transformed_json_stays_json(found: list[str], contents: list[str], new: str, joined: bool) -> None:
    read = reading(within=Within.JSON_STRINGS, join=Join.ARRAY if joined else Join.NONE)
    verdict = Verifier((rule("r", phrases(*found, read=read), replacement(new)),), None, "").verify(
        json.dumps(contents)
    )
    if verdict.decision == "transform":
        after = json.loads(verdict.text)
        assert len(after) == len(contents)
        assert any(new in content for content in after)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
def test_any_valid_text_gets_a_verdict(text: str) -> None:
    assume(not any("\ud800" <= char <= "\udfff" for char in text))
    rules = (rule("p", phrases("a b", "é"), mask()), rule("r", regexes(r"\w{3}", r"\s\S"), replacement("")))
    verdict = Verifier(rules, None, "").verify(text)
    assert verdict.errors == ()
    for violation in verdict.violations:
        assert violation.start is None or 0 <= violation.start <= (violation.end or 0) <= len(text)


def test_expressions_too_large_for_re2_are_left_to_the_automata() -> None:
    leaf = regexes(*(rf"{i}\pL{{150}}" for i in range(12)))
    prefilter = compile_prefilter(leaf, view("raw"))
    assert prefilter == Undecided()
    assert prefilter.may_find("")
