"""The fast searches find what the automata find: on every view, in every kind of text, for leaves together."""

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import example, given, settings, strategies as st

from policykit.automata import Found
from policykit.ir.document import Phrases, Regexes
from policykit.text import VIEW_NAMES, view
from policykit.text.joined import join
from policykit.verify import expressions, together as at_once
from policykit.verify.finders import CompiledSearches, Searches, joint_searches
from policykit.verify.units import Seen, SeenUnit, Unit
from tests.verify.build import phrases, regexes, rule

# Letters that views map to each other or to more or less than one character; separators; joints; ends of lines.
ALPHABET = "abAB_1-  \n\t\0.é\u0301ßﬁ\u200b\uff41私İK\U0001f600"
TEXTS = st.text(ALPHABET, max_size=20) | st.text("ab1_ -\n\0", max_size=20)
WORDS = st.text("abßéﬁ1私\uff42.", min_size=1, max_size=3)
PHRASES = st.lists(st.lists(WORDS, min_size=1, max_size=3).map(" ".join), min_size=1, max_size=5, unique=True)
ATOM_SOURCES = [
    *[*"abA1_ßﬁé私-", "[ab]", "[^a]", ".", "(?s:.)", r"\w", r"\W", r"\d", r"\s", r"\pL", r"\b", r"\B", r"\A", r"\z"],
    *["(?m:^)", "(?m:$)", "^", "$", r"\n", r"\x00", "(?i:k)"],
]
ATOMS = st.sampled_from(ATOM_SOURCES)
SOURCES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda t: f"(?:{t[0]}|{t[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{0,2}", "{2}", "{2,}"])).map(lambda t: f"(?:{t[0]}){t[1]}"),
    ),
    max_leaves=7,
)
LEAVES = st.lists(
    st.one_of(
        PHRASES.map(lambda texts: phrases(*texts)),
        PHRASES.map(lambda texts: phrases(*texts, exact=True)),
        st.lists(SOURCES, min_size=1, max_size=4).map(lambda texts: regexes(*texts)),
    ),
    min_size=1,
    max_size=4,
)
Leaf = Phrases | Regexes


def seen_as(name: str, texts: list[str]) -> Seen:
    return Seen(tuple(SeenUnit(Unit(text), view(name)) for text in texts))


def on(name: str, leaf: Leaf) -> Leaf:
    return replace(leaf, reading=replace(leaf.reading, views=(name,)))


AS_IF = {
    "a text like others": {},
    "a text full of matches": {"_TOGETHER_NS": -1.0, "_WINDOW": 1},
    "few places at a time": {"_TOGETHER_NS": -1.0, "_WINDOW": 1, "FEW": 48},
    "full of matches from one on": {"_TOGETHER_NS": 0.0, "_EACH_NS": 9.0, "_MATCH_NS": 1e9, "_WINDOW": 1, "STATES": 1},
}


@pytest.mark.parametrize("as_if", AS_IF)
@settings(max_examples=200, deadline=None)
@given(leaves=LEAVES, name=st.sampled_from(VIEW_NAMES), texts=st.lists(TEXTS, min_size=1, max_size=4))
@example(leaves=[regexes(r"\Aa|b\z")], name="raw", texts=["ab", "ab"])
@example(leaves=[regexes(r"(?m:^)b", r"a\nb")], name="raw", texts=["a\nb", "b"])
@example(leaves=[phrases("a b"), phrases("a  b", exact=True)], name="raw", texts=["a  b", "\0a", "b"])
@example(leaves=[regexes(r"a\x00b"), regexes("a.b")], name="raw", texts=["a\0b"])
@example(leaves=[regexes(r"\bé", "[^é]é")], name="raw", texts=["é é", "aé"])
def test_a_scan_finds_what_the_automata_find(as_if: str, leaves: list[Leaf], name: str, texts: list[str]) -> None:
    """Also as in texts that are full of matches, where all are looked for at once, and of beginnings, where a set of
    expressions takes long."""
    leaves = [on(name, leaf) for leaf in leaves]
    together = joint_searches([rule(f"r{i}", leaf) for i, leaf in enumerate(leaves)])
    seen = seen_as(name, texts)
    with pytest.MonkeyPatch.context() as patch:
        for constant, value in AS_IF[as_if].items():
            patch.setattr(expressions if constant.startswith("_") else at_once, constant, value)
        if AS_IF[as_if]:
            patch.setattr(at_once, "FEW", AS_IF[as_if].get("FEW", 0))
            patch.setattr(at_once, "READ", 1_000)
            patch.setattr(expressions, "_LONG", 1)
            patch.setattr(expressions, "_PROBE_S", -1)
        for leaf in leaves:
            search = together.get(leaf, view(name))
            expected = list(search.find_by_automata(seen).found())
            assert list(search.find(seen).found()) == expected, "together"
            assert list(CompiledSearches().get(leaf, view(name)).find(seen).found()) == expected, "alone"


def test_more_letters_than_bytes_are_found_too() -> None:
    rng = random.Random(3)
    letters = [chr(0x4E00 + i) for i in range(400)] + list("abcdefgh ")
    wanted = list({"".join(rng.choices(letters, k=3)).strip() or "a" for _ in range(400)})
    text = "".join(rng.choices(letters, k=3_000)) + "".join(f" {phrase} " for phrase in wanted[:50])
    classes = ["[" + "".join(letters[i : i + 90]) + "]" + letters[i] + r"\b" for i in range(0, 400, 90)]
    many = "|".join(f"{a}{b}" for a, b in zip(letters[:200], letters[200:400], strict=True))
    for leaf in (phrases(*wanted), regexes(*classes), regexes(rf"\b(?:{many})\b"), regexes(many)):
        for texts in ([text], [text, "abc"], ["ab cd " * 20]):
            seen = seen_as("raw", texts)
            search = joint_searches([rule("r", on("raw", leaf))]).get(on("raw", leaf), view("raw"))
            assert list(search.find(seen).found()) == list(search.find_by_automata(seen).found())


