"""UTF-8 pieces against Python's own decoder and against the encodings of all code points."""

import codecs
import itertools

import pytest
from hypothesis import given, strategies as st

from policykit.text import utf8

CRITICAL = bytes.fromhex("00 41 7f 80 8f 90 9f a0 bf c0 c1 c2 df e0 e1 ec ed ee ef f0 f1 f3 f4 f5 ff")
"""Both ends of every range that the table of well-formed byte sequences (Unicode 3.9, table 3-7) tells apart."""

_DECODER = codecs.getincrementaldecoder("utf-8")


def python_waits_for_more(data: bytes) -> bool:
    try:
        _DECODER().decode(data)
    except UnicodeDecodeError:
        return False
    return True


def begins_a_surrogate(data: bytes) -> bool:
    """ED A0..BF at the end: no character begins so, yet Python's incremental decoder waits for a third byte to fail."""
    return len(data) >= 2 and data[-2] == 0xED and 0xA0 <= data[-1] <= 0xBF


def prefixes_of_all_characters() -> dict[bytes, tuple[int, int, int]]:
    """Every proper, non-empty prefix of a character's encoding: its first and last code point, and how many it has."""
    found: dict[bytes, tuple[int, int, int]] = {}
    for point in itertools.chain(range(0x80, 0xD800), range(0xE000, 0x110000)):
        encoded = chr(point).encode()
        for n in range(1, len(encoded)):
            first, _, count = found.get(encoded[:n], (point, point, 0))
            found[encoded[:n]] = (first, point, count + 1)
    return found


def test_prefixes_agree_with_the_incremental_decoder_on_all_critical_strings():
    n_surrogate = 0
    for length in range(5):
        for values in itertools.product(CRITICAL, repeat=length):
            data = bytes(values)
            ours, theirs = utf8.is_valid_prefix(data), python_waits_for_more(data)
            if ours != theirs:
                assert theirs, data
                assert begins_a_surrogate(data), data
                n_surrogate += 1
    assert n_surrogate > 0


@given(st.binary(max_size=12))
def test_prefixes_agree_with_the_incremental_decoder(data: bytes):
    assert utf8.is_valid_prefix(data) == (python_waits_for_more(data) and not begins_a_surrogate(data))


def test_completions_are_the_code_points_whose_encoding_begins_so():
    expected = prefixes_of_all_characters()
    for tail, (first, last, count) in expected.items():
        assert utf8.completions(tail) == (first, last + 1), tail
        assert last + 1 - first == count, tail
    every_byte = [bytes([a]) for a in range(256)]
    every_pair = [bytes(pair) for pair in itertools.product(range(256), repeat=2)]
    longer = [bytes(values) for n in (3, 4) for values in itertools.product(CRITICAL, repeat=n)]
    for tail in itertools.chain([b""], every_byte, every_pair, longer):
        assert tail in expected or utf8.completions(tail) == (0, 0), tail


@given(st.text(), st.data())
def test_any_slice_of_a_text_splits_at_its_character_boundaries(text: str, data: st.DataObject):
    encoded = text.encode()
    start = data.draw(st.integers(0, len(encoded)))
    end = data.draw(st.integers(start, len(encoded)))
    boundaries = list(itertools.accumulate((len(c.encode()) for c in text), initial=0))
    inside = [b for b in boundaries if start <= b <= end]
    if not inside:
        return  # the slice lies within one character
    pieces = utf8.split(encoded[start:end])
    assert pieces is not None
    assert pieces.head == encoded[start : inside[0]]
    assert pieces.text == encoded[inside[0] : inside[-1]].decode()
    assert pieces.tail == encoded[inside[-1] : end]


@given(st.binary(max_size=10))
def test_the_pieces_are_the_bytes_and_none_is_too_long(data: bytes):
    pieces = utf8.split(data)
    if pieces is not None:
        assert pieces.head + pieces.text.encode() + pieces.tail == data
        assert len(pieces.head) <= 3
        assert len(pieces.tail) <= 3
        assert pieces.tail == b"" or utf8.completions(pieces.tail) != (0, 0)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", utf8.Pieces(b"", "", b"")),
        (b"\x80\xbf", utf8.Pieces(b"\x80\xbf", "", b"")),
        (b"\xa9 risk\xe2\x82", utf8.Pieces(b"\xa9", " risk", b"\xe2\x82")),
        ("\u20ac".encode(), utf8.Pieces(b"", "\u20ac", b"")),
        (b"\x80\x80\x80\x80", None),
        (b"guar\xc3anteed", None),
        (b"guar\xffanteed", None),
        (b"\xc0\x80", None),
        (b"\xe0\x9f", None),
        (b"\xed\xa0\x80", None),
        (b"\xed\xa0", None),
        (b"\xf4\x90", None),
        (b"\xf5", None),
        (b"a\x80", None),
    ],
)
def test_pieces_of(data: bytes, expected: utf8.Pieces | None):
    assert utf8.split(data) == expected
