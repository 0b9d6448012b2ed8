"""Accents that stand alone (`´`, `¨`, `˛`) and gaps that are no space: words part there on `compat`, not on `unmarked`.

Unicode's own decomposition, by the standard library, says which characters they are. The mask, the verifier and the
stream must agree about every one of them, at every place in and around a phrase.
"""

import unicodedata

import pytest

import policykit as pk
from tests.laws.languages import phrases
from tests.laws.worlds import bytewise, policies

VOICING = "\u309b\u309c"
"""The spacing voicing marks of kana belong to the letter before them."""
ACCENTS = [
    char
    for char in map(chr, range(0x110000))
    if (parts := unicodedata.normalize("NFKD", char))[0] == " "
    and parts[1:]
    and all(unicodedata.combining(c) for c in parts[1:])
    and char not in VOICING
]
GAPS = "\u115f\u1160\u3164\uffa0\u2800"
"""Shown as a gap, and no white space by Unicode."""
BOTH, COMPAT, UNMARKED = ["compat", "unmarked"], ["compat"], ["unmarked"]
PLANS = {
    tuple(views): pk.compile(policies([phrases("sure returns", views=views)])) for views in (BOTH, COMPAT, UNMARKED)
}
WORDS = pk.Vocabulary.from_tokens([*(bytes([i]) for i in range(256)), b""], [256])
CASES = (
    ("sure returns{}32", True, False),
    ("32{}sure returns.", True, False),
    ("sure{}returns", True, False),
    ("sure {} returns{}", True, True),
    ("su{}re retu{}rns", False, True),
    ("{}sure returns", True, True),
    ("sure re{}turn", False, False),
    ("unsure{}returns", False, False),
)
"""A text, and whether the phrase is in it on `compat` and on `unmarked`."""


def masked(plan: pk.Plan, text: str) -> bool:
    """Whether the mask lets the text out, byte by byte."""
    state = plan.constraint(WORDS).start()
    return all(map(state.accept, bytewise(WORDS, text.encode()))) and state.accepting


def streamed(plan: pk.Plan, text: str) -> bool:
    stream = plan.stream()
    for char in text:
        stream.feed(char)
    return stream.close()[1].decision == "allow"


def agree(views: list[str], text: str, found: bool) -> None:
    plan = PLANS[tuple(views)]
    assert (plan.verify(text).decision == "block") == found, (views, text)
    assert masked(plan, text) != found, (views, text)
    assert streamed(plan, text) != found, (views, text)


def test_there_are_as_many_as_unicode_has() -> None:
    assert len(ACCENTS) == 48
    assert set("´¨¯¸˘˙˚˛˜˝\u037a\u0384\u1fbd\u2017\u203e\uffe3") <= set(ACCENTS)


@pytest.mark.parametrize(("text", "on_compat", "on_unmarked"), CASES)
def test_mask_verifier_and_stream_agree(text: str, on_compat: bool, on_unmarked: bool) -> None:
    for accent in (*ACCENTS, *GAPS):
        spelled = text.replace("{}", accent)
        agree(COMPAT, spelled, on_compat)
        agree(UNMARKED, spelled, on_unmarked)
        agree(BOTH, spelled, on_compat or on_unmarked)
