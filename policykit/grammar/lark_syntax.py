"""The part of llguidance's Lark dialect that the analysis understands, as a syntax tree.

Not in it (a grammar that uses them is opaque to the analysis, not refused): `%json`, `%regex`, `%import`, `%ignore`,
`%llguidance`, special tokens, `&`, `~` as negation, rule options, aliases, priorities, `@` references.
"""

from functools import cache
from typing import Final

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

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


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", propagate_positions=True)


def syntax_tree(source: str) -> "Tree[Token] | None":
    """The definitions of a grammar, or None where it uses more than the analysis understands."""
    try:
        return _parser().parse(source + "\n")  # pyright: ignore[reportUnknownMemberType]
    except UnexpectedInput:
        return None
