r"""The grammar of RE2 expressions, and what to say where an expression is not one.

The grammar also accepts the groups and escapes of other dialects, so that all of them can be reported, each at its
place. Source: the syntax page and `parse.cc` of RE2 (`{01}` is literal, `]` directly after `[` or `[^` is literal,
`-` in a class is literal where no range can be).
"""

from collections.abc import Callable
from functools import cache
from typing import Any, cast

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput, UnexpectedToken

GRAMMAR = r"""
start: alternation
alternation: concat ("|" concat)*
concat: (group | char_class | LITERAL | ESCAPE | QUOTED | QUANTIFIER | FLAGS | FOREIGN)*
group: GROUP_OPEN alternation ")"
char_class: CLASS_OPEN _first _unit* CLASS_CLOSE
_first: CLASS_FIRST | _unit_no_close
_unit: _unit_no_close
_unit_no_close: CLASS_CHAR | POSIX | ESCAPE

QUANTIFIER.3: /[*+?]\??|\{(?:0|[1-9][0-9]*)(?:,(?:0|[1-9][0-9]*)?)?\}\??/
QUOTED.3: /\\Q(?s:.*?)(?:\\E|\Z)/
ESCAPE.2: /\\(?:[pPx]\{[^}]*\}?|[pP](?s:.)|x[0-9A-Fa-f]{0,2}|[0-7]{1,3}|k<[^>]*>|[gk]\{[^}]*\}|g-?[0-9]+|(?s:.))/
FOREIGN.4: /\(\?(?:P[=>][^)]*|R|[+-]?[0-9]+|&[^)]*|\#[^)]*)\)/
FLAGS.3: /\(\?[A-Za-z^-]*\)/
GROUP_OPEN.2: /\((?:\?(?:<[=!]|P?<[^>]*>|[=!>|]|\([^)]*\)|[A-Za-z^-]*:)?)?/
LITERAL: /[^\\|()\[*+?]/
CLASS_OPEN: /\[\^?/
CLASS_FIRST: "]"
CLASS_CLOSE: "]"
POSIX.3: /\[:\^?[A-Za-z]*:\]/
CLASS_CHAR.1: /[^\\\]]/
"""


@cache
def _parser() -> Callable[[str], Tree[Token]]:
    lark = Lark(GRAMMAR, parser="lalr", lexer="contextual")
    return cast(Callable[[str], Tree[Token]], lark.parse)  # pyright: ignore[reportUnknownMemberType]


class Malformed(Exception):
    """Not an expression: what is wrong, the half-open range of offsets that it is about, and a way out."""

    def __init__(self, message: str, start: int, end: int, help: str) -> None:
        super().__init__(message)
        self.message, self.start, self.end, self.help = message, start, end, help


def syntax_tree(source: str) -> Tree[Token]:
    """The expression as a tree of tokens with offsets.

    Raises:
        Malformed: at the bracket that is not closed, or the character that cannot stand where it stands.
    """
    try:
        return _parser()(source)
    except UnexpectedInput as error:
        raise _malformed(source, error) from None


def _malformed(source: str, error: UnexpectedInput) -> Malformed:
    at = error.pos_in_stream if error.pos_in_stream is not None else len(source)
    if isinstance(error, UnexpectedToken) and cast(Any, error).token.type == "$END":
        return _unclosed(source, error)
    char = source[at : at + 1]
    match char:
        case "\\":
            return Malformed("the expression ends in a backslash", at, at + 1, r"a literal backslash is written `\\`")
        case ")":
            return Malformed("nothing is open that this `)` could close", at, at + 1, r"a literal `)` is written `\)`")
        case _:
            return Malformed(f"unexpected `{char}`", at, at + 1, f"a literal `{char}` is written `\\{char}`")


def _unclosed(source: str, error: UnexpectedToken) -> Malformed:
    stack: list[object] = cast(Any, error).interactive_parser.parser_state.value_stack
    for item in reversed(stack):
        if isinstance(item, Token) and item.type in ("GROUP_OPEN", "CLASS_OPEN"):
            closing = ")" if item.type == "GROUP_OPEN" else "]"
            start = item.start_pos or 0
            help = f"close it, or write a literal `{item[0]}` as `\\{item[0]}`"
            return Malformed(f"`{item}` is not closed by `{closing}`", start, start + len(item), help)
    return Malformed("the expression is not complete", len(source), len(source), "complete it")
