"""The fast search for entities finds what the definition says: in many texts, with keys before them, in any script."""

import re
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from policykit.automata import RegexAutomaton, parse_regex, run
from policykit.automata.nfa import build
from policykit.entities import ENTITY_TYPES, EntityType, Guard, entity_patterns, lanes, registry, search
from policykit.entities.checks import iban_screen, luhn, luhn_screen
from policykit.entities.compact import Compact, compact
from policykit.entities.guards import Beside, is_near
from policykit.entities.patterns import letter_of_word
from policykit.ir.document import Entity, RegexSource
from policykit.ir.regex import Chars, Ranges
from policykit.text import view
from policykit.text.joined import join
from policykit.verify.finders import CompiledSearches
from policykit.verify.units import Seen, SeenUnit, Unit
from tests.entities.find import PLACE, entities
from tests.entities.oracle import mod97
from tests.entities.samples import SAMPLES
from tests.entities.slow import SlowFinder, without_contained

NAMES = tuple(kind.name for kind in ENTITY_TYPES)
VALUES = {s.type: [*s.valid, *s.invalid, f"{s.words}{s.valid[0]}"] for s in SAMPLES}
noise = st.text("0149 -.,abzASN@:/_é私\0\n", max_size=6)
ways = st.sampled_from(
    [
        {},
        {"few": 0, "lanes": 0, "steps": 1, "many": 0},
        {"few": 0, "lanes": 2, "steps": 6, "many": 0},
        {"few": 0},
        {"few": 0, "parts": 16},
    ]
)


@cache
def slow(entity: Entity, on: str) -> SlowFinder:
    return SlowFinder(entity, view(on))


@st.composite
def texts(draw: st.DrawFn, names: tuple[str, ...]) -> str:
    values = st.sampled_from([value for name in names for value in VALUES[name]])
    parts = draw(st.lists(st.one_of(values, values, noise), max_size=5))
    joints = st.sampled_from(["", " ", "\n", "-", "."])
    return "".join(part + draw(joints) for part in parts)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = (search.FEW, search.FOR_ONE, search.MANY, lanes.FEW, lanes.STEPS, lanes.PART, lanes.SOME)
    yield
    search.FEW, search.FOR_ONE, search.MANY, lanes.FEW, lanes.STEPS, lanes.PART, lanes.SOME = before


def go(way: dict[str, int]) -> None:
    """Which of the ways to search is taken, which otherwise the size of a text decides."""
    search.FEW, search.MANY = way.get("few", 20_000), way.get("many", 500)
    lanes.FEW, lanes.STEPS = way.get("lanes", 24), way.get("steps", 64)
    lanes.PART, lanes.SOME = way.get("parts", 64), 10**6 if "parts" in way else 16


def check(names: tuple[str, ...], on: str, units: list[tuple[str, str]], pattern: RegexSource | None = None) -> None:
    leaf = entities(*names, views=(on,), pattern=pattern)
    seen = Seen(tuple(SeenUnit(Unit(text, lead=lead), view(on)) for text, lead in units))
    expected = [
        (at + start, at + end, index)
        for unit, at in zip(seen.units, seen.joined.starts, strict=True)
        for start, end, index in without_contained(
            [
                (start, end, index)
                for index, entity in enumerate(leaf.entities)
                for start, end in slow(entity, on).valid(unit.text, unit.lead)
            ]
        )
    ]
    compiled = CompiledSearches().entities(leaf, view(on))
    for hits in (compiled.find(seen), compiled.find_by_automata(seen)):
        assert [(found.start, found.end, found.index) for found in hits.found()] == expected


leads = st.sampled_from(["", "", "ssn", "patient Ssn", "x" * 90 + " passport", "born on the"])


