"""The one layout of policy files: what `policykit fmt` writes.

Two spaces a level; fields in the order of the field table; at most one blank line in a row; lines that end in LF,
without white space at their ends; comments stay with what they are about. Values keep their source, character by
character, so quotes, brackets and folding are the author's.
"""

from collections.abc import Iterable

from policykit.diagnostics import Diagnostic, InternalError, Place, PolicyError
from policykit.policy.formatting.layout import (
    Block,
    BlockMapping,
    BlockSequence,
    Layout,
    Leaf,
    Remark,
    Unformattable,
    layout_of,
)
from policykit.policy.formatting.render import render
from policykit.policy.nodes import Mapping, Node, Scalar, Sequence, compose
from policykit.policy.shapes import Ref


def format_text(text: str, file: str) -> str:
    """``text`` in the layout of policy files; ``file`` is the name that diagnostics give.

    The meaning is the same: the result is read again, and its values and its comments are compared with those of
    ``text``. Formatting twice changes nothing more.

    Raises:
        PolicyError: the text is no YAML that policies are written in (PK003 to PK012), or has a form that is not
            laid out (PK560).
        InternalError: the result says something else than ``text``; nothing is lost, for nothing was written.
    """
    source = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    before = _nodes(source, file)
    try:
        layout = layout_of(source)
        comments = _comments(layout)
        result = render(layout, Ref("tests" if _holds_tests(before) else "document"))
        after = layout_of(result)
    except Unformattable as error:
        raise PolicyError([_not_laid_out(error, source, file)]) from None
    if _values(_nodes(result, file)) != _values(before) or _comments(after) != comments:
        raise InternalError(f"`{file}` would not mean the same after formatting; it was left as it is")
    return result


def _nodes(text: str, file: str) -> Node:
    diagnostics: list[Diagnostic] = []
    root = compose(text, file, diagnostics)
    if root is None or diagnostics:
        raise PolicyError(diagnostics)
    return root


def _holds_tests(root: Node) -> bool:
    kinds = (entry.value for entry in root.entries if entry.key.text == "kind") if isinstance(root, Mapping) else ()
    return any(isinstance(kind, Scalar) and kind.text == "Tests" for kind in kinds)


def _not_laid_out(error: Unformattable, source: str, file: str) -> Diagnostic:
    line = source.count("\n", 0, error.at) + 1
    column = error.at - (source.rfind("\n", 0, error.at) + 1) + 1
    place = Place(file, line, column, line, column + 1)
    return Diagnostic("PK560", f"{error}", place, error.help)


def _values(node: Node) -> object:
    """A node without places; the order of a mapping's fields means nothing."""
    match node:
        case Scalar(text, plain, _, _):
            return (text, plain)
        case Sequence(items, _):
            return [_values(item) for item in items]
        case Mapping(entries, _):
            return {entry.key.text: _values(entry.value) for entry in entries}
        case _:
            return None


def _comments(layout: Layout) -> list[str]:
    """Every comment between values, sorted; those inside of brackets are part of their leaf's source."""
    found = [line for line in layout.head if "#" in line]
    found += [remark.text for remark in layout.tail]
    _collect(layout.root, found)
    return sorted(text.strip() for text in found if text.strip())


def _collect(block: Block, found: list[str]) -> None:
    def take(group: Iterable[Remark]) -> None:
        found.extend(remark.text for remark in group)

    match block:
        case Leaf(anchor):
            take(anchor.lead)
            found.append(anchor.comment)
        case BlockSequence(items, tail):
            take(tail)
            for item in items:
                take(item.dash.lead)
                found.append(item.dash.comment)
                _collect(item.value, found)
        case BlockMapping(fields, tail):
            take(tail)
            for part in fields:
                _collect(part.key, found)
                _collect(part.value, found)
        case _:
            pass


__all__ = ["format_text"]
