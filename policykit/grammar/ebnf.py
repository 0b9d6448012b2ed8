"""EBNF as XGrammar writes it.

A rule goes on until the next one begins: a name as the first thing on a line, and `::=` behind it. An alternative that
is empty is written `""`. Escapes are `\\n \\r \\t \\a \\b \\f \\v \\e \\0 \\\\ \\" \\' \\? \\/`, `\\x` and one to eight
hexadecimal digits (as many as stand there), `\\uHHHH` and `\\UHHHHHHHH`; in classes also every mark of punctuation.

Refused by name: macros (`TagDispatch(…)`, `Token(…)` and the like), which are about tokens or have a form of their own
(structural tags), and lookahead (`(=…)`), which XGrammar takes for a hint and does not enforce.
"""

from typing import Final

from policykit.diagnostics import Place
from policykit.grammar import bnf
from policykit.grammar.rules import Rules

_TEXT: Final = {
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "v": "\v",
    "e": "\x1b",
    "0": "\0",
    **{char: char for char in "\\\"'?/"},
}
_TAGS: Final = "free text with tags in it is written as a structural tag"
_TOKENS: Final = "tokens are no property of a text; write the text itself"
EBNF: Final = bnf.Notation(
    name="EBNF",
    rule_name=r"[A-Za-z_][A-Za-z0-9_.-]*",
    text_escapes=_TEXT,
    class_escapes={**_TEXT, **{char: char for char in "]-^[.|*+(){}"}},
    hex_escapes={"x": (1, 8), "u": (4, 4), "U": (8, 8)},
    has_any=False,
    spans_lines=True,
    has_empty=False,
    refused={
        "(=": "lookahead is a hint that nothing enforces; write what follows into the rules",
        "TagDispatch(": _TAGS,
        "TokenTagDispatch(": _TAGS,
        "Token(": _TOKENS,
        "ExcludeToken(": _TOKENS,
        "AnyTokens(": _TOKENS,
    },
)


def parse(source: str, place: Place) -> Rules:
    """The rules, in order. Raises PolicyError: PK206, PK208, PK210, PK211 or PK216, with line and column."""
    return bnf.parse(EBNF, source, place)
