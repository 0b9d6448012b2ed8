"""An independent reading of the views, from Python's ``unicodedata`` and ``str.casefold``.

Python may know an older or newer Unicode version than the shipped tables: only code points that both know take part.
"""

import unicodedata
from functools import cache
from itertools import chain

from policykit.text import category_ranges

DEFAULT_IGNORABLE = frozenset(
    chain(
        [0xAD, 0x34F, 0x61C, 0x3164, 0xFEFF, 0xFFA0],
        range(0x115F, 0x1161),
        range(0x17B4, 0x17B6),
        range(0x180B, 0x1810),
        range(0x200B, 0x2010),
        range(0x202A, 0x202F),
        range(0x2060, 0x2070),
        range(0xFE00, 0xFE10),
        range(0xFFF0, 0xFFF9),
        range(0x1BCA0, 0x1BCA4),
        range(0x1D173, 0x1D17B),
        range(0xE0000, 0xE1000),
    )
)
"""UAX 44, Default_Ignorable_Code_Point, by hand."""

GAPS = frozenset((0x115F, 0x1160, 0x2800, 0x3164, 0xFFA0))
"""Hangul fillers and the Braille blank: a gap to whoever reads them."""

SPACING_VOICING = {0x309B: "\u3099", 0x309C: "\u309a"}
DOTLESS_I = 0x131
HANGUL_SYLLABLES = range(0xAC00, 0xD7A4)
JAMO = range(0x1100, 0x1200)


@cache
def known_points() -> tuple[int, ...]:
    """Code points that are assigned in both Unicode versions, surrogates left out."""
    unassigned = {c for low, high in category_ranges("Cn") or () for c in range(low, high + 1)}
    return tuple(c for c in range(0x110000) if c not in unassigned and unicodedata.category(chr(c)) not in ("Cn", "Cs"))


def is_spacing_mark(point: int) -> bool:
    """NFKD gives a space and then marks only."""
    first, *marks = unicodedata.normalize("NFKD", chr(point))
    return first == " " and bool(marks) and all(unicodedata.category(m) == "Mn" for m in marks)


def compat_decomposed(point: int) -> str:
    """``compat`` with Hangul syllables taken apart: NFKC_Casefold and the stated departures, as NFD."""
    if point in SPACING_VOICING:
        return SPACING_VOICING[point]
    if is_spacing_mark(point) or point in GAPS:
        return " "
    before, text = "", chr(point)
    while text != before:
        before = text
        kept = "".join(c for c in text if ord(c) not in DEFAULT_IGNORABLE)
        text = unicodedata.normalize("NFKD", kept).casefold().replace(chr(DOTLESS_I), "i")
    return unicodedata.normalize("NFD", text)


def is_dropped_mark(char: str) -> bool:
    """What ``unmarked`` drops of a decomposed text."""
    if char == "\u0338":
        return False
    return unicodedata.combining(char) not in (0, 7, 8, 9) or unicodedata.category(char) == "Me"


def unmarked_decomposed(point: int) -> str:
    if point in GAPS or (point not in SPACING_VOICING and is_spacing_mark(point)):
        return ""
    return "".join(c for c in compat_decomposed(point) if not is_dropped_mark(c))
