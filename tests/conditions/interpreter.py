"""A naive reading of conditions: no closures, no cost, results as tagged pairs. Shares only the tree with the code."""

import math
from typing import Any

from policykit.conditions import ast

LOW, HIGH = -(2**63), 2**63 - 1
FAIL: tuple[str, Any] = ("fail", None)


def ok(value: Any) -> tuple[str, Any]:
    if type(value) is int and not LOW <= value <= HIGH:
        return FAIL
    return ("ok", value)


def num(value: Any) -> bool:
    return type(value) in (int, float)


def same(a: Any, b: Any) -> bool:
    if num(a) and num(b):
        return a == b
    if type(a) is not type(b):
        return False
    if type(a) is list:
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if type(a) is dict:
        return set(a) == set(b) and all(same(a[key], b[key]) for key in a)
    return a == b


def interpret(node: ast.Node, names: dict[str, Any]) -> tuple[str, Any]:
    if isinstance(node, ast.Literal):
        return ("ok", node.value)
    if isinstance(node, ast.Name):
        return ok(names[node.name]) if node.name in names else FAIL
    if isinstance(node, ast.Binary) and node.operator in ("&&", "||"):
        decides = node.operator == "||"
        sides = [interpret(node.left, names), interpret(node.right, names)]
        if ("ok", decides) in [(tag, v) for tag, v in sides if type(v) is bool]:
            return ("ok", decides)
        return ("ok", not decides) if all(tag == "ok" and type(v) is bool for tag, v in sides) else FAIL
    if isinstance(node, ast.Ternary):
        tag, value = interpret(node.condition, names)
        if tag != "ok" or type(value) is not bool:
            return FAIL
        return interpret(node.then if value else node.other, names)
    if isinstance(node, ast.Comprehension):
        return macro(node, names)
    inner = [interpret(child, names) for child in ast.children(node)]
    if any(tag != "ok" for tag, _ in inner):
        return FAIL
    return strict(node, [value for _, value in inner])


def strict(node: ast.Node, values: list[Any]) -> tuple[str, Any]:
    if isinstance(node, ast.ListOf):
        return ("ok", values)
    if isinstance(node, ast.MapOf):
        keys = values[::2]
        fine = all(type(key) is str for key in keys) and len(set(keys)) == len(keys)
        return ("ok", dict(zip(keys, values[1::2], strict=True))) if fine else FAIL
    if isinstance(node, ast.Select):
        (value,) = values
        if type(value) is not dict:
            return FAIL
        return ok(node.field in value) if node.is_test else ok(value[node.field]) if node.field in value else FAIL
    if isinstance(node, ast.Index):
        value, at = values
        if type(value) is dict:
            return ok(value[at]) if type(at) is str and at in value else FAIL
        if type(value) is list and num(at) and at == math.floor(at) and 0 <= at < len(value):
            return ok(value[int(at)])
        return FAIL
    if isinstance(node, ast.Unary):
        (value,) = values
        if node.operator == "!":
            return ok(not value) if type(value) is bool else FAIL
        return ok(-value) if num(value) else FAIL
    if isinstance(node, ast.Binary):
        return binary(node.operator, *values)
    assert isinstance(node, ast.Call)
    assert node.function == "size", "the only function that is generated"
    return ok(len(values[0])) if type(values[0]) in (str, list, dict) else FAIL


def binary(op: str, a: Any, b: Any) -> tuple[str, Any]:
    if op in ("==", "!="):
        return ok(same(a, b) == (op == "=="))
    if op == "in":
        if type(b) is list:
            return ok(any(same(a, x) for x in b))
        return ok(type(a) is str and a in b) if type(b) is dict else FAIL
    if op in ("<", "<=", ">", ">="):
        if not ((num(a) and num(b)) or (type(a) is str and type(b) is str)):
            return FAIL
        return ok({"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[op])
    if type(a) is int and type(b) is int:
        if op in "/%" and b == 0:
            return FAIL
        exact = {"+": a + b, "-": a - b, "*": a * b}
        if op in exact:
            return ok(exact[op])
        quotient = int(math.copysign(1, a) * math.copysign(1, b)) * (abs(a) // abs(b))
        return ok(quotient if op == "/" else a - quotient * b)
    if num(a) and num(b) and op != "%":
        x, y = float(a), float(b)
        if op == "/" and y == 0:
            return ok(math.nan if x == 0 or x != x else math.copysign(math.inf, x) * math.copysign(1, y))
        return ok({"+": lambda: x + y, "-": lambda: x - y, "*": lambda: x * y, "/": lambda: x / y}[op]())
    if op == "+" and type(a) is type(b) and type(a) in (str, list):
        return ok(a + b)
    return FAIL


def macro(node: ast.Comprehension, names: dict[str, Any]) -> tuple[str, Any]:
    tag, over = interpret(node.over, names)
    if tag != "ok" or type(over) not in (list, dict):
        return FAIL
    items = list(over)
    results = [interpret(node.body, {**names, node.variable: item}) for item in items]
    bools = [value if tag == "ok" and type(value) is bool else None for tag, value in results]
    kind = node.quantifier.value
    if kind == "map":
        return ("ok", [v for _, v in results]) if all(tag == "ok" for tag, _ in results) else FAIL
    if kind == "all" and False in bools:
        return ("ok", False)
    if kind == "exists" and True in bools:
        return ("ok", True)
    if None in bools:
        return FAIL
    if kind == "filter":
        return ("ok", [item for item, keep in zip(items, bools, strict=True) if keep])
    return ("ok", {"all": True, "exists": False, "exists_one": bools.count(True) == 1}[kind])
