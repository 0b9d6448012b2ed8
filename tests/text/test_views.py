"""Views: laws over any text, the exact maps against an independent reading, and the traps one by one."""

import copy
import pickle
import unicodedata
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from policykit.text import UNICODE_VERSION, VIEW_NAMES, View, is_word, view

from . import reference as ref

DATABASE = Path("/usr/share/unicode")
VIEWS = [view(name) for name in VIEW_NAMES]
PUNCTUATION = ("Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po")
each_view = pytest.mark.parametrize("v", VIEWS, ids=VIEW_NAMES)

_changed = sorted({c for v in VIEWS for c in v.images})
characters = st.one_of(
    st.characters(),
    st.sampled_from("guaranteed RETURNS-1 "),
    st.sampled_from(_changed).map(chr),
    st.integers(0xD800, 0xDFFF).map(chr),
)
texts = st.one_of(st.text(characters, max_size=30), st.text(characters, max_size=30).map(lambda t: t * 50))


@each_view
@given(a=texts, b=texts)
def test_a_view_is_a_homomorphism(v: View, a: str, b: str):
    assert v.apply(a + b) == v.apply(a) + v.apply(b)


@each_view
@given(text=texts)
def test_a_view_maps_character_by_character(v: View, text: str):
    assert v.apply(text) == "".join(v.image(ord(c)) for c in text)


@each_view
@given(text=texts)
def test_a_view_is_idempotent(v: View, text: str):
    once = v.apply(text)
    assert v.apply(once) == once


@each_view
@given(text=texts)
def test_every_view_character_stands_in_the_image_of_its_origin(v: View, text: str):
    on_view, offsets = v.apply_with_offsets(text)
    assert on_view == v.apply(text)
    assert offsets.dtype == np.int64
    assert offsets.tolist() == [i for i, c in enumerate(text) for _ in v.image(ord(c))]


@each_view
@given(text=texts | st.text("mMarn1", max_size=30))
def test_origins_are_the_offsets(v: View, text: str):
    _, offsets = v.apply_with_offsets(text)
    expected = [*offsets.tolist(), len(text)]
    origins = v.origins(text)
    assert origins.of(np.arange(len(expected))).tolist() == expected
    assert [origins.one(place) for place in range(len(expected))] == expected


@pytest.mark.parametrize("v", [view(name) for name in ("raw", "compat", "unmarked")], ids=lambda v: v.name)
@given(text=st.text(st.characters(max_codepoint=0x7F)).map(lambda t: t * 20))
def test_ascii_keeps_its_offsets_and_only_loses_its_case(v: View, text: str):
    on_view, offsets = v.apply_with_offsets(text)
    assert on_view == (text if v.name == "raw" else text.lower())
    assert offsets.tolist() == list(range(len(text)))


@each_view
def test_every_code_point_has_an_image_and_it_is_a_fixed_point(v: View):
    for point in range(0x110000):
        image = v.image(point)
        assert image == (chr(point) if point not in v.images else v.images[point])
    assert all(image != chr(point) for point, image in v.images.items())
    assert all(v.image(ord(c)) == c for image in v.images.values() for c in image)


@each_view
def test_a_view_is_one_object_in_every_copy(v: View):
    assert view(v.name) is v
    assert copy.deepcopy(v) is v
    assert pickle.loads(pickle.dumps(v)) is v


@each_view
def test_there_are_no_images_beyond_the_last_code_point(v: View):
    with pytest.raises(ValueError, match="chr"):
        v.image(0x110000)


def test_an_unknown_view_is_refused():
    with pytest.raises(ValueError, match="squeeze"):
        view("squeeze")


def test_images_cannot_be_changed():
    with pytest.raises(TypeError):
        view("compat").images[65] = "b"  # type: ignore[index]


def test_surrogates_are_their_own_images():
    text = "\ud800a\udfff\U00010400" * 200
    for v in VIEWS:
        assert v.apply(text)[:3] == "\ud800a\udfff"


def test_compat_is_nfkc_casefold_but_for_the_stated_departures():
    compat = view("compat")
    for point in ref.known_points():
        if point not in ref.HANGUL_SYLLABLES:
            assert unicodedata.normalize("NFD", compat.image(point)) == ref.compat_decomposed(point), hex(point)


def test_unmarked_is_compat_without_the_marks_of_dropped_classes():
    unmarked = view("unmarked")
    for point in ref.known_points():
        if point not in ref.HANGUL_SYLLABLES:
            assert unicodedata.normalize("NFD", unmarked.image(point)) == ref.unmarked_decomposed(point), hex(point)


