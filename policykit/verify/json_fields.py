"""JSON fields by path, and the stretches of a JSON text that change when they are redacted."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

from policykit.ir.document import Redact

Span = tuple[int, int]
_TOKEN = re.compile(r'[\s\ufeff]*(?:("(?:[^"\\]|\\.)*")|([{}\[\],:])|([^\s\ufeff"{}\[\],:]+))', re.DOTALL)


class Wild(Enum):
    """Steps that stand for others: any one name, or any number of them."""

    ONE = "*"
    DEEP = "**"


Step = str | Wild


@dataclass(frozen=True, slots=True)
class Edit:
    """``owner`` is the index of the redaction that wants it."""

    span: Span
    replacement: str
    owner: int


@dataclass(slots=True)
class Node:
    """A JSON value in a text. ``children`` are its members (`name`, where the name begins, the value) or elements."""

    start: int
    end: int = 0
    opening: str = ""
    children: "list[tuple[str, int, Node]]" = field(default_factory=list["tuple[str, int, Node]"])


def steps(written: str) -> tuple[Step, ...]:
    """A field's path; in a JSON pointer (RFC 6901) every step is a name."""
    if written.startswith("/"):
        return tuple(part.replace("~1", "/").replace("~0", "~") for part in written[1:].split("/"))
    wild = {step.value: step for step in Wild}
    return tuple(wild.get(part, part) for part in written.split("."))


def redactions(text: str, wanted: Sequence[Redact]) -> list[Edit]:
    """What changes in a JSON text, disjoint and in order; nothing where every field is as it should be.

    Where two redactions want one value, the first one has it, and what lies inside a redacted value is gone with it.
    An element of an array cannot be taken out, or another one would take its place: it becomes null.
    """
    paths = [[steps(name) for name in redact.fields] for redact in wanted]
    found: list[Edit] = []
    todo: list[tuple[Node, list[list[tuple[Step, ...]]]]] = [(parsed(text), paths)]
    while todo:
        node, open_paths = todo.pop()
        removed: dict[int, int] = {}
        for i, (name, _, child) in enumerate(node.children):
            inner = [list({rest for path in own for rest in _after(path, name)}) for own in open_paths]
            owner = next((k for k, own in enumerate(inner) if () in own), None)
            if owner is None:
                todo.append((child, inner))
            elif wanted[owner].text is None and node.opening == "{":
                removed[i] = owner
            else:
                found += _replaced(text, child, wanted[owner].text, owner)
        found += _removed(node, removed)
    return sorted(found, key=lambda edit: edit.span)


def parsed(text: str) -> Node:
    """The tree of a text that a lenient reader takes for JSON. Not recursive, linear."""
    root = Node(0)
    stack = [root]
    name: tuple[str, int] | None = None
    expects_name = False
    for found in _TOKEN.finditer(text):
        start, end = found.span(found.lastindex or 0)
        token, top = text[start:end], stack[-1]
        if token in ("}", "]"):
            top.end = end
            stack.pop()
            expects_name = False
        elif token in (",", ":"):
            expects_name = token == "," and top.opening == "{"
        elif expects_name:
            name, expects_name = (str(json.loads(token, strict=False)), start), False
        else:
            node = Node(start, end)
            called = name or (str(len(top.children)), start)
            top.children.append((*called, node))
            name = None
            if token in ("{", "["):
                node.opening = token
                stack.append(node)
                expects_name = token == "{"
    return root.children[0][2] if root.children else root


def _after(path: tuple[Step, ...], name: str) -> Iterator[tuple[Step, ...]]:
    """What is left of a path below a child with this name."""
    if not path:
        return
    first, rest = path[0], path[1:]
    if first is Wild.DEEP:
        yield path
        yield from _after(rest, name)
    elif first is Wild.ONE or first == name:
        yield rest


def _replaced(text: str, node: Node, new: str | None, owner: int) -> list[Edit]:
    written = "null" if new is None else json.dumps(new, ensure_ascii=False)
    old = text[node.start : node.end]
    same = old == written or (new is not None and old.startswith('"') and json.loads(old, strict=False) == new)
    return [] if same else [Edit((node.start, node.end), written, owner)]


def _removed(node: Node, removed: dict[int, int]) -> Iterator[Edit]:
    """Members without their commas: those before the first member that stays go up to the next member's name, those
    after it from the end of the member before."""
    first_kept = next((i for i in range(len(node.children)) if i not in removed), None)
    for i, owner in removed.items():
        _, start, child = node.children[i]
        if first_kept is None:
            end = node.children[i + 1][1] if i + 1 < len(node.children) else child.end
            yield Edit((start, end), "", owner)
        elif i < first_kept:
            yield Edit((start, node.children[i + 1][1]), "", owner)
        else:
            yield Edit((node.children[i - 1][2].end, child.end), "", owner)
