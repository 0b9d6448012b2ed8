"""Character properties against Python's ``unicodedata`` and RE2, on the code points that they know."""

import subprocess
import sys
import unicodedata

import numpy as np
import pytest
import re2

from policykit.text import (
    category_ranges,
    is_regex_word,
    is_separator,
    is_word,
    simple_folding,
    tables_digest,
    white_space_ranges,
)
from policykit.text.properties import digest_of

from . import reference as ref

KNOWN = ref.known_points()
CATEGORIES = {c: unicodedata.category(chr(c)) for c in KNOWN}


def members(ranges: tuple[tuple[int, int], ...] | None) -> set[int]:
    assert ranges is not None
    return {c for low, high in ranges for c in range(low, high + 1)}


def test_word_characters_are_letters_marks_and_numbers():
    assert is_word.shape == is_regex_word.shape == is_separator.shape == (0x110000,)
    for point, category in CATEGORIES.items():
        assert bool(is_regex_word[point]) == (category[0] in "LMN" or point == ord("_")), hex(point)


SPACELESS = ("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH", "HIRAGANA", "KATAKANA", "HALFWIDTH KATAKANA", "BOPOMOFO",
             "THAI ", "LAO ", "KHMER ", "MYANMAR ", "YI ", "TANGUT ", "TAI THAM ", "TAI VIET ", "TAI LE ",
             "NEW TAI LUE ", "JAVANESE ", "BALINESE ")  # fmt: skip
ALSO_SPACELESS = ("KATAKANA", "HIRAGANA", "KANGXI", "CJK RADICAL", "IDEOGRAPHIC", "HANGZHOU", "VIETNAMESE ALTERNATE",
                  "ITERATION MARK", "VOICED SOUND MARK", "HENTAIGANA")  # fmt: skip


def test_phrases_know_no_words_in_scripts_without_spaces():
    """Judged by the names of the characters: a script's characters carry its name."""
    for point in np.flatnonzero(is_regex_word & ~is_word).tolist():
        name = unicodedata.name(chr(point), "")
        is_other = point == ord("_") or not name or any(word in name for word in ALSO_SPACELESS)
        assert name.startswith(SPACELESS) or is_other, (hex(point), name)
    for char in "元本保証ひらがなカタカナﾊﾝｶｸーสวัสดีລາວខ្មែរမြန်မာ㐂𠀋々":
        assert not is_word[ord(char)], char
    for char in "aÄß9Яعבअ한０":
        assert is_word[ord(char)], char
    assert not (is_word & ~is_regex_word).any()


def test_on_ascii_word_characters_are_those_of_re2():
    ascii_text = "".join(map(chr, range(0x80)))
    assert "".join(re2.findall(r"\w", ascii_text)) == "".join(c for c in ascii_text if is_regex_word[ord(c)])


def test_separators_are_white_space_dashes_and_marks():
    for point, category in CATEGORIES.items():
        is_space = chr(point).isspace() and point not in range(0x1C, 0x20)
        assert bool(is_separator[point]) == (is_space or category == "Pd" or chr(point) in "_*~`"), hex(point)
    assert not (is_separator & is_word).any()


def test_white_space_is_pythons_but_for_the_information_separators():
    python = {c for c in range(0x110000) if chr(c).isspace()}
    assert members(white_space_ranges) == python - set(range(0x1C, 0x20))


@pytest.mark.parametrize("name", sorted(set(CATEGORIES.values())))
def test_categories_hold_the_code_points_of_that_category(name: str):
    assert members(category_ranges(name)) & set(KNOWN) == {c for c, category in CATEGORIES.items() if category == name}


@pytest.mark.parametrize("name", "LMNPSZC")
def test_a_group_is_the_union_of_its_categories(name: str):
    parts = [category_ranges(name + second) for second in "abcdefghijklmnopqrstuvwxyz"]
    assert members(category_ranges(name)) == set().union(*(members(part) for part in parts if part is not None))


def test_cased_letters():
    assert members(category_ranges("LC")) == set().union(*(members(category_ranges(n)) for n in ("Lu", "Ll", "Lt")))


def test_every_code_point_has_one_category():
    counted = sum(len(members(category_ranges(name))) for name in "LMNPSZC")
    assert counted == 0x110000


@pytest.mark.parametrize(
    "script", ["Latin", "Greek", "Cyrillic", "Han", "Hangul", "Hiragana", "Katakana", "Arabic", "Hebrew", "Devanagari"]
)
def test_scripts_are_those_of_re2(script: str):
    text = "".join(map(chr, KNOWN))
    assert members(category_ranges(script)) & set(KNOWN) == {ord(c) for c in re2.findall(rf"\p{{{script}}}", text)}


@pytest.mark.parametrize("name", ["", "X", "LL", "letter", "greek", "Unknown", "Lx", "U", "Latin "])
def test_unknown_names_have_no_ranges(name: str):
    assert category_ranges(name) is None


@pytest.mark.parametrize("name", ["L", "Cn", "Greek", "Common"])
def test_ranges_are_sorted_disjoint_and_apart(name: str):
    flat = [bound for pair in category_ranges(name) or () for bound in pair]
    assert flat == sorted(flat)
    assert all(following > end + 1 for end, following in zip(flat[1::2], flat[2::2], strict=False))


def test_simple_folding_keeps_the_full_folding():
    folding = simple_folding()
    assert (folding[ord("K")], folding[0x212A], folding[0x1E9E]) == (ord("k"), ord("k"), 0xDF)
    for point, to in folding.items():
        if point in CATEGORIES:
            assert chr(point).casefold() == chr(to).casefold(), hex(point)
        assert to not in folding
    one_to_one = {c for c in KNOWN if len(folded := chr(c).casefold()) == 1 and folded != chr(c)}
    assert one_to_one <= folding.keys()


def test_tables_are_read_only():
    for flags in (is_word, is_regex_word, is_separator):
        with pytest.raises(ValueError, match="read-only"):
            flags[0] = True


def test_the_digest_is_the_same_in_another_process():
    command = "from policykit.text import tables_digest; print(tables_digest())"
    other = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == tables_digest()
    assert len(tables_digest()) == 64


def test_any_change_of_a_table_changes_the_digest():
    arrays = {"a": np.array([1, 2], np.uint8), "b": np.array([3], np.uint32)}
    digests = {
        digest_of(arrays),
        digest_of({**arrays, "a": np.array([1, 3], np.uint8)}),
        digest_of({**arrays, "a": np.array([1, 2], np.uint16)}),
        digest_of({**arrays, "a": np.array([[1], [2]], np.uint8)}),
        digest_of({"a": arrays["a"], "c": arrays["b"]}),
        digest_of({"a": arrays["a"]}),
    }
    assert len(digests) == 6
    assert digest_of(dict(reversed(arrays.items()))) == digest_of(arrays)
