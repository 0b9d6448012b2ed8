"""`skeleton` and `leet`: Unicode's own list of look-alikes as oracle, the laws of case, and the traps one by one."""

import string
import unicodedata
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from policykit.text import View, build_look_alikes, is_separator, view

from . import reference as ref

SOURCE = files("policykit.text").joinpath("confusables.txt")
SHIPPED = files("policykit.text").joinpath("look_alikes.npz")
SKELETON, LEET = view("skeleton"), view("leet")
OF_TWO_CASES = "ΗΝΥΒβϐБГҐҒꞵꮁⲄ𑢤𑢦𑢵𑢼ϲϹ"
"""Letters of which one case is listed as looking like one thing and the other as another (ϲ: its capital is Σ)."""


def listed() -> dict[str, str]:
    """Unicode's confusables, read by hand."""
    rows = [line.split(";") for line in SOURCE.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    return {chr(int(point, 16)): "".join(chr(int(c, 16)) for c in to.split()) for point, to in rows}


def decides_otherwise(char: str) -> bool:
    """What the other views say goes before what a character looks like; separators are never letters, kept marks of
    other scripts are not dropped, and three signs stay whole."""
    unmarked, to = view("unmarked").image(ord(char)), listed()[char]
    spaced = any(is_separator[ord(c)] for c in char + to)
    marks = all(unicodedata.combining(c) for c in to)
    return unmarked != char or spaced or marks or to in ("''", "º/₀", "O'")


def test_the_shipped_maps_are_what_the_list_gives(tmp_path: Path):
    out = tmp_path / "look_alikes.npz"
    build_look_alikes.main([str(SOURCE), str(out)])
    assert out.read_bytes() == SHIPPED.read_bytes()


def test_a_list_of_another_version_is_refused(tmp_path: Path):
    other = tmp_path / "confusables.txt"
    other.write_text("# Version: 14.0.0\n0430;0061\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"14\.0\.0"):
        build_look_alikes.read_confusables(other)


def test_what_unicode_lists_falls_together():
    differ = [c for c, to in listed().items() if SKELETON.apply(c) != SKELETON.apply(to)]
    unexplained = [c for c in differ if not decides_otherwise(c) and c not in OF_TWO_CASES]
    assert unexplained == []
    assert len(listed()) == 6311
    assert len(differ) <= 251


def test_no_two_ascii_characters_fall_together_but_the_stated_ones():
    together: dict[str, set[str]] = {}
    for char in map(chr, range(0x80)):
        together.setdefault(SKELETON.apply(char), set()).add(char)
    groups = {frozenset(g) for g in together.values() if len(g) > 1}
    cases = {frozenset({c, c.upper()}) for c in string.ascii_lowercase}
    assert groups - cases == {frozenset("liLI1|"), frozenset("oO0")}
    assert SKELETON.apply("m") == "rn"


@pytest.mark.parametrize("v", [SKELETON, LEET], ids=lambda v: v.name)
def test_both_cases_of_every_letter_fall_together(v: View):
    for point in ref.known_points():
        char = chr(point)
        assert v.apply(char) == v.apply(char.casefold()), hex(point)


def test_separators_stay_separators_and_nothing_else_becomes_one():
    for point in range(0x110000):
        on_unmarked, image = view("unmarked").image(point), SKELETON.image(point)
        before, after = ([bool(is_separator[ord(c)]) for c in t] for t in (on_unmarked, image))
        assert before == after or not any(before + after), hex(point)


def test_leet_is_skeleton_with_digits_read_as_letters():
    read = str.maketrans("3456789@$", "easgtbgas")
    for point in range(0x110000):
        assert LEET.image(point) == SKELETON.image(point).translate(read), hex(point)


_small_capitals = "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡ\0ʏᴢ"


@pytest.mark.parametrize(
    ("alphabet", "but"),
    [
        (_small_capitals, "x"),
        ("".join(chr(0x1F150 + i) for i in range(26)), ""),
        ("".join(chr(0x1F170 + i) for i in range(26)), ""),
        ("".join(chr(0x1D41A + i) for i in range(26)), ""),
        ("".join(chr(0xFF21 + i) for i in range(26)), ""),
        ("".join(chr(0x24D0 + i) for i in range(26)), ""),
    ],
    ids=["small capitals", "black circles", "black squares", "bold", "full width", "circles"],
)
def test_alphabets_that_are_typed_for_the_latin_one(alphabet: str, but: str):
    for plain, char in zip(string.ascii_lowercase, alphabet, strict=True):
        if plain not in but:
            assert SKELETON.apply(char) == SKELETON.apply(plain), plain


@pytest.mark.parametrize(
    ("text", "skeleton"),
    [
        ("gu\u0430r\u0430nt\u0435\u0435d r\u0435turns", "guaranteed returns"),  # Cyrillic
        ("GU\u0410R\u0410N\u0422\u0415\u0415D", "guaranteed"),
        ("ρrοmιѕe", "prornlse"),
        ("Illinois 1111 |", "llllnols llll l"),
        ("modern rnodem", "rnodern rnodern"),
        ("r\u00f8ut\u0338e \u0142\u0111", "route ld"),
        ("risk\u2014free, risk\u2011free", "rlsk\u2014free, rlsk-free"),
        ("100 % «\u201csafe\u201d»", 'loo % «"safe"»'),
        ("नमस्ते", "नमस्ते"),
        ("ΝΕΑ νέα", "vea vea"),
        ("БОНУС бонус", "6ohyc 6ohyc"),
    ],
)
def test_traps(text: str, skeleton: str):
    assert SKELETON.apply(text) == skeleton


@settings(max_examples=500)
@given(st.text(st.sampled_from("abmrnIl10оОν\u0338\u0301\u0323\u0307\u200bøł≠Åｍ❶"), max_size=12))
def test_canonical_equivalents_are_one_text(text: str):
    for v in (SKELETON, LEET):
        assert v.apply(unicodedata.normalize("NFC", text)) == v.apply(text)
        assert v.apply(unicodedata.normalize("NFD", text)) == v.apply(text)


@given(st.text(st.characters(max_codepoint=0x7F)))
def test_ascii_goes_the_short_way_to_the_same_image(text: str):
    for v in (SKELETON, LEET):
        assert v.apply(text) == "".join(v.image(ord(c)) for c in text)
