"""Types of a condition, found before it ever runs.

Where nothing is known (`dyn`) everything is possible and the operation decides when it runs; where something is known,
what cannot work is refused with its place.
"""

from dataclasses import dataclass
from typing import Any, Protocol, cast

import re2  # pyright: ignore[reportMissingTypeStubs]

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
from policykit.conditions.syntax import MAX_INT, unsupported_name
from policykit.conditions.types import BUILT_IN, FactsSchema, Kind, ListType, MapType, Type, shown
from policykit.diagnostics import did_you_mean

NUMERIC = frozenset({Kind.INT, Kind.NUMBER, Kind.DYN})
_SIZED = (Kind.STRING, "list", "map")
FUNCTIONS: dict[str, tuple[tuple[tuple[object, ...], ...], Type]] = {
    "size": ((_SIZED,), Kind.INT),
    "startsWith": (((Kind.STRING,), (Kind.STRING,)), Kind.BOOL),
    "endsWith": (((Kind.STRING,), (Kind.STRING,)), Kind.BOOL),
    "contains": (((Kind.STRING,), (Kind.STRING,)), Kind.BOOL),
    "matches": (((Kind.STRING,), (Kind.STRING,)), Kind.BOOL),
    "int": (((Kind.INT, Kind.NUMBER, Kind.STRING),), Kind.INT),
    "double": (((Kind.INT, Kind.NUMBER, Kind.STRING),), Kind.NUMBER),
    "string": (((Kind.INT, Kind.NUMBER, Kind.STRING, Kind.BOOL),), Kind.STRING),
}
"""For every function what its arguments may be, and what it gives."""


class Expression(Protocol):
    """A compiled expression of google-re2, which ships no types."""

    def search(self, text: str) -> object | None: ...


@dataclass(frozen=True, slots=True)
class Complaint:
    code: str
    message: str
    node: Node
    help: str


