"""What every token writes, seen by the matchers: whole characters of a view, lexer marks, and UTF-8 pieces at the ends.

A token's bytes are (continuation bytes of a character begun before, whole text, the beginning of a character). Only
the whole text is a symbol string; the two ends are handled as pending bytes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from policykit.constraint.trie import Ints
from policykit.constraint.vocabulary import Vocabulary
from policykit.text import View, json_strings as json_lexer, utf8

N_MARKS = len(json_lexer.Mark)
FIRST_TAIL = json_lexer.FIRST_MARK + N_MARKS


class Lexer(Protocol):
    """Turns characters into symbols: code points of content, and marks above them. ``start`` is the first mode."""

    @property
    def name(self) -> str: ...
    @property
    def start(self) -> str: ...
    def read(self, mode: str, text: str) -> tuple[str, Sequence[int]] | None:
        """The mode after the text and its symbols; None where the lexer refuses the spelling."""
        ...

    def is_plain(self, mode: str, text: str) -> bool:
        """True if in this mode the text is content, character by character, and leaves the mode as it is."""
        ...

    def in_content(self, mode: str) -> bool:
        """Whether a character that is begun in this mode is content."""
        ...

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Modes inside a character that is spelled with several: a token may end there."""
        ...

    def completions(self, mode: str, numbered: bool = False) -> tuple[tuple[int, int], ...]:
        """How such a character can go on: (code point that is read next, code point of the content); ``numbered``: in
        all ways, also those that a grammar need not know."""
        ...


@dataclass(frozen=True, slots=True)
class TextLexer:
    """The whole text is content."""

    name: str = "text"
    start: str = "text"

    def read(self, mode: str, text: str) -> tuple[str, Sequence[int]] | None:
        return mode, [ord(c) for c in text]

    def is_plain(self, mode: str, text: str) -> bool:
        return True

    def in_content(self, mode: str) -> bool:
        return True

    @property
    def unfinished(self) -> tuple[str, ...]:
        return ()

    def completions(self, mode: str, numbered: bool = False) -> tuple[tuple[int, int], ...]:
        return ()


@dataclass(frozen=True, slots=True)
class JsonLexer:
    """String contents, decoded, between OPEN and CLOSE, and with ``numbers`` those too; canonical escapes only, and no
    exponents, when ``strict``."""

    name: str = "json.strings"
    start: str = json_lexer.OUTSIDE
    strict: bool = True
    numbers: bool = False

    def lenient(self) -> "JsonLexer":
        """The lexer that reads every spelling."""
        return replace(self, strict=False)

    def read(self, mode: str, text: str) -> tuple[str, Sequence[int]] | None:
        symbols: list[int] = []
        step = json_lexer.scalar_step if self.numbers else json_lexer.step
        for char in text:
            stepped = step(mode, char, self.strict)
            if stepped is None:
                return None
            mode, written = stepped
            symbols += written
        return mode, symbols

    def is_plain(self, mode: str, text: str) -> bool:
        return mode == json_lexer.INSIDE and '"' not in text and "\\" not in text

    def in_content(self, mode: str) -> bool:
        return mode == json_lexer.INSIDE

    @property
    def unfinished(self) -> tuple[str, ...]:
        return json_lexer.UNFINISHED

    def completions(self, mode: str, numbered: bool = False) -> tuple[tuple[int, int], ...]:
        return tuple((ord(raw), ord(content)) for raw, content in json_lexer.completions(mode, numbered))


@dataclass(frozen=True, eq=False)
class Pieces:
    """A vocabulary cut at character boundaries. Token ``ids[i]`` writes ``texts[i]`` and then begins the character
    ``tails[tail_of[i]]`` (-1: none). ``heads`` maps leading continuation bytes to (token id, the rest). ``size`` is the
    vocabulary's."""

    ids: tuple[int, ...]
    texts: tuple[str, ...]
    tail_of: NDArray[np.int32]
    heads: dict[bytes, tuple[tuple[int, bytes], ...]]
    tails: tuple[bytes, ...]
    size: int


def cut(vocabulary: Vocabulary) -> Pieces:
    """Cut every ordinary token, once; tokens that are no UTF-8 in any context are in none of the lists."""
    key = f"{__name__}.cut"
    pieces = vocabulary.shared.get(key) or vocabulary.shared.setdefault(key, _cut(vocabulary))
    assert isinstance(pieces, Pieces)
    return pieces


