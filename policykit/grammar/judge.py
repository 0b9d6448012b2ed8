"""The full validator for a JSON Schema: same dialect, same formats as the mask, bounded patterns, nothing fetched."""

from collections.abc import Iterator
from typing import Final

import jsonschema_rs

from policykit.grammar.engine import masks_format
from policykit.grammar.schema_check import is_linear
from policykit.grammar.schema_document import SchemaDocument
from policykit.grammar.values import Json

BACKTRACK_LIMIT: Final = 100_000


def judge(document: SchemaDocument) -> jsonschema_rs.Validator:
    """The validator. Formats that the mask does not know are annotations for it too.

    Raises:
        ValueError, jsonschema_rs.ReferencingError: the schema cannot be validated with.
    """
    nodes = [schema for schema in document.reachable(keywords=None).values() if isinstance(schema, dict)]
    named = {name for schema in nodes if isinstance(name := schema.get("format"), str)}
    ignored = {name: _accept for name in named if not masks_format(name)}
    linear = all(is_linear(source) for schema in nodes for source in _patterns(schema))
    options = jsonschema_rs.RegexOptions() if linear else jsonschema_rs.FancyRegexOptions(BACKTRACK_LIMIT)
    root: dict[str, Json] = {**document.root, "$schema": document.dialect.value}
    return jsonschema_rs.validator_for(
        root, formats=ignored, validate_formats=True, pattern_options=options, offline=True
    )


def _accept(_: str) -> bool:
    return True


def _patterns(schema: dict[str, Json]) -> Iterator[str]:
    pattern, properties = schema.get("pattern"), schema.get("patternProperties")
    if isinstance(pattern, str):
        yield pattern
    if isinstance(properties, dict):
        yield from properties


def gave_up(error: jsonschema_rs.ValidationError) -> bool:
    """Whether an error, or one below it, says that a pattern was not decided."""
    kind = error.kind
    if isinstance(
        kind,
        jsonschema_rs.ValidationErrorKind.BacktrackLimitExceeded | jsonschema_rs.ValidationErrorKind.RegexEngineFailure,
    ):
        return True
    context = getattr(kind, "context", None)
    return any(gave_up(inner) for branch in context or () for inner in branch)
