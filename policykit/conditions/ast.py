"""Conditions as trees. Every node knows the half-open range ``[start, end)`` of the source that it was read from."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"
"""What a condition computes with: JSON values; integers have 64 bits."""


class Quantifier(StrEnum):
    """Macros over the elements of a list or the keys of a map."""

    ALL = "all"
    EXISTS = "exists"
    EXISTS_ONE = "exists_one"
    FILTER = "filter"
    MAP = "map"


@dataclass(frozen=True, slots=True)
class Literal:
    value: bool | int | float | str | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Name:
    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Select:
    """``operand.field``; ``is_test`` is `has(operand.field)`."""

    operand: "Node"
    field: str
    is_test: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Index:
    operand: "Node"
    index: "Node"
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Unary:
    operator: str
    operand: "Node"
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str
    left: "Node"
    right: "Node"
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Ternary:
    condition: "Node"
    then: "Node"
    other: "Node"
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function. A method call has its object as the first argument."""

    function: str
    arguments: "tuple[Node, ...]"
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Comprehension:
    """A macro: ``over.quantifier(variable, body)``."""

    quantifier: Quantifier
    over: "Node"
    variable: str
    body: "Node"
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ListOf:
    items: "tuple[Node, ...]"
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class MapOf:
    entries: "tuple[tuple[Node, Node], ...]"
    start: int
    end: int


Node: TypeAlias = (
    Literal | Name | Select | Index | Unary | Binary | Ternary | Call | Comprehension | ListOf | MapOf
)  # fmt: skip


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below."""
    match node:
        case Literal() | Name():
            return ()
        case Select(operand=operand) | Unary(operand=operand):
            return (operand,)
        case Index(operand, index):
            return (operand, index)
        case Binary(_, left, right):
            return (left, right)
        case Ternary(condition, then, other):
            return (condition, then, other)
        case Call(_, arguments):
            return arguments
        case Comprehension(_, over, _, body):
            return (over, body)
        case ListOf(items):
            return items
        case MapOf(entries):
            return tuple(part for entry in entries for part in entry)