def _cut(vocabulary: Vocabulary) -> Pieces:
    ids: list[int] = []
    texts: list[str] = []
    tail_of: list[int] = []
    heads: dict[bytes, list[tuple[int, bytes]]] = {}
    tails: dict[bytes, int] = {b"": -1}
    for token_id, token in enumerate(vocabulary.tokens):
        pieces = utf8.split(token) if token else None
        if pieces is None:
            continue
        if pieces.head:
            heads.setdefault(pieces.head, []).append((token_id, token[len(pieces.head) :]))
            continue
        ids.append(token_id)
        texts.append(pieces.text)
        tail_of.append(tails.setdefault(pieces.tail, len(tails) - 1))
    listed = {head: tuple(rest) for head, rest in heads.items()}
    return Pieces(tuple(ids), tuple(texts), np.array(tail_of, np.int32), listed, tuple(tails)[1:], vocabulary.size)


@dataclass(frozen=True, eq=False)
class Images:
    """The symbols of every listed token in one lexer mode on one view.

    ``symbols[offsets[i]:offsets[i + 1]]`` are code points of the view, marks, and last the tail if there is one
    (``FIRST_TAIL + index``; after the vocabulary's tails come the lexer's unfinished modes).
    ``mode_after`` holds the tokens that leave the mode;
    ``row_of_token[id]`` is i, or -1 for a token that is not listed.
    """

    token_ids: Ints
    symbols: Ints
    offsets: Ints
    tail_of: NDArray[np.int32]
    mode_after: dict[int, str]
    row_of_token: Ints


MAX_KEPT: Final = 64
"""Images that a vocabulary keeps. They are its own: whatever outlived it here would hold on to it, and to all that has
been made for it."""


def images(vocabulary: Vocabulary, lexer: Lexer, mode: str, view: View) -> Images:
    """Every token that the lexer admits in this mode; the last few are kept."""
    kept = vocabulary.shared.setdefault(f"{__name__}.images", lru_cache(MAX_KEPT)(partial(_images, cut(vocabulary))))
    return cast("Callable[[Lexer, str, View], Images]", kept)(lexer, mode, view)


def _images(pieces: Pieces, lexer: Lexer, mode: str, view: View) -> Images:
    listed = list(zip(pieces.ids, pieces.texts, pieces.tail_of.tolist(), strict=True))
    plain = [item for item in listed if lexer.is_plain(mode, item[1])]
    ids = [i for i, _, _ in plain]
    tails = [tail for _, _, tail in plain]
    points, lengths = _plain_symbols(view, [text for _, text, _ in plain])
    extra: list[int] = []
    mode_after: dict[int, str] = {}
    for token_id, text, tail in listed if len(plain) < len(listed) else ():
        if lexer.is_plain(mode, text):
            continue
        read = lexer.read(mode, text)
        if read is None or (tail >= 0 and not lexer.in_content(read[0])):
            continue
        after, written = read
        if after in lexer.unfinished:
            tail = len(pieces.tails) + lexer.unfinished.index(after)
        symbols = on_view(view, written)
        ids.append(token_id)
        tails.append(tail)
        lengths.append(len(symbols))
        extra += symbols
        if after != mode:
            mode_after[token_id] = after
    all_points = np.concatenate([points, np.array(extra, np.int32)])
    row_of_token = np.full(pieces.size, -1, np.int32)
    row_of_token[ids] = np.arange(len(ids))
    return _with_tails(
        ids, all_points, np.array(lengths, np.int32), np.array(tails, np.int32), mode_after, row_of_token
    )


def on_view(view: View, symbols: Sequence[int]) -> list[int]:
    """Content characters mapped through the view; marks pass."""
    out: list[int] = []
    for symbol in symbols:
        if symbol >= json_lexer.FIRST_MARK:
            out.append(symbol)
        else:
            out += map(ord, view.image(symbol))
    return out


def _plain_symbols(view: View, texts: Sequence[str]) -> tuple[Ints, list[int]]:
    """The view's code points of all texts joined, and each text's length on the view, in one vectorised call."""
    image, origin = view.apply_with_offsets("".join(texts))
    points = np.frombuffer(image.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int32)
    ends = np.cumsum([len(text) for text in texts])
    at = np.searchsorted(origin[: len(points)], np.concatenate(([0], ends)))
    return points, np.diff(at).tolist()


def _with_tails(
    ids: Sequence[int],
    points: Ints,
    lengths: Ints,
    tails: NDArray[np.int32],
    mode_after: dict[int, str],
    row_of_token: Ints,
) -> Images:
    """Insert every tail's symbol at the end of its image."""
    has_tail = (tails >= 0).astype(np.int32)
    offsets = np.concatenate(([0], np.cumsum(lengths + has_tail))).astype(np.int32)
    symbols = np.zeros(int(offsets[-1]), np.int32)
    is_tail = np.zeros(len(symbols), bool)
    is_tail[offsets[1:][tails >= 0] - 1] = True
    symbols[~is_tail] = points
    symbols[is_tail] = FIRST_TAIL + tails[tails >= 0]
    return Images(np.array(ids, np.int32), symbols, offsets, tails, mode_after, row_of_token)
