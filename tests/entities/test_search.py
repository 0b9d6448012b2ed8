"""Every valid occurrence is found, whatever stands before, behind or around it: against brute force."""

import pytest
from hypothesis import given, settings, strategies as st

from tests.entities.find import found, texts
from tests.entities.oracle import contains, is_card, is_iban, luhn, mod97, occurrences


def with_luhn(payload: str) -> str:
    return next(payload + digit for digit in "0123456789" if luhn(payload + digit))


def with_iban_digits(country: str, account: str) -> str:
    return f"{country}{98 - mod97(f'{account}{country}00'):02d}{account}"


def in_fours(number: str, gap: str) -> str:
    return gap.join(number[i : i + 4] for i in range(0, len(number), 4))


digits = st.text("0123456789", min_size=14, max_size=14)
cards = st.builds(lambda first, rest: with_luhn(first + rest), st.sampled_from(["4", "51"]), digits).map(
    lambda number: number if len(number) == 16 else with_luhn(number[:15])
)
spelled_cards = st.builds(in_fours, cards, st.sampled_from(["", " ", "-"]))
ibans = st.builds(with_iban_digits, st.just("NL"), st.from_regex(r"[A-Z]{4}[0-9]{10}", fullmatch=True))
noise = st.text("0149 -ab.", max_size=12)


@settings(deadline=None)
@given(st.lists(st.one_of(spelled_cards, noise, st.text("0123456789", max_size=20)), max_size=6).map("".join))
def test_cards_are_those_that_brute_force_finds(text: str) -> None:
    expected = occurrences(text, is_card, "0123456789", 19)
    actual = [(start, end) for start, end, _ in found(text, "payment_card")]
    # Other issuers and groupings are cards too, and a fraction is none; a card of the oracle is never lost to them.
    for span in expected:
        is_fraction = span[0] > 1 and text[span[0] - 1] in ".," and text[span[0] - 2].isdigit()
        assert is_fraction or any(span == other or contains(other, span) for other in actual)
    for start, end in actual:
        assert luhn("".join(filter(str.isdigit, text[start:end])))


@settings(deadline=None)
@given(st.lists(st.one_of(ibans, ibans.map(lambda n: in_fours(n, " ")), noise), max_size=4).map(" ".join))
def test_ibans_are_those_that_brute_force_finds(text: str) -> None:
    letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert [span[:2] for span in found(text.lower(), "iban")] == occurrences(text, is_iban, letters, 42)


@pytest.mark.parametrize(
    "text",
    [
        "9999 4111 1111 1111 1111",  # twenty digits that hold a card
        "4111 1111 1111 1111 9999",
        "9999 4111 1111 1111 1111 9999",
        "1-4111-1111-1111-1111",
        "4111 1111 1111 1112 4111 1111 1111 1111",
        "card4111111111111111x",
    ],
)
def test_a_card_is_not_hidden_by_digits_around_it(text: str) -> None:
    assert any("4111111111111111" in find.replace(" ", "").replace("-", "") for find in texts(text, "payment_card"))


@pytest.mark.parametrize("text", ["41111111111111110", "0.4111111111111111", "4111 1111 1111 1112", "4111 1111"])
def test_what_is_no_card(text: str) -> None:
    assert texts(text, "payment_card") == []


def test_an_iban_ends_where_it_is_valid() -> None:
    assert texts("Pay GB29 NWBK 6016 1331 9268 19 today at 10", "iban") == ["gb29 nwbk 6016 1331 9268 19"]


@settings(deadline=None)
@given(noise, st.sampled_from(["GB29NWBK60161331926819", "4111 1111 1111 1111", "ada@example.org"]), noise)
def test_noise_around_does_not_change_the_find(before: str, value: str, after: str) -> None:
    names = ("iban", "payment_card", "email")
    text = f"{before}\n{value}\n{after}".lower()
    start = len(before) + 1
    spans = [span[:2] for span in found(text, *names)]
    assert (start, start + len(value)) in spans


def test_of_types_on_one_stretch_the_longer_and_then_the_first_is_named() -> None:
    assert found("gb29nwbk60161331926819", "phone", "iban")[0][2] == "iban"
    text = "+44 20 7946 0958"
    assert found(text, "phone", "phone", region="GB") == [(0, len(text), "phone")]
