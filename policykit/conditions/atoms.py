"""The parts of a condition that are true or false by themselves, and the facts on which they depend."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias, cast

from policykit.conditions.ast import (
    Binary,
    Call,
    Comprehension,
    Index,
    Literal,
    Name,
    Node,
    Select,
    Ternary,
    Unary,
    children,
)
from policykit.conditions.evaluate import value_of
from policykit.conditions.values import Fault, fault

Path: TypeAlias = tuple[str, ...]
"""A fact by the names that lead to it."""
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


@dataclass(frozen=True, slots=True)
class Fixed:
    """Reads no fact. ``value`` is None where it has none."""

    value: bool | None


@dataclass(frozen=True, slots=True)
class OfFact:
    """Depends on one fact alone. ``constants``: what it is compared with, where a comparison is all that is done with
    it; None otherwise."""

    path: Path
    constants: tuple[object, ...] | None
    node: Node


@dataclass(frozen=True, slots=True)
class OfResult:
    """Compares what an operation gives with ``constants``, as ``value operator right``."""

    term: Node
    operator: str
    right: Node
    constants: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Other:
    """Anything else: it depends on several facts, or on what is inside one."""

    node: Node


Atom: TypeAlias = Fixed | OfFact | OfResult | Other


def operands(node: Node) -> tuple[Node, ...] | None:
    """What stands below `&&`, `||`, `!` and `?:`; None for an atom."""
    match node:
        case Binary("&&" | "||") | Unary("!") | Ternary():
            return children(node)
        case _:
            return None


def atom_of(node: Node) -> Atom:
    """What an atom depends on."""
    read = set(paths(node))
    if not read:
        return Fixed(_truth(node))
    path = path_of(node)
    if path is not None:
        return OfFact(path, (), node)
    compared = _compared(node)
    if compared is not None:
        term, operator, right, constants = compared
        path = path_of(term)
        if path is None:
            return OfResult(term, operator, right, constants)
        return OfFact(path, constants, node)
    return OfFact(next(iter(read)), None, node) if len(read) == 1 else Other(node)


def path_of(node: Node) -> Path | None:
    """The fact that a node names, or asks for by `has`."""
    match node:
        case Name(name):
            return (name,)
        case Select(operand, field):
            rest = path_of(operand)
            return None if rest is None else (*rest, field)
        case Index(operand, Literal(str() as key)):
            rest = path_of(operand)
            return None if rest is None else (*rest, key)
        case _:
            return None


def paths(node: Node, bound: frozenset[str] = frozenset()) -> Iterator[Path]:
    """The facts that an expression reads; ``bound`` are variables of macros."""
    path = path_of(node)
    if path is not None:
        if path[0] not in bound:
            yield path
    elif isinstance(node, Comprehension):
        yield from paths(node.over, bound)
        yield from paths(node.body, bound | {node.variable})
    else:
        for child in children(node):
            yield from paths(child, bound)


def function_of(term: Node) -> str | None:
    """The function whose result a term is."""
    return term.function if isinstance(term, Call) else None


def _truth(node: Node) -> bool | None:
    try:
        value = value_of(node)
    except Fault:
        return None
    return value if isinstance(value, bool) else None


def _compared(node: Node) -> tuple[Node, str, Node, tuple[object, ...]] | None:
    """A term that is compared with constants: the term, the operator, the other side, the constants."""
    if not isinstance(node, Binary):
        return None
    if node.operator == "in":
        listed = _constant(node.right)
        if isinstance(listed, list) and all(_is_scalar(item) for item in cast("list[object]", listed)):
            return node.left, "in", node.right, tuple(cast("list[object]", listed))
        return None
    for term, operator, other in (
        (node.left, node.operator, node.right),
        (node.right, _MIRRORED.get(node.operator), node.left),
    ):
        value = _constant(other)
        if operator in _MIRRORED and not isinstance(value, Fault) and _is_scalar(value):
            return term, operator, other, (value,)
    return None


def _is_scalar(value: object) -> bool:
    return not isinstance(value, list | dict)


def _constant(node: Node) -> object:
    """The value of what reads no fact; a Fault where it has none, or reads some."""
    if any(True for _ in paths(node)):
        return fault("it reads facts")
    try:
        return value_of(node)
    except Fault as found:
        return found
