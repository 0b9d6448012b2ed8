r"""Escapes that a consumer of the text decodes: HTML character references, percent-encoding, JSON string escapes.

Each kind is one left-to-right pass over the text, as the consumer makes it; what is no escape stays as it is, and what
was decoded is not decoded again. Sources, and where a choice was to be made:

- ``html``: the HTML standard's character references in text, with and without semicolon, as ``html.unescape`` of the
  standard library reads them (controls and noncharacters vanish, U+FFFD for what is no character);
- ``url``: percent-encoding (RFC 3986) of UTF-8, as ``urllib.parse.unquote`` reads it (U+FFFD for each longest part that
  is no UTF-8; a plus sign is a plus sign);
- ``json``: the escapes of RFC 8259 strings; an unpaired surrogate is U+FFFD.

Not claimed: text that is escaped twice, or by two kinds at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from html.entities import html5
from string import ascii_letters, digits, hexdigits
from types import MappingProxyType

from policykit.ir.regex import MAX_CODE_POINT
from policykit.text import utf8

REPLACEMENT = "\ufffd"
_HIGH, _LOW = range(0xD800, 0xDC00), range(0xDC00, 0xE000)
_SURROGATES = range(0xD800, 0xE000)

Read = tuple[str, int] | None
"""What an escape says and how many characters it has; None where what follows decides."""


@dataclass(frozen=True, slots=True)
class Escapes:
    """One kind. An escape begins with ``starter`` and is spelled with ``letters``.

    ``read(text, at, is_end)`` reads what begins at a starter: no escape is the starter itself. ``follow(pending)`` are
    the characters that can go on with an undecided beginning, perhaps with more than those.
    """

    name: str
    starter: str
    letters: frozenset[str]
    read: Callable[[str, int, bool], Read]
    follow: Callable[[str], str]


# ---- HTML

NAMES: Mapping[str, str] = MappingProxyType(html5)
"""Named character references, with the semicolon where one is needed."""


@cache
def _begun() -> dict[str, str]:
    """What can come next after the beginning of a name."""
    found: dict[str, set[str]] = {}
    for name in html5:
        for at, char in enumerate(name):
            found.setdefault(name[:at], set()).add(char)
    return {begin: "".join(sorted(chars)) for begin, chars in found.items()}


def referenced(number: int) -> str:
    """The character that a numeric reference stands for: none, or one."""
    if number == 0 or number in _SURROGATES or number > MAX_CODE_POINT:
        return REPLACEMENT
    if 0x80 <= number < 0xA0:
        return bytes([number]).decode("cp1252", "ignore") or chr(number)
    is_control = (number < 0x20 and chr(number) not in "\t\n\f\r") or number == 0x7F
    return "" if is_control or 0xFDD0 <= number < 0xFDF0 or number & 0xFFFE == 0xFFFE else chr(number)


def _html(text: str, at: int, is_end: bool) -> Read:
    if text[at + 1 : at + 2] == "#":
        return _number(text, at, is_end)
    name, end = "", at + 1
    begun = _begun()
    while text[at + 1 : end] in begun and text[end : end + 1] in begun[text[at + 1 : end]]:
        if end == len(text):
            if not is_end:
                return None
            break
        end += 1
        if text[at + 1 : end] in html5:
            name = text[at + 1 : end]
    return (html5[name], 1 + len(name)) if name else ("&", 1)


def _number(text: str, at: int, is_end: bool) -> Read:
    is_hex = text[at + 2 : at + 3] in ("x", "X")
    known = hexdigits if is_hex else digits
    begin = end = at + 2 + is_hex
    while end < len(text) and text[end] in known:
        end += 1
    if end == len(text) and not is_end:
        return None
    if end == begin:
        return "&", 1
    significant = text[begin:end].lstrip("0")
    number = int(significant or "0", 16 if is_hex else 10) if len(significant) <= 7 else MAX_CODE_POINT + 1
    return referenced(number), end - at + (text[end : end + 1] == ";")


def _html_follow(pending: str) -> str:
    if pending.startswith("&#"):
        return hexdigits + "xX;"
    return _begun().get(pending[1:], "") + ("#" if pending == "&" else "")


# ---- percent-encoding


def _byte(text: str, at: int, is_end: bool) -> int | None:
    """The byte of ``%XX``, -1 for anything else."""
    for i, known in enumerate(("%", hexdigits, hexdigits)):
        if at + i == len(text):
            return -1 if is_end else None
        if text[at + i] not in known:
            return -1
    return int(text[at + 1 : at + 3], 16)


def _url(text: str, at: int, is_end: bool) -> Read:
    first = _byte(text, at, is_end)
    if first is None:
        return None
    if first < 0:
        return "%", 1
    if first < 0x80:
        return chr(first), 3
    begun = bytes([first])
    while utf8.completions(begun) != utf8.NONE:
        further = _byte(text, at + 3 * len(begun), is_end)
        if further is None:
            return None
        more = begun + bytes([max(further, 0)])
        whole = more.decode("utf-8", "ignore") if further >= 0x80 else ""
        if len(whole) == 1:
            return whole, 3 * len(more)
        if further < 0x80 or utf8.completions(more) == utf8.NONE:
            break
        begun = more
    return REPLACEMENT, 3 * len(begun)


# ---- JSON

_SHORT = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\", "/": "/"}


def _json(text: str, at: int, is_end: bool) -> Read:
    char = text[at + 1 : at + 2]
    if not char and not is_end:
        return None
    if char in _SHORT:
        return _SHORT[char], 2
    value = _unit(text, at, is_end)
    if value is None:
        return None
    if value < 0:
        return "\\", 1
    if value not in _SURROGATES:
        return chr(value), 6
    if value not in _HIGH:
        return REPLACEMENT, 6
    low = _unit(text, at + 6, is_end, _LOW_DIGITS)
    if low is None:
        return None
    return (chr(0x10000 + ((value - 0xD800) << 10 | low - 0xDC00)), 12) if low in _LOW else (REPLACEMENT, 6)


def json_shorts(pending: str) -> tuple[tuple[str, str], ...]:
    """The short escapes that begin so: what is missing, and what they say."""
    return tuple(_SHORT.items()) if pending == "\\" else ()


def json_escape(point: int) -> str:
    r"""A character as `\\uXXXX`."""
    data = chr(point).encode("utf-16-be")
    return "".join(f"\\u{data[i]:02x}{data[i + 1]:02x}" for i in range(0, len(data), 2))


_ANY_DIGITS = ("\\", "u", *(hexdigits,) * 4)
_LOW_DIGITS = ("\\", "u", "dD", "cdefCDEF", hexdigits, hexdigits)


def _unit(text: str, at: int, is_end: bool, spelled: tuple[str, ...] = _ANY_DIGITS) -> int | None:
    r"""The number of ``\uXXXX``, -1 for anything else."""
    for i, known in enumerate(spelled):
        if at + i >= len(text):
            return -1 if is_end else None
        if text[at + i] not in known:
            return -1
    return int(text[at + 2 : at + 6], 16)


# ---- all kinds

ESCAPES: Mapping[str, Escapes] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Escapes("html", "&", frozenset("&#;" + ascii_letters + digits), _html, _html_follow),
            Escapes("url", "%", frozenset("%" + hexdigits), _url, lambda pending: "%" + hexdigits),
            Escapes(
                "json", "\\", frozenset('\\"/u' + "nrt" + hexdigits), _json, lambda pending: '\\"/unrt' + hexdigits
            ),
        )
    }
)
ESCAPE_NAMES = tuple(ESCAPES)


def escapes_digest() -> str:
    """Identity of what the escapes mean: the table of names, which a later standard library may extend."""
    names = "\n".join(f"{name} {value}" for name, value in sorted(html5.items()))
    return f"1:{sha256(names.encode()).hexdigest()}"


def advance(kind: Escapes, pending: str, char: str) -> tuple[str, str]:
    """What is decided once ``char`` has followed the undecided ``pending``, and what is undecided then."""
    return _read(kind, pending + char, is_end=False)


def flush(kind: Escapes, pending: str) -> str:
    """What the undecided ``pending`` says where the text ends."""
    return _read(kind, pending, is_end=True)[0]


def _read(kind: Escapes, text: str, *, is_end: bool) -> tuple[str, str]:
    out, at = "", 0
    while at < len(text):
        if text[at] != kind.starter:
            out += text[at]
            at += 1
            continue
        found = kind.read(text, at, is_end)
        if found is None:
            return out, text[at:]
        out += found[0]
        at += found[1]
    return out, ""


@dataclass(frozen=True, slots=True)
class Unescaped:
    """A decoded text: its i-th character was read from ``[starts[i], ends[i])`` of the text with escapes."""

    text: str
    starts: list[int]
    ends: list[int]


def unescape(kind: Escapes, text: str) -> Unescaped | None:
    """The text with the escapes of one kind decoded, or None where it has none. Linear."""
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    at, begin, is_changed = 0, text.find(kind.starter), False
    while begin >= 0:
        found = kind.read(text, begin, True)
        assert found is not None, "at the end of the text everything is decided"
        decoded, length = found
        is_changed |= length > 1
        parts += text[at:begin], decoded
        starts += range(at, begin)
        ends += range(at + 1, begin + 1)
        starts += [begin] * len(decoded)
        ends += [begin + length] * len(decoded)
        at = begin + length
        begin = text.find(kind.starter, at)
    if not is_changed:
        return None
    return Unescaped(
        "".join((*parts, text[at:])), [*starts, *range(at, len(text))], [*ends, *range(at + 1, len(text) + 1)]
    )
