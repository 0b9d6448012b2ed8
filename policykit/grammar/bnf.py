"""Reading and writing of the notations `name ::= alternatives`, which differ in details: a :class:`Notation` has them.

Literals and classes know escapes; `?`, `*`, `+`, `{m}`, `{m,}` and `{m,n}` repeat what stands before them (of a
literal, all of it); comments begin with `#`; the start is the rule `root`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.grammar.rules import MAX_COUNT, MAX_DEPTH, Chars, Group, Item, Reference, Rules

ROOT: Final = "root"
_SPACE = re.compile(r"(?:[ \t]|#[^\n]*)*")
_LINES = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_COUNT = re.compile(r"\{[ \t]*(\d+)[ \t]*(?:(,)[ \t]*(\d+)?[ \t]*)?\}")
_COUNTS: Final[Mapping[str, tuple[int, int | None]]] = {"?": (0, 1), "*": (0, None), "+": (1, None)}


@dataclass(frozen=True, slots=True)
class Notation:
    """What one notation writes otherwise than the others."""

    name: str
    rule_name: str
    """An expression for the names of rules."""
    text_escapes: Mapping[str, str]
    class_escapes: Mapping[str, str]
    hex_escapes: Mapping[str, tuple[int, int]]
    """How many hexadecimal digits stand behind an escape: at least, at most."""
    has_any: bool
    """Whether `.` is any character."""
    spans_lines: bool
    """Whether a rule goes on over lines, and ends where the next one begins."""
    has_empty: bool
    """Whether an alternative may be left empty; else it is written `""`."""
    refused: Mapping[str, str]
    """What is known and not taken: how it begins, and why."""


class _Fault(Exception):
    def __init__(self, code: str, message: str, at: int) -> None:
        super().__init__(message)
        self.code, self.message, self.at = code, message, at


def parse(notation: Notation, source: str, place: Place) -> Rules:
    """The rules, in order. Raises PolicyError: PK206, PK208, PK210, PK211 or PK216, with line and column."""
    reader = _Reader(notation, source)
    try:
        rules = reader.rules()
        for reference in reader.references:
            if reference.name not in rules:
                raise _Fault("PK211", f"there is no rule `{reference.name}`", reference.at)
        if ROOT not in rules:
            raise _Fault("PK211", f"there is no rule `{ROOT}`", 0)
    except _Fault as fault:
        line = source.count("\n", 0, fault.at) + 1
        column = fault.at - (source.rfind("\n", 0, fault.at) + 1) + 1
        first = place.line + line - 1
        at = Place(place.file, first, column, first, column + 1)
        raise PolicyError([Diagnostic(fault.code, fault.message, at)]) from None
    return rules


@dataclass(slots=True)
class _Reader:
    notation: Notation
    source: str
    at: int = 0
    references: list[Reference] = field(default_factory=list[Reference])
    _name: re.Pattern[str] = field(init=False)
    _head: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        self._name = re.compile(self.notation.rule_name)
        self._head = re.compile(rf"(?:{self.notation.rule_name})[ \t]*::=")

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
            found[name] = self.group(nested=self.notation.spans_lines, depth=MAX_DEPTH)
            if self.at < len(self.source) and not self._ends_rule():
                raise _Fault("PK210", f"`{self.source[self.at]}` has no meaning here", self.at)
            self.skip(lines=True)
        return found

    def _ends_rule(self) -> bool:
        return self.source[self.at] in "\r\n" or self._begins_rule()

    def _begins_rule(self) -> bool:
        """Whether a rule begins here: its name is the first thing on a line, and `::=` stands behind it."""
        if not self.notation.spans_lines or not self._head.match(self.source, self.at):
            return False
        return not self.source[self.source.rfind("\n", 0, self.at) + 1 : self.at].strip(" \t")

    def name(self) -> str:
        found = self._name.match(self.source, self.at)
        if found is None:
            raise _Fault("PK210", "a name is missing", self.at)
        self.at = found.end()
        return found[0]

    def group(self, *, nested: bool, depth: int) -> Group:
        if not depth:
            raise _Fault("PK206", f"groups are nested deeper than {MAX_DEPTH}", self.at)
        alternatives = [self.alternative(nested, depth)]
        while self.here("|"):
            self.skip(lines=True)
            alternatives.append(self.alternative(nested, depth))
        is_unit = depth < MAX_DEPTH and len(alternatives) == 1  # `()`
        if None in alternatives and not self.notation.has_empty and not is_unit:
            if self.at < len(self.source) and self.source[self.at] not in "|)\r\n" and not self._begins_rule():
                raise _Fault("PK210", f"`{self.source[self.at]}` has no meaning here", self.at)
            raise _Fault("PK210", 'an alternative is empty; write `""`', self.at)
        return Group(tuple(items or () for items in alternatives))

    def alternative(self, nested: bool, depth: int) -> tuple[Item, ...] | None:
        """A sequence; None where nothing is written."""
        begun = self.at
        items = self.sequence(nested, depth)
        return None if self.at == begun else items

    def sequence(self, nested: bool, depth: int) -> tuple[Item, ...]:
        items: list[Item] = []
        while self.at < len(self.source) and not self._begins_rule():
            begun, char = self.at, self.source[self.at]
            for start, why in self.notation.refused.items():
                if self.source.startswith(start, begun):
                    raise _Fault("PK216", why, begun)
            if char == '"':
                items += self.literal()
            elif char == "[":
                items.append(Item(self.chars()))
            elif char == "." and self.notation.has_any:
                self.at += 1
                items.append(Item(Chars((), is_negated=True)))
            elif char == "(":
                self.at += 1
                self.skip(lines=True)
                inner = self.group(nested=True, depth=depth - 1)
                if not self.here(")"):
                    raise _Fault("PK210", "this `(` is not closed", begun)
                items.append(Item(inner))
            elif self._name.match(self.source, self.at):
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
        if self.source[begun] in _COUNTS:
            self.at += 1
            least, most = _COUNTS[self.source[begun]]
        else:
            found = _COUNT.match(self.source, begun)
            if found is None:
                raise _Fault("PK210", "write `{m}`, `{m,}` or `{m,n}`", begun)
            self.at = found.end()
            least = _number(found[1])
            most = least if not found[2] else _number(found[3]) if found[3] else None
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
            code = ord(self.char(self.notation.text_escapes))
            found.append(Item(Chars(((code, code),))))
        if not found and not self.is_repeated():
            return []
        return found if len(found) == 1 else [Item(Group((tuple(found),)))]

    def is_repeated(self) -> bool:
        """Whether a count stands behind this."""
        begun = self.at
        self.skip(lines=self.notation.spans_lines)
        found = self.source[self.at : self.at + 1]
        self.at = begun
        return found in ("?", "*", "+", "{")

    def chars(self) -> Chars:
        begun = self.at
        escapes = self.notation.class_escapes
        self.at += 1
        is_negated = self.here("^")
        ranges: list[tuple[int, int]] = []
        while not self.here("]"):
            if self.at >= len(self.source) or self.source[self.at] in "\r\n":
                raise _Fault("PK210", "this `[` is not closed", begun)
            low = high = ord(self.char(escapes))
            if self.source.startswith("-", self.at) and not self.source.startswith("-]", self.at):
                self.at += 1
                if self.at >= len(self.source):
                    raise _Fault("PK210", "this `[` is not closed", begun)
                high = ord(self.char(escapes))
            if high < low:
                raise _Fault("PK210", "the range runs backwards", begun)
            ranges.append((low, high))
        if not ranges and not is_negated:
            raise _Fault("PK208", "the class holds no character", begun)
        return Chars(tuple(ranges), is_negated)

    def char(self, escapes: Mapping[str, str]) -> str:
        char = self.source[self.at]
        if char != "\\":
            if "\ud800" <= char <= "\udfff":
                raise _Fault("PK210", "an unpaired surrogate is no character", self.at)
            self.at += 1
            return char
        begun = self.at
        kind = self.source[self.at + 1 : self.at + 2]
        if kind and kind in escapes:
            self.at += 2
            return escapes[kind]
        least, most = self.notation.hex_escapes.get(kind, (0, 0))
        digits = re.compile(rf"[0-9A-Fa-f]{{{least},{most}}}").match(self.source, self.at + 2)
        if not least or digits is None:
            raise _Fault("PK210", f"`\\{kind}` is no escape", begun)
        code = int(digits[0], 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise _Fault("PK210", f"`\\{kind}{digits[0]}` is no character", begun)
        self.at = digits.end()
        return chr(code)


def _number(digits: str) -> int:
    return int(digits) if len(digits) < 12 else MAX_COUNT + 1


def render(rules: Rules) -> str:
    """The rules as a text that every notation reads as the same rules, but for places.

    The names have to be names of the notation.
    """
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
        case Chars(ranges, is_negated):
            body = "".join(f"{_escaped(low)}-{_escaped(high)}" for low, high in ranges)
            return f"[{'^' if is_negated else ''}{body}]{count}"


def _escaped(code: int) -> str:
    return f"\\U{code:08x}"