def nfkc_casefold_of_the_database() -> dict[int, str]:
    """The property NFKC_CF (UAX 44) of every code point that it changes."""
    images: dict[int, str] = {}
    for line in (DATABASE / "DerivedNormalizationProps.txt").read_text(encoding="utf-8").splitlines():
        fields = [f.strip() for f in line.split("#")[0].split(";")]
        if len(fields) == 3 and fields[1] == "NFKC_CF":
            low, _, high = fields[0].partition("..")
            for point in range(int(low, 16), int(high or low, 16) + 1):
                images[point] = "".join(chr(int(c, 16)) for c in fields[2].split())
    return images


def has_the_shipped_version() -> bool:
    header = DATABASE / "DerivedNormalizationProps.txt"
    return header.exists() and UNICODE_VERSION in header.open(encoding="utf-8").readline()


@pytest.mark.skipif(not has_the_shipped_version(), reason="no Unicode database of the shipped version")
def test_compat_is_the_derived_property_but_for_the_stated_departures():
    compat, published = view("compat"), nfkc_casefold_of_the_database()
    differ = {
        point
        for point in range(0x110000)
        if unicodedata.normalize("NFD", compat.image(point))
        != unicodedata.normalize("NFD", published.get(point, chr(point)))
    }
    spacing = {point for point in published if ref.is_spacing_mark(point)}
    # The mathematical dotless i folds to the dotless i, and that to i.
    assert differ == spacing | ref.GAPS | {ref.DOTLESS_I, 0x1D6A4}


@pytest.mark.parametrize(
    ("text", "compat", "unmarked"),
    [
        ("Guaranteed RETURNS", "guaranteed returns", "guaranteed returns"),
        ("ｇｕａｒａｎｔｅｅｄ", "guaranteed", "guaranteed"),
        ("𝐠𝓾𝕒𝖗𝚊𝔫𝗍ⓔ𝙚𝖽", "guaranteed", "guaranteed"),
        ("gu\u200bar\u00adan\ufe0fte\u2060ed", "guaranteed", "guaranteed"),
        ("fo\u00a8o fo\u00b4o fo\u00afo", "fo o fo o fo o", "foo foo foo"),
        ("returns\u02db32 one\u2017two", "returns 32 one two", "returns32 onetwo"),
        ("one\u3164two o\uffa0n\u115fe\u1160", "one two o n e ", "onetwo one"),
        ("risk\u00a0free\u3000now", "risk free now", "risk free now"),
        ("Straße STRAẞE ﬁne ﬀ ﬆ", "strasse strasse fine ff st", "strasse strasse fine ff st"),
        ("schön", "scho\u0308n", "schon"),
        ("g\u0336u\u0336", "g\u0336u\u0336", "gu"),
        ("İstanbul", "i\u0307stanbul", "istanbul"),
        ("ısı 𝚤", "isi i", "isi i"),
        ("ΣΊΣΥΦΟΣ σίσυφος", "σι\u0301συφοσ σι\u0301συφοσ", "σισυφοσ σισυφοσ"),
        ("ŉ", "\u02bcn", "\u02bcn"),
        ("a ≠ b, a =\u0338 b", "a =\u0338 b, a =\u0338 b", "a =\u0338 b, a =\u0338 b"),
        ("バス ハス", "ハ\u3099ス ハス", "ハ\u3099ス ハス"),
        ("ﾊﾞｽ は゛ は゜", "ハ\u3099ス は\u3099 は\u309a", "ハ\u3099ス は\u3099 は\u309a"),
        ("한국", "한국", "한국"),
        ("㈎ ㉮ ㈝ ㉼", "(가) 가 (오전) 참고", "(가) 가 (오전) 참고"),
        ("क़", "क\u093c", "क\u093c"),
        ("क्ष", "क्ष", "क्ष"),
        ("كِتَاب", "كِتَاب", "كتاب"),
        ("1️⃣", "1\u20e3", "1"),
        ("½ ² Ⅳ ㎏ ™", "1\u20442 2 iv kg tm", "1\u20442 2 iv kg tm"),
        ("\u1fb3 \u03b1\u0345", "αι αι", "αι αι"),
    ],
)
def test_traps(text: str, compat: str, unmarked: str):
    assert view("compat").apply(text) == compat
    assert view("unmarked").apply(text) == unmarked


def test_no_image_holds_jamo_that_compose():
    for v in VIEWS:
        for image in v.images.values():
            if any(ord(c) in ref.JAMO for c in image):
                composed = unicodedata.normalize("NFC", image)
                assert not any(ord(c) in ref.HANGUL_SYLLABLES for c in composed), image


def test_no_erased_character_was_visible_but_marks():
    for point, image in view("compat").images.items():
        assert image or point in ref.DEFAULT_IGNORABLE, hex(point)
    for point in ref.known_points():
        is_mark = ref.is_spacing_mark(point) or unicodedata.category(chr(point)).startswith("M")
        for name in ("unmarked", "skeleton", "leet"):
            assert view(name).image(point) or point in ref.DEFAULT_IGNORABLE | ref.GAPS or is_mark, (name, hex(point))


