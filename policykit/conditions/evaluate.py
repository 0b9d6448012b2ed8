"""Conditions as closures: what they give on facts.

Errors are values of the result, never exceptions, and `&&` and `||` absorb them as CEL says: `false && error` is false
whichever side the error stands on. Integers have 64 bits; an integer and a double compare and compute by value, since
JSON does not tell them apart. Every step costs; what costs too much is an error.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, cast

from policykit.conditions.ast import (
    Binary,
    Call,
    Comprehension,
    Index,
    ListOf,
    Literal,
    MapOf,
    Name,
    Node,
    Quantifier,
    Select,
    Ternary,
    Unary,
)
from policykit.conditions.check import compile_pattern
from policykit.conditions.values import (
    FUNCTIONS,
    ConditionError,
    ConditionResult,
    Fault,
    UnknownFact,
    apply,
    fault,
    in_range,
    kind_of,
)

COST_LIMIT = 10_000
"""Steps that one evaluation may take; a step is a node, an element, or ten characters of a string."""


class _TooCostly(Exception):
    """Not absorbed by `&&` and `||`: nothing goes on after it."""


class _Run:
    """One evaluation: the names that are bound, and what is left to spend."""

    __slots__ = ("left", "names")

    def __init__(self, facts: Mapping[str, object], limit: int) -> None:
        self.names = dict(facts)
        self.left = limit

    def spend(self, cost: int) -> None:
        self.left -= cost
        if self.left < 0:
            raise _TooCostly


_Code: TypeAlias = Callable[[_Run], object]


def compile_node(node: Node, limit: int = COST_LIMIT) -> Callable[[Mapping[str, object]], ConditionResult]:
    """The condition as a function of facts."""
    code = _compile(node)

    def evaluate(facts: Mapping[str, object]) -> ConditionResult:
        try:
            value = code(_Run(facts, limit))
        except Fault as found:
            return found.what
        except _TooCostly:
            return ConditionError(f"the condition takes more than {limit} steps")
        return value if isinstance(value, bool) else ConditionError(f"the condition gives {kind_of(value)}, not a bool")

    return evaluate


def value_of(node: Node) -> object:
    """What an expression gives that reads no fact. Raises Fault where it gives nothing."""
    try:
        return _compile(node)(_Run({}, COST_LIMIT))
    except _TooCostly:
        raise fault(f"the condition takes more than {COST_LIMIT} steps") from None


def _compile(node: Node) -> _Code:
    inner = _compiled(node)

    def run(state: _Run) -> object:
        state.spend(1)
        return inner(state)

    return run


def _compiled(node: Node) -> _Code:
    match node:
        case Literal(value):
            return lambda state: value
        case Name(name):
            return _name(name)
        case Select():
            return _select(node)
        case Index(operand, index):
            return _index(_compile(operand), _compile(index))
        case Unary(operator, operand):
            return _unary(operator, _compile(operand))
        case Binary("&&" | "||", left, right):
            return _logic(node.operator == "&&", _compile(left), _compile(right))
        case Binary(operator, left, right):
            return _binary(operator, _compile(left), _compile(right))
        case Ternary(condition, then, other):
            return _ternary(_compile(condition), _compile(then), _compile(other))
        case Call():
            return _call(node)
        case Comprehension():
            return _comprehension(node)
        case ListOf(items):
            codes = [_compile(item) for item in items]
            return lambda state: [code(state) for code in codes]
        case MapOf(entries):
            return _map_of([(_compile(key), _compile(value)) for key, value in entries])


# ---- facts


def path_of(node: Node) -> str:
    """The fact that a node names, as far as it can be said."""
    match node:
        case Name(name):
            return name
        case Select(operand, field):
            return f"{path_of(operand)}.{field}"
        case Index(operand, Literal(value)):
            return f"{path_of(operand)}[{value!r}]"
        case _:
            return "…"


def _name(name: str) -> _Code:
    def run(state: _Run) -> object:
        if name not in state.names:
            raise Fault(UnknownFact(name))
        return _read(state.names[name])

    return run


def _read(value: object) -> object:
    """A fact as a value of CEL; tuples are lists."""
    match value:
        case float() if math.isnan(value):
            raise fault("a fact is NaN, which is no JSON value")
        case None | bool() | str() | float() | list() | Mapping():
            return cast(object, value)
        case int():
            return in_range(value)
        case tuple():
            return list(cast(tuple[object, ...], value))
        case _:
            raise fault(f"a fact is a {type(value).__name__}, which is no JSON value")


def _select(node: Select) -> _Code:
    operand, field, path = _compile(node.operand), node.field, path_of(node)

    def run(state: _Run) -> object:
        value = operand(state)
        if not isinstance(value, Mapping):
            raise fault(f"`{path}`: {kind_of(value)} has no fields")
        fields = cast(Mapping[str, object], value)
        if node.is_test:
            return field in fields
        if field not in fields:
            raise Fault(UnknownFact(path))
        return _read(fields[field])

    return run


def _index(operand: _Code, index: _Code) -> _Code:
    def run(state: _Run) -> object:
        value, at = operand(state), index(state)
        if isinstance(value, Mapping):
            fields = cast(Mapping[str, object], value)
            if not isinstance(at, str) or at not in fields:
                raise Fault(UnknownFact(f"[{at!r}]"))
            return _read(fields[at])
        if isinstance(value, list) and isinstance(at, int | float) and not isinstance(at, bool):
            items = cast(list[object], value)
            if at != int(at) or not 0 <= at < len(items):
                raise fault(f"the list has no element {at}")
            return _read(items[int(at)])
        raise fault(f"{kind_of(cast(object, value))} cannot be indexed by {kind_of(at)}")

    return run


# ---- operators


def _logic(is_and: bool, left: _Code, right: _Code) -> _Code:
    """Commutative: a side that decides, decides, whatever the other side is."""
    decides = not is_and

    def side(code: _Code, state: _Run) -> bool | Fault:
        try:
            value = code(state)
        except Fault as found:
            return found
        return value if isinstance(value, bool) else fault(f"{kind_of(value)} is neither true nor false")

    def run(state: _Run) -> object:
        first = side(left, state)
        if first is decides:
            return decides
        second = side(right, state)
        if second is decides:
            return decides
        for one in (first, second):
            if isinstance(one, Fault):
                raise one
        return not decides

    return run


def _unary(operator: str, operand: _Code) -> _Code:
    def run(state: _Run) -> object:
        value = operand(state)
        if operator == "!" and isinstance(value, bool):
            return not value
        if operator == "-" and isinstance(value, int | float) and not isinstance(value, bool):
            return in_range(-value)
        raise fault(f"`{operator}` does not work on {kind_of(value)}")

    return run


def _ternary(condition: _Code, then: _Code, other: _Code) -> _Code:
    def run(state: _Run) -> object:
        value = condition(state)
        if not isinstance(value, bool):
            raise fault(f"the condition of `?:` is {kind_of(value)}")
        return then(state) if value else other(state)

    return run


def _binary(operator: str, left: _Code, right: _Code) -> _Code:
    def run(state: _Run) -> object:
        return apply(operator, left(state), right(state), state.spend)

    return run


# ---- functions


def _call(node: Call) -> _Code:
    codes = [_compile(argument) for argument in node.arguments]
    if node.function == "matches":
        return _matches(codes[0], node.arguments[1])
    function = FUNCTIONS[node.function]

    def run(state: _Run) -> object:
        values = [code(state) for code in codes]
        state.spend(sum(len(value) // 10 for value in values if isinstance(value, str)))
        return function(node.function, values)

    return run


def _matches(text: _Code, pattern: Node) -> _Code:
    compiled = compile_pattern(str(pattern.value)) if isinstance(pattern, Literal) else None
    if compiled is None:
        raise AssertionError("the pattern was checked")

    def run(state: _Run) -> object:
        value = text(state)
        if not isinstance(value, str):
            raise fault(f"`matches` does not work on {kind_of(value)}")
        state.spend(len(value) // 10)
        return compiled.search(value) is not None

    return run


def _map_of(entries: "Sequence[tuple[_Code, _Code]]") -> _Code:
    def run(state: _Run) -> object:
        out: dict[str, object] = {}
        for key, value in entries:
            name = key(state)
            if not isinstance(name, str):
                raise fault(f"a key is a string, not {kind_of(name)}")
            if name in out:
                raise fault(f"the key {name!r} is there twice")
            out[name] = value(state)
        return out

    return run


# ---- macros


def _comprehension(node: Comprehension) -> _Code:
    over, body = _compile(node.over), _compile(node.body)
    variable, quantifier = node.variable, node.quantifier

    def run(state: _Run) -> object:
        value = over(state)
        if not isinstance(value, list | Mapping):
            raise fault(f"`{quantifier}` runs over lists and maps, not {kind_of(value)}")
        elements = [_read(item) for item in cast(Sequence[object], value)]
        state.spend(len(elements))
        outer = state.names
        results: list[object] = []
        for element in elements:
            state.names = {**outer, variable: element}
            try:
                results.append(body(state))
            except Fault as found:
                results.append(found)
            finally:
                state.names = outer
        return _combine(quantifier, elements, results)

    return run


def _combine(quantifier: Quantifier, elements: Sequence[object], results: Sequence[object]) -> object:
    """`all` and `exists` are the `&&` and `||` of the results; the others need every result."""
    faults = [result for result in results if isinstance(result, Fault)]
    wrong = [result for result in results if not isinstance(result, bool | Fault)]
    if quantifier is not Quantifier.MAP and wrong:
        faults.append(fault(f"the test of `{quantifier}` gives {kind_of(wrong[0])}"))
    if quantifier is Quantifier.ALL and any(result is False for result in results):
        return False
    if quantifier is Quantifier.EXISTS and any(result is True for result in results):
        return True
    if faults:
        raise faults[0]
    match quantifier:
        case Quantifier.ALL | Quantifier.EXISTS:
            return quantifier is Quantifier.ALL
        case Quantifier.EXISTS_ONE:
            return sum(result is True for result in results) == 1
        case Quantifier.FILTER:
            return [element for element, result in zip(elements, results, strict=True) if result]
        case Quantifier.MAP:
            return list(results)
