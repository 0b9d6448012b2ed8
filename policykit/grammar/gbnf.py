"""GBNF, the grammar notation of llama.cpp: read with places, and written in the dialect that the masking engine reads.

Rules are `name ::= alternatives`; a rule goes on over lines inside parentheses and behind `|` and `::=`. Literals and
classes know the escapes `\\n \\r \\t \\\\ \\" \\[ \\] \\xHH \\uHHHH \\UHHHHHHHH`; `.` is any character; `?`, `*`,
`+`, `{m}`, `{m,}` and `{m,n}` repeat; comments begin with `#`. Every character is a lexeme of its own, so that nothing
depends on how far a lexeme reaches: the language is the grammar's own, whatever its alternatives share.

Refused by name: tokens (`<…>`, `!<…>`), which are no property of a text.
"""

import re
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from policykit.diagnostics import Diagnostic, Place, PolicyError

MAX_COUNT: Final = 1_000
MAX_DEPTH: Final = 64
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_SPACE = re.compile(r"(?:[ \t]|#[^\n]*)*")
_LINES = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_COUNT = re.compile(r"\{[ \t]*(\d+)[ \t]*(?:(,)[ \t]*(\d+)?[ \t]*)?\}")
_DIGITS: Final = {"x": 2, "u": 4, "U": 8}
_PLAIN: Final = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "[": "[", "]": "]"}


@dataclass(frozen=True, slots=True)
class Chars:
    """One character in one of the ranges, or in none of them."""

    ranges: tuple[tuple[int, int], ...]
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    name: str
    at: int


@dataclass(frozen=True, slots=True)
class Group:
    alternatives: "tuple[tuple[Item, ...], ...]"


@dataclass(frozen=True, slots=True)
class Item:
    atom: "Chars | Reference | Group"
    least: int = 1
    most: int | None = 1


Rules: TypeAlias = "dict[str, Group]"


class _Fault(Exception):
    def __init__(self, code: str, message: str, at: int) -> None:
        super().__init__(message)
        self.code, self.message, self.at = code, message, at


def parse(source: str, place: Place) -> Rules:
    """The rules, in order. Raises PolicyError: PK206, PK210, PK211 or PK216, with line and column."""
    reader = _Reader(source)
    try:
        rules = reader.rules()
        for reference in reader.references:
            if reference.name not in rules:
                raise _Fault("PK211", f"there is no rule `{reference.name}`", reference.at)
        if "root" not in rules:
            raise _Fault("PK211", "there is no rule `root`", 0)
    except _Fault as fault:
        line = source.count("\n", 0, fault.at) + 1
        column = fault.at - (source.rfind("\n", 0, fault.at) + 1) + 1
        first = place.line + line - 1
        at = Place(place.file, first, column, first, column + 1)
        raise PolicyError([Diagnostic(fault.code, fault.message, at)]) from None
    return rules


