"""The part of llguidance's Lark dialect that the analysis understands, as a syntax tree.

Not in it (a grammar that uses them is opaque to the analysis, not refused): `%json`, `%regex`, `%import`, `%ignore`,
`%llguidance`, special tokens, `&`, `~` as negation, rule options, aliases, priorities, `@` references.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from policykit.ir.lark import pieces

GRAMMAR: Final = r"""
start: _NL? (definition _NL)*
definition: MODIFIER? NAME ":" expansions
expansions: sequence (_OR sequence)*
sequence: item*
item: atom (OPERATOR | COUNT)?
?atom: NAME                    -> name
     | STRING ".." STRING      -> span
     | STRING                  -> literal
     | REGEX                   -> regex
     | "(" expansions ")"      -> group
     | "[" expansions "]"      -> optional

MODIFIER: /[?!]/
NAME: /[A-Za-z_][A-Za-z0-9_\-]*/
STRING: /"(\\.|[^"\\\n])*"i?/
REGEX.2: /\/(?!\/)(\\.|[^\/\\\n])*\/[imslux]*/
OPERATOR: /[?*+]/
COUNT: /~[ ]*[0-9]+([ ]*\.\.[ ]*[0-9]+)?|\{[ ]*[0-9]*[ ]*(,[ ]*[0-9]*[ ]*)?\}/
_OR.3: /([ \t]*((\/\/|#)[^\n]*)?\r?\n)*[ \t]*\|/
_NL: /(\r?\n[ \t]*((\/\/|#)[^\n]*)?)+/
COMMENT: /(\/\/|#)[^\n]*/
%ignore /[ \t]+/
%ignore COMMENT
"""

_JSON_STRING: Final = re.compile(r'"(?:\\.|[^"\\])*"', re.DOTALL)


def expressions(source: str) -> Iterator[str]:
    """What the engine may read as a regular expression in a Lark source of its dialect, without delimiters: regex
    literals, and every string of the JSON in it. Where that is no JSON, all the rest."""
    for kind, begin, end in pieces(source):
        if kind == "regex":
            yield source[begin:end]
        if kind == "json":
            try:
                json.JSONDecoder().raw_decode(source, begin)
            except (ValueError, RecursionError):
                yield source[begin:end]
                continue
            yield from (json.loads(found[0]) for found in _JSON_STRING.finditer(source, begin, end))


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", propagate_positions=True)


def syntax_tree(source: str) -> "Tree[Token] | None":
    """The definitions of a grammar, or None where it uses more than the analysis understands."""
    try:
        return _parser().parse(source + "\n")  # pyright: ignore[reportUnknownMemberType]
    except UnexpectedInput:
        return None
