"""The keywords of JSON Schema, draft 4 to 2020-12: those that bear on validity, and those that never do."""

from typing import Final

from policykit.grammar.schema_document import Dialect

EXACT_FORMATS: Final = frozenset({"ipv4", "ipv6", "uuid", "duration"})
"""Formats whose mask is the format. Of the others the mask carries a shape (29 February, host lengths are not in
it), and the verifier judges the value."""

ASSERTIONS: Final = frozenset({
    "type", "enum", "const", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength",
    "minLength", "pattern", "format", "items", "prefixItems", "additionalItems", "maxItems", "minItems", "uniqueItems",
    "contains", "maxContains", "minContains", "maxProperties", "minProperties", "required", "properties",
    "patternProperties", "additionalProperties", "propertyNames", "dependencies", "dependentRequired",
    "dependentSchemas", "if", "then", "else", "allOf", "anyOf", "oneOf", "not", "unevaluatedItems",
    "unevaluatedProperties", "$ref", "$dynamicRef", "$recursiveRef",
})  # fmt: skip
SILENT: Final = frozenset({
    "$schema", "$id", "id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary", "$comment", "$defs",
    "definitions", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly",
})  # fmt: skip
"""Keywords that never bear on validity."""

_SINCE: Final = {
    **dict.fromkeys(("const", "contains", "propertyNames"), Dialect.DRAFT_6),
    **dict.fromkeys(("if", "then", "else"), Dialect.DRAFT_7),
    **dict.fromkeys(("minContains", "maxContains", "dependentRequired", "dependentSchemas"), Dialect.DRAFT_2019),
    **dict.fromkeys(("unevaluatedItems", "unevaluatedProperties"), Dialect.DRAFT_2019),
    "prefixItems": Dialect.DRAFT_2020,
}
_ORDER: Final = tuple(Dialect)


def _asserted(dialect: Dialect) -> frozenset[str]:
    known = _ORDER[: _ORDER.index(dialect) + 1]
    found = frozenset(word for word in ASSERTIONS if _SINCE.get(word, Dialect.DRAFT_4) in known)
    return found - {"dependencies"} if Dialect.DRAFT_2019 in known else found


_ASSERTED: Final = {dialect: _asserted(dialect) for dialect in Dialect}


def is_asserted(keyword: str, dialect: Dialect) -> bool:
    """Whether a keyword bears on validity in a dialect (`dependencies` is asked for only before 2019-09)."""
    return keyword in _ASSERTED[dialect]
