"""What is said of many stretches at once is what is said of each: by the packages, and near words."""

import random
import re

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from numpy.typing import NDArray

from policykit.automata.anchored import AnchoredAutomaton
from policykit.automata.nfa import Pattern, build
from policykit.entities import ENTITY_TYPES, body_of, entity_type, numbers
from policykit.entities.checks import is_valid
from policykit.entities.compact import Compact, Places
from policykit.entities.context import Words
from policykit.entities.entity import ASK, NO, YES
from policykit.entities.language import Languages
from policykit.entities.numbers import ssn_is_known, us_ssn, used_by_all
from policykit.entities.plain import CHARS
from policykit.ir.document import Entity
from policykit.text import view
from policykit.text.joined import join
from tests.entities.find import PLACE
from tests.entities.oracle import IBAN_LENGTHS, luhn, mod97
from tests.entities.samples import SAMPLES

DECIDED = ("payment_card", "iban", "us_ssn", "phone")
rng = random.Random(7)


def digits(n: int) -> str:
    return "".join(rng.choices("0123456789", k=n))


def card() -> str:
    beginnings = ["4", "51", "2720", "2721", "2221", "34", "300", "36", "6011", "644", "3528", "62", "2204", "60", "81"]
    number = rng.choice([*beginnings, "508", "5020", "6759", "9", "0"]) + digits(rng.randrange(8, 17))
    return (number + next((d for d in "0123456789" if luhn(number + d)), "0"))[:19]


def iban() -> str:
    country = rng.choice([*IBAN_LENGTHS, "XX", "NO", "FI", "SM", "MT", "LI"])
    n = IBAN_LENGTHS.get(country, rng.choice([15, 18, 27, 31, 21])) + rng.choice([0, 0, 0, 1])
    account = "".join(rng.choices("ABCDNWBK0123456789" if rng.random() < 0.5 else "0123456789", k=n - 4))
    if country == "GB":
        account = "NWBK" + digits(14)
    return iban_of(country, account)


def iban_of(country: str, account: str) -> str:
    return f"{country}{98 - mod97(f'{account}{country}00'):02d}{account}"


def ssn() -> str:
    area = rng.choice(["000", "666", "900", "899", "001", digits(3)])
    used = [f"{number:09d}" for number in used_by_all().tolist()]
    whole = rng.choice([area + digits(6), digits(3) + "00" + digits(4), digits(5) + "0000", *used])
    return rng.choice([whole, f"{whole[:3]}-{whole[3:5]}-{whole[5:]}"])


def phone() -> str:
    code = rng.choice(["1", "49", "44", "81", "7", "39", "55", "800", "299", "999", "0", "262", "590", "61"])
    number = rng.choice(["212", "416", "170", "20", "800", "0", "1", "9", "684", ""]) + digits(rng.randrange(5, 11))
    written = "".join(d + rng.choice(["", "", "", " ", "-", "."]) for d in number[:-1]) + number[-1:]
    return rng.choice(["+", "00", "+ ", "+("]) + code + rng.choice(["", " ", "\u2009", ") "]) + written


MAKERS = {"payment_card": card, "iban": iban, "us_ssn": ssn, "phone": phone}


@pytest.mark.parametrize("name", DECIDED)
def test_many_numbers_are_valid_as_each_is(name: str) -> None:
    check = entity_type(name).check
    assert check is not None
    assert check.decide is not None
    sample = next(s for s in SAMPLES if s.type == name)
    made = [MAKERS[name]() for _ in range(1_500)]
    made = [one for one in (*made, *sample.valid, *sample.invalid) if _has_form(name, one)]
    text = "\n".join(made)
    ends = np.cumsum([len(one) + 1 for one in made], dtype=np.int64) - 1
    starts = ends - np.array([len(one) for one in made])
    decided = check.decide(Compact(join([text])), starts, ends).tolist()
    entity = Entity(name, PLACE)
    seen = made if entity_type(name).as_seen else [re.sub("[^0-9A-Za-z]", "", one).upper() for one in made]
    expected = [check.run(one, entity) for one in seen]
    wrong = [(o, d, e) for o, d, e in zip(made, decided, expected, strict=True) if d not in (ASK, YES if e else NO)]
    assert wrong == []
    counts = {value: decided.count(value) for value in (YES, NO, ASK)}
    assert counts[YES] > 50
    assert counts[NO] > 50
    assert counts[ASK] == 0
    if check.lengths:
        text_of = Compact(join([text]))
        lengths = check.lengths(text_of, starts)
        passes = (lengths >> text_of.place(ends) - text_of.place(starts)) & 1
        assert [one for one, passed, e in zip(made, passes.tolist(), expected, strict=True) if e and not passed] == []
        assert passes.sum() < len(made)


def _has_form(name: str, text: str) -> bool:
    """Whether the search can come to ask about the text."""
    automaton = AnchoredAutomaton(build(view("raw"), Pattern(body_of(Entity(name, PLACE)))))
    return automaton.ends([*automaton.alphabet.encode(text)], 0)[-1:] == [len(text)]


def test_a_package_that_says_otherwise_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    text, starts, ends = Compact(join(["123456789"])), np.array([0]), np.array([9])
    assert us_ssn(text, starts, ends).tolist() == [YES]

    def none(numbers: Places) -> NDArray[np.bool_]:
        return numbers < 0

    monkeypatch.setattr(numbers, "are_ssns", none)
    ssn_is_known.cache_clear()
    assert us_ssn(text, starts, ends).tolist() == [ASK]
    monkeypatch.undo()
    ssn_is_known.cache_clear()
    assert us_ssn(text, starts, ends).tolist() == [YES]
    assert is_valid("us.ssn")("123456789")


