"""A grammar over characters as a value: what every notation is read into, and what every notation is written from.

Rules have alternatives of items; an item is a character, another rule or a group, with a count. Nothing in it depends
on how far a lexeme reaches: the language is the one that the rules derive.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from policykit.grammar.scalars import meets_surrogates, without_surrogates
from policykit.ir.regex import MAX_CODE_POINT, complement, ranges_of

MAX_COUNT: Final = 1_000
MAX_DEPTH: Final = 64


@dataclass(frozen=True, slots=True)
class Chars:
    """One character in one of the ranges, or in none of them."""

    ranges: tuple[tuple[int, int], ...]
    is_negated: bool = False


@dataclass(frozen=True, slots=True)
class Reference:
    """Another rule. ``at`` is the offset in the source where it is named."""

    name: str
    at: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    alternatives: "tuple[tuple[Item, ...], ...]"


@dataclass(frozen=True, slots=True)
class Item:
    """``least`` to ``most`` copies of an atom; ``most`` None: any number."""

    atom: "Chars | Reference | Group"
    least: int = 1
    most: int | None = 1


Rules: TypeAlias = "dict[str, Group]"
"""The rules by name. Which of them is the start is the notation's to say."""


def to_lark(rules: Rules, start: str) -> str:
    """The same language as a Lark grammar in which every lexeme is one character.

    It is in the masking engine's dialect and in plain Lark alike: counts as `~m..n`, code points as `\\U` escapes.
    """
    numbers = {name: "start" if name == start else f"g{i}" for i, name in enumerate(rules)}
    written = [f"{numbers[name]}: {_group(group, numbers)}" for name, group in rules.items()]
    return "\n".join(written)


def _group(group: Group, numbers: dict[str, str]) -> str:
    return " | ".join(" ".join(_item(item, numbers) for item in items) or _NOTHING for items in group.alternatives)


_SPECIAL: Final = "\\]^[-&~/"
_NOTHING: Final = "()"
_SHORT: Final[dict[tuple[int, int | None], str]] = {(1, 1): "", (0, 1): "?", (0, None): "*", (1, None): "+"}


def _item(item: Item, numbers: dict[str, str]) -> str:
    atom = _atom(item.atom, numbers)
    short = _SHORT.get((item.least, item.most))
    if short is not None:
        return atom + short
    if item.most is None:
        return f"{atom}~{item.least} {atom}*"
    return f"{atom}~{item.least}..{item.most}"


def _atom(atom: "Chars | Reference | Group", numbers: dict[str, str]) -> str:
    match atom:
        case Reference(name):
            return numbers[name]
        case Group():
            return f"({_group(atom, numbers)})"
        case Chars((), True):
            return "/(?s:.)/"
        case Chars(ranges, is_negated):
            excluded = ranges_of(list(ranges))
            if is_negated and meets_surrogates(excluded):
                left = without_surrogates(complement(excluded))
                ranges, is_negated = (left, False) if left else (((0, MAX_CODE_POINT),), True)
            body = "".join(
                _escaped(low) if low == high else f"{_escaped(low)}-{_escaped(high)}" for low, high in ranges
            )
            return f"/[{'^' if is_negated else ''}{body}]/"


def _escaped(code: int) -> str:
    if chr(code) in _SPECIAL:
        return f"\\{chr(code)}"  # lark reads a code point before the expression is read, and it would be special there
    return f"\\U{code:08x}"
