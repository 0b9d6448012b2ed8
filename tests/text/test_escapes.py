"""What escapes say, beside the standard library's decoders; where each decoded character was read."""

import html
import json
import random
from collections.abc import Callable, Sequence
from urllib.parse import unquote

import pytest

from policykit.text.escapes import ESCAPES, NAMES, advance, escapes_digest, flush, unescape

PIECES: dict[str, Sequence[str]] = {
    "html": [*"&#;xX0123456789aAfF g\u0301é", "&not", "in", "lt", "gt;", "amp", "&#x1", "&#1", "&copy", "&#000000"],
    "url": [*"%0123456789abcdefABCDEF gé+", "%e2", "%C3", "%82", "%F0%9f", "%41", "%ed", "%a0"],
    "json": [*"\\u0123dDcCnr/", "\\u0041", "\\ud83d", "\\uDE00", "\\u00", "a", "\\\\", "\\u2603"],
}


def from_json(text: str) -> str | None:
    """The string's content, an unpaired surrogate as U+FFFD; None where the text is no content of a JSON string."""
    try:
        content: str = json.loads(f'"{text}"')
    except ValueError:
        return None
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in content)


ORACLES: dict[str, Callable[[str], str | None]] = {"html": html.unescape, "url": unquote, "json": from_json}


def texts(kind: str, n: int) -> Sequence[str]:
    rng = random.Random(kind)
    return ["".join(rng.choices(PIECES[kind], k=rng.randint(1, 12))) for _ in range(n)]


@pytest.mark.parametrize("kind", ORACLES)
def test_a_text_says_what_the_standard_library_reads(kind: str) -> None:
    judged = changed = 0
    for text in texts(kind, 6_000):
        expected = ORACLES[kind](text)
        if expected is None:
            continue
        found = unescape(ESCAPES[kind], text)
        assert (text if found is None else found.text) == expected, text
        judged, changed = judged + 1, changed + (expected != text)
    assert judged > 2_000
    assert changed > 1_000


@pytest.mark.parametrize("kind", ORACLES)
def test_character_by_character_the_same_is_read(kind: str) -> None:
    for text in texts(kind, 3_000):
        found = unescape(ESCAPES[kind], text)
        out, pending = "", ""
        for char in text:
            decoded, pending = advance(ESCAPES[kind], pending, char)
            out += decoded
        assert out + flush(ESCAPES[kind], pending) == (text if found is None else found.text), text


def test_every_name_and_every_number_of_a_reference() -> None:
    kind = ESCAPES["html"]
    for name in NAMES:
        for text in (f"&{name}", f"&{name}x", f"a&{name};", f"&{name[:-1]}é", f"&{name}&{name}"):
            found = unescape(kind, text)
            assert (text if found is None else found.text) == html.unescape(text), text
    for number in (*range(0x3000), *range(0xD000, 0x10100), *range(0x10FF00, 0x110010), 10**7, 10**40):
        found = unescape(kind, f"&#{number};&#x{number:X}")
        assert found is not None
        assert found.text == html.unescape(f"&#{number};") * 2, number


@pytest.mark.parametrize("kind", ORACLES)
def test_each_character_was_read_from_what_spells_it(kind: str) -> None:
    for text in texts(kind, 2_000):
        found = unescape(ESCAPES[kind], text)
        if found is None:
            continue
        assert len(found.text) == len(found.starts) == len(found.ends)
        at, last = 0, (-1, -1)
        for char, start, end in zip(found.text, found.starts, found.ends, strict=True):
            spelled = text[start:end]
            assert spelled == char or spelled.startswith(ESCAPES[kind].starter)
            assert at <= start or (start, end) == last  # several characters of one escape
            at, last = end, (start, end)
        kept = "".join(
            c for i, c in enumerate(text) if any(s <= i < e for s, e in zip(found.starts, found.ends, strict=True))
        )
        dropped = kind == "html" and len(kept) < len(text)
        assert kept == text or dropped, text


def test_long_runs_of_what_might_be_an_escape_are_read_in_linear_time() -> None:
    for kind, unit in (
        ("html", "&#"),
        ("html", "&"),
        ("url", "%"),
        ("url", "%e2"),
        ("json", "\\ud83d"),
        ("json", "\\u"),
    ):
        assert unescape(ESCAPES[kind], unit * 20_000 + "a") is not None or unit in ("&#", "&", "%", "\\u")
    found = unescape(ESCAPES["html"], "&#" + "0" * 100_000 + "97;")
    assert found is not None
    assert found.text == "a"


def test_the_digest_is_of_the_table() -> None:
    assert escapes_digest() == escapes_digest()
    assert escapes_digest().startswith("1:")