@dataclass(slots=True)
class _Reader:
    source: str
    at: int = 0
    references: list[Reference] = field(default_factory=list[Reference])

    def skip(self, *, lines: bool) -> None:
        found = (_LINES if lines else _SPACE).match(self.source, self.at)
        self.at = found.end() if found else self.at

    def here(self, text: str) -> bool:
        if self.source.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def rules(self) -> Rules:
        found: Rules = {}
        self.skip(lines=True)
        while self.at < len(self.source):
            begun = self.at
            name = self.name()
            self.skip(lines=False)
            if not self.here("::="):
                raise _Fault("PK210", f"`::=` is missing behind `{name}`", self.at)
            self.skip(lines=True)
            if name in found:
                raise _Fault("PK210", f"the rule `{name}` stands twice", begun)
            found[name] = self.group(nested=False, depth=MAX_DEPTH)
            if self.at < len(self.source) and self.source[self.at] not in "\r\n":
                raise _Fault("PK210", f"`{self.source[self.at]}` has no meaning here", self.at)
            self.skip(lines=True)
        return found

    def name(self) -> str:
        found = _NAME.match(self.source, self.at)
        if found is None:
            raise _Fault("PK210", "a name is missing", self.at)
        self.at = found.end()
        return found[0]

    def group(self, *, nested: bool, depth: int) -> Group:
        if not depth:
            raise _Fault("PK206", f"groups are nested deeper than {MAX_DEPTH}", self.at)
        alternatives = [self.sequence(nested, depth)]
        while self.here("|"):
            self.skip(lines=True)
            alternatives.append(self.sequence(nested, depth))
        return Group(tuple(alternatives))

    def sequence(self, nested: bool, depth: int) -> tuple[Item, ...]:
        items: list[Item] = []
        while self.at < len(self.source):
            begun, char = self.at, self.source[self.at]
            if char == '"':
                items += self.literal()
            elif char == "[":
                items.append(Item(self.chars()))
            elif char == ".":
                self.at += 1
                items.append(Item(Chars((), is_negated=True)))
            elif char == "(":
                self.at += 1
                self.skip(lines=True)
                inner = self.group(nested=True, depth=depth - 1)
                if not self.here(")"):
                    raise _Fault("PK210", "this `(` is not closed", begun)
                items.append(Item(inner))
            elif char in "<!":
                raise _Fault("PK216", "tokens are no property of a text; write the text itself", begun)
            elif _NAME.match(self.source, self.at):
                reference = Reference(self.name(), begun)
                self.references.append(reference)
                items.append(Item(reference))
            elif char in "?*+{":
                self.repeat(items, begun)
            else:
                break
            self.skip(lines=nested)
        return tuple(items)

    def repeat(self, items: list[Item], begun: int) -> None:
        """Put a count on what stands before it: of a literal, on all of it."""
        if not items or (items[-1].least, items[-1].most) != (1, 1):
            raise _Fault("PK210", f"there is nothing before `{self.source[begun]}` that can be repeated", begun)
        counts: dict[str, tuple[int, int | None]] = {"?": (0, 1), "*": (0, None), "+": (1, None)}
        if self.source[begun] in counts:
            self.at += 1
            least, most = counts[self.source[begun]]
        else:
            found = _COUNT.match(self.source, begun)
            if found is None:
                raise _Fault("PK210", "write `{m}`, `{m,}` or `{m,n}`", begun)
            self.at = found.end()
            least = int(found[1])
            most = least if not found[2] else int(found[3]) if found[3] else None
            if max(least, most or 0) > MAX_COUNT:
                raise _Fault("PK206", f"more than {MAX_COUNT:,} repetitions", begun)
            if most is not None and most < least:
                raise _Fault("PK210", "the second count is smaller than the first", begun)
        items[-1] = Item(items[-1].atom, least, most)

    def literal(self) -> list[Item]:
        begun = self.at
        self.at += 1
        found: list[Item] = []
        while not self.here('"'):
            if self.at >= len(self.source) or self.source[self.at] in "\r\n":
                raise _Fault("PK210", 'this `"` is not closed', begun)
            code = ord(self.char())
            found.append(Item(Chars(((code, code),))))
        if not found and self.source[self.at : self.at + 1] not in ("?", "*", "+", "{"):
            return []
        return found if len(found) == 1 else [Item(Group((tuple(found),)))]

    def chars(self) -> Chars:
        begun = self.at
        self.at += 1
        is_negated = self.here("^")
        ranges: list[tuple[int, int]] = []
        while not self.here("]"):
            if self.at >= len(self.source) or self.source[self.at] in "\r\n":
                raise _Fault("PK210", "this `[` is not closed", begun)
            low = high = ord(self.char())
            if self.source.startswith("-", self.at) and not self.source.startswith("-]", self.at):
                self.at += 1
                if self.at >= len(self.source):
                    raise _Fault("PK210", "this `[` is not closed", begun)
                high = ord(self.char())
            if high < low:
                raise _Fault("PK210", "the range runs backwards", begun)
            ranges.append((low, high))
        if not ranges and not is_negated:
            raise _Fault("PK208", "the class holds no character", begun)
        return Chars(tuple(ranges), is_negated)

    def char(self) -> str:
        char = self.source[self.at]
        if char != "\\":
            self.at += 1
            return char
        begun = self.at
        kind = self.source[self.at + 1 : self.at + 2]
        if kind in _PLAIN and kind:
            self.at += 2
            return _PLAIN[kind]
        n = _DIGITS.get(kind, 0)
        digits = self.source[self.at + 2 : self.at + 2 + n]
        if not n or not re.fullmatch(rf"[0-9A-Fa-f]{{{n}}}", digits):
            raise _Fault("PK210", f"`\\{kind}` is no escape", begun)
        code = int(digits, 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise _Fault("PK210", f"`\\{kind}{digits}` is no character", begun)
        self.at += 2 + n
        return chr(code)


def render(rules: Rules) -> str:
    """The rules as GBNF again: parsing it gives the same rules, but for places."""
    return "".join(f"{name} ::= {_alternatives(group)}\n" for name, group in rules.items())


def _alternatives(group: Group) -> str:
    return " | ".join(" ".join(map(_item, items)) or '""' for items in group.alternatives)


def _item(item: Item) -> str:
    short: dict[tuple[int, int | None], str] = {(1, 1): "", (0, 1): "?", (0, None): "*", (1, None): "+"}
    count = short.get((item.least, item.most))
    if count is None:
        count = f"{{{item.least},{'' if item.most is None else item.most}}}"
    match item.atom:
        case Reference(name):
            return name + count
        case Group():
            return f"({_alternatives(item.atom)}){count}"
        case Chars((), True):
            return "." + count
        case Chars(ranges, is_negated):
            body = "".join(f"{_escaped(low)}-{_escaped(high)}" for low, high in ranges)
            return f"[{'^' if is_negated else ''}{body}]{count}"


def _escaped(code: int) -> str:
    return f"\\U{code:08x}"


def to_lark(rules: Rules) -> str:
    """The same language in the engine's dialect: a lexeme is one character."""
    numbers = {name: f"g{i}" for i, name in enumerate(rules)}
    written = [f"start: {numbers['root']}"]
    written += [f"{numbers[name]}: {_lark_group(group, numbers)}" for name, group in rules.items()]
    return "\n".join(written)


def _lark_group(group: Group, numbers: dict[str, str]) -> str:
    return " | ".join(" ".join(_lark(item, numbers) for item in items) or '""' for items in group.alternatives)


def _lark(item: Item, numbers: dict[str, str]) -> str:
    count = "" if (item.least, item.most) == (1, 1) else f"{{{item.least},{'' if item.most is None else item.most}}}"
    match item.atom:
        case Reference(name):
            return numbers[name] + count
        case Group():
            return f"({_lark_group(item.atom, numbers)}){count}"
        case Chars((), True):
            return "/(?s:.)/" + count
        case Chars(ranges, is_negated):
            body = "".join(f"\\x{{{low:x}}}-\\x{{{high:x}}}" for low, high in ranges)
            return f"/[{'^' if is_negated else ''}{body}]/{count}"
