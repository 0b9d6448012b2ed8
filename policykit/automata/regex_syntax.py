r"""RE2 expressions as values of the IR.

Departures from RE2: `\d`, `\w`, `\s`, `\b` are Unicode's (equal on ASCII text), octal escapes and `\C` are refused.
Everything accepted here compiles under RE2. Source: RE2's syntax page and `parse.cc`.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

import re2  # pyright: ignore[reportMissingTypeStubs]
from lark import Token, Tree

from policykit.automata.regex_classes import ANY
from policykit.automata.regex_grammar import Malformed, syntax_tree
from policykit.automata.regex_normal import alternation, concat, repeat, unparse, written_out
from policykit.automata.regex_tokens import Flags, NamedClass, TokenReader, literal, named_set
from policykit.diagnostics import Place, PolicyError
from policykit.ir.regex import Assertion, Chars, Empty, Look, Regex, complement

__all__ = ["NamedClass", "ParsedRegex", "parse", "parse_regex", "unparse"]

MAX_LENGTH = 4_096
MAX_NESTING = 100
MAX_REPEAT = 1_000
MAX_WRITTEN_OUT = 5_000


@dataclass(frozen=True, slots=True)
class ParsedRegex:
    regex: Regex
    classes: tuple[NamedClass, ...]


def parse_regex(source: str, place: Place) -> Regex:
    """The expression in normal form.

    ``place`` is where the source stands; where it is one line exactly as wide as the source, diagnostics point
    inside it.

    Raises:
        PolicyError: everything in the expression that RE2 does not have or that is over a limit.
    """
    return parse(source, place).regex


@lru_cache(maxsize=1024)
def parse(source: str, place: Place, max_length: int = MAX_LENGTH) -> ParsedRegex:
    """Like :func:`parse_regex`, with the named classes that the expression uses. An expression that is read again, as
    a file is on every change of it, is not parsed again.

    ``max_length`` is in characters: what :func:`unparse` writes is longer than what an author writes.
    """
    walk = _Walk(source, place)
    if len(source) > max_length:
        raise PolicyError.of(
            "PK111",
            f"the expression has {len(source)} characters; the limit is {max_length}",
            place,
            "split it into several expressions",
        )
    if any("\ud800" <= char <= "\udfff" for char in source):
        raise PolicyError.of("PK100", "the expression holds half of a surrogate pair", place, "write the character")
    try:
        tree = syntax_tree(source)
    except Malformed as error:
        walk.report("PK100", error.message, error.start, error.end, error.help)
        raise PolicyError(walk.diagnostics) from None
    regex = walk.alternation(_tree(tree.children[0]), Flags(), 0)[0]
    if not walk.diagnostics:
        walk.check_size(regex)
    if not walk.diagnostics:
        walk.check_re2()
    if walk.diagnostics:
        raise PolicyError(walk.diagnostics)
    return ParsedRegex(regex, tuple(walk.read.classes))


@dataclass(frozen=True, slots=True)
class _Counted:
    """An item of a sequence, how often its counted repetitions multiply, and whether it can be repeated."""

    regex: Regex
    times: int = 1
    repeatable: bool = True


def _tree(child: "Token | Tree[Token]") -> "Tree[Token]":
    if isinstance(child, Token):
        raise TypeError(f"expected a rule of the grammar, got the token {child!r}")
    return child


_ASSERTIONS = {
    "A": Look.TEXT_START,
    "z": Look.TEXT_END,
    "b": Look.WORD_BOUNDARY,
    "B": Look.NOT_WORD_BOUNDARY,
}


class _Walk:
    """One pass over the tree of one expression."""

    def __init__(self, source: str, place: Place) -> None:
        self.source = source
        self.read = TokenReader(source, place)
        self.diagnostics, self.report, self.refuse = self.read.diagnostics, self.read.report, self.read.refuse

    # -- structure ---------------------------------------------------------------------------------------------

    def alternation(self, tree: "Tree[Token]", flags: Flags, depth: int) -> tuple[Regex, int]:
        """The expression, and the product of nested counted repetitions in it. Flags last to the end of the group."""
        branches: list[Regex] = []
        times = 1
        for child in tree.children:
            items, flags = self.sequence(_tree(child), flags, depth)
            branches.append(concat(item.regex for item in items))
            times = max([times, *(item.times for item in items)])
        return alternation(branches), times

    def sequence(self, tree: "Tree[Token]", flags: Flags, depth: int) -> tuple[list[_Counted], Flags]:
        items: list[_Counted] = []
        previous: Token | None = None
        for child in tree.children:
            quantifier = child if isinstance(child, Token) and child.type == "QUANTIFIER" else None
            if quantifier is not None:
                self.quantify(quantifier, items, previous)
            elif isinstance(child, Token) and child.type == "FLAGS":
                flags = self.flags(child, flags, child[2:-1])
                items.append(_Counted(Empty(), repeatable=False))
            elif isinstance(child, Token):
                items += self.token(child, flags)
            elif child.data == "group":
                items.append(self.group(child, flags, depth))
            else:
                items.append(_Counted(self.read.char_class(child, flags)))
            previous = quantifier
        return items, flags

    def quantify(self, token: Token, items: list[_Counted], previous: Token | None) -> None:
        if previous is not None:
            if token == "+":
                self.refuse(
                    "PK103",
                    token,
                    f"possessive repetition `{previous}+` is not supported",
                    "nothing backtracks here: leave the second `+` out",
                )
            else:
                self.refuse(
                    "PK100", token, f"`{token}` repeats a repetition", "put the repetition in a group: `(?:a*)*`"
                )
            return
        if not items or not items[-1].repeatable:
            self.refuse(
                "PK100", token, f"nothing stands before `{token}`", f"a literal `{token[0]}` is written `\\{token[0]}`"
            )
            return
        least, most = _bounds(token)
        last = items[-1]
        count = least if most is None else most
        times = last.times * (count if token[0] == "{" and count > 0 else 1)
        if most is not None and least > most:
            self.refuse("PK109", token, f"`{token}` asks for at least {least} and at most {most}", "swap the bounds")
        elif times > MAX_REPEAT:
            nested = "" if count > MAX_REPEAT else " with the repetitions inside it"
            self.refuse(
                "PK109", token, f"`{token}`{nested} repeats more than {MAX_REPEAT} times", "lower the counts or use `*`"
            )
        else:
            items[-1] = _Counted(repeat(last.regex, least, most), times)

    def group(self, tree: "Tree[Token]", flags: Flags, depth: int) -> _Counted:
        opening = tree.children[0]
        if not isinstance(opening, Token):
            raise TypeError("a group begins with its opening token")
        if depth >= MAX_NESTING:
            if not any(diagnostic.code == "PK111" for diagnostic in self.diagnostics):
                self.refuse("PK111", opening, f"groups are nested deeper than {MAX_NESTING}", "flatten the expression")
            return _Counted(Empty())
        body = _tree(tree.children[1])
        return _Counted(*self.alternation(body, self.opening(opening, flags), depth + 1))

    def opening(self, token: Token, flags: Flags) -> Flags:
        """The flags inside a group, after complaining about groups that RE2 does not have."""
        match token[1:]:
            case "":
                return flags
            case "?=" | "?!" | "?<=" | "?<!":
                kind = "lookbehind" if "<" in token else "lookahead"
                side = "before" if "<" in token else "after"
                help = f"use `{side}: {{regex: ..., within: 0}}`"
                if token.endswith("!"):
                    help = f"name what may stand there with `{side}`, or use `not` over the whole text"
                self.refuse("PK101", token, f"{kind} `{token}` is not supported", help)
            case "?>":
                self.refuse(
                    "PK103", token, "atomic group `(?>` is not supported", "nothing backtracks here: write `(?:`"
                )
            case "?" | "?|":
                self.refuse("PK104", token, f"`{token}` opens no group of RE2", "a group is `(?:...)`")
            case inner if inner.startswith("?("):
                self.refuse(
                    "PK104", token, f"conditional `{token}` is not supported", "write both cases as alternatives"
                )
            case inner if inner.endswith(">"):
                name = inner.partition("<")[2][:-1]
                if not name.replace("_", "a").isalnum():
                    self.refuse("PK100", token, f"`{name}` is not a name of a group", "use letters, digits and `_`")
            case inner:
                return self.flags(token, flags, inner[1:-1])
        return flags

    def flags(self, token: Token, flags: Flags, letters: str) -> Flags:
        on = True
        for i, letter in enumerate(letters):
            match letter:
                case "i":
                    flags = replace(flags, fold=on)
                case "s":
                    flags = replace(flags, dot_line_feed=on)
                case "m":
                    flags = replace(flags, lines=on)
                case "U":
                    pass
                case "-" if on and i + 1 < len(letters):
                    on = False
                case _:
                    self.refuse(
                        "PK107", token, f"unknown flag `{letter}` in `{token}`", "the flags are `i`, `m`, `s` and `U`"
                    )
                    return flags
        return flags

    # -- single tokens -----------------------------------------------------------------------------------------

    def token(self, token: Token, flags: Flags) -> list[_Counted]:
        match token.type:
            case "QUOTED":
                chars = [_Counted(literal(ord(char), flags)) for char in token[2:].removesuffix("\\E")]
                return chars or [_Counted(Empty(), repeatable=False)]
            case "FOREIGN":
                self.foreign(token)
                return [_Counted(Empty())]
            case "ESCAPE":
                return [_Counted(self.escape(token, flags))]
            case _:
                return [_Counted(_plain(token, flags))]

    def foreign(self, token: Token) -> None:
        if token.startswith("(?P="):
            self.read.backreference(token)
        elif token.startswith("(?#"):
            self.refuse(
                "PK104", token, "comments inside an expression are not supported", "use a YAML comment, `# ...`"
            )
        else:
            self.refuse("PK104", token, f"recursion `{token}` is not supported", "nested text needs a grammar")

    def escape(self, token: Token, flags: Flags) -> Regex:
        if token[1:] in _ASSERTIONS:
            return Assertion(_ASSERTIONS[token[1:]])
        match self.read.character(token):
            case None:
                return Empty()
            case int(code_point):
                return literal(code_point, flags)
            case ranges:
                return Chars(on_view=named_set(token, ranges, flags))

    # -- the whole ---------------------------------------------------------------------------------------------

    def check_size(self, regex: Regex) -> None:
        size = written_out(regex)
        if size > MAX_WRITTEN_OUT:
            self.report(
                "PK110",
                f"too large to enforce in bounded memory: {size} characters when repetitions are written out, "
                f"the limit is {MAX_WRITTEN_OUT}",
                0,
                len(self.source),
                "lower the counts, use `*` or `+`, or split the expression",
            )

    def check_re2(self) -> None:
        reason = _re2_complaint(self.source)
        if reason is None:
            return
        too_large = "too large" in reason
        code = "PK110" if too_large else "PK112"
        help = "lower the counts or use smaller classes" if too_large else "the syntax is that of RE2"
        what = "too large to enforce in bounded memory" if too_large else "refused by RE2"
        self.report(code, f"{what}: {reason}", 0, len(self.source), help)


def _re2_complaint(source: str) -> str | None:
    """What RE2 has against the expression, None if it compiles."""
    engine = cast(Any, re2)
    options = engine.Options()
    options.log_errors = False
    try:
        engine.compile(source, options)
    except engine.error as error:
        reason = error.args[0]
        return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    return None


def _bounds(token: Token) -> tuple[int, int | None]:
    match token[0]:
        case "*":
            return 0, None
        case "+":
            return 1, None
        case "?":
            return 0, 1
        case _:
            least, comma, most = token.removesuffix("?")[1:-1].partition(",")
            # Digits over every limit are cut, so that no author makes us read a number of a thousand digits.
            low = int(least[:9])
            return low, (int(most[:9]) if most else None) if comma else low


def _plain(token: Token, flags: Flags) -> Regex:
    match str(token):
        case ".":
            return Chars(on_view=ANY if flags.dot_line_feed else complement(((0x0A, 0x0A),)))
        case "^":
            return Assertion(Look.LINE_START if flags.lines else Look.TEXT_START)
        case "$":
            return Assertion(Look.LINE_END if flags.lines else Look.TEXT_END)
        case char:
            return literal(ord(char), flags)
