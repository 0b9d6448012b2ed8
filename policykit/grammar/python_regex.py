"""Regular expressions as Python writes them, read by Python's own reader into the algebra of expressions.

Only languages are read: groups capture nothing. Refused, each by name: what looks around, refers back or gives nothing
back, and lazy repetition, whose match is the shortest and no property of the text alone.
"""

import re
from functools import cache
from importlib import import_module
from typing import Any, Final

from policykit.automata import parse_regex
from policykit.diagnostics import Place
from policykit.ir.regex import (
    Alternation,
    Chars,
    Concat,
    Empty,
    Ranges,
    Regex,
    Repeat,
    complement,
    ranges_of,
)

_READER: Any = import_module("re._parser")
"""Python's own reader: the one that cannot misread its expressions."""
_ENDLESS: Final = int(_READER.MAXREPEAT)
_PLACE: Final = Place("<class>")
_NEWLINE: Final[Ranges] = ((10, 10),)
_CATEGORIES: Final = {
    "CATEGORY_DIGIT": r"\p{Nd}",
    "CATEGORY_WORD": r"[\p{L}\p{N}_]",
    "CATEGORY_SPACE": r"[\t-\r\x1c-\x1f \x85\p{Z}]",
}
"""What `\\d`, `\\w` and `\\s` are in a text (`str.isdecimal`, `str.isalnum` or `_`, `str.isspace`)."""


class Unsupported(Exception):
    """The expression is none, or says what no mask can; the message says which."""


def read(source: str, flags: int = 0) -> Regex:
    """The language of the texts that the expression matches as a whole. Raises Unsupported."""
    if any("\ud800" <= c <= "\udfff" for c in source):
        raise Unsupported("an unpaired surrogate is no character")
    try:
        tree = _READER.parse(source, flags)
    except (re.error, RecursionError, OverflowError) as error:
        raise Unsupported(f"the expression does not parse: {error}") from error
    if tree.state.flags & (re.ASCII | re.LOCALE):
        raise Unsupported("the flags `a` and `L` are not supported")
    return _sequence(tree, tree.state.flags)


def _sequence(tree: Any, flags: int) -> Regex:
    items = tuple(_node(op, value, flags) for op, value in tree)
    return items[0] if len(items) == 1 else Concat(items) if items else Empty()


def _node(op: Any, value: Any, flags: int) -> Regex:
    match str(op):
        case "LITERAL" | "NOT_LITERAL" if 0xD800 <= value <= 0xDFFF:
            raise Unsupported("an unpaired surrogate is no character")
        case "LITERAL":
            return Chars(literal=_folded(((value, value),), flags))
        case "NOT_LITERAL":
            return Chars(literal=complement(_folded(((value, value),), flags)))
        case "ANY":
            return Chars(literal=complement(() if flags & re.DOTALL else _NEWLINE))
        case "IN":
            return Chars(literal=_class(value, flags))
        case "BRANCH":
            return Alternation(tuple(_sequence(branch, flags) for branch in value[1]))
        case "SUBPATTERN":
            _, added, removed, inner = value
            if added & (re.ASCII | re.LOCALE):
                raise Unsupported("the flags `a` and `L` are not supported")
            return _sequence(inner, (flags | added) & ~removed)
        case "MAX_REPEAT":
            least, most, inner = value
            return Repeat(_sequence(inner, flags), int(least), None if int(most) == _ENDLESS else int(most))
        case "MIN_REPEAT":
            raise Unsupported("lazy repetition stops at the shortest match; write out what it may hold")
        case "ASSERT" | "ASSERT_NOT":
            raise Unsupported("lookaround is not supported")
        case "AT":
            raise Unsupported("anchors and word boundaries are not supported inside a grammar")
        case "GROUPREF" | "GROUPREF_EXISTS":
            raise Unsupported("backreferences are not supported")
        case "ATOMIC_GROUP" | "POSSESSIVE_REPEAT":
            raise Unsupported("atomic groups and possessive repetition are not supported")
        case other:
            raise Unsupported(f"`{other.lower()}` is not supported")


def _class(items: Any, flags: int) -> Ranges:
    pairs: list[tuple[int, int]] = []
    is_negated = False
    for op, value in items:
        match str(op):
            case "NEGATE":
                is_negated = True
            case "LITERAL":
                pairs.append((value, value))
            case "RANGE":
                pairs.append((int(value[0]), int(value[1])))
            case _:
                pairs += _category(str(value))
    found = _folded(ranges_of(pairs), flags)
    return complement(found) if is_negated else found


@cache
def _category(name: str) -> Ranges:
    if name.startswith("CATEGORY_NOT_"):
        return complement(_category(name.replace("NOT_", "")))
    if name not in _CATEGORIES:
        raise Unsupported(f"`{name.lower()}` is not supported")
    return _ranges(parse_regex(_CATEGORIES[name], _PLACE))


def _folded(ranges: Ranges, flags: int) -> Ranges:
    """The characters that are the same without regard to case."""
    if not flags & re.IGNORECASE:
        return ranges
    written = "".join(f"\\x{{{low:x}}}-\\x{{{high:x}}}" for low, high in ranges)
    return _ranges(parse_regex(f"(?i:[{written}])", _PLACE)) if ranges else ()


def _ranges(regex: Regex) -> Ranges:
    match regex:
        case Chars(literal, on_view):
            return ranges_of([*literal, *on_view])
        case Alternation(items):
            return ranges_of([pair for item in items for pair in _ranges(item)])
        case Concat((item,)):
            return _ranges(item)
        case _:
            raise Unsupported("a class that is no class")
