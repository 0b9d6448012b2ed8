"""What a schema refuses, as a schema: never less than that, and exactly that where it can be said.

The complement of ``S`` is needed wherever a keyword judges by refutation: `not`, `if`, `oneOf`, `dependentSchemas`.
An answer admits every value that ``S`` refuses; what it does not know it admits. So a mask that is narrowed by it
still offers every valid value, and where it is exact nothing is left for the verifier.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, cast

from policykit.grammar.class_notation import BRIDGE
from policykit.grammar.keywords import is_asserted
from policykit.grammar.lookaround import looks_around, without_lookaround
from policykit.grammar.negation import not_found
from policykit.grammar.schema_document import Dialect, SchemaDocument
from policykit.grammar.values import Json, type_name

TYPES: Final = ("null", "boolean", "number", "string", "array", "object")
MAX_DEPTH: Final = 8
MAX_WORDS: Final = 64
MAX_WORD_CHARACTERS: Final = 2_000
_PARTS: Final = frozenset({"then", "else", "minContains", "maxContains"})
"""Keywords that are looked at with the one that they belong to."""


@dataclass(frozen=True, slots=True)
class Complement:
    """``schema`` is True where nothing is known; ``is_exact`` where it admits no value that the original admits."""

    schema: Json
    is_exact: bool


UNKNOWN: Final = Complement(True, False)
NEVER: Final = Complement(False, True)
ALWAYS: Final = Complement(True, True)


def complement(document: SchemaDocument, schema: Json, depth: int = 0) -> Complement:
    """The values that ``schema`` refuses. Its references are read from the document's root: it must have one base."""
    match schema:
        case bool():
            return Complement(not schema, True)
        case dict() if depth < MAX_DEPTH:
            pass
        case _:
            return UNKNOWN
    if document.ignores_siblings(schema):
        return _of_reference(document, schema["$ref"], depth)
    asserted = [word for word in schema if word not in _PARTS and is_asserted(word, document.dialect)]
    return _any(_of_keyword(document, schema, keyword, depth) for keyword in asserted)


def _of_keyword(document: SchemaDocument, schema: dict[str, Json], keyword: str, depth: int) -> Complement:
    value = schema[keyword]
    match keyword, value:
        case "type", str() | list():
            return _of_types(value)
        case "const", _:
            return _of_members([value])
        case "enum", list():
            return _of_members(value)
        case "required", list():
            return _any(_object({"properties": {name: False}}) for name in value if isinstance(name, str))
        case "properties", dict():
            return _any(_property(name, complement(document, item, depth + 1)) for name, item in value.items())
        case "not", _:
            return Complement(value, True)
        case "anyOf", list():
            return _all([complement(document, item, depth + 1) for item in value])
        case "allOf", list():
            return _any(complement(document, item, depth + 1) for item in value)
        case "oneOf", list() if len(value) == 1:
            return complement(document, value[0], depth + 1)
        case "if", _:
            return _of_condition(document, schema, depth)
        case "$ref", str():
            return _of_reference(document, value, depth)
        case "prefixItems" | "items", list():
            return _of_positions(document, value, depth)
        case "contains", _ if "minContains" not in schema and "maxContains" not in schema:
            missing = complement(document, value, depth + 1)
            return Complement({"type": "array", "items": missing.schema}, missing.is_exact)
        case "pattern", str():
            return _of_pattern(value)
        case _, int() | float() if not isinstance(value, bool):
            return _of_bound(document, keyword, value)
        case _:
            return _typed_unknown(keyword)


def _of_pattern(pattern: str) -> Complement:
    """The strings in which a pattern is not found."""
    said = without_lookaround(pattern)
    if looks_around(pattern) and (said is None or not said.is_exact):
        return _typed_unknown("pattern")
    found, missing = ((pattern,), ()) if said is None else (said.found, said.missing)
    refused = [not_found((source,)) for source in found]
    if None in refused:
        return _typed_unknown("pattern")
    return _any(Complement({"type": "string", "pattern": source}, True) for source in (*refused, *missing))


