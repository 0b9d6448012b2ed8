"""A condition from its source to a function of facts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from policykit.conditions.ast import Node, children
from policykit.conditions.check import Checker
from policykit.conditions.evaluate import COST_LIMIT, ConditionResult, compile_node
from policykit.conditions.syntax import Malformed, parse_tree
from policykit.conditions.types import FactsSchema, Kind, shown
from policykit.diagnostics import Diagnostic, Place, PolicyError

MAX_LENGTH = 4_096
MAX_DEPTH = 50


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that was checked. ``reads`` are the facts that it names, by their first names."""

    source: str
    tree: Node
    reads: frozenset[str]
    place: Place

    def place_of(self, node: Node) -> Place:
        """Where a part of it stands."""
        return _inside(self.place, self.source, node.start, node.end)


def parse_condition(source: str, place: Place, schema: FactsSchema | None = None) -> Condition:
    """The condition in ``source``, checked against the schema where there is one.

    ``place`` is where the source stands; where it is one line exactly as wide as the source, diagnostics point inside
    it.

    Raises:
        PolicyError: everything that is wrong with it (PK150 to PK155).
    """
    if len(source) > MAX_LENGTH:
        message = f"the condition has {len(source)} characters; the limit is {MAX_LENGTH}"
        raise PolicyError.of("PK155", message, place, "move a part of it into a fact, or into a second rule")
    if _nesting(source) > MAX_DEPTH:
        raise _too_deep(place)
    try:
        tree = parse_tree(source)
    except Malformed as error:
        where = _inside(place, source, error.start, error.end)
        raise PolicyError.of(error.code, error.message, where, error.help) from None
    except RecursionError:
        raise _too_deep(place) from None
    if _depth(tree) > 2 * MAX_DEPTH:
        raise _too_deep(place)
    checker = Checker(schema)
    result = checker.check(tree)
    if not checker.complaints and result not in (Kind.BOOL, Kind.DYN):
        checker.complain("PK153", f"the condition is {shown(result)}, not a bool", tree, "compare it with something")
    if checker.complaints:
        raise PolicyError(
            Diagnostic(c.code, c.message, _inside(place, source, c.node.start, c.node.end), c.help)
            for c in checker.complaints
        )
    return Condition(source, tree, frozenset(checker.reads), place)


def compile_condition(
    condition: Condition, cost_limit: int = COST_LIMIT
) -> Callable[[Mapping[str, object]], ConditionResult]:
    """The condition as a function of facts: true, false, an unknown fact or an error. Never raises."""
    return compile_node(condition.tree, cost_limit)


def _inside(place: Place, source: str, start: int, end: int) -> Place:
    """A part of the source, where the source stands in the file as it is."""
    if place.line != place.end_line or place.end_column - place.column != len(source):
        return place
    end = max(end, start + 1)
    return Place(place.file, place.line, place.column + start, place.line, place.column + end)


def _too_deep(place: Place) -> PolicyError:
    message = f"the condition is nested more than {MAX_DEPTH} deep"
    return PolicyError.of("PK155", message, place, "move a part of it into a fact, or into a second rule")


def _nesting(source: str) -> int:
    """How deep brackets and signs nest, at most; strings may make it too much, never too little."""
    depth = deepest = signs = 0
    for char in source:
        signs = signs + 1 if char in "!-?" else signs
        depth += (char in "([{") - (char in ")]}")
        deepest = max(deepest, depth)
    return max(deepest, signs // 4)


def _depth(tree: Node) -> int:
    deepest, todo = 0, [(tree, 1)]
    while todo:
        node, depth = todo.pop()
        deepest = max(deepest, depth)
        todo += [(child, depth + 1) for child in children(node)]
    return deepest
