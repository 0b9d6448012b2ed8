"""Whether something is a JSON Schema that can be checked in bounded time: everything wrong with it, at once."""

import json
from functools import lru_cache
from typing import Final, cast

import jsonschema_rs

from policykit.diagnostics import Diagnostic, Place, PolicyError, did_you_mean
from policykit.grammar.class_notation import for_the_verifier
from policykit.grammar.compound import compound, reference_faults
from policykit.grammar.documents import NO_DOCUMENTS, Documents
from policykit.grammar.references import TooManyScopes, is_self_contained, self_contained
from policykit.grammar.schema_document import REFUTING, Dialect, SchemaDocument, dialect_of
from policykit.grammar.strict_json import JsonFault, exact, parse
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
    root, source = _read(schema, place)
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
        root, source = _read(self_contained(document), place)
    except TooManyScopes as error:
        message = "dynamic references would have to be written out for too many scopes"
        raise PolicyError.of("PK206", message, place, "let fewer schemas extend each other") from error
    document = SchemaDocument.of(root, dialect)
    _within_limit(document, place)
    return source, document


def _within_limit(document: SchemaDocument, place: Place) -> None:
    if len(document.bases) > MAX_SUBSCHEMAS:
        count = f"{len(document.bases):,} subschemas, the limit is {MAX_SUBSCHEMAS:,}"
        raise PolicyError.of("PK206", f"the schema has {count}", place)


def _read(schema: dict[str, Json] | bool | str, place: Place) -> tuple[dict[str, Json], str]:
    """A schema, and its canonical text; fractions are floats, and whole numbers have none: they are the same values."""
    is_text = isinstance(schema, str)
    text = schema if is_text else _written(schema, place)
    if len(text) > 4 * MAX_SCHEMA_CHARACTERS:
        raise PolicyError.of("PK206", f"the schema is {len(text):,} characters long", place)
    fractions: list[str] = []

    def fraction(written: str) -> Json:
        fractions.append(written)
        return _shortest(written)

    root = parse(text, fraction)
    if isinstance(root, JsonFault):
        at = Place(place.file, root.line, root.column, root.line, root.column + 1) if is_text else place
        raise PolicyError.of("PK201", f"the schema is not JSON: {root.message}", at)
    if root is False:
        raise PolicyError.of("PK208", "no value satisfies the schema `false`", place)
    if root is True:
        root = cast(dict[str, Json], {})
    if not isinstance(root, dict):
        raise PolicyError.of("PK202", "a schema must be an object or a boolean", place)
    is_canonical = not is_text and schema is not True and not fractions
    source = text if is_canonical else _written(root, place)
    if len(source) > MAX_SCHEMA_CHARACTERS:
        limit = f"{MAX_SCHEMA_CHARACTERS:,}"
        raise PolicyError.of("PK206", f"the schema is {len(source):,} characters long, the limit is {limit}", place)
    return root, source


_COMPACT: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _written(schema: dict[str, Json] | bool, place: Place) -> str:
    try:
        text = _COMPACT.encode(schema)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise PolicyError.of("PK201", f"the schema is not JSON: {error}", place) from error
    return text


def _shortest(written: str) -> Json:
    number = float(exact(written))
    return int(number) if number.is_integer() and abs(number) <= MAX_WHOLE else number


def _meta_faults(root: dict[str, Json], dialect: Dialect, place: Place) -> list[Diagnostic]:
    """What the dialect's meta-schema finds wrong first."""
    try:
        jsonschema_rs.meta.validate({**root, "$schema": dialect.value})
    except jsonschema_rs.ValidationError as error:
        at = join("", *error.instance_path) or "/"
        return [Diagnostic("PK202", f"not a schema at `{at}`: {_shown(error.message)}", place, _older(root))]
    return []


def _older(root: dict[str, Json]) -> str | None:
    """What to do about a schema that names no dialect and is written in an older one (`items` as a list)."""
    named = {**root, "$schema": Dialect.DRAFT_7.value}
    if "$schema" in root or not jsonschema_rs.meta.is_valid(named):
        return None
    return (
        f'without `$schema` it is read as 2020-12; as draft-07 it is one: write `"$schema": "{Dialect.DRAFT_7.value}"`'
    )


def _shown(message: str) -> str:
    first = message.splitlines()[0]
    return first if len(first) <= 200 else first[:199] + "…"


def _pattern_faults(document: SchemaDocument, place: Place) -> list[Diagnostic]:
    """Patterns that need backtracking where giving up could be read as a pass."""
    if not document.may_have({"pattern"}) or not document.may_have(REFUTING):
        return []
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
        jsonschema_rs.validator_for({"pattern": for_the_verifier(source)}, pattern_options=jsonschema_rs.RegexOptions())
    except (ValueError, jsonschema_rs.ReferencingError):
        return False
    return True
