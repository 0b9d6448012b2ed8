"""Strict UTF-8 (RFC 3629) in pieces: what a token's bytes are when its ends may lie inside a character.

No C0, C1 or F5–FF, no overlong form, no surrogate, nothing beyond U+10FFFF, and never a replacement character: a
consumer that drops invalid bytes would read another text than the one that was checked.
"""

from dataclasses import dataclass

NONE = (0, 0)
"""The empty range of code points."""

_LEADS = (
    (range(0xC2, 0xE0), 2, 0x80),
    (range(0xE0, 0xF0), 3, 0x800),
    (range(0xF0, 0xF5), 4, 0x10000),
)
"""Lead bytes, the length of their characters, and the least code point that needs that length."""

_SURROGATES = range(0xD800, 0xE000)
_END = 0x110000
_MAX_HEAD = 3


@dataclass(frozen=True, slots=True)
class Pieces:
    """``head + text + tail``: continuation bytes of a character begun before, whole characters, and the beginning of
    a character that some further bytes complete. ``head`` and ``tail`` have at most three bytes."""

    head: bytes
    text: str
    tail: bytes


def split(data: bytes) -> Pieces | None:
    """The pieces of a byte string that can stand inside valid UTF-8, else None. Linear."""
    n_head = 0
    while n_head < len(data) and 0x80 <= data[n_head] < 0xC0:
        n_head += 1
    if n_head > _MAX_HEAD:
        return None
    head, rest = data[:n_head], data[n_head:]
    tail = _tail(rest)
    try:
        return Pieces(head, rest[: len(rest) - len(tail)].decode("utf-8"), tail)
    except UnicodeDecodeError:
        return None


def _tail(data: bytes) -> bytes:
    """The unfinished character at the end, empty if there is none."""
    for n in range(1, min(len(data), _MAX_HEAD) + 1):
        if data[-n] >= 0xC0:
            return data[-n:] if completions(data[-n:]) != NONE else b""
    return b""


def completions(tail: bytes) -> tuple[int, int]:
    """The code points whose UTF-8 begins with ``tail`` and is longer, as a half-open range; (0, 0) where none.

    Always one range: surrogates lie at the end of what ED begins.
    """
    length, least = next(((length, least) for leads, length, least in _LEADS if tail[:1] and tail[0] in leads), (0, 0))
    if len(tail) >= length or any(not 0x80 <= byte < 0xC0 for byte in tail[1:]):
        return NONE
    prefix = tail[0] & (0x7F >> length)
    for byte in tail[1:]:
        prefix = prefix << 6 | byte & 0x3F
    missing = 6 * (length - len(tail))
    first, end = max(prefix << missing, least), min((prefix + 1) << missing, _END)
    if end > _SURROGATES.start and first < _SURROGATES.stop:
        end = min(end, _SURROGATES.start)
    return (first, end) if first < end else NONE


def is_valid_prefix(data: bytes) -> bool:
    """Whether some text's UTF-8 begins with ``data``."""
    pieces = split(data)
    return pieces is not None and not pieces.head
