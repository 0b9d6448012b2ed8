"""A tree as source again: every operation in brackets, so that it reads back to the same tree."""

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
    Select,
    Ternary,
    Unary,
)


def render(node: Node) -> str:
    """Source that parses to an equal tree, but for the offsets."""
    match node:
        case Literal(value):
            return _literal(value)
        case Name(name):
            return name
        case Select(operand, field, is_test):
            written = f"{_primary(operand)}.{field}"
            return f"has({written})" if is_test else written
        case Index(operand, index):
            return f"{_primary(operand)}[{render(index)}]"
        case Unary(operator, operand):
            return f"{operator}({render(operand)})"
        case Binary(operator, left, right):
            return f"({render(left)}) {operator} ({render(right)})"
        case Ternary(condition, then, other):
            return f"({render(condition)}) ? ({render(then)}) : ({render(other)})"
        case Call(function, arguments):
            return f"{function}({', '.join(map(render, arguments))})"
        case Comprehension(quantifier, over, variable, body):
            return f"{_primary(over)}.{quantifier}({variable}, {render(body)})"
        case ListOf(items):
            return f"[{', '.join(map(render, items))}]"
        case MapOf(entries):
            return f"{{{', '.join(f'{render(key)}: {render(value)}' for key, value in entries)}}}"


def _primary(node: Node) -> str:
    return render(node) if isinstance(node, Name | Select | Index) else f"({render(node)})"


def _literal(value: bool | int | float | str | None) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in value)
            return f'"{escaped}"'
        case float():
            written = repr(value)
            return written if "." in written or "e" in written else f"{written}.0"
        case int():
            return str(value)