@settings(deadline=None, max_examples=250)
@given(st.data(), st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True), ways)
def test_the_fast_search_finds_what_the_definition_says(
    data: st.DataObject, some: list[str], way: dict[str, int]
) -> None:
    names = tuple(some)
    on = data.draw(st.sampled_from(["raw", "compat"]))
    units = data.draw(st.lists(st.tuples(texts(names), leads), min_size=1, max_size=3))
    go(way)
    check(names, on, units)


@pytest.mark.parametrize("kind", ENTITY_TYPES, ids=lambda kind: kind.name)
@pytest.mark.parametrize("way", [{}, {"few": 0, "lanes": 0, "steps": 2, "many": 0}], ids=["few", "many"])
def test_examples_one_behind_the_other(kind: EntityType, way: dict[str, int]) -> None:
    go(way)
    for joint in (" ", "-", "", ", "):
        check((kind.name,), "raw", [(joint.join([*VALUES[kind.name], *VALUES[kind.name]]), "")])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("jwt", "-eyJaaaaaaaa" * 30),
        ("jwt", "-eyJaaaaaaaa" * 30 + ".eyJbbbbbbbb" + "-eyJaaaaaaaa" * 30 + ".x"),
        ("slack_token", "xoxb-" * 60 + " " + "xoxb-" * 60),
        ("github_token", "ghp_" * 60),
        ("email", "a@" + "b." * 80 + "com" + "a" * 90),
        ("private_key", "-----BEGIN PRIVATE KEY-----\n" + ("x" * 20 + "\n") * 9 + "-----BEGIN PRIVATE KEY-----"),
        ("mrn", "mrn " + "a-" * 50 + "1"),
        ("github_token", "ghp_" + "a" * 300 + " ghp_" + "a" * 300 + "-"),
        ("private_key", "-----BEGIN PRIVATE KEY-----\n" + ("x" * 21 + "\n") * 30 + "y" * 40 + " \n" * 20 + "x" * 16),
        ("jwt", "eyJaaaaaaaa." + "b" * 90 + ".c" + "-" * 90 + "." + "d" * 70 + ". " + "eyJaaaaaaaa" * 20),
    ],
)
def test_long_matches_and_long_ways_in_vain(name: str, text: str) -> None:
    pattern = RegexSource("(?:a-)+1?", parse_regex("(?:a-)+1?", PLACE), PLACE) if name == "mrn" else None
    ways = {}, {"lanes": 0, "steps": 3, "many": 0}, {"lanes": 0, "steps": 70, "many": 0}, {"parts": 16}, {"parts": 32}
    for way in ways:
        go({"few": 0, **way} if way else way)
        check((name,), "raw", [(text, ""), (text, "")], pattern=pattern)


def test_a_part_that_is_not_the_one_that_was_read_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def whatever_state(self: lanes.Parts, at: int, state: int, passed: Sequence[tuple[int, int]]) -> object:
        known = next((known[at] for known in self._known if at in known), None)  # pyright: ignore[reportPrivateUsage]
        return known[1:] if known else real(self, at, state, passed)

    real = lanes.Parts.over
    monkeypatch.setattr(lanes.Parts, "over", whatever_state)
    go({"few": 0, "parts": 16})
    with pytest.raises(AssertionError):
        check(("github_token",), "raw", [("ghp_" + "a" * 300 + " ghp_" + "a" * 60 + " ", "")])


def test_types_of_others_may_read_far_beside_a_match(monkeypatch: pytest.MonkeyPatch) -> None:
    far = Guard(r"(?:\A|[^x]|[^x]x|[^x]xx|\Ax|\Axx)", "", "(?<!xxx)", "")
    kind = EntityType("far", "a number that three x do not precede", "[0-9]+", far)
    monkeypatch.setitem(vars(registry)["_OURS"], "far", kind)
    assert not is_near(far)
    check(("far",), "raw", [("xxx12 xx3 xxx4", ""), ("5", "")])