def test_what_parts_two_words_parts_them_on_compat():
    """Separators, punctuation, fillers and accents that stand alone: their image is no part of a word."""
    assert all(view("compat").image(point) == " " for point in ref.GAPS)
    for point in ref.known_points():
        char = chr(point)
        if unicodedata.category(char) in ("Zs", "Zl", "Zp", "Sk", *PUNCTUATION):
            image = view("compat").image(point)
            assert point in ref.DEFAULT_IGNORABLE or any(not is_word[ord(c)] for c in image), hex(point)


REALISTIC = {
    "german": "Für größere Erträge übernehmen wir keine Gewähr.",
    "french": "Les bénéfices passés ne garantissent rien à l'avenir, même à long terme.",
    "vietnamese": "Lợi nhuận được bảo đảm, không có rủi ro nào, hãy đầu tư ngay hôm nay.",
    "polish": "Zażółć gęślą jaźń; gwarantowany zysk.",
    "turkish": "İstanbul'da garantili kazanç: sıfır risk, ışık hızıyla.",
    "greek": "Ἐν ἀρχῇ ἦν ὁ λόγος· ᾧ καὶ ᾳ, τῷ Ἅιδῃ.",
    "hebrew": "בְּרֵאשִׁית בָּרָא אֱלֹהִים",
    "arabic": "الرِّبْحُ مَضْمُونٌ، آمِنٌ أَكِيدٌ إِن شَاءَ اللَّهُ",
    "hindi": "क़ीमत और ज़मीन की गारंटी, बिना किसी जोखिम के ड़ ढ़ फ़",
    "japanese": "この商品は元本が保証されています。バスのパスポート。",
    "thai": "รับประกันผลตอบแทน ไม่มีความเสี่ยง",
    "yoruba": "Ẹ̀kọ́ ọ̀fẹ́ ń bọ̀ ṣùgbọ́n",
    "symbols": "a ≠ b, x ≰ y, ∄ z ∉ A, p ⊬ q",
}


@pytest.mark.parametrize("text", REALISTIC.values(), ids=REALISTIC)
def test_composed_and_decomposed_spellings_agree(text: str):
    spellings = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    compat = {unicodedata.normalize("NFD", view("compat").apply(s)) for s in spellings}
    assert len(compat) == 1
    assert len({view("unmarked").apply(s) for s in spellings}) == 1


def _is_starter_without_jamo(point: int) -> bool:
    return unicodedata.combining(chr(point)) == 0 and point not in ref.JAMO and point not in ref.HANGUL_SYLLABLES


def _is_composite(point: int) -> bool:
    return bool(unicodedata.decomposition(chr(point)))


_starters = [c for c in ref.known_points() if _is_starter_without_jamo(c)]
_composites = [c for c in _starters if _is_composite(c)]
_plain = [c for c in chain(range(0x21, 0x7F), _starters[::50]) if not _is_composite(c)]
_marks = [c for c in ref.known_points() if unicodedata.combining(chr(c)) != 0 and c != 0x345]
_dropped = [chr(c) for c in _marks if ref.is_dropped_mark(chr(c))]
_kept = [chr(c) for c in _marks if not ref.is_dropped_mark(chr(c))] + ["\u0345"]
_drops = st.text(st.sampled_from(_dropped), max_size=4)
_clusters = st.one_of(
    st.builds(lambda base, marks: chr(base) + marks, st.sampled_from(_composites), _drops),
    st.builds(
        lambda base, before, kept, after: chr(base) + before + kept + after,
        st.sampled_from(_plain),
        _drops,
        st.sampled_from(["", *_kept]),
        _drops,
    ),
)


@settings(max_examples=1000)
@given(st.lists(_clusters, max_size=6).map("".join))
def test_unmarked_sees_no_difference_between_canonical_equivalents(text: str):
    unmarked = view("unmarked")
    seen = unmarked.apply(text)
    assert unmarked.apply(unicodedata.normalize("NFC", text)) == seen
    assert unmarked.apply(unicodedata.normalize("NFD", text)) == seen


def test_the_named_limits_are_the_limits():
    """What the module says it does not claim: if one of these changes, its docstring must too."""
    for name in ("compat", "unmarked"):
        v = view(name)
        assert v.apply(unicodedata.normalize("NFD", "한")) != v.apply("한")
        assert v.apply("が\u093c") != v.apply(unicodedata.normalize("NFD", "が\u093c"))
    assert view("unmarked").apply("g\u0338") == "g\u0338"
