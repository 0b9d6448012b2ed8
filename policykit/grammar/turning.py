"""References that lead back to where they stand without a step into the value.

What such a schema says of a value is what it says of the value: nothing decides it, the specification leaves it open
(2020-12 core, section 9.4.1), and validators differ. As long as a reference steps into a property, an item or a name
first, it is plain recursion.
"""

from typing import Final

from policykit.grammar.keywords import is_asserted
from policykit.grammar.schema_document import SchemaDocument
from policykit.grammar.values import Json

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
    for start in _bearing(document):
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


def _bearing(document: SchemaDocument) -> dict[str, None]:
    """The pointers of the subschemas that bear on the value."""
    found: dict[str, None] = {}
    pending = [""]
    while pending:
        pointer = pending.pop()
        if pointer not in found:
            found[pointer] = None
            pending += _applied(document, pointer, None)
    return found


def _applied(document: SchemaDocument, pointer: str, keywords: frozenset[str] | None = IN_PLACE) -> list[str]:
    """What a subschema applies through keywords that say something in the dialect and where they stand."""
    schema = document.at(pointer)
    if not isinstance(schema, dict):
        return []
    edges = document.edges(pointer, schema, keywords)
    return [below for word, below, _ in edges if is_asserted(word, document.dialect) and _is_heard(schema, word)]


def _is_heard(schema: dict[str, Json], keyword: str) -> bool:
    """Whether the keywords that another one needs stand beside it."""
    match keyword:
        case "if":
            return "then" in schema or "else" in schema
        case "then" | "else":
            return "if" in schema
        case _:
            return True