def test_a_package_without_its_table_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    account = iban_of("DE", "370400440532013000")
    check = entity_type("iban").check
    assert check is not None
    assert check.decide is not None
    text, starts, ends = Compact(join([account])), np.array([0]), np.array([len(account)])
    try:
        numbers.account_form.cache_clear()
        monkeypatch.delattr("stdnum.iban._ibandb")
        assert check.decide(text, starts, ends).tolist() == [ASK]
    finally:
        monkeypatch.undo()
        numbers.account_form.cache_clear()
    assert check.decide(text, starts, ends).tolist() == [YES]


WORDS = [
    "ssn",
    "SSN",
    "ssn#",
    "social security",
    "social  security number",
    "soc-sec",
    "ss#",
    "xssn",
    "ssnx",
    "\u017fsn",
]
WORDY = [kind for kind in ENTITY_TYPES if kind.words]


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(WORDY),
    st.sampled_from(["raw", "compat"]),
    st.lists(st.integers(0, 99), max_size=6),
    st.lists(st.sampled_from(["1", "12", " ", "-", "x", "é", "\u212a", " " * 20, " " * 23, "." * 46, "K"]), max_size=8),
    st.randoms(use_true_random=False),
)
@example(entity_type("za_id"), "raw", [0, 2], [" " * 20, "." * 23, "1"], random.Random(1))
def test_words_near_many_are_near_each(
    kind: object, on: str, chosen: list[int], parts: list[str], rng: random.Random
) -> None:
    assert isinstance(kind, type(ENTITY_TYPES[0]))
    words = Words(kind, view(on))
    pieces = [kind.words[i % len(kind.words)] for i in chosen] + parts
    if chosen:
        pieces += [kind.words[chosen[0] % len(kind.words)].replace(" ", "  ") + "x", f"x{kind.words[0]}"]
    rng.shuffle(pieces)
    text = view(on).apply(" ".join(pieces) if rng.random() < 0.5 else "".join(pieces)) or "1"
    pairs = [(i, j) for i in range(len(text)) for j in range(i + 1, min(i + 12, len(text)) + 1)]
    starts, ends = np.array(pairs).T
    found = words.near_many(text, join([text]), starts, ends).tolist()
    for (start, end), said in zip(pairs, found, strict=True):
        assert said in (ASK, YES if words.near(text, start, end, "", True) else NO), (text, start, end)


def test_most_of_many_are_decided() -> None:
    words = Words(entity_type("us_ssn"), view("raw"))
    text = "ssn 123-45-6789 xssnx 123-45-6789" + " " * 60 + "123-45-6789 ssn, social security number 123-45-6789"
    starts = np.array([found.start() for found in re.finditer("123", text)])
    assert words.near_many(text, join([text]), starts, starts + 11).tolist() == [YES, YES, YES, YES]
    far = "xssnx 123-45-6789"
    assert words.near_many(far, join([far]), np.array([6]), np.array([17])).tolist() == [NO]


SOURCES = ["A(?:B|1)*", "(?:AB)+1?|1{3}", "B", "(?:A|[B1]{2,3}?)(?:A{1}){1}", "1.."]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(SOURCES), st.text("AB1", min_size=3, max_size=3)), max_size=9))
def test_languages_of_many_stretches(asked: list[tuple[str, str]]) -> None:
    languages = Languages(len(CHARS))
    rows = np.array([list(one.encode()) for _, one in asked], np.uint8).reshape(-1, 3)
    starts = np.array([languages.start(source) for source, _ in asked], np.intp)
    has = [bool(re.fullmatch(source, one)) for source, one in asked]
    begins = [bool(re.match(source, one)) for source, one in asked]
    assert languages.has(starts, rows).tolist() == has
    assert languages.begins(starts, rows).tolist() == begins
    assert [languages.has_one(languages.start(source), one) for source, one in asked] == has
    assert [languages.begins_one(languages.start(source), one) for source, one in asked] == begins


def test_a_language_that_is_worked_out_is_the_same() -> None:
    languages = Languages(10)
    source = "[2-9](?:0[1-9]|1[0-8]){2,40}"
    languages.work_out(languages.start(source))
    for text in ("2", "20101", "2010", "90118", "9011", "10118"):
        assert languages.has_one(languages.start(source), text) == bool(re.fullmatch(source, text))
    assert not languages.has_one(0, "2")


@pytest.mark.parametrize(("kinds", "which"), [(1, "all"), (128, "all"), (129, "all"), (300, "few")])
def test_a_table_says_the_same_of_a_long_text_as_of_each_character(kinds: int, which: str) -> None:
    rng = random.Random(kinds)
    points = [*range(128), *rng.sample([*range(128, 0xD800), *range(0xE000, 0x110000)], kinds)]
    text = "".join(map(chr, [*points, *rng.choices(points if which == "all" else points[:128], k=5_000)]))
    table = np.random.default_rng(kinds).integers(0, 256, 0x110000).astype(np.uint8)
    assert join([text]).of_points(table).tolist() == [int(table[ord(char)]) for char in text]


def test_stretches_of_many_lengths_are_read_at_once() -> None:
    languages = Languages(10)
    numbers_of = ["", "1", "12", "121", "1212", "13"]
    rows = np.array([list(number.ljust(4, "\0").encode()) for number in numbers_of], np.uint8)
    starts = np.full(len(rows), languages.start("(?:12)+"))
    assert languages.has(starts, rows).tolist() == [False, False, True, False, True, False]
    assert languages.begins(starts, rows).tolist() == [False, False, True, True, True, False]
