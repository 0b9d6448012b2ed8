"""Text as it can safely be shown: every code point visible, nothing that a terminal would obey.

A policy or a reply under test may hold escape sequences, zero-width and direction-changing characters; those are
often the very finding. They are spelled out, so that what is underlined is what is there.
"""

import unicodedata
from dataclasses import dataclass

from rich.cells import cell_len

TAB_CELLS = 4
ELLIPSIS = "…"

_SPELLED_OUT = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(char: str) -> str:
    """One code point as shown: C0 controls as their Unicode pictures, what has no glyph as ``<U+200B>``."""
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    if unicodedata.category(char) in _SPELLED_OUT:
        return f"<U+{code:04X}>"
    return char


def shown(text: str) -> str:
    """``text`` with every code point `visible`, line breaks included."""
    return "".join(map(visible, text))


@dataclass(frozen=True, slots=True)
class ShownLine:
    """One line as shown, with the marked range in terminal cells: ``[start, start + length)``."""

    text: str
    start: int
    length: int


def _pieces(line: str) -> list[str]:
    """What each code point of ``line`` is shown as; tabs run to the next multiple of `TAB_CELLS`."""
    pieces: list[str] = []
    column = 0
    for char in line:
        piece = " " * (TAB_CELLS - column % TAB_CELLS) if char == "\t" else visible(char)
        pieces.append(piece)
        column += cell_len(piece)
    return pieces


def _window(pieces: list[str], start: int, width: int) -> tuple[int, int]:
    """The code points to show where the line is wider than ``width`` cells: a third before the mark, the rest after."""
    room = width - 2 * cell_len(ELLIPSIS)
    left, cells = start, 0
    while left > 0 and cells + cell_len(pieces[left - 1]) <= room // 3:
        left -= 1
        cells += cell_len(pieces[left])
    right = start
    while right < len(pieces) and cells + cell_len(pieces[right]) <= room:
        cells += cell_len(pieces[right])
        right += 1
    return left, right


def shown_line(line: str, start: int, end: int, width: int) -> ShownLine:
    """``line`` with its code points ``[start, end)`` marked, cut around the mark where it is wider than ``width``.

    The mark is at least one cell wide; a mark past the end of the line stands just after it.
    """
    start = min(start, len(line))
    end = max(start, min(end, len(line)))
    before = max(0, start - 2 * width)  # a minified file can be one line of megabytes
    pieces = _pieces(line[before : start + 2 * width])
    at = start - before
    left, right = 0, len(pieces)
    if before or start + 2 * width < len(line) or cell_len("".join(pieces)) > width:
        left, right = _window(pieces, at, width)
    head = ELLIPSIS if before + left > 0 else ""
    tail = ELLIPSIS if before + right < len(line) else ""
    prefix = head + "".join(pieces[left:at])
    marked = "".join(pieces[at : min(end - before, right)])
    column = cell_len(prefix)
    text = prefix + "".join(pieces[at:right]) + tail
    return ShownLine(text, column, max(1, cell_len(prefix + marked) - column))
