"""Conditions that are the same for all facts, and operands that never matter: proved, or not claimed.

Every fact is cut into cells that the comparisons do not tell apart, so the truth of a condition is a table over the
product of the cells, computed whole (a small-model argument; cf. Bryant, German and Velev 2001, positive equality).
What depends on more than a comparison with constants is taken to be true, false or without a value at will. So the
table holds every truth that the condition can have, and what holds in all of the table holds for all facts.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from policykit.conditions.ast import Binary, Literal, Node, Select, Unary, children
from policykit.conditions.atoms import Atom, Fixed, OfFact, OfResult, Other, Path, atom_of, function_of, operands
from policykit.conditions.cells import Cell, cells_of_result, cells_of_schema
from policykit.conditions.condition import Condition
from policykit.conditions.evaluate import compile_node
from policykit.conditions.render import render
from policykit.conditions.types import BUILT_IN, Described, FactsSchema
from policykit.conditions.values import ConditionResult

MAX_CASES = 200_000
FALSE, NO_VALUE, TRUE, ANY = 0, 1, 2, 3
_Table: TypeAlias = NDArray[np.int8]
"""Truths, broadcast over one axis per variable. `&&` is the minimum, `||` the maximum (Kleene's strong logic)."""
_LACKS = object()
_NEUTRAL = {"&&": TRUE, "||": FALSE}


@dataclass(frozen=True, slots=True)
class Constancy:
    """What is proved of a condition. ``always``: its value wherever it has one, if it is the same for all facts.
    ``idle``: operands of `&&` and `||` that can go, all at once, without another value for any facts. ``guessed``:
    parts whose truth is taken to be anything. ``is_over``: there are too many cases, and nothing is known."""

    always: bool | None = None
    idle: tuple[Node, ...] = ()
    guessed: tuple[Node, ...] = ()
    is_over: bool = False


def constancy(
    condition: Condition,
    schema: FactsSchema | None = None,
    fixed: Mapping[str, Sequence[str]] | None = None,
    given: Condition | None = None,
    max_cases: int = MAX_CASES,
) -> Constancy:
    """What can be proved of a condition for all facts that the schema admits, where ``given`` is true.

    ``fixed``: names that are always there, with the only values that they have.
    """
    trees = [condition.tree, *([given.tree] if given else [])]
    world = _World(schema, fixed or {})
    for tree in trees:
        world.learn(tree)
    if not world.build(max_cases):
        return Constancy(is_over=True)
    guessed = world.guessed(condition.tree)
    holds = world.table(given.tree) == TRUE if given else np.True_
    if not np.any(holds):
        return Constancy(guessed=guessed)  # nothing is said of what is never asked

    def truths(without: Mapping[int, int]) -> _Table:
        table, mask = np.broadcast_arrays(world.table(condition.tree, without), holds)
        return cast(_Table, np.where(mask, table, NO_VALUE))

    before = truths({})
    can_be = {bool(value == TRUE) for value in np.unique(before).tolist() if value != NO_VALUE}
    if len(can_be) < 2:
        return Constancy(can_be.pop() if can_be else False, (), guessed)
    without: dict[int, int] = {}
    idle: list[Node] = []
    for operand, neutral in _operands(condition.tree):
        after = truths({**without, id(operand): neutral})
        here, there = np.broadcast_arrays(before, after)
        if not np.any((here != NO_VALUE) & (here != there)):
            without[id(operand)] = neutral
            idle.append(operand)
    return Constancy(None, _outermost(idle), guessed)


def _operands(tree: Node) -> Iterator[tuple[Node, int]]:
    """Operands of `&&` and `||` with what they are where they do not matter: outer before inner, last before first."""
    todo = [tree]
    while todo:
        node = todo.pop(0)
        below = operands(node) or ()
        if isinstance(node, Binary) and below:
            yield from ((operand, _NEUTRAL[node.operator]) for operand in reversed(below))
        todo += reversed(below)


def _outermost(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """In the order of the source, and none that stands inside another one."""
    inside = {id(below) for node in nodes for below in _inside(node)}
    return tuple(sorted((node for node in nodes if id(node) not in inside), key=lambda node: node.start))


def _inside(node: Node) -> Iterator[Node]:
    for child in children(node):
        yield child
        yield from _inside(child)


class _World:
    """Atoms, the variables that they depend on, and their tables: an axis per variable, a truth per cell."""

    def __init__(self, schema: FactsSchema | None, fixed: Mapping[str, Sequence[str]]) -> None:
        self._schema = schema
        self._fixed = fixed
        self._atoms: dict[int, Atom] = {}
        self._facts: dict[Path, list[OfFact]] = {}
        self._results: dict[str, list[OfResult]] = {}
        self._guessed: dict[str, Node] = {}
        self._axes: dict[str, int] = {}
        self._tables: dict[str, _Table] = {}

    def guessed(self, tree: Node) -> tuple[Node, ...]:
        """Parts of the tree that was learned first whose truth is taken to be anything, or more than it can be."""
        parts = {id(tree), *map(id, _inside(tree))}
        return tuple(node for node in self._guessed.values() if id(node) in parts)

    def learn(self, tree: Node) -> None:
        """Notes the atoms of a tree, which must stay alive as long as this does."""
        below = operands(tree)
        if below is not None:
            for node in below:
                self.learn(node)
            return
        atom = self._atoms[id(tree)] = atom_of(tree)
        if isinstance(atom, OfFact):
            self._facts.setdefault(atom.path, []).append(atom)
        elif isinstance(atom, OfResult):
            self._results.setdefault(render(atom.term), []).append(atom)
            self._guess(atom.term)
        elif isinstance(atom, Other):
            self._guess(atom.node)

    def build(self, max_cases: int) -> bool:
        """Makes the tables of all atoms; False if there are more than ``max_cases`` cases."""
        columns: dict[str, tuple[str, list[int]]] = {}
        for path, atoms in self._facts.items():
            columns.update(self._columns(f"fact {path}", self._of_fact(path, atoms)))
        for key, results in self._results.items():
            columns.update(self._columns(f"result {key}", self._of_result(results)))
        for key, (_, column) in columns.items():
            if ANY in column:
                self._axes[f"free {key}"] = 3
        others = {render(atom.node) for atom in self._atoms.values() if isinstance(atom, Other)}
        self._axes |= {f"free {key}": 3 for key in others}
        tested = [path for path, atoms in self._facts.items() if len(path) > 1 and any(map(_asks, atoms))]
        self._axes |= {f"around {path[:-1]}": 2 for path in tested if not self._described(path).is_there}
        self._guess_kin(tested)
        if math.prod(self._axes.values()) > max_cases:
            return False
        for key, (axis, column) in columns.items():
            table = self._along(axis, column)
            free = f"free {key}"
            self._tables[key] = np.where(table == ANY, self._free(free), table) if free in self._axes else table
        self._tables |= {key: self._free(f"free {key}") for key in others}
        return True

    def table(self, node: Node, without: Mapping[int, int] | None = None) -> _Table:
        """The truth of a tree in every case; nodes in ``without`` (by identity) have the truth given there."""
        if without and id(node) in without:
            return np.array(without[id(node)], dtype=np.int8)
        below = operands(node)
        if below is None:
            return self._of_atom(self._atoms[id(node)])
        parts = [self.table(part, without) for part in below]
        match node:
            case Binary("&&"):
                return np.minimum(*parts)
            case Binary():
                return np.maximum(*parts)
            case Unary():
                return np.asarray(TRUE - parts[0], dtype=np.int8)
            case _:
                condition, then, other = parts
                return np.where(condition == TRUE, then, np.where(condition == FALSE, other, np.int8(NO_VALUE)))

    # -- cells

    def _columns(self, axis: str, truths: "dict[str, list[int]]") -> "dict[str, tuple[str, list[int]]]":
        """The truths of the atoms on one variable, in one cell of each kind that they do not all share."""
        rows = list(dict.fromkeys(zip(*truths.values(), strict=True)))
        self._axes[axis] = len(rows)
        return {key: (axis, [row[at] for row in rows]) for at, key in enumerate(truths)}

    def _of_fact(self, path: Path, atoms: Sequence[OfFact]) -> "dict[str, list[int]]":
        found, is_there = self._cells(path, atoms)
        cases = [_facts(path, cell.value) for cell in found] + ([] if is_there else [_facts(path, _LACKS)])
        ones = [cell.is_one for cell in found] + ([] if is_there else [True])
        truths: dict[str, list[int]] = {}
        for atom in atoms:
            holds = compile_node(atom.node)
            all_one = atom.constants is not None
            column = [
                _truth(holds(facts)) if is_one or all_one else ANY for facts, is_one in zip(cases, ones, strict=True)
            ]
            truths[render(atom.node)] = column
            if ANY in column:
                self._guess(atom.node)
        return truths

    def _cells(self, path: Path, atoms: Sequence[OfFact]) -> tuple[tuple[Cell, ...], bool]:
        """The cells of a fact, and whether it is always there."""
        constants = [constant for atom in atoms for constant in atom.constants or ()]
        if len(path) == 1 and path[0] in self._fixed:
            return tuple(Cell(value, True) for value in self._fixed[path[0]]), True
        described = self._described(path)
        found, is_sure = cells_of_schema(described.schema, constants)
        if not is_sure or not described.is_apart:
            self._guess(atoms[0].node)
        return found, described.is_there

    def _described(self, path: Path) -> Described:
        """What is known of a fact. Schemas do not speak of what the request and the text bring."""
        if self._schema is None or path[0] in BUILT_IN:
            return Described({}, is_there=False, is_apart=True)
        return self._schema.described(path)

    def _of_result(self, atoms: Sequence[OfResult]) -> "dict[str, list[int]]":
        found = cells_of_result(function_of(atoms[0].term), [c for atom in atoms for c in atom.constants])
        truths: dict[str, list[int]] = {}
        for atom in atoms:
            compared = (Binary(atom.operator, Literal(cast(Any, cell.value), 0, 0), atom.right, 0, 0) for cell in found)
            truths[_key(atom)] = [*(_truth(compile_node(node)({})) for node in compared), NO_VALUE]
        return truths

    def _guess_kin(self, tested: Sequence[Path]) -> None:
        """Facts inside others, or beside one that is asked for: how they depend on each other is not looked at."""
        for path, atoms in self._facts.items():
            inside = (other for other in self._facts if other != path and path[: len(other)] == other)
            beside = (other for other in tested if other != path and path[: len(other) - 1] == other[:-1])
            if any(True for _ in (*inside, *beside)):
                self._guess(atoms[0].node)

    def _guess(self, node: Node) -> None:
        self._guessed.setdefault(render(node), node)

    # -- tables

    def _of_atom(self, atom: Atom) -> _Table:
        match atom:
            case Fixed(value):
                return np.array(NO_VALUE if value is None else TRUE if value else FALSE, dtype=np.int8)
            case OfFact(path):
                table = self._tables[_key(atom)]
                around = f"around {path[:-1]}"
                return np.where(self._along(around, [0, 1]) == 1, table, NO_VALUE) if around in self._axes else table
            case OfResult() | Other():
                return self._tables[_key(atom)]

    def _along(self, axis: str, column: Sequence[int]) -> _Table:
        shape = [len(column) if name == axis else 1 for name in self._axes]
        return np.array(column, dtype=np.int8).reshape(shape)

    def _free(self, axis: str) -> _Table:
        return self._along(axis, [FALSE, NO_VALUE, TRUE])


def _key(atom: OfFact | OfResult | Other) -> str:
    """Equal where the atoms say the same."""
    if isinstance(atom, OfResult):
        return f"{render(atom.term)} {atom.operator} {render(atom.right)}"
    return render(atom.node)


def _truth(value: ConditionResult) -> int:
    return NO_VALUE if not isinstance(value, bool) else TRUE if value else FALSE


def _facts(path: Path, value: object) -> dict[str, object]:
    """Facts that hold one value; without it where it is ``_LACKS``."""
    *around, name = path
    found: dict[str, object] = {} if value is _LACKS else {name: value}
    for outer in reversed(around):
        found = {outer: found}
    return found


def _asks(atom: OfFact) -> bool:
    """Whether it asks if the fact is there."""
    return any(isinstance(node, Select) and node.is_test for node in (atom.node, *_inside(atom.node)))
