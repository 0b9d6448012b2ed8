r"""What single tokens of an RE2 expression stand for: escapes, bracket classes, Unicode classes."""

from collections.abc import Sequence
from dataclasses import dataclass

from lark import Token, Tree

from policykit.automata.regex_classes import POSIX_NAMES, folded, perl_class, posix_class, unicode_class
from policykit.diagnostics import Diagnostic, Place, did_you_mean
from policykit.ir.regex import MAX_CODE_POINT, Chars, Ranges, Regex, complement, ranges_of


@dataclass(frozen=True, slots=True)
class NamedClass:
    r"""A set that the author named (`\pL`, `\d`) or excluded (`\D`, `[^0-9]`): it is read on the view.

    ``ranges`` is the set before negation. On a view that changes its characters, a named one may find nothing, and an
    excluded one everything.
    """

    text: str
    ranges: Ranges
    place: Place
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Flags:
    fold: bool = False
    dot_line_feed: bool = False
    lines: bool = False


def start_of(token: Token) -> int:
    return token.start_pos or 0


_ESCAPES = {"a": 0x07, "f": 0x0C, "n": 0x0A, "r": 0x0D, "t": 0x09, "v": 0x0B}
_ESCAPE_HELP = {
    "Z": r"the end of the text is `\z`",
    "C": "one character is `.`; text is never matched by the byte",
    "u": r"a code point is written `\x{1F600}`",
    "U": r"a code point is written `\x{1F600}`",
    "N": r"a code point is written `\x{1F600}`",
    "h": r"horizontal space is `[\t\p{Zs}]`",
    "R": r"a line break is `(?:\r\n|[\n\r])`",
    "e": r"the escape character is `\x1B`",
    "E": r"`\E` ends what `\Q` began",
    "Q": r"`\Q...\E` is not read inside brackets",
    "b": r"a backspace is `\x08`",
    "p": r"a Unicode class is written `\pL` or `\p{Greek}`",
    "P": r"a Unicode class is written `\PL` or `\P{Greek}`",
}
# For suggestions only: which names there are is asked of the tables.
_CATEGORY_NAMES = """
Any C Cc Cf Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs
Arabic Armenian Bengali Common Cyrillic Devanagari Ethiopic Georgian Greek Han Hangul Hebrew Hiragana Inherited
Katakana Khmer Lao Latin Mongolian Myanmar Sinhala Tamil Telugu Thai Tibetan
"""