def _of_bound(document: SchemaDocument, keyword: str, value: float) -> Complement:
    if keyword in _NUMBERS and document.dialect is Dialect.DRAFT_4:
        return Complement({"type": "number"}, False)  # there, `exclusiveMinimum` is a flag beside `minimum`
    if keyword in _NUMBERS:
        return Complement({"type": "number", _NUMBERS[keyword]: value}, True)
    if keyword not in _SIZES:
        return _typed_unknown(keyword)
    of_type, other, step = _SIZES[keyword]
    bound = math.floor(value) + 1 if step > 0 else math.ceil(value) - 1
    return NEVER if bound < 0 else Complement({"type": of_type, other: bound}, True)


_NUMBERS: Final = {
    "minimum": "exclusiveMaximum",
    "maximum": "exclusiveMinimum",
    "exclusiveMinimum": "maximum",
    "exclusiveMaximum": "minimum",
}
_SIZES: Final = {
    "minLength": ("string", "maxLength", -1),
    "maxLength": ("string", "minLength", 1),
    "minItems": ("array", "maxItems", -1),
    "maxItems": ("array", "minItems", 1),
    "minProperties": ("object", "maxProperties", -1),
    "maxProperties": ("object", "minProperties", 1),
}
_SPEAKS_OF: Final[dict[str, Json]] = {
    "pattern": {"type": "string"},
    "format": {"type": "string"},
    "multipleOf": {"type": "number"},
    "items": {"type": "array", "minItems": 1},
    "additionalItems": {"type": "array", "minItems": 1},
    "uniqueItems": {"type": "array", "minItems": 2},
    "contains": {"type": "array"},
    "unevaluatedItems": {"type": "array", "minItems": 1},
    "patternProperties": {"type": "object"},
    "additionalProperties": {"type": "object"},
    "propertyNames": {"type": "object"},
    "unevaluatedProperties": {"type": "object"},
    "dependencies": {"type": "object"},
    "dependentRequired": {"type": "object"},
    "dependentSchemas": {"type": "object"},
}  # fmt: skip


def _typed_unknown(keyword: str) -> Complement:
    """All values of the type that a keyword speaks of; an unknown keyword may speak of any."""
    return Complement(_SPEAKS_OF.get(keyword, True), False)


def _of_types(value: Json) -> Complement:
    names = {value} if isinstance(value, str) else {name for name in cast("list[Json]", value) if isinstance(name, str)}
    left = [name for name in TYPES if name not in names]
    is_exact = "integer" not in names or "number" in names
    return Complement({"type": cast("list[Json]", left)}, is_exact) if left else NEVER


def _of_members(members: Sequence[Json]) -> Complement:
    """Everything but some values. Of arrays and objects only the others' types are told apart."""
    parts: list[Complement] = []
    for of_type in TYPES:
        ours = [member for member in members if type_name(member) == of_type]
        parts.append(_without(of_type, ours) if ours else Complement({"type": of_type}, True))
    plain = [cast("dict[str, Json]", part.schema)["type"] for part in parts if _is_plain(part)]
    rest = [part for part in parts if not _is_plain(part)]
    return _any([*([Complement({"type": plain}, True)] if plain else []), *rest])


def _is_plain(part: Complement) -> bool:
    return part.is_exact and isinstance(part.schema, dict) and part.schema.keys() == {"type"}


def _without(of_type: str, members: Sequence[Json]) -> Complement:
    match of_type:
        case "null":
            return NEVER
        case "boolean":
            left: list[Json] = [flag for flag in (True, False) if flag not in members]
            return Complement({"enum": left}, True) if left else NEVER
        case "number":
            return _without_numbers(sorted({cast("float", member) for member in members}))
        case "string":
            pattern = words_refused(cast("Sequence[str]", members))
            found: dict[str, Json] = {"type": of_type} if pattern is None else {"type": of_type, "pattern": pattern}
            return Complement(found, pattern is not None)
        case _:
            return Complement({"type": of_type}, False)


def _without_numbers(numbers: Sequence[float]) -> Complement:
    if len(numbers) > MAX_WORDS:
        return Complement({"type": "number"}, False)
    gaps: list[Json] = [{"type": "number", "exclusiveMaximum": numbers[0]}]
    for low, high in pairwise(numbers):
        gaps.append({"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": high})
    gaps.append({"type": "number", "exclusiveMinimum": numbers[-1]})
    return Complement({"anyOf": gaps}, True)


