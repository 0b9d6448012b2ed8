"""The JSON lexer (RFC 8259): which characters of a JSON text are string contents, decoded, and which are numbers.

One lexer serves the mask (strict: canonical escapes only, so that one content has one spelling) and the verifier
(lenient: every escape, truncated texts too). Outside strings it only keeps structure; the grammar rules there.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
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

OUTSIDE, INSIDE, ESCAPE, NUMBER = "outside", "inside", "escape", "number"
"""Modes of the lexer. After ``\\u`` the mode is ``u`` and the hexadecimal digits so far."""
_FIRST_OF_NUMBER, _OF_NUMBER = "-0123456789", "-+.0123456789eE"


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


def scalar_step(mode: str, char: str, strict: bool) -> tuple[str, tuple[int, ...]] | None:
    """:func:`step` where numbers are read like strings: OPEN, the characters as they are written, CLOSE.

    Strict spelling has no exponents, so that a number has its digits in the text.
    """
    if mode == OUTSIDE and char in _FIRST_OF_NUMBER:
        return NUMBER, (Mark.OPEN, ord(char))
    if mode != NUMBER:
        return step(mode, char, strict)
    if char in _OF_NUMBER:
        return None if strict and char in "eE" else (NUMBER, (ord(char),))
    after = step(OUTSIDE, char, strict)
    assert after is not None, "outside strings every character is read"
    return after[0], (Mark.CLOSE, *after[1])


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
CONTROLS = tuple(chr(c) for c in range(0x20) if chr(c) not in "\n\t\r\b\f")
"""Characters that only an escape with a number writes."""
UNFINISHED = (ESCAPE, "u", "u0", "u00", "u000", "u001")
"""The modes inside a canonical escape."""


def completions(mode: str, numbered: bool = False) -> tuple[tuple[str, str], ...]:
    """How a canonical escape that was begun can end: (next character, decoded character).

    From :data:`ESCAPE` only the short forms are listed, and the others with ``numbered``: a grammar need not let
    control characters be written.
    """
    if mode == ESCAPE:
        return (*_SHORT_STRICT.items(), *(("u", c) for c in CONTROLS if numbered))
    spelled = [(f"u{ord(c):04x}", c) for c in CONTROLS]
    return tuple((digits[len(mode)], c) for digits, c in spelled if digits.startswith(mode))


@dataclass(frozen=True, slots=True)
class JsonString:
    """A string of a JSON text. ``offsets[i]`` is where the i-th decoded character begins in the text and
    ``offsets[-1]`` is where the content ends; ``array_run`` numbers runs of consecutive string elements of one
    array, None for a string that is no array element; ``closed`` is False for a string cut off by the text's end.
    ``key`` are the keys that a value belongs to, the outermost first, with spaces between; empty for none.

    A number (``is_number``) is read as its digits, without exponent where that is not longer than
    :data:`MAX_EXPANDED`; ``offsets`` are then only where it begins and ends.
    """

    content: str
    offsets: tuple[int, ...]
    role: Literal["key", "value"]
    array_run: int | None
    closed: bool
    key: str = ""
    is_number: bool = False


MAX_KEYS = 200
"""Most characters that are kept of the keys of a value: more than any word near it is away."""
MAX_EXPANDED = 400
"""Most digits that an exponent is written out to: more than any double has."""


def strings_of(text: str) -> list[JsonString]:
    """Every string of a JSON text, or of a prefix of one, in order. Linear; any text is accepted."""
    return list(_scalars(text, step))


def scalars_of(text: str) -> list[JsonString]:
    """Every string and number of a JSON text, or of a prefix of one, in order. Linear; any text is accepted."""
    return list(_scalars(text, scalar_step))


@dataclass(slots=True)
class _Reader:
    """Where the reading stands: open brackets, the keys that each belongs to, the key of the next value, and the run
    of array strings that the next string may continue."""

    stack: list[str]
    keys: list[str]
    runs: int = 0
    run: int | None = None
    after_colon: bool = False
    key: str = ""

    def structure(self, mark: int) -> None:
        if mark in (Mark.BEGIN_ARRAY, Mark.BEGIN_OBJECT):
            self.keys.append(self.key_of_value)
            self.stack.append("[" if mark == Mark.BEGIN_ARRAY else "{")
        elif mark in (Mark.END_ARRAY, Mark.END_OBJECT) and self.stack:
            self.stack.pop()
            self.keys.pop()
        if mark != Mark.COMMA or not self.in_array:
            self.run = None
        self.after_colon = mark == Mark.COLON

    @property
    def in_array(self) -> bool:
        return bool(self.stack) and self.stack[-1] == "["

    @property
    def key_of_value(self) -> str:
        """The key of a value that begins here, behind those of the objects that it stands in."""
        around = self.keys[-1] if self.keys else ""
        return f"{around} {self.key}".strip()[-MAX_KEYS:] if self.after_colon else around

    def next_run(self) -> int | None:
        if not self.in_array:
            return None
        if self.run is None:
            self.runs += 1
            self.run = self.runs
        return self.run


def _scalars(
    text: str, advance: Callable[[str, str, bool], tuple[str, tuple[int, ...]] | None]
) -> Iterator[JsonString]:
    reader = _Reader([], [])
    mode = OUTSIDE
    content: list[str] = []
    offsets: list[int] = []
    begin = 0
    for at, char in enumerate(text):
        was = mode
        stepped = advance(mode, char, False)
        assert stepped is not None, "the lenient lexer reads every character"
        mode, symbols = stepped
        if was == NUMBER:
            if mode == NUMBER:
                continue
            yield _number(text, begin, at, reader, closed=True)
            was, symbols = OUTSIDE, symbols[1:]
        if was == OUTSIDE and mode == INSIDE:
            content, offsets, begin = [], [], at + 1
        elif was == OUTSIDE and mode == NUMBER:
            begin = at
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
    if mode == NUMBER:
        yield _number(text, begin, len(text), reader, closed=False)
    elif mode != OUTSIDE:
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
    key = reader.key_of_value if role == "value" else ""
    if role == "key":
        reader.key = "".join(content)
    reader.after_colon = False
    return JsonString("".join(content), tuple(offsets), role, reader.next_run(), closed, key)


def _number(text: str, begin: int, end: int, reader: _Reader, closed: bool) -> JsonString:
    key = reader.key_of_value
    reader.after_colon, reader.run = False, None
    return JsonString(_written_out(text[begin:end]), (begin, end), "value", None, closed, key, is_number=True)


def _written_out(number: str) -> str:
    """The number without its exponent; as it is where it has none, is none, or would grow too long."""
    if "e" not in number and "E" not in number:
        return number
    try:
        value = Decimal(number)
    except InvalidOperation:
        return number
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or len(digits) + abs(exponent) > MAX_EXPANDED:
        return number
    return format(value, "f")
