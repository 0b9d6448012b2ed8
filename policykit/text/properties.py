r"""Character properties of the shipped Unicode version: the one answer to "is this a word character?".

The mask, the verifier and the regex classes all ask here, so they cannot disagree.
"""

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policykit.ir.regex import Ranges
from policykit.text.tables import N_POINTS, spread, tables

UNICODE_VERSION: str = ".".join(str(part) for part in tables()["version"].tolist())
"""Version of the Unicode Character Database behind every table."""

SEPARATOR_MARKS = "_*~`"
"""Markdown and identifier marks that separate the words of a phrase, beside white space and dashes."""

DOTS = "./\\\u00b7\u2022\u2027\u2219\u22c5\u30fb\u25cf\u25cb\u25e6\u2024\u2025\u2026"
"""Dots, bullets and slashes that set the letters of a word apart."""

_CATEGORY_NAMES: tuple[str, ...] = tuple(name.decode() for name in tables()["category_names"].tolist())
_SCRIPT_NAMES: tuple[str, ...] = tuple(name.decode() for name in tables()["script_names"].tolist())
_UNKNOWN_SCRIPT = "Unknown"
_CASED_LETTER = ("LC", ("Lu", "Ll", "Lt"))


def _frozen(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    flags.setflags(write=False)
    return flags


def _in_categories(*prefixes: str) -> NDArray[np.bool_]:
    return spread("category", [name.startswith(prefixes) for name in _CATEGORY_NAMES])


def _at(points: "list[int] | NDArray[np.uint32]") -> NDArray[np.bool_]:
    flags = np.zeros(N_POINTS, np.bool_)
    flags[points] = True
    return flags


def ranges_from_mask(flags: NDArray[np.bool_]) -> Ranges:
    """The ranges of the true entries."""
    edges: list[int] = (np.flatnonzero(flags[1:] != flags[:-1]) + 1).tolist()
    edges = [0, *edges] if flags[0] else edges
    return tuple((low, end - 1) for low, end in zip_longest(edges[::2], edges[1::2], fillvalue=len(flags)))


_white_space = _at(tables()["white_space"])

is_mark: NDArray[np.bool_] = _frozen(_in_categories("M"))
"""Combining marks by code point, ``[0x110000]``: general category M."""

SCRIPTS_WITHOUT_SPACES = (
    *("Han", "Hiragana", "Katakana", "Bopomofo", "Yi", "Tangut"),
    *("Thai", "Lao", "Khmer", "Myanmar", "Tai_Le", "New_Tai_Lue", "Tai_Tham", "Tai_Viet", "Javanese", "Balinese"),
)
"""Scripts that set no space between words (UAX 29, section 4): a boundary there would hide most words."""

_KANA_MARKS = (0x3099, 0x309A, 0x30FC, 0xFF70, 0xFF9E, 0xFF9F)
"""Voicing and length marks of kana; their script is Common or Inherited."""


def _without_spaces() -> NDArray[np.bool_]:
    wanted = [name in SCRIPTS_WITHOUT_SPACES for name in _SCRIPT_NAMES]
    return spread("script", wanted) | _at(list(_KANA_MARKS))


is_letter: NDArray[np.bool_] = _frozen(_in_categories("L", "M", "N"))
"""Letters, marks and digits of every script by code point, ``[0x110000]``: general categories L, M and N."""

is_word: NDArray[np.bool_] = _frozen(is_letter & ~_without_spaces())
"""Word characters of phrases by code point, ``[0x110000]``: general categories L, M and N, but for scripts that set no
space between words. There a phrase is found wherever it stands, and a Latin word beside such a letter is whole."""

is_regex_word: NDArray[np.bool_] = _frozen(is_letter | _at([ord("_")]))
r"""Word characters of `\w` and `\b` by code point, ``[0x110000]``: categories L, M, N and `_`; on ASCII, RE2's."""

is_separator: NDArray[np.bool_] = _frozen(_white_space | _in_categories("Pd") | _at([ord(c) for c in SEPARATOR_MARKS]))
"""What may stand between the words of a phrase, ``[0x110000]``: White_Space, Pd, `_`, `*`, `~` and the backtick."""

is_tight: NDArray[np.bool_] = _frozen((is_separator & ~_white_space) | _in_categories("Cf"))
"""Separators that are no white space, and invisible format characters (Cf), ``[0x110000]``."""

is_dot: NDArray[np.bool_] = _frozen(_at([ord(c) for c in DOTS]))
"""What may stand between two words of a phrase whose letters are set apart, if no white space follows, ``[0x110000]``:
dots, bullets and slashes."""

white_space_ranges: Ranges = ranges_from_mask(_white_space)
"""The code points with the property White_Space (PropList.txt)."""


@cache
def category_ranges(name: str) -> Ranges | None:
    """The code points of a general category or a script (UAX 44, UAX 24); None where there is none of that name.

    Categories go by their short names, alone or as groups (`Lu`, `L`, `LC`); `C` and `Cn` hold the unassigned code
    points, as in UAX 44. Scripts go by their long names (`Greek`). Case matters, as in RE2.
    """
    if name == _CASED_LETTER[0]:
        return ranges_from_mask(_in_categories(*_CASED_LETTER[1]))
    if name in _CATEGORY_NAMES or any(name == known[0] for known in _CATEGORY_NAMES):
        return ranges_from_mask(_in_categories(name))
    if name in _SCRIPT_NAMES and name != _UNKNOWN_SCRIPT:
        return ranges_from_mask(spread("script", [known == name for known in _SCRIPT_NAMES]))
    return None


def script_names() -> tuple[str, ...]:
    """The long names of all scripts of the shipped Unicode version."""
    return tuple(name for name in _SCRIPT_NAMES if name != _UNKNOWN_SCRIPT)


@cache
def simple_folding() -> Mapping[int, int]:
    """Simple case folding (CaseFolding.txt, status C and S): only code points that change."""
    return MappingProxyType({int(point): int(to) for point, to in tables()["simple_folding"].tolist()})


@cache
def tables_digest() -> str:
    """SHA-256 over all that a mask reads from this package: the view maps, the properties, what is derived from them.

    Over values and not over the file, so that storing the same values otherwise keeps the digest.
    """
    derived = {"is_word": is_word, "is_regex_word": is_regex_word, "is_separator": is_separator, "is_tight": is_tight}
    read = {**tables(), **tables("look_alikes"), **derived}
    return digest_of({**read, "is_dot": is_dot, "is_letter": is_letter, "is_mark": is_mark})


def digest_of(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over names, types, shapes and values, in the order of the names."""
    digest = sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
