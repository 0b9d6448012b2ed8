"""The JSON string lexer (RFC 8259 section 7): which characters of a JSON text are string contents, decoded.

One lexer serves the mask (strict: canonical escapes only, so that one content has one spelling) and the verifier
(lenient: every escape, truncated texts too). Outside strings it only keeps structure; the grammar rules there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal


class Mark(IntEnum):
    """Symbols beside decoded characters. They lie above the last code point."""

    OPEN = 0x110000
    CLOSE = 0x110001
    BEGIN_ARRAY = 0x110002
    END_ARRAY = 0x110003
    BEGIN_OBJECT = 0x110004
    END_OBJECT = 0x110005
    COMMA = 0x110006
    COLON = 0x110007
    SCALAR = 0x110008


FIRST_MARK = int(Mark.OPEN)
_STRUCTURE = {
    "[": Mark.BEGIN_ARRAY,
    "]": Mark.END_ARRAY,
    "{": Mark.BEGIN_OBJECT,
    "}": Mark.END_OBJECT,
    ",": Mark.COMMA,
    ":": Mark.COLON,
}
_WHITE = " \t\n\r"
_SHORT = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\", "/": "/"}
_HEX = "0123456789abcdef"

OUTSIDE, INSIDE, ESCAPE = "outside", "inside", "escape"
"""Modes of the lexer. After ``\\u`` the mode is ``u`` and the hexadecimal digits so far."""


def step(mode: str, char: str, strict: bool) -> tuple[str, tuple[int, ...]] | None:
    """The next mode and the symbols written, or None where the strict spelling does not allow the character.

    Surrogate pairs are joined by the caller in lenient reading; strict spelling has none.
    """
    if mode == OUTSIDE:
        if char == '"':
            return INSIDE, (Mark.OPEN,)
        if char in _WHITE:
            return OUTSIDE, ()
        return OUTSIDE, (_STRUCTURE.get(char, Mark.SCALAR),)
    if mode == INSIDE:
        if char == '"':
            return OUTSIDE, (Mark.CLOSE,)
        return (ESCAPE, ()) if char == "\\" else (INSIDE, (ord(char),))
    if mode == ESCAPE:
        if char == "u":
            return "u", ()
        if char in _SHORT and not (strict and char == "/"):
            return INSIDE, (ord(_SHORT[char]),)
        return None if strict else (INSIDE, (ord(char),))
    return _hex_step(mode + char, strict)


def _hex_step(digits: str, strict: bool) -> tuple[str, tuple[int, ...]] | None:
    char = digits[-1]
    if strict:
        allowed = ("0", "0", "01", _HEX)[len(digits) - 2]
        if char not in allowed:
            return None
    elif char.lower() not in _HEX:
        return INSIDE, (ord(char),)
    if len(digits) < 5:
        return digits, ()
    value = int(digits[1:], 16)
    if strict and chr(value) in "\n\t\r\b\f":
        return None
    return INSIDE, (value,)


_SHORT_STRICT = {raw: decoded for raw, decoded in _SHORT.items() if raw != "/"}
_CONTROLS = tuple(chr(c) for c in range(0x20) if chr(c) not in "\n\t\r\b\f")
UNFINISHED = (ESCAPE, "u", "u0", "u00", "u000", "u001")
"""The modes inside a canonical escape."""


def completions(mode: str) -> tuple[tuple[str, str], ...]:
    """How a canonical escape that was begun can end: (next character, decoded character).

    From :data:`ESCAPE` only the short forms are listed: a grammar need not let control characters be written.
    """
    if mode == ESCAPE:
        return tuple(_SHORT_STRICT.items())
    spelled = [(f"u{ord(c):04x}", c) for c in _CONTROLS]
    return tuple((digits[len(mode)], c) for digits, c in spelled if digits.startswith(mode))


@dataclass(frozen=True, slots=True)
class JsonString:
    """A string of a JSON text. ``offsets[i]`` is where the i-th decoded character begins in the text and
    ``offsets[-1]`` is where the content ends; ``array_run`` numbers runs of consecutive string elements of one
    array, None for a string that is no array element; ``closed`` is False for a string cut off by the text's end."""

    content: str
    offsets: tuple[int, ...]
    role: Literal["key", "value"]
    array_run: int | None
    closed: bool


def strings_of(text: str) -> list[JsonString]:
    """Every string of a JSON text, or of a prefix of one, in order. Linear; any text is accepted."""
    return list(_strings(text))


@dataclass(slots=True)
class _Reader:
    """Where the reading stands: open brackets, and the run of array strings that the next string may continue."""

    stack: list[str]
    runs: int = 0
    run: int | None = None
    after_colon: bool = False

    def structure(self, mark: int) -> None:
        if mark in (Mark.BEGIN_ARRAY, Mark.BEGIN_OBJECT):
            self.stack.append("[" if mark == Mark.BEGIN_ARRAY else "{")
        elif mark in (Mark.END_ARRAY, Mark.END_OBJECT) and self.stack:
            self.stack.pop()
        if mark != Mark.COMMA or not self.in_array:
            self.run = None
        self.after_colon = mark == Mark.COLON

    @property
    def in_array(self) -> bool:
        return bool(self.stack) and self.stack[-1] == "["

    def next_run(self) -> int | None:
        if not self.in_array:
            return None
        if self.run is None:
            self.runs += 1
            self.run = self.runs
        return self.run


def _strings(text: str) -> Iterator[JsonString]:
    reader = _Reader([])
    mode = OUTSIDE
    content: list[str] = []
    offsets: list[int] = []
    begin = 0
    for at, char in enumerate(text):
        was = mode
        stepped = step(mode, char, strict=False)
        assert stepped is not None, "the lenient lexer reads every character"
        mode, symbols = stepped
        if was == OUTSIDE and mode == INSIDE:
            content, offsets, begin = [], [], at + 1
        elif was == OUTSIDE:
            for symbol in symbols:
                reader.structure(symbol)
        elif was == INSIDE and mode == OUTSIDE:
            yield _string(content, [*offsets, at], reader, closed=True)
        else:
            for symbol in symbols:
                _append(content, offsets, chr(symbol), begin)
            if mode == INSIDE:
                begin = at + 1
    if mode != OUTSIDE:
        yield _string(content, [*offsets, len(text)], reader, closed=False)


def _append(content: list[str], offsets: list[int], char: str, begin: int) -> None:
    """Add a decoded character, joining a surrogate pair (RFC 8259 section 7) into one character."""
    if "\udc00" <= char <= "\udfff" and content and "\ud800" <= content[-1] <= "\udbff":
        content[-1] = chr(0x10000 + (ord(content[-1]) - 0xD800) * 0x400 + ord(char) - 0xDC00)
        return
    content.append(char)
    offsets.append(begin)


def _string(content: list[str], offsets: list[int], reader: _Reader, closed: bool) -> JsonString:
    in_object = bool(reader.stack) and reader.stack[-1] == "{"
    role: Literal["key", "value"] = "key" if in_object and not reader.after_colon else "value"
    reader.after_colon = False
    return JsonString("".join(content), tuple(offsets), role, reader.next_run(), closed)
