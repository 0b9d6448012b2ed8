"""A Lark grammar as a context-free grammar over terminals, for the analysis of liveness."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from lark import Token, Tree

from policykit.automata import parse_regex
from policykit.diagnostics import Place, PolicyError
from policykit.grammar.lark_syntax import syntax_tree
from policykit.ir.grammar import Cfg, Production, Symbol, Terminal
from policykit.ir.regex import Alternation, Assertion, Chars, Concat, Empty, Regex, Repeat

MAX_COPIES: Final = 1_000
MAX_PRODUCTIONS: Final = 20_000
_CODE_POINT: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|.)", re.DOTALL)
"""Escapes of an expression; of code points, those that RE2 writes otherwise."""


class _Opaque(Exception):
    """The grammar says something that the shape cannot."""


def cfg_of(source: str, place: Place) -> Cfg | None:
    """The grammar as productions (repetitions expanded), or None where it is opaque to the analysis."""
    tree = syntax_tree(source)
    if tree is None:
        return None
    builder = _Builder(place, {})
    try:
        for definition in tree.children:
            if isinstance(definition, Tree):
                builder.define(definition)
        return builder.build()
    except (_Opaque, RecursionError):
        return None


def is_terminal_name(name: str) -> bool:
    """Whether a name is a terminal's: its letters are upper case."""
    return name.upper() == name


@dataclass(slots=True)
class _Builder:
    place: Place
    definitions: "dict[str, tuple[Tree[Token], Place]]"
    terminals: dict[str, Terminal] = field(default_factory=dict[str, Terminal])
    productions: list[Production] = field(default_factory=list[Production])
    fresh: int = 0

    def define(self, definition: "Tree[Token]") -> None:
        parts = [part for part in definition.children if not (isinstance(part, Token) and part.type == "MODIFIER")]
        name, body = parts
        if not isinstance(name, Token) or not isinstance(body, Tree):
            raise _Opaque
        self.definitions[str(name)] = (body, self.at(name))

    def build(self) -> Cfg:
        if "start" not in self.definitions:
            raise _Opaque
        for name, (body, place) in self.definitions.items():
            if not is_terminal_name(name):
                self.alternatives(name, body, place)
        return Cfg("start", tuple(self.productions), tuple(self.terminals.values()))

    def at(self, token: Token) -> Place:
        line, column = token.line or 1, token.column or 1
        return Place(self.place.file, line, column, token.end_line or line, token.end_column or column)

    def produce(self, head: str, body: tuple[Symbol, ...], place: Place) -> None:
        if len(self.productions) >= MAX_PRODUCTIONS:
            raise _Opaque
        self.productions.append(Production(head, body, place))

    def helper(self) -> str:
        self.fresh += 1
        return f"start@{self.fresh}"  # no author can write this name

    def alternatives(self, head: str, expansions: "Tree[Token]", place: Place) -> None:
        for sequence in _trees(expansions):
            self.produce(head, tuple(self.symbol(item, place) for item in _trees(sequence)), place)

    def symbol(self, item: "Tree[Token]", place: Place) -> Symbol:
        atom, least, most = _counted(item)
        inner = self.atom(atom, place)
        return inner if (least, most) == (1, 1) else self.repeated(inner, least, most, place)

    def repeated(self, inner: Symbol, least: int, most: int | None, place: Place) -> Symbol:
        tail: tuple[Symbol, ...] = ()
        if most is None:
            loop = Symbol(self.helper(), False)
            self.produce(loop.name, (), place)
            self.produce(loop.name, (loop, inner), place)
            tail = (loop,)
        for _ in range(0 if most is None else most - least):
            optional = Symbol(self.helper(), False)
            self.produce(optional.name, (), place)
            self.produce(optional.name, (inner, *tail), place)
            tail = (optional,)
        whole = Symbol(self.helper(), False)
        self.produce(whole.name, (inner,) * least + tail, place)
        return whole

    def atom(self, atom: "Tree[Token]", place: Place) -> Symbol:
        match atom.data:
            case "name":
                name = str(atom.children[0])
                if name not in self.definitions:
                    raise _Opaque
                if not is_terminal_name(name):
                    return Symbol(name, False)
                body, at = self.definitions[name]
                return self.terminal(name, lambda: self.choice(body, (name,)), at)
            case "group" | "optional":
                inner = Symbol(self.helper(), False)
                self.alternatives(inner.name, next(_trees(atom)), place)
                if atom.data == "optional":
                    self.produce(inner.name, (), place)
                return inner
            case _:
                tokens = [token for token in atom.children if isinstance(token, Token)]
                return self.terminal("..".join(map(str, tokens)), lambda: self.leaf(atom), self.at(tokens[0]))

    def terminal(self, name: str, regex: Callable[[], Regex], place: Place) -> Symbol:
        if name not in self.terminals:
            self.terminals[name] = Terminal(name, regex(), place)
        return Symbol(name, True)

    def choice(self, expansions: "Tree[Token]", inside: tuple[str, ...]) -> Regex:
        """A terminal's body as one expression. ``inside`` are the terminals being read."""
        found: list[Regex] = []
        for sequence in _trees(expansions):
            items: list[Regex] = []
            for item in _trees(sequence):
                atom, least, most = _counted(item)
                inner = self.part(atom, inside)
                items.append(inner if (least, most) == (1, 1) else Repeat(inner, least, most))
            found.append(items[0] if len(items) == 1 else Concat(tuple(items)) if items else Empty())
        return found[0] if len(found) == 1 else Alternation(tuple(found))

    def part(self, atom: "Tree[Token]", inside: tuple[str, ...]) -> Regex:
        match atom.data:
            case "name":
                name = str(atom.children[0])
                if name in inside or name not in self.definitions or not is_terminal_name(name):
                    raise _Opaque
                return self.choice(self.definitions[name][0], (*inside, name))
            case "group":
                return self.choice(next(_trees(atom)), inside)
            case "optional":
                return Repeat(self.choice(next(_trees(atom)), inside), 0, 1)
            case _:
                return self.leaf(atom)

    def leaf(self, atom: "Tree[Token]") -> Regex:
        tokens = [token for token in atom.children if isinstance(token, Token)]
        place = self.at(tokens[0])
        match atom.data:
            case "span":
                low, high = (_text(token) for token in tokens)
                if len(low) != 1 or len(high) != 1 or low > high:
                    raise _Opaque
                return Chars(literal=((ord(low), ord(high)),))
            case "regex":
                body, _, flags = str(tokens[0])[1:].rpartition("/")
                return expression(body.replace("\\/", "/"), flags, place)
            case _:
                return _literal(tokens[0], place)