def words_refused(words: Sequence[str]) -> str | None:
    """A pattern for every text but ``words``, in the syntax of the masking engine; None where they are too many."""
    if len(words) > MAX_WORDS or sum(map(len, words)) > MAX_WORD_CHARACTERS:
        return None
    return f"^(?:{_others(sorted(set(words)))})$"


def words_as_pattern(words: Sequence[str]) -> str:
    """An expression for some words, in the syntax of the masking engine."""
    return f"(?:{'|'.join(''.join(f'[{_in_class(c)}]' for c in word) for word in words)})"


_ANY: Final = "[\\s\\S]"


def _others(words: list[str]) -> str:
    """An expression for the texts that are none of the words (which are sorted and distinct)."""
    if not words:
        return f"{_ANY}*"
    branches = [] if words[0] == "" else [""]
    by_first: dict[str, list[str]] = {}
    for word in words:
        if word:
            by_first.setdefault(word[0], []).append(word[1:])
    firsts = "".join(map(_in_class, by_first))
    bridge = BRIDGE if "\ud7ff" in by_first and "\ue000" in by_first else ""  # else the engine misreads the class
    branches.append(f"[^{firsts}{bridge}]{_ANY}*" if firsts else f"{_ANY}+")
    for first, rest in by_first.items():
        branches.append(f"[{_in_class(first)}](?:{_others(rest)})")
    return "|".join(branches)


def _in_class(character: str) -> str:
    return f"\\u{{{ord(character):x}}}" if not character.isascii() or not character.isalnum() else character


def _object(rest: dict[str, Json]) -> Complement:
    return Complement({"type": "object", **rest}, True)


def _property(name: str, refused: Complement) -> Complement:
    if refused.schema is False:
        return NEVER
    schema: Json = {"type": "object", "properties": {name: refused.schema}, "required": [name]}
    return Complement(schema, refused.is_exact)


def _of_positions(document: SchemaDocument, items: Sequence[Json], depth: int) -> Complement:
    keyword = "prefixItems" if document.dialect is Dialect.DRAFT_2020 else "items"
    return _any(_position(i, complement(document, item, depth + 1), keyword) for i, item in enumerate(items))


def _position(index: int, refused: Complement, keyword: str) -> Complement:
    if refused.schema is False:
        return NEVER
    items: list[Json] = [*[True] * index, refused.schema]
    return Complement({"type": "array", "minItems": index + 1, keyword: items}, refused.is_exact)


def _of_condition(document: SchemaDocument, schema: dict[str, Json], depth: int) -> Complement:
    condition = schema["if"]
    then = complement(document, schema.get("then", True), depth + 1)
    other = complement(document, schema.get("else", True), depth + 1)
    unmet = complement(document, condition, depth + 1)
    held = _all([Complement(condition, True), then])
    return _any([held, _all([unmet, other])])


def _of_reference(document: SchemaDocument, reference: Json, depth: int) -> Complement:
    target = resolved(document, reference)
    return UNKNOWN if target is None else complement(document, target, depth + 1)


def resolved(document: SchemaDocument, reference: Json) -> Json:
    """What a reference leads to, or None."""
    pointer = document.resolve("", reference) if isinstance(reference, str) else None
    return None if pointer is None else document.at(pointer)


def _any(parts: Iterable[Complement]) -> Complement:
    """What at least one part admits; without parts, nothing."""
    kept: list[Json] = []
    is_exact = True
    for part in parts:
        is_exact = is_exact and part.is_exact
        if part.schema is True or part.schema == {}:
            return Complement(True, part.is_exact)
        if part.schema is not False and part.schema not in kept:
            kept.append(part.schema)
    if not kept:
        return Complement(False, is_exact)
    return Complement(kept[0] if len(kept) == 1 else {"anyOf": kept}, is_exact)


def _all(parts: Sequence[Complement]) -> Complement:
    """What every part admits."""
    is_exact = all(part.is_exact for part in parts)
    kept = [part.schema for part in parts if part.schema is not True and part.schema != {}]
    if False in kept:
        return Complement(False, True)
    if not kept:
        return Complement(True, is_exact)
    return Complement(kept[0] if len(kept) == 1 else {"allOf": kept}, is_exact)
