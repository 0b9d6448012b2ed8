"""Terminals of a Lark grammar that no text is, since they intersect or exclude too much: the engine takes them, offers
what stands before them, and then has nothing to go on with."""

import re
from collections.abc import Iterator
from typing import Final

from policykit.grammar.engine import has_no_text, lark_program
from policykit.grammar.lark_shape import is_terminal_name
from policykit.ir.lark import pieces

MAX_TRIED: Final = 32
"""So many terminals are tried, each by compiling the grammar for it alone."""
_DEFINITION: Final = re.compile(r"^[?!]?([A-Za-z_][A-Za-z0-9_-]*)[^\n:]*:", re.MULTILINE)
_EXCLUDING: Final = re.compile(r"&|~(?! *[0-9])")
_START: Final = re.compile(r"\bstart\b")


def void_terminals(source: str) -> Iterator[tuple[str, int]]:
    """The terminals that a rule names and no text is, each with where it is defined; of those that the analysis of the
    grammar does not read (`&`, `~`)."""
    bare = _without_pieces(source)
    if _EXCLUDING.search(bare) is None:
        return
    found = list(_DEFINITION.finditer(bare))
    ends = [definition.start() for definition in found[1:]] + [len(bare)]
    bodies = [(one[1], one.start(1), bare[one.end() : end]) for one, end in zip(found, ends, strict=True)]
    named = " ".join(body for name, _, body in bodies if not is_terminal_name(name))
    other = next(name for i in range(len(source)) if (name := f"start{i}") not in source)
    renamed = _renamed(source, bare, other)
    tried = [(name, at) for name, at, body in bodies if is_terminal_name(name) and _EXCLUDING.search(body)]
    for name, at in tried[:MAX_TRIED]:
        if re.search(rf"\b{re.escape(name)}\b", named) and has_no_text(lark_program(f"{renamed}\nstart: {name}\n")):
            yield name, at


def _without_pieces(source: str) -> str:
    """The source with blanks for strings, comments, expressions, tokens and JSON."""
    kept: list[str] = []
    at = 0
    for _, begin, end in pieces(source):
        kept += [source[at:begin], re.sub(r"[^\n]", " ", source[begin:end])]
        at = end
    return "".join([*kept, source[at:]])


def _renamed(source: str, bare: str, other: str) -> str:
    """The source with another name for its start."""
    kept: list[str] = []
    at = 0
    for found in _START.finditer(bare):
        kept += [source[at : found.start()], other]
        at = found.end()
    return "".join([*kept, source[at:]])