class Failed:
    """A set that ran out of memory: RE2 then says that nothing matches."""

    def Match(self, text: bytes) -> None:
        return None


def test_a_set_that_fails_hides_nothing() -> None:
    compiled = [expressions.compile_expression(item.regex, view("raw"), None) for item in regexes("a+", "b").regexes]
    named = [(i, *found) for i, found in enumerate(compiled) if found]
    real = expressions.expressions(named)
    failed = expressions.Expressions(real.names, real.compiled, Failed())
    for these in (real, failed):
        assert {name: [part.tolist() for part in spans or ()] for name, spans in these.spans(b"xaay").items()} == {
            0: [[1], [3]]
        }


def test_a_set_that_does_not_fail_says_what_matches() -> None:
    compiled = [expressions.compile_expression(item.regex, view("raw"), None) for item in regexes("a+", "b").regexes]
    real = expressions.expressions([(i, *found) for i, found in enumerate(compiled) if found])
    assert [list(real.matching(text)) for text in (b"", b"a", b"xb", b"ba")] == [[], [0], [1], [0, 1]]


def test_without_what_is_beneath_the_package_the_package_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = [expressions.compile_expression(item.regex, view("raw"), None) for item in regexes("a+", "b").regexes]
    real = expressions.expressions([(i, *found) for i, found in enumerate(compiled) if found])
    expected = {name: [part.tolist() for part in spans or ()] for name, spans in real.spans(b"xaaybab").items()}
    assert expected == {0: [[1, 5], [3, 6]], 1: [[4, 6], [5, 7]]}
    monkeypatch.setattr(expressions, "_UNANCHORED", None)
    assert {n: [part.tolist() for part in spans or ()] for n, spans in real.spans(b"xaaybab").items()} == expected


def test_expressions_that_read_on_in_vain_stay_linear() -> None:
    """RE2 alone reads to the end behind every match, which would take minutes."""
    leaf = on("raw", regexes("x[^y]*y|x"))
    search = joint_searches([rule("r", leaf)]).get(leaf, view("raw"))
    assert len(search.find(seen_as("raw", ["x" * 100_000]))) == 100_000


@pytest.mark.parametrize("few", [0, at_once.FEW])
def test_what_reads_far_is_left_to_others_and_alone(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an expression reads far, or the same text many times, RE2 does it; what others find stays found."""
    monkeypatch.setattr(at_once, "FEW", few)
    monkeypatch.setattr(at_once, "ALONE", 2_000)
    leaf = regexes("a[^b]*b|a", "b+", r"\bca")
    many = at_once.Together(view("raw"), {i: item.regex for i, item in enumerate(leaf.regexes)})

    def found(*texts: str) -> dict[int, list[tuple[int, int]] | None]:
        spans = many.find(join(texts), {0: 0, 1: 1, 2: 0})
        return {
            n: None if own is None else list(zip(*(c.tolist() for c in own), strict=True)) for n, own in spans.items()
        }

    assert {n: len(own or ()) for n, own in found("ab" * 50 + "aab a", "a").items()} == {0: 53, 1: 51, 2: 0}
    assert found("bbb ca" + "a" * 600) == {0: None, 1: [(1, 3)], 2: [(4, 6)]}
    assert found("ca" * 60 + " ca") == {0: None, 1: [], 2: [(0, 2), (121, 123)]}
    assert found("x" * 600) == {0: [], 1: [], 2: []}


@pytest.mark.parametrize("sample", [2, 16])
def test_what_takes_too_long_in_a_part_is_given_up_and_the_others_are_read(
    sample: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(at_once, "LONG", 0)
    monkeypatch.setattr(at_once, "SAMPLE", sample)
    monkeypatch.setattr(at_once, "FEW", 0)
    leaf = regexes("[ab]+c", "b+", r"\bca")
    text = "ab" * 400 + " ca bbb"
    spans = at_once.Together(view("raw"), dict(enumerate(item.regex for item in leaf.regexes))).find(
        join([text]), {0: 0, 1: 800, 2: 0}
    )
    assert spans[0] is None
    assert [spans[1] and spans[1][0].tolist(), spans[2] and spans[2][0].tolist()] == [[804], [801]]


def test_what_would_make_too_many_states_is_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_once, "LEARNED", 40)
    monkeypatch.setattr(at_once, "FEW", 0)
    leaf = regexes("[ab]{3,9}b[ab]{7}", "c")
    many = at_once.Together(view("raw"), {i: item.regex for i, item in enumerate(leaf.regexes)})
    text = "".join(random.Random(6).choices("abc", k=2_000))
    assert many.find(join([text]), {0: 0, 1: 0})[0] is None


def test_threads_share_a_scan() -> None:
    leaves = [on("compat", phrases("a b", "éa", "b")), on("compat", regexes(r"\ba+\b", "x[ab]*y|x", "[é私]+"))]
    together = joint_searches([rule(f"r{i}", leaf) for i, leaf in enumerate(leaves)])
    rng = random.Random(4)
    texts = ["".join(rng.choices("ab xyé私", k=400)) for _ in range(40)]

    def found(searches: Searches, text: str) -> list[list[Found]]:
        seen = seen_as("compat", [text])
        return [list(searches.get(leaf, view("compat")).find(seen).found()) for leaf in leaves]

    alone = CompiledSearches()
    with ThreadPoolExecutor(8) as pool:
        at_once = list(pool.map(lambda text: found(together, text), texts))
    assert at_once == [found(alone, text) for text in texts]
