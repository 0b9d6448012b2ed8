"""Whether something is a JSON Schema that can be checked in bounded time: everything wrong with it, at once."""

import json
from decimal import Decimal
from typing import Final, cast

import jsonschema_rs

from policykit.diagnostics import Diagnostic, Place, PolicyError, did_you_mean
from policykit.grammar.schema_document import REFUTING, Dialect, SchemaDocument, children, dialect_of
from policykit.grammar.strict_json import Exact, JsonFault, parse
from policykit.grammar.values import Json, join

MAX_SCHEMA_CHARACTERS: Final = 1_000_000
MAX_SUBSCHEMAS: Final = 20_000


def checked_document(schema: dict[str, Json] | bool | str, place: Place) -> tuple[str, SchemaDocument]:
    """The schema in canonical form (compact, keywords in the author's order) and as a document.

    Raises:
        PolicyError: PK201 (not JSON), PK202 (not a schema), PK203 (remote reference), PK204 (undefined reference),
            PK205 (unknown dialect), PK206 (too large), PK207 (unbounded pattern), PK208 (`false`).
    """
    root = _parsed(schema, place) if isinstance(schema, str) else schema
    if root is False:
        raise PolicyError.of("PK208", "no value satisfies the schema `false`", place)
    if root is True:
        root = cast(dict[str, Json], {})
    if not isinstance(root, dict):
        raise PolicyError.of("PK202", "a schema must be an object or a boolean", place)
    source = _canonical(root, place)
    if len(source) > MAX_SCHEMA_CHARACTERS:
        limit = f"{MAX_SCHEMA_CHARACTERS:,}"
        raise PolicyError.of("PK206", f"the schema is {len(source):,} characters long, the limit is {limit}", place)
    root = cast(dict[str, Json], json.loads(source))
    dialect = dialect_of(root)
    if dialect is None:
        help_text = did_you_mean(str(root["$schema"]).rstrip("#"), [d.value for d in Dialect])
        known = "use 2020-12, 2019-09, draft-07, draft-06 or draft-04"
        raise PolicyError.of("PK205", f"`{root['$schema']}` is not a known dialect", place, help_text or known)
    if faults := _meta_faults(root, dialect, place):
        raise PolicyError(faults)
    document = SchemaDocument.of(root, dialect)
    if len(document.bases) > MAX_SUBSCHEMAS:
        count = f"{len(document.bases):,} subschemas, the limit is {MAX_SUBSCHEMAS:,}"
        raise PolicyError.of("PK206", f"the schema has {count}", place)
    faults = [*_reference_faults(document, place), *_pattern_faults(document, place)]
    if faults:
        raise PolicyError(faults)
    return source, document


def _parsed(text: str, place: Place) -> Json:
    if len(text) > 4 * MAX_SCHEMA_CHARACTERS:
        raise PolicyError.of("PK206", f"the schema is {len(text):,} characters long", place)
    value = parse(text)
    if isinstance(value, JsonFault):
        at = Place(place.file, value.line, value.column, value.line, value.column + 1)
        raise PolicyError.of("PK201", f"the schema is not JSON: {value.message}", at)
    return _plain(value)


def _plain(value: Exact) -> Json:
    match value:
        case Decimal():
            return float(value)
        case list():
            return [_plain(item) for item in value]
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case _:
            return value


def _canonical(root: dict[str, Json], place: Place) -> str:
    try:
        source = json.dumps(root, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        source.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise PolicyError.of("PK201", f"the schema is not JSON: {error}", place) from error
    fault = parse(source)
    if isinstance(fault, JsonFault):
        raise PolicyError.of("PK201", f"the schema is not JSON: {fault.message}", place)
    return source


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


def _reference_faults(document: SchemaDocument, place: Place) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    for pointer, schema in document.reachable(keywords=None).items():
        if not isinstance(schema, dict):
            continue
        for keyword in ("$ref", "$dynamicRef"):
            written = schema.get(keyword)
            if not isinstance(written, str) or document.resolve(pointer, written) is not None:
                continue
            at = join(pointer, keyword)
            if document.leaves(pointer, written):
                advice = "copy the schema into `$defs` and refer to it there: nothing is fetched"
                found.append(Diagnostic("PK203", f"`{written}` at `{at}` is in another document", place, advice))
            else:
                found.append(Diagnostic("PK204", f"`{written}` at `{at}` leads nowhere", place))
    return found


def _pattern_faults(document: SchemaDocument, place: Place) -> list[Diagnostic]:
    """Patterns that need backtracking where giving up could be read as a pass."""
    refuted: set[str] = set()
    for pointer, schema in document.reachable(keywords=None).items():
        for _, below, _ in children(schema, REFUTING):
            refuted |= document.reachable(pointer + below, None).keys()
    found: list[Diagnostic] = []
    for pointer, schema in document.reachable(keywords=None).items():
        source = schema.get("pattern") if isinstance(schema, dict) else None
        if isinstance(source, str) and pointer in refuted and not is_linear(source):
            message = f"the pattern `{source}` at `{join(pointer, 'pattern')}` cannot be checked in bounded time"
            advice = "lookaround and backreferences may not stand under `not`, `if`, `oneOf` or `contains`"
            found.append(Diagnostic("PK207", message, place, advice))
    return found


def is_linear(source: str) -> bool:
    """Whether a pattern is checked without backtracking."""
    try:
        jsonschema_rs.validator_for({"pattern": source}, pattern_options=jsonschema_rs.RegexOptions())
    except (ValueError, jsonschema_rs.ReferencingError):
        return False
    return True