def expression(source: str, flags: str, place: Place) -> Regex:
    """The language of an expression as the engine reads it.

    Raises:
        _Opaque: it does not parse here, asserts something, or uses a class that the engine reads otherwise.
    """
    if set(flags) - set("ims") or "\\w" in source or "\\W" in source or "\\b" in source or "&&" in source:
        raise _Opaque
    source = _CODE_POINT.sub(lambda m: f"\\x{{{(m[1] or m[2]).lstrip('0') or '0'}}}" if m[1] or m[2] else m[0], source)
    try:
        regex = parse_regex(f"(?{flags}){source}" if flags else source, place)
    except PolicyError as error:
        raise _Opaque from error
    if _asserts(regex):
        raise _Opaque
    return regex


def _asserts(regex: Regex) -> bool:
    match regex:
        case Assertion():
            return True
        case Concat(items) | Alternation(items):
            return any(map(_asserts, items))
        case Repeat(item, _, _):
            return _asserts(item)
        case Empty() | Chars():
            return False


def _literal(token: Token, place: Place) -> Regex:
    text = _text(token)
    if str(token).endswith("i"):
        quoted = "".join(f"\\x{{{ord(c):x}}}" for c in text)
        return expression(quoted, "i", place)
    return Concat(tuple(Chars(literal=((ord(c), ord(c)),)) for c in text)) if text else Empty()


def _text(token: Token) -> str:
    written = str(token).removesuffix("i")
    try:
        value: object = ast.literal_eval(written.replace("\\/", "/"))
    except (ValueError, SyntaxError) as error:
        raise _Opaque from error
    return value if isinstance(value, str) else ""


def _trees(tree: "Tree[Token]") -> "Iterator[Tree[Token]]":
    return (child for child in tree.children if isinstance(child, Tree))


def _counted(item: "Tree[Token]") -> "tuple[Tree[Token], int, int | None]":
    atom = next(_trees(item))
    suffix = next((str(child) for child in item.children if isinstance(child, Token)), "")
    match suffix[:1]:
        case "":
            return atom, 1, 1
        case "?":
            return atom, 0, 1
        case "*":
            return atom, 0, None
        case "+":
            return atom, 1, None
        case _:
            return atom, *_count(suffix)


def _count(suffix: str) -> tuple[int, int | None]:
    separator = ".." if suffix[0] == "~" else ","
    low, found, high = suffix.strip("~{} ").partition(separator)
    least = int(low) if low.strip() else 0
    most = least if not found else int(high) if high.strip() else None
    if max(least, most or 0) > MAX_COPIES or (most is not None and most < least):
        raise _Opaque
    return least, most
