"""CEL syntax: source to tree, or what is wrong and where.

The subset of the Common Expression Language that is read here, after its grammar
(https://github.com/google/cel-spec/blob/master/doc/langdef.md): no messages, no bytes, no unsigned integers, no
timestamps. What of CEL is left out is refused by name.
"""

import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, cast

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, VisitError

from policykit.conditions.ast import (
    Binary,
    Call,
    Comprehension,
    Index,
    ListOf,
    Literal,
    MapOf,
    Name,
    Node,
    Quantifier,
    Select,
    Ternary,
    Unary,
)

GRAMMAR = r"""
?start: expr
?expr: or_ | or_ "?" or_ ":" expr -> ternary
?or_: and_ | or_ "||" and_ -> binary_or
?and_: relation | and_ "&&" relation -> binary_and
?relation: addition | relation RELATION addition -> binary | relation IN addition -> binary
?addition: product | addition ADDITION product -> binary | addition MINUS product -> binary
?product: unary | product PRODUCT unary -> binary
?unary: member | NOT unary -> unary | MINUS unary -> unary
?member: primary | member "." IDENT -> select | member "." IDENT OPEN [arguments] CLOSE -> method
       | member OPEN_INDEX expr CLOSE_INDEX -> index
?primary: IDENT -> name | IDENT OPEN [arguments] CLOSE -> function | OPEN expr CLOSE -> group
        | OPEN_INDEX [arguments] CLOSE_INDEX -> list_of | OPEN_MAP [entries] CLOSE_MAP -> map_of | literal
arguments: expr ("," expr)* [","]
entries: entry ("," entry)* [","]
entry: expr ":" expr
literal: FLOAT | INT | STRING | RAW | WORD
IN.3: /in(?![A-Za-z0-9_])/
WORD.3: /(?:true|false|null)(?![A-Za-z0-9_])/
RELATION: "==" | "!=" | "<=" | ">=" | "<" | ">"
ADDITION: "+"
MINUS: "-"
PRODUCT: "*" | "/" | "%"
NOT: "!"
OPEN: "("
CLOSE: ")"
OPEN_INDEX: "["
CLOSE_INDEX: "]"
OPEN_MAP: "{"
CLOSE_MAP: "}"
FLOAT.2: /[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?/
INT.1: /0x[0-9A-Fa-f]+|[0-9]+/
RAW.4: /[rR](?:"[^"\n]*"|'[^'\n]*')/
STRING.3: /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'/
IDENT: /[A-Za-z_][A-Za-z0-9_]*/
%ignore /[ \t\r\n\f]+/
%ignore /\/\/[^\n]*/
"""

MIN_INT, MAX_INT = -(2**63), 2**63 - 1
_ESCAPE = re.compile(
    r"\\(?:x([0-9A-Fa-f]{2})|X([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([0-3][0-7]{2})|(.))"
)
_SIMPLE = dict(zip("abfnrtv\\?\"'`", "\a\b\f\n\r\t\v\\?\"'`", strict=True))
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
RESERVED = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
_MACROS = {quantifier.value for quantifier in Quantifier}


class Malformed(Exception):
    """What is wrong, the half-open range of offsets that it is about, and a way out."""

    def __init__(self, code: str, message: str, start: int, end: int, help: str) -> None:
        super().__init__(message)
        self.code, self.message, self.start, self.end, self.help = code, message, start, end, help


@cache
def _parser() -> Callable[[str], Any]:
    lark = Lark(GRAMMAR, parser="lalr", lexer="contextual", propagate_positions=True, maybe_placeholders=True)
    return cast(Callable[[str], Any], lark.parse)  # pyright: ignore[reportUnknownMemberType]


@lru_cache(maxsize=1024)
def parse_tree(source: str) -> Node:
    """The condition's tree. Raises Malformed with its place. A condition that is read again, as it is when rules are
    resolved for another context, is not parsed again."""
    try:
        return _Build().transform(_parser()(source))
    except UnexpectedInput as error:
        raise _unexpected(source, error) from None
    except VisitError as error:
        raise error.orig_exc from None


def _unexpected(source: str, error: UnexpectedInput) -> Malformed:
    at = min(error.pos_in_stream if error.pos_in_stream is not None else len(source), len(source))
    token = getattr(error, "token", None)
    if not isinstance(error, UnexpectedCharacters) and (token is None or token.type == "$END"):
        return Malformed("PK150", "the condition is not complete", len(source), len(source), "complete it")
    shown = str(token) if token is not None else source[at : at + 1]
    if shown == "=":
        return Malformed("PK150", "`=` is no operator", at, at + 1, "compare with `==`")
    if shown in ("&", "|"):
        return Malformed("PK150", f"`{shown}` is no operator", at, at + 1, f"write `{shown * 2}`")
    help = 'conditions have the syntax of CEL: `user.role == "admin" && args.amount > 500`'
    return Malformed("PK150", f"unexpected `{shown}`", at, at + max(1, len(shown)), help)


def _refuse(what: str, start: int, end: int, help: str) -> Malformed:
    return Malformed("PK151", f"{what} is not in the subset of CEL that conditions have", start, end, help)


