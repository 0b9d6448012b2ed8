"""GBNF, the grammar notation of llama.cpp.

A rule is a line; it goes on over lines inside parentheses and behind `|` and `::=`. Escapes are
`\\n \\r \\t \\\\ \\" \\[ \\] \\xHH \\uHHHH \\UHHHHHHHH`; `.` is any character; an alternative may be empty.

Refused by name: tokens (`<…>`, `!<…>`), which are no property of a text.
"""

from typing import Final

from policykit.diagnostics import Place
from policykit.grammar import bnf
from policykit.grammar.rules import Rules

_PLAIN: Final = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "[": "[", "]": "]"}
_TOKENS: Final = "tokens are no property of a text; write the text itself"
GBNF: Final = bnf.Notation(
    name="GBNF",
    rule_name="[A-Za-z0-9_-]+",
    text_escapes=_PLAIN,
    class_escapes=_PLAIN,
    hex_escapes={"x": (2, 2), "u": (4, 4), "U": (8, 8)},
    has_any=True,
    spans_lines=False,
    has_empty=True,
    refused={"<": _TOKENS, "!": _TOKENS},
)


def parse(source: str, place: Place) -> Rules:
    """The rules, in order. Raises PolicyError: PK206, PK208, PK210, PK211 or PK216, with line and column."""
    return bnf.parse(GBNF, source, place)
