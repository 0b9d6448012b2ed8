"""References that lead back to where they stand without a step into the value.

What such a schema says of a value is what it says of the value: nothing decides it, the specification leaves it open
(2020-12 core, section 9.4.1), and validators differ. As long as a reference steps into a property, an item or a name
first, it is plain recursion.
"""

from typing import Final

from policykit.grammar.schema_document import SchemaDocument

IN_PLACE: Final = frozenset({
    "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies",
})  # fmt: skip
"""Applicators of the value itself, with `$ref`."""


def turning_reference(document: SchemaDocument) -> str | None:
    """The pointer of a subschema that bears on the value and whose reference leads back to it in place, or None.
    Linear in what is applied."""
    if not document.referring:
        return None
    done: set[str] = set()
    for start in document.reachable(keywords=None):
        if start in done:
            continue
        path: dict[str, list[str]] = {start: _applied(document, start)}
        while path:
            at, left = next(reversed(path.items()))
            if not left:
                done.add(at)
                path.popitem()
                continue
            below = left.pop()
            if below in path:
                turning = [*path][[*path].index(below) :]
                return next(pointer for pointer in turning if document.reference(pointer) in path)
            if below not in done:
                path[below] = _applied(document, below)
    return None


def _applied(document: SchemaDocument, pointer: str) -> list[str]:
    return [below for _, below, _ in document.edges(pointer, document.at(pointer), IN_PLACE)]