class _Build(Transformer[Token, Node]):
    """Bottom up; nodes carry their own range, brackets included where there are some."""

    def ternary(self, parts: list[Node]) -> Node:
        condition, then, other = parts
        return Ternary(condition, then, other, condition.start, other.end)

    def binary(self, parts: list[Any]) -> Node:
        left, operator, right = parts
        return Binary(str(operator), left, right, left.start, right.end)

    def binary_or(self, parts: list[Node]) -> Node:
        return Binary("||", parts[0], parts[1], parts[0].start, parts[1].end)

    def binary_and(self, parts: list[Node]) -> Node:
        return Binary("&&", parts[0], parts[1], parts[0].start, parts[1].end)

    def unary(self, parts: list[Any]) -> Node:
        operator, operand = parts
        start = int(operator.start_pos)
        # The least integer can only be written with its sign.
        if operator == "-" and isinstance(operand, Literal) and operand.value == MAX_INT + 1:
            return Literal(MIN_INT, start, operand.end)
        return Unary(str(operator), operand, start, operand.end)

    def group(self, parts: list[Any]) -> Node:
        return parts[1]

    def select(self, parts: list[Any]) -> Node:
        operand, field = parts
        return Select(operand, str(field), False, operand.start, int(field.end_pos))

    def index(self, parts: list[Any]) -> Node:
        operand, _, index, close = parts
        return Index(operand, index, operand.start, int(close.end_pos))

    def name(self, parts: list[Token]) -> Node:
        (token,) = parts
        start, end = _range(token)
        if token in RESERVED:
            raise Malformed("PK150", f"`{token}` is a reserved word", start, end, "use another name")
        return Name(str(token), start, end)

    def function(self, parts: list[Any]) -> Node:
        token, close = parts[0], parts[3]
        start, end = int(token.start_pos), int(close.end_pos)
        arguments = cast("tuple[Node, ...]", parts[2] or ())
        if token != "has":
            return Call(str(token), arguments, start, end)
        if len(arguments) != 1 or not isinstance(arguments[0], Select) or arguments[0].is_test:
            raise Malformed("PK150", "`has` asks for one field", start, end, "write `has(user.role)`")
        asked = arguments[0]
        return Select(asked.operand, asked.field, True, start, end)

    def method(self, parts: list[Any]) -> Node:
        over, token, close = parts[0], parts[1], parts[4]
        start, end = over.start, int(close.end_pos)
        arguments = cast("tuple[Node, ...]", parts[3] or ())
        if token not in _MACROS:
            return Call(str(token), (over, *arguments), start, end)
        if len(arguments) != 2 or not isinstance(arguments[0], Name):
            help = f"write `{token}(item, …)` with one variable and one expression"
            raise Malformed("PK150", f"`{token}` takes a variable and an expression", start, end, help)
        return Comprehension(Quantifier(str(token)), over, arguments[0].name, arguments[1], start, end)

    def list_of(self, parts: list[Any]) -> Node:
        opening, given, close = parts
        return ListOf(tuple(given or ()), int(opening.start_pos), int(close.end_pos))

    def map_of(self, parts: list[Any]) -> Node:
        opening, given, close = parts
        return MapOf(tuple(given or ()), int(opening.start_pos), int(close.end_pos))

    def arguments(self, parts: list[Any]) -> Any:
        return tuple(part for part in parts if part is not None)

    def entries(self, parts: list[Any]) -> Any:
        return tuple(part for part in parts if part is not None)

    def entry(self, parts: list[Node]) -> Any:
        return (parts[0], parts[1])

    def literal(self, parts: list[Token]) -> Node:
        (token,) = parts
        start, end = _range(token)
        match token.type:
            case "INT":
                return Literal(_integer(token, start, end), start, end)
            case "FLOAT":
                return Literal(float(token), start, end)
            case "WORD":
                return Literal(_WORDS[str(token)], start, end)
            case "RAW":
                return Literal(str(token[2:-1]), start, end)
            case _:
                return Literal(_unescaped(str(token[1:-1]), start + 1), start, end)


def _range(token: Token) -> tuple[int, int]:
    return int(token.start_pos or 0), int(token.end_pos or 0)


def _integer(token: Token, start: int, end: int) -> int:
    value = int(token[2:], 16) if token[:2] == "0x" else int(token) if len(token) < 30 else MAX_INT + 2
    if value > MAX_INT + 1:
        raise Malformed("PK150", "the integer has more than 64 bits", start, end, "integers reach to 2^63 - 1")
    return value


def _unescaped(text: str, offset: int) -> str:
    def value(found: re.Match[str]) -> str:
        x, upper_x, u, long_u, octal, simple = found.groups()
        number = x or upper_x or u or long_u
        point = int(number, 16) if number else int(octal, 8) if octal else -1
        at = offset + found.start()
        if point > 0x10FFFF or 0xD800 <= point < 0xE000:
            raise Malformed("PK150", f"`{found[0]}` is no character", at, at + len(found[0]), "use a valid code point")
        if point >= 0:
            return chr(point)
        if simple not in _SIMPLE:
            help = 'a backslash is written `\\\\`; raw strings are r"…"'
            raise Malformed("PK150", f"unknown escape `{found[0]}`", at, at + len(found[0]), help)
        return _SIMPLE[simple]

    return _ESCAPE.sub(value, text)


def unsupported_name(node: Call) -> Malformed:
    """A function that conditions do not have."""
    return _refuse(f"`{node.function}`", node.start, node.end, "see `policykit explain PK151` for what there is")