class Checker:
    """One pass over a tree; everything that is wrong is in ``complaints``."""

    def __init__(self, schema: FactsSchema | None) -> None:
        self.names: dict[str, Type] = dict(BUILT_IN)
        self.is_closed = schema is not None and schema.type.closed
        if schema:
            self.names.update(schema.type.fields)
        self.complaints: list[Complaint] = []
        self.reads: set[str] = set()
        self._bound: list[tuple[str, Type]] = []

    def complain(self, code: str, message: str, node: Node, help: str) -> Type:
        self.complaints.append(Complaint(code, message, node, help))
        return Kind.DYN

    def check(self, node: Node) -> Type:
        match node:
            case Literal(value):
                if isinstance(value, int) and value > MAX_INT:  # only a sign before it makes it an integer
                    self.complain("PK150", "the integer has more than 64 bits", node, "integers reach to 2^63 - 1")
                return _of_literal(value)
            case Name(name):
                return self.name(node, name)
            case Select():
                return self.select(node)
            case Index(operand, index):
                return self.index(node, self.check(operand), self.check(index))
            case Unary(operator, operand):
                return self.unary(node, operator, self.check(operand))
            case Binary(operator, left, right):
                return self.binary(node, operator, self.check(left), self.check(right))
            case Ternary(condition, then, other):
                self.want(condition, self.check(condition), (Kind.BOOL,), "the condition of `?:`")
                return _join(self.check(then), self.check(other))
            case Call():
                return self.call(node)
            case Comprehension():
                return self.comprehension(node)
            case ListOf(items):
                types = [self.check(item) for item in items]
                return ListType(_joined(types))
            case MapOf(entries):
                for key, value in entries:
                    self.want(key, self.check(key), (Kind.STRING,), "a key")
                    self.check(value)
                return MapType()

    def want(self, node: Node, got: Type, wanted: tuple[object, ...], what: str) -> None:
        if not _fits(got, wanted):
            names = " or ".join(str(w) for w in wanted)
            self.complain("PK153", f"{what} is {names}, not {shown(got)}", node, "compare it, or convert it")

    # ---- names and fields

    def name(self, node: Node, name: str) -> Type:
        for bound, type_ in reversed(self._bound):
            if bound == name:
                return type_
        self.reads.add(name)
        known = self.names.get(name)
        if known is None and self.is_closed:
            help = did_you_mean(name, self.names) or f"known facts: {', '.join(sorted(self.names))}"
            return self.complain("PK152", f"there is no fact `{name}`", node, help)
        return Kind.DYN if known is None else known

    def select(self, node: Select) -> Type:
        operand = self.check(node.operand)
        if not isinstance(operand, MapType):
            if operand is not Kind.DYN:
                return self.complain("PK153", f"{shown(operand)} has no fields", node, "fields are of maps")
            return Kind.BOOL if node.is_test else Kind.DYN
        known = operand.fields.get(node.field)
        if known is None and operand.closed:
            help = did_you_mean(node.field, operand.fields) or f"known fields: {', '.join(sorted(operand.fields))}"
            return self.complain("PK152", f"there is no field `{node.field}`", node, help)
        return Kind.BOOL if node.is_test else operand.other if known is None else known

    def index(self, node: Index, operand: Type, index: Type) -> Type:
        match operand:
            case ListType(item):
                self.want(node.index, index, (Kind.INT, Kind.NUMBER), "the index of a list")
                return item
            case MapType():
                self.want(node.index, index, (Kind.STRING,), "the index of a map")
                return Kind.DYN
            case Kind.DYN:
                return Kind.DYN
            case _:
                return self.complain("PK153", f"{shown(operand)} has no elements", node, "index lists and maps")

    # ---- operators

    def unary(self, node: Unary, operator: str, operand: Type) -> Type:
        if operator == "!":
            self.want(node.operand, operand, (Kind.BOOL,), "what `!` negates")
            return Kind.BOOL
        self.want(node.operand, operand, (Kind.INT, Kind.NUMBER), "what `-` negates")
        return operand if operand in NUMERIC else Kind.DYN

    def binary(self, node: Binary, operator: str, left: Type, right: Type) -> Type:
        match operator:
            case "&&" | "||":
                for side, type_ in ((node.left, left), (node.right, right)):
                    self.want(side, type_, (Kind.BOOL,), f"each side of `{operator}`")
                return Kind.BOOL
            case "==" | "!=":
                if not _comparable(left, right):
                    self.never(node, f"{shown(left)} never equals {shown(right)}")
                return Kind.BOOL
            case "in":
                return self.membership(node, left, right)
            case "<" | "<=" | ">" | ">=":
                if not (_both(left, right, NUMERIC) or _both(left, right, {Kind.STRING, Kind.DYN})):
                    self.never(node, f"{shown(left)} and {shown(right)} have no order")
                return Kind.BOOL
            case _:
                return self.arithmetic(node, operator, left, right)

    def never(self, node: Node, message: str) -> None:
        self.complain("PK153", message, node, "compare values of one type")

    def membership(self, node: Binary, left: Type, right: Type) -> Type:
        match right:
            case ListType(item):
                if not _comparable(left, item):
                    self.never(node, f"{shown(left)} is never in {shown(right)}")
            case MapType():
                self.want(node.left, left, (Kind.STRING,), "a key")
            case Kind.DYN:
                pass
            case _:
                self.never(node, f"nothing is in {shown(right)}")
        return Kind.BOOL

    def arithmetic(self, node: Binary, operator: str, left: Type, right: Type) -> Type:
        if _both(left, right, NUMERIC):
            return Kind.INT if left == right == Kind.INT else Kind.DYN if Kind.DYN in (left, right) else Kind.NUMBER
        if operator == "+" and _both(left, right, {Kind.STRING, Kind.DYN}):
            return Kind.STRING
        both_lists = all(isinstance(t, ListType) or t is Kind.DYN for t in (left, right))
        if operator == "+" and both_lists:
            return ListType(Kind.DYN)
        message = f"`{operator}` does not work on {shown(left)} and {shown(right)}"
        return self.complain("PK153", message, node, "use values of one type")

    # ---- functions

    def call(self, node: Call) -> Type:
        types = [self.check(argument) for argument in node.arguments]
        found = FUNCTIONS.get(node.function)
        if found is None:
            refusal = unsupported_name(node)
            help = did_you_mean(node.function, FUNCTIONS) or refusal.help
            return self.complain(refusal.code, refusal.message, node, help)
        wanted, gives = found
        if len(types) != len(wanted):
            message = f"`{node.function}` has {len(wanted)} argument{'s' * (len(wanted) > 1)}, not {len(types)}"
            return self.complain("PK153", message, node, "the object of a method counts as its first argument")
        for argument, type_, allowed in zip(node.arguments, types, wanted, strict=True):
            self.want(argument, type_, allowed, f"an argument of `{node.function}`")
        if node.function == "matches":
            self.pattern(node.arguments[1])
        return gives

    def pattern(self, node: Node) -> None:
        if not isinstance(node, Literal) or not isinstance(node.value, str):
            self.complain("PK153", "the pattern of `matches` is no literal", node, "write it as a string")
        elif compile_pattern(node.value) is None:
            self.complain("PK154", f"`{node.value}` is no RE2 expression", node, "RE2 has no lookaround or references")

    def comprehension(self, node: Comprehension) -> Type:
        over = self.check(node.over)
        match over:
            case ListType(item):
                element: Type = item
            case MapType():
                element = Kind.STRING
            case Kind.DYN:
                element = Kind.DYN
            case _:
                message = f"`{node.quantifier}` runs over lists and maps, not {shown(over)}"
                return self.complain("PK153", message, node, "give it a list or a map")
        self._bound.append((node.variable, element))
        body = self.check(node.body)
        self._bound.pop()
        if node.quantifier is Quantifier.MAP:
            return ListType(body)
        self.want(node.body, body, (Kind.BOOL,), f"the test of `{node.quantifier}`")
        return ListType(element) if node.quantifier is Quantifier.FILTER else Kind.BOOL


def compile_pattern(source: str) -> Expression | None:
    """The expression, or None where RE2 refuses it."""
    engine = cast(Any, re2)
    options = engine.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        return engine.compile(source, options)
    except engine.error:
        return None


def _of_literal(value: object) -> Type:
    match value:
        case bool():
            return Kind.BOOL
        case int():
            return Kind.INT
        case float():
            return Kind.NUMBER
        case str():
            return Kind.STRING
        case _:
            return Kind.NULL


def _fits(type_: Type, wanted: tuple[object, ...]) -> bool:
    match type_:
        case Kind.DYN:
            return True
        case ListType():
            return "list" in wanted
        case MapType():
            return "map" in wanted
        case _:
            return type_ in wanted


def _both(left: Type, right: Type, kinds: "frozenset[Kind] | set[Kind]") -> bool:
    return all(isinstance(t, Kind) and t in kinds for t in (left, right))


def _comparable(left: Type, right: Type) -> bool:
    if Kind.DYN in (left, right) or Kind.NULL in (left, right) or _both(left, right, NUMERIC):
        return True
    match left, right:
        case ListType(a), ListType(b):
            return _comparable(a, b)
        case MapType(), MapType():
            return True
        case _:
            return left == right


def _join(a: Type, b: Type) -> Type:
    return a if a == b else Kind.DYN


def _joined(types: "list[Type]") -> Type:
    return types[0] if types and all(t == types[0] for t in types) else Kind.DYN
