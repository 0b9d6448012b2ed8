"""Whether something is a JSON Schema that can be checked in bounded time: everything wrong with it, at once."""

import json
from decimal import Decimal
from functools import lru_cache
from typing import Final, cast

import jsonschema_rs

from policykit.diagnostics import Diagnostic, Place, PolicyError, did_you_mean
from policykit.grammar.compound import compound, reference_faults
from policykit.grammar.documents import NO_DOCUMENTS, Documents
from policykit.grammar.references import TooManyScopes, is_self_contained, self_contained
from policykit.grammar.schema_document import REFUTING, Dialect, SchemaDocument, dialect_of
from policykit.grammar.strict_json import Exact, JsonFault, parse
from policykit.grammar.values import Json, join

MAX_SCHEMA_CHARACTERS: Final = 1_000_000
MAX_SUBSCHEMAS: Final = 20_000
MAX_WHOLE: Final = 2**53


def checked_document(
    schema: dict[str, Json] | bool | str, place: Place, documents: Documents = NO_DOCUMENTS
) -> tuple[str, SchemaDocument]:
    """The schema in canonical form (compact, keywords in the author's order) and as a document.

    Documents that it refers to are in it, as definitions. Where there are any, where parts of it are resources of their
    own, and where references are dynamic, all references are written as pointers from its root.

    Raises:
        PolicyError: PK201 (not JSON), PK202 (not a schema), PK203 (a document that is not there), PK204 (undefined
            reference), PK205 (unknown dialect, or two of them), PK206 (too large), PK207 (unbounded pattern), PK208
            (`false`).
    """
    root = _parsed(schema, place) if isinstance(schema, str) else _as_json(schema, place)
    if root is False:
        raise PolicyError.of("PK208", "no value satisfies the schema `false`", place)
    if root is True:
        root = cast(dict[str, Json], {})
    if not isinstance(root, dict):
        raise PolicyError.of("PK202", "a schema must be an object or a boolean", place)
    source = _compact(root, place)
    dialect = dialect_of(root)
    if dialect is None:
        help_text = did_you_mean(str(root["$schema"]).rstrip("#"), [d.value for d in Dialect])
        known = "use 2020-12, 2019-09, draft-07, draft-06 or draft-04"
        raise PolicyError.of("PK205", f"`{root['$schema']}` is not a known dialect", place, help_text or known)
    if faults := _meta_faults(root, dialect, place):
        raise PolicyError(faults)
    document = compound(root, dialect, documents, place)
    if document.root is not root and (faults := _meta_faults(document.root, dialect, place)):
        raise PolicyError(faults)
    _within_limit(document, place)
    if faults := [*reference_faults(document, place), *_pattern_faults(document, place)]:
        raise PolicyError(faults)
    if is_self_contained(document):
        return source, document
    try:
        root = cast(dict[str, Json], _as_json(self_contained(document), place))
    except TooManyScopes as error:
        message = "dynamic references would have to be written out for too many scopes"
        raise PolicyError.of("PK206", message, place, "let fewer schemas extend each other") from error
    source = _compact(root, place)
    document = SchemaDocument.of(root, dialect)
    _within_limit(document, place)
    return source, document


def _within_limit(document: SchemaDocument, place: Place) -> None:
    if len(document.bases) > MAX_SUBSCHEMAS:
        count = f"{len(document.bases):,} subschemas, the limit is {MAX_SUBSCHEMAS:,}"
        raise PolicyError.of("PK206", f"the schema has {count}", place)


def _parsed(text: str, place: Place) -> Json:
    if len(text) > 4 * MAX_SCHEMA_CHARACTERS:
        raise PolicyError.of("PK206", f"the schema is {len(text):,} characters long", place)
    value = parse(text)
    if isinstance(value, JsonFault):
        at = Place(place.file, value.line, value.column, value.line, value.column + 1)
        raise PolicyError.of("PK201", f"the schema is not JSON: {value.message}", at)
    return _shortest(value)


def _as_json(schema: dict[str, Json] | bool, place: Place) -> Json:
    """What a schema is once it is written and read."""
    value = parse(_written(schema, place))
    if isinstance(value, JsonFault):
        raise PolicyError.of("PK201", f"the schema is not JSON: {value.message}", place)
    return _shortest(value)


def _compact(root: dict[str, Json], place: Place) -> str:
    """The canonical text of a schema that was read."""
    source = _written(root, place)
    if len(source) > MAX_SCHEMA_CHARACTERS:
        limit = f"{MAX_SCHEMA_CHARACTERS:,}"
        raise PolicyError.of("PK206", f"the schema is {len(source):,} characters long, the limit is {limit}", place)
    return source


def _written(schema: dict[str, Json] | bool, place: Place) -> str:
    try:
        text = json.dumps(schema, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise PolicyError.of("PK201", f"the schema is not JSON: {error}", place) from error
    return text


def _shortest(value: Exact) -> Json:
    """The value with its fractions as floats, and whole numbers without a fraction: they are the same values."""
    match value:
        case Decimal():
            number = float(value)
            return int(number) if number.is_integer() and abs(number) <= MAX_WHOLE else number
        case list():
            return [_shortest(item) for item in value]
        case dict():
            return {key: _shortest(item) for key, item in value.items()}
        case _:
            return value


def _meta_faults(root: dict[str, Json], dialect: Dialect, place: Place) -> list[Diagnostic]:
    """What the dialect's meta-schema finds wrong first."""
    try:
        jsonschema_rs.meta.validate({**root, "$schema": dialect.value})
    except jsonschema_rs.ValidationError as error:
        at = join("", *error.instance_path) or "/"
        return [Diagnostic("PK202", f"not a schema at `{at}`: {_shown(error.message)}", place)]
    return []


def _shown(message: str) -> str:
    first = message.splitlines()[0]
    return first if len(first) <= 200 else first[:199] + "…"


def _pattern_faults(document: SchemaDocument, place: Place) -> list[Diagnostic]:
    """Patterns that need backtracking where giving up could be read as a pass."""
    nodes = document.reachable(keywords=None)
    refuted: set[str] = set()
    for pointer in nodes:
        for keyword, below, _ in document.children(pointer):
            if keyword in REFUTING and below not in refuted:
                refuted |= document.reachable(below, None).keys()
    found: list[Diagnostic] = []
    for pointer, schema in nodes.items() if refuted else ():
        source = schema.get("pattern") if isinstance(schema, dict) else None
        if isinstance(source, str) and pointer in refuted and not is_linear(source):
            message = f"the pattern `{source}` at `{join(pointer, 'pattern')}` cannot be checked in bounded time"
            advice = "lookaround and backreferences may not stand under `not`, `if`, `oneOf` or `contains`"
            found.append(Diagnostic("PK207", message, place, advice))
    return found


@lru_cache(maxsize=4096)
def is_linear(source: str) -> bool:
    """Whether a pattern is checked without backtracking."""
    try:
        jsonschema_rs.validator_for({"pattern": source}, pattern_options=jsonschema_rs.RegexOptions())
    except (ValueError, jsonschema_rs.ReferencingError):
        return False
    return True