class TokenReader:
    """The tokens of one expression. Collects diagnostics, placed in the file, and the classes that it names."""

    def __init__(self, source: str, place: Place) -> None:
        self.source, self.place = source, place
        self.diagnostics: list[Diagnostic] = []
        self.classes: list[NamedClass] = []

    def where(self, start: int, end: int) -> Place:
        place = self.place
        if place.line != place.end_line or place.end_column - place.column != len(self.source):
            return place
        return Place(place.file, place.line, place.column + start, place.line, place.column + end)

    def report(self, code: str, message: str, start: int, end: int, help: str) -> None:
        self.diagnostics.append(Diagnostic(code, message, self.where(start, end), help))

    def refuse(self, code: str, token: Token, message: str, help: str) -> None:
        self.report(code, message, start_of(token), start_of(token) + len(token), help)

    def backreference(self, token: Token) -> None:
        self.refuse(
            "PK102",
            token,
            f"backreference `{token}` is not supported",
            "write the possible texts out as alternatives",
        )

    def character(self, token: Token) -> int | Ranges | None:
        """What an escape stands for: a code point, a named class (before negation), or None after a complaint."""
        letter, rest = token[1], token[2:]
        match letter:
            case "x":
                return self.hexadecimal(token, rest)
            case "p" | "P" if rest:
                return self.unicode(token, rest)
            case "d" | "w" | "s" | "D" | "W" | "S":
                return self.named(token, perl_class(letter.lower()), negated=letter.isupper())
            case _ if letter in _ESCAPES:
                return _ESCAPES[letter]
            case _ if (letter in "gk" and rest) or (letter in "123456789" and not rest):
                self.backreference(token)
            case _ if letter in "01234567":
                self.refuse(
                    "PK106", token, f"octal escape `{token}` is refused", f"write `\\x{{{int(token[1:], 8):X}}}`"
                )
            case _ if letter.isascii() and not letter.isalnum():
                return ord(letter)
            case _:
                help = _ESCAPE_HELP.get(letter, f"a literal `{letter}` needs no backslash")
                self.refuse("PK105", token, f"unknown escape `{token}`", help)
        return None

    def hexadecimal(self, token: Token, rest: str) -> int | None:
        digits = rest[1:-1] if rest.startswith("{") and rest.endswith("}") else rest
        braced = digits is not rest
        valid = bool(digits) and all(digit in "0123456789abcdefABCDEF" for digit in digits)
        if valid and len(digits) <= 8 and (braced or len(digits) == 2) and int(digits, 16) <= MAX_CODE_POINT:
            return int(digits, 16)
        self.refuse("PK105", token, f"`{token}` is no code point", r"write two digits, `\x41`, or braces, `\x{1F600}`")
        return None

    def unicode(self, token: Token, rest: str) -> Ranges | None:
        name = rest[1:].removesuffix("}") if rest.startswith("{") else rest
        caret = rest.startswith("{^")
        name = name[1:] if caret else name
        ranges = unicode_class(name) if rest.endswith("}") or len(rest) == 1 else None
        if ranges is None:
            help = (
                did_you_mean(name, _CATEGORY_NAMES.split())
                or r"use a general category (`\pL`, `\p{Lu}`) or a script (`\p{Greek}`)"
            )
            self.refuse("PK108", token, f"unknown Unicode class `{token}`", help)
        return self.named(token, ranges, negated=caret != (token[1] == "P"))

    def named(self, token: Token, ranges: Ranges | None, negated: bool) -> Ranges | None:
        if ranges is not None:
            place = self.where(start_of(token), start_of(token) + len(token))
            self.classes.append(NamedClass(str(token), ranges, place, negated))
        return ranges

    # -- bracket classes ---------------------------------------------------------------------------------------

    def char_class(self, tree: "Tree[Token]", flags: Flags) -> Regex:
        tokens = [child for child in tree.children if isinstance(child, Token)]
        opening, units = tokens[0], tokens[1:-1]
        literal: list[tuple[int, int]] = []
        on_view: list[tuple[int, int]] = []
        at = 0
        while at < len(units):
            is_range = at + 2 < len(units) and units[at + 1] == "-" and units[at + 1].type == "CLASS_CHAR"
            first = self.unit(units[at], flags)
            if is_range and isinstance(first, int):
                literal += self.range(units[at : at + 3], first, flags)
                at += 3
                continue
            match first:
                case int(code_point):
                    literal.append((code_point, code_point))
                case Chars():
                    literal += first.literal
                    on_view += first.on_view
                case None:
                    pass
            at += 1
        members = ranges_of(literal)
        members = folded(members) if flags.fold else members
        if opening == "[^":
            self.excluded(tokens, members)
            return Chars(on_view=complement(ranges_of([*members, *on_view])))
        return Chars(literal=members, on_view=ranges_of(on_view))

    def excluded(self, tokens: Sequence[Token], members: Ranges) -> None:
        """Remember the characters of a negated class; the sets in it that have a name are remembered by that."""
        start, end = start_of(tokens[0]), start_of(tokens[-1]) + len(tokens[-1])
        if members:
            self.classes.append(NamedClass(self.source[start:end], members, self.where(start, end), negated=True))

    def unit(self, token: Token, flags: Flags) -> int | Chars | None:
        """A member of a bracket class: a code point, a named set, or None after a complaint."""
        match token.type:
            case "POSIX":
                return self.posix(token, flags)
            case "ESCAPE":
                code_point = self.character(token)
                if code_point is None or isinstance(code_point, int):
                    return code_point
                return Chars(on_view=named_set(token, code_point, flags))
            case _:
                return ord(token)

    def posix(self, token: Token, flags: Flags) -> Chars | None:
        name = token[2:-2].removeprefix("^")
        ranges = posix_class(name)
        if ranges is None:
            help = did_you_mean(name, POSIX_NAMES) or f"known classes: {', '.join(POSIX_NAMES)}"
            self.refuse("PK108", token, f"unknown class `{token}`", help)
            return None
        ranges = folded(ranges) if flags.fold else ranges
        return Chars(on_view=complement(ranges)) if token[2] == "^" else Chars(literal=ranges)

    def range(self, units: Sequence[Token], first: int, flags: Flags) -> list[tuple[int, int]]:
        last = self.unit(units[2], flags)
        if isinstance(last, int) and first <= last:
            return [(first, last)]
        if last is not None:
            text = "".join(units)
            help = "swap the ends" if isinstance(last, int) else "a literal `-` is written `\\-`"
            start = start_of(units[0])
            self.report("PK100", f"`{text}` is no range of characters", start, start + len(text), help)
        return []


def literal(code_point: int, flags: Flags) -> Regex:
    single = ((code_point, code_point),)
    return Chars(literal=folded(single) if flags.fold else single)


def named_set(token: Token, ranges: Ranges, flags: Flags) -> Ranges:
    ranges = folded(ranges) if flags.fold else ranges
    negated = token[1].isupper() != token.startswith("^", 3)
    return complement(ranges) if negated else ranges
