"""Texts as llguidance's Lark dialect writes them, and the tokens that a source in it names."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_PIECE: Final = re.compile(
    r'"(?:\\.|[^"\\\n])*"|(?://|#)[^\n]*|(?P<token><[^<>\s]+>)|/(?P<regex>(?:\\.|[^/\\])+)/'
    r"|%(?P<json>json|regex|llguidance)\s*",
    re.DOTALL,
)
"""What llguidance's reader takes as a whole: strings, comments, special tokens, expressions; JSON follows a word."""
_IDS: Final = re.compile(r"<\[(\^?)([0-9,+\-]+)\]>")
_ID: Final = re.compile(r"\+?[0-9]+")
"""As llguidance's reader takes it: a sign in front is let pass."""


def lark_string(text: str) -> str:
    """A literal that the dialect reads back as ``text``: plain characters, and ``\\u`` escapes for all others."""
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else _escaped(c) for c in text) + '"'


def _escaped(character: str) -> str:
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else character


def pieces(source: str) -> Iterator[tuple[str, int, int]]:
    """What stands in a source as a whole: `token`, `regex` (without its delimiters), `json`, or `other` (strings,
    comments), and from where to where. Where JSON is none, all the rest of the source is, and what stands in it."""
    at = 0
    while (match := _PIECE.search(source, at)) is not None:
        at = match.end()
        match match.lastgroup:
            case "json":
                begin, end = at, len(source)
                with suppress(ValueError, RecursionError):
                    at = end = json.JSONDecoder().raw_decode(source, begin)[1]
                yield "json", begin, end
            case "token" | "regex" as kind:
                yield kind, match.start(kind), match.end(kind)
            case _:
                yield "other", match.start(), at


@dataclass(frozen=True, slots=True)
class TokenName:
    """A token that a grammar names, `<|user|>`, or some of them by their ids: `<[128000]>`, `<[5-9,12]>`, `<[^2]>` (all
    but that one), `<[*]>`. ``at`` is where in the source; ``ids`` are ranges, both ends in them, None of a name."""

    text: str
    at: int
    ids: tuple[tuple[int, int], ...] | None = None
    excludes: bool = False


@lru_cache(256)
def token_names(source: str) -> tuple[TokenName, ...]:
    """The tokens that a source names, in order."""
    if "<" not in source:
        return ()
    return tuple(_token_name(source[begin:end], begin) for kind, begin, end in pieces(source) if kind == "token")


def _token_name(text: str, at: int) -> TokenName:
    if text == "<[*]>":
        return TokenName(text, at, (), excludes=True)
    found = _IDS.fullmatch(text)
    if found is None:
        return TokenName(text, at)
    ranges: list[tuple[int, int]] = []
    for part in found[2].split(","):
        low, _, high = part.partition("-")
        if _ID.fullmatch(low) and _ID.fullmatch(high or low):
            ranges.append((int(low), int(high or low)))
    return TokenName(text, at, tuple(ranges), excludes=bool(found[1]))


def without_token_names(source: str) -> str:
    """The source with nothing written in their place, everything else where it was."""
    kept: list[str] = []
    at = 0
    for name in token_names(source):
        kept += [source[at : name.at], '""'.ljust(len(name.text))]
        at = name.at + len(name.text)
    return "".join([*kept, source[at:]])
