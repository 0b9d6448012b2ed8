"""The quick way to telephone numbers says what phonenumbers says, for every country code there is."""

from collections.abc import Iterator
from functools import cache
from random import Random

import numpy as np
import phonenumbers
import pytest
from hypothesis import given, settings, strategies as st

from policykit.entities import many_phones, phones
from policykit.entities.checks import PHONE, phone_number
from policykit.entities.compact import Compact
from policykit.ir.document import Entity
from policykit.text.joined import join
from tests.entities.find import entities, texts
from tests.entities.sampled import sampled

CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
DIGITS = "0123456789"
SPACES = "\u00a0\u2007\u2009\u202f"
DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"


def said(text: str) -> bool:
    """What phonenumbers says."""
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, None))
    except phonenumbers.NumberParseException:
        return False


@cache
def examples() -> tuple[str, ...]:
    """A number of every kind in every region, as it is written internationally."""
    found = [
        phonenumbers.example_number_for_type(region, kind)
        for region in sorted(phonenumbers.SUPPORTED_REGIONS)
        for kind in phonenumbers.PhoneNumberType.values()
    ]
    found += [
        phonenumbers.example_number_for_non_geo_entity(code) for code in phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS
    ]
    e164 = phonenumbers.PhoneNumberFormat.E164
    return tuple(dict.fromkeys(phonenumbers.format_number(one, e164) for one in found if one))


def near(rng: Random) -> str:
    """A number with some digits changed, taken away, doubled, or with what is dialled within a country before it."""
    text = rng.choice(examples())
    for _ in range(rng.randrange(3)):
        at = rng.randrange(2, len(text))
        text = text[:at] + rng.choice(DIGITS) + text[at + rng.choice((0, 1, 1, 1, 2)) :]
    if rng.random() < 0.25:
        code = next((str(code) for code in CODES if text[1:].startswith(str(code))), "")
        text = f"+{code}{rng.choice(['0', '1', '8', '06', '15', '9'])}{text[1 + len(code) :]}"
    return text


def screened(texts: list[str]) -> list[bool]:
    whole = join([" ".join(texts)])
    starts = np.cumsum([0, *(len(text) + 1 for text in texts[:-1])])
    ends = starts + np.array([len(text) for text in texts])
    compact = Compact(whole)
    lengths = many_phones.lengths(compact, starts)
    return ((lengths >> compact.place(ends) - compact.place(starts)) & 1 == 1).tolist()


def agree(texts: list[str]) -> int:
    """How many were decided."""
    decided = [phones.decided(text) for text in texts]
    for text, quick, passes in zip(texts, decided, screened(texts), strict=True):
        truth = said(text)
        assert quick in (None, truth), text
        assert passes or not truth, text
    return sum(quick is not None for quick in decided)


def test_every_example_is_decided_or_left() -> None:
    assert agree(list(examples())) > 0.9 * len(examples())


def test_numbers_near_examples() -> None:
    rng = Random(20)
    texts = [near(rng) for _ in range(4_000)]
    assert 0.3 < sum(map(said, texts)) / len(texts) < 0.8
    assert agree(texts) > 0.9 * len(texts)


def dialled(rng: Random) -> str:
    """A number of some country with what is dialled before it there, whole or nearly."""
    code = rng.choice(CODES)
    region = phonenumbers.region_code_for_country_code(code)
    plan = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    assert plan is not None
    own = [text for text in examples() if text.startswith(f"+{code}")] or [f"+{code}1234567"]
    number = rng.choice(own)[1 + len(str(code)) :]
    at = rng.randrange(len(number))
    number = number[:at] + rng.choice(DIGITS) + number[at + rng.choice((0, 1, 1, 1)) :]
    return f"+{code}{sampled(rng, plan.national_prefix_for_parsing or '')}{number[rng.choice((0, 0, 0, 2)) :]}"


def test_what_is_dialled_within_a_country_is_decided_as_it_is_parsed() -> None:
    """One by one and many at once."""
    rng = Random(23)
    texts = [text for text in (dialled(rng) for _ in range(1_000)) if 8 <= len(text) <= 18]
    truths = [said(text) for text in texts]
    assert 0.2 < sum(truths) / len(texts) < 0.8
    wrong = [text for text, truth in zip(texts, truths, strict=True) if phones.decided(text) != truth]
    assert not wrong
    compact = Compact(join([" ".join(texts)]))
    starts = np.cumsum([0, *(len(text) + 1 for text in texts[:-1])])
    ends = starts + np.array([len(text) for text in texts])
    assert many_phones.decide(compact, starts, ends).tolist() == [int(truth) for truth in truths]