@pytest.mark.parametrize("guard", sorted({kind.guard for kind in ENTITY_TYPES}, key=repr), ids=repr)
def test_guards_of_all_places_are_those_of_each(guard: Guard) -> None:
    chars = "aZ09 .,:-_+/=<>%@[]^\\\0\n"
    text = "".join(a + b for a in chars for b in chars) + chars + "é私"
    places = np.arange(len(text) + 1)
    beside = Beside(join([text]))
    begins, ends = beside.may_begin(guard).tolist(), beside.ends(guard)
    assert begins == [bool(re.compile(guard.behind).match(text, at)) for at in places.tolist()]
    assert beside.begins_at(guard, places).tolist() == begins
    few = places[:: len(places) // 9]
    assert Beside(join([text])).begins_at(guard, few).tolist() == [begins[at] for at in few.tolist()]
    may_end = [bool(re.compile(guard.ahead).match(text, at)) for at in places.tolist()]
    assert ends.at(places).tolist() == may_end
    assert [ends.one(at) for at in places.tolist()] == may_end
    assert ends.everywhere.tolist() == np.flatnonzero(may_end).tolist()


def test_all_guards_of_ours_are_near() -> None:
    assert all(is_near(kind.guard) for kind in ENTITY_TYPES)


@pytest.mark.parametrize("char", sorted({c for kind in ENTITY_TYPES for word in kind.words for c in word} - {" "}))
def test_letters_of_words_are_those_that_python_takes_for_them(char: str) -> None:
    every = "".join(map(chr, range(0x250))) + "\u212a\ufb05\ufb06\u1e9e\u1c80\u1c88"
    letter = parse_regex(f"(?i){letter_of_word(char)}", PLACE)
    assert isinstance(letter, Chars)
    assert set(re.findall(re.escape(char), every, re.IGNORECASE)) <= set(members(letter.literal))


def members(ranges: Ranges) -> list[str]:
    return [chr(c) for low, high in ranges for c in range(low, high + 1)]


digits_only = st.lists(st.text("0123456789", max_size=24), max_size=6)


@settings(deadline=None)
@given(digits_only)
def test_luhn_of_many_stretches(parts: list[str]) -> None:
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1])) if parts else ends
    for behind in ("", "0" * 200):
        text = Compact(join([" -".join(parts) + behind]))
        assert luhn_screen(text, starts, ends).tolist() == [luhn(part) for part in parts]


@settings(deadline=None)
@given(st.lists(st.from_regex(r"\A[A-Za-z]{2}[0-9]{2}[0-9A-Za-z]{0,30}\Z"), min_size=1, max_size=5))
def test_ibans_of_many_stretches(parts: list[str]) -> None:
    ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1]))
    for behind in ("", "A9" * 200):
        text = Compact(join([" ".join(parts) + behind]))
        assert iban_screen(text, starts, ends).tolist() == [mod97(p[4:].upper() + p[:4].upper()) == 1 for p in parts]


@settings(deadline=None)
@given(st.text("aZ09é -K\u017f", max_size=20))
@example("\u212a1")
def test_what_validators_read_of_a_stretch(text: str) -> None:
    found = Compact(join([text]))
    for i in range(len(text)):
        for j in range(i, len(text) + 1):
            assert (
                found.text(i, j)
                == compact(text[i:j])
                == "".join(c for c in text[i:j] if c.isascii() and c.isalnum()).upper()
            )


def test_a_letter_beside_a_match_is_one_of_ascii_in_the_mask_too() -> None:
    """The Kelvin sign and the long s are letters of ASCII only where case does not matter."""
    entity = Entity("us_ssn", PLACE, context=False)
    (pattern,) = entity_patterns(entity, in_json=False)
    automaton = RegexAutomaton(build(view("raw"), pattern))
    for text in ("\u212a536904399", "\u017f536904399", "536904399\u212a"):
        state = run(automaton, automaton.start, automaton.alphabet.encode(text))
        assert not state or automaton.end_found(state)
        assert slow(entity, "raw").valid(text, "")
