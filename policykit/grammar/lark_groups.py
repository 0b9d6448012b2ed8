"""Rules of lark whose groups would be multiplied out, with each group as a rule of its own.

lark writes `(a | b) (c | d)` as four sequences, and `x? x? x?` as eight; a line of groups, or a group that is counted,
takes it minutes. A rule for each group derives the same texts, and there are as many of them as there are groups.
"""

# lark's reader is typed in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Sequence
from typing import Any, Final, TypeAlias, cast

from lark import Token, Tree
from lark.grammar import NonTerminal

MAX_SEQUENCES: Final = 500
"""Of one rule, before its groups become rules."""
_ENOUGH: Final = 10**9
_REPEATS_WRITTEN_OUT: Final = 50
"""lark writes a repetition out below that, and as rules of its own from there on."""
Definition: TypeAlias = "tuple[str, tuple[str, ...], Tree[Any], Any]"
"""A rule as lark has read it: name, parameters, alternatives, options."""


def with_groups_apart(definitions: Sequence[Definition]) -> list[Definition]:
    """The same language; rules that stay small are left as they are, and so are templates.

    Raises:
        RecursionError: it is nested too deeply.
    """
    found: list[Definition] = []
    for definition in definitions:
        name, parameters, tree, options = definition
        if parameters or _most(tree) <= MAX_SEQUENCES:
            found.append(definition)
        else:
            found += _Groups(name, options).of(tree)
    return found


def _most(tree: "Tree[Any]") -> int:
    """How many sequences lark writes for a rule, or for a part of it that becomes a rule, whichever is more."""
    largest = _sequences(tree)
    for part in tree.find_pred(lambda node: node.data == "expr"):
        largest = max(largest, _sequences(cast("Tree[Any]", part.children[0])))
    return largest


def _sequences(node: Any) -> int:
    if not isinstance(node, Tree):
        return 1
    children = cast("list[Any]", node.children)
    match node.data:
        case "expansions":
            return min(sum(map(_sequences, children)), _ENOUGH)
        case "expansion":
            product = 1
            for child in children:
                product = min(product * _sequences(child), _ENOUGH)
            return product
        case "alias":
            return _sequences(children[0])
        case "maybe":
            return 1 + _sequences(children[0])
        case "expr":
            return _repeated(_sequences(children[0]), str(children[1]), [int(count) for count in children[2:]])
        case _:
            return 1


def _repeated(once: int, operator: str, counts: list[int]) -> int:
    match operator:
        case "?":
            return once + 1
        case "~" if counts[-1] < _REPEATS_WRITTEN_OUT:
            return min(sum(min(once**n, _ENOUGH) for n in range(counts[0], counts[-1] + 1)), _ENOUGH)
        case "*":
            return 2
        case _:
            return 1


class _Groups:
    """Takes one rule apart."""

    def __init__(self, name: str, options: Any) -> None:
        self._name, self._options = name, options
        self._found: list[Definition] = []

    def of(self, tree: "Tree[Any]") -> list[Definition]:
        whole = self._alternatives(tree)
        return [(self._name, (), whole, self._options), *self._found]

    def _alternatives(self, tree: "Tree[Any]") -> "Tree[Any]":
        return Tree("expansions", [self._alternative(child) for child in cast("list[Tree[Any]]", tree.children)])

    def _alternative(self, tree: "Tree[Any]") -> "Tree[Any]":
        if tree.data == "alias":
            return Tree("alias", [self._alternative(cast("Tree[Any]", tree.children[0])), *tree.children[1:]])
        return Tree("expansion", [self._part(child) for child in tree.children])

    def _part(self, node: Any) -> Any:
        """What stands for a part of a sequence: itself, or the name of its rule."""
        if not isinstance(node, Tree) or node.data not in ("expansions", "expr", "maybe"):
            return node
        name = f"__{self._name}_group_{len(self._found)}"
        at = len(self._found)
        self._found.append((name, (), node, self._options))  # its place, so that names are not given twice
        if node.data == "expansions":
            tree = self._alternatives(cast("Tree[Any]", node))
        else:
            first, *rest = cast("list[Any]", node.children)
            count = rest or [Token("OP", "?")]  # `[x]` differs from `x?` in the shape of trees only
            tree = Tree("expansions", [Tree("expansion", [Tree("expr", [self._part(first), *count])])])
        self._found[at] = (name, (), tree, self._options)
        return Tree("value", [NonTerminal(name)])