def test_a_prefix_that_is_not_taken_off_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def untouched(_code: int, number: str, _found: object) -> str:
        return number

    monkeypatch.setattr(phones, "_without", untouched)
    with pytest.raises(AssertionError):
        test_what_is_dialled_within_a_country_is_decided_as_it_is_parsed()


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.sampled_from([0, *CODES]), st.text(DIGITS, min_size=6, max_size=15)), min_size=1))
def test_any_digits_behind_a_code(numbers: list[tuple[int, str]]) -> None:
    agree([f"+{code}{digits}" for code, digits in numbers])


def written() -> Iterator[str]:
    for text in examples()[::40]:
        yield f"{text[:3]} ({text[3:6]}) {text[6:]}"
        yield f"+({text[1:4]}) {'-'.join(text[4:])}"
        yield f"{text[:4]}.{text[4:7]}/{text[7:]}"
        yield f"{text[:3]}\u00a0{text[3:]}"
        yield f"{text[:3]}\u2009{text[3:]}"
        yield f"{text[:4]}\u2013{text[4:]}"


def test_what_stands_between_digits() -> None:
    rng = Random(22)
    between = [*SPACES, *DASHES, "-", " ", ".", "/", "(", ")"]
    texts = list(written())
    for text in examples()[::7]:
        parts = [rng.choice(between) if rng.random() < 0.3 else "" for _ in text[1:]]
        texts.append("+" + "".join(map("".join, zip(parts, text[1:], strict=True))))
    truths = [said(text) for text in texts]
    assert 0.1 < sum(truths) / len(truths) < 0.9
    assert [phones.decided(text) for text in texts] == truths
    compact = Compact(join([" ".join(texts)]))
    starts = np.cumsum([0, *(len(text) + 1 for text in texts[:-1])])
    ends = starts + np.array([len(text) for text in texts])
    assert many_phones.decide(compact, starts, ends).tolist() == [int(truth) for truth in truths]


def test_what_a_package_reads_over_is_asked_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(_number: str) -> None:
        raise phonenumbers.NumberParseException(0, "reads over nothing")

    assert set(SPACES) & set(phones.read_over()[1]) == {"\u2007", "\u2009", "\u202f"}
    phones.read_over.cache_clear()
    try:
        monkeypatch.setattr(phonenumbers, "parse", refuses)
        assert not set(SPACES) & set(phones.read_over()[0])
    finally:
        monkeypatch.undo()
        phones.read_over.cache_clear()


def test_zeros_for_a_plus_pass_the_screen() -> None:
    texts = [f"00{text[1:]}" for text in examples()]
    (entity,) = entities("phone").entities
    valid = [phone_number(text, entity) for text in texts]
    assert sum(valid) > 1_000
    assert all(passes for passes, is_valid in zip(screened(texts), valid, strict=True) if is_valid)


@pytest.mark.parametrize("region", ["DE", "US", "AR"])
def test_in_a_region_a_number_is_what_it_is_dialled_as(region: str) -> None:
    (plain,) = entities("phone").entities
    entity = Entity(plain.type, plain.place, region=region)
    rng = Random(21)
    for text in [*(near(rng) for _ in range(150)), *(f"+{''.join(rng.choices(DIGITS, k=11))}" for _ in range(150))]:
        try:
            truth = phonenumbers.is_valid_number(phonenumbers.parse(text, region))
        except phonenumbers.NumberParseException:
            truth = False
        assert PHONE.run(text, entity) == truth, text


def test_a_screen_that_lost_a_country_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = phones.lengths_behind

    def lossy(beginning: str) -> int:
        return 0 if beginning.startswith("49") else real(beginning)

    monkeypatch.setattr(many_phones, "lengths_behind", lossy)
    with pytest.raises(AssertionError):
        agree(list(examples()))


@pytest.mark.parametrize(
    "text", ["Tel. 030 901820", "Tel.: (030) 901820", "Tel.: +49 30 901820", "Tel.:  0049 (30) 901820"]
)
def test_no_space_before_a_number_is_part_of_it(text: str) -> None:
    assert texts(text, "phone", region="DE") == [text.split(":")[-1].removeprefix("Tel.").strip()]
