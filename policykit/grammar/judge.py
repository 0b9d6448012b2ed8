"""The full validator for a JSON Schema: same dialect, same formats as the mask, bounded patterns, nothing fetched."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Final
from urllib.parse import quote

import jsonschema_rs

from policykit.grammar import uri
from policykit.grammar.class_notation import LETTERS, SPACES, for_the_verifier, plain
from policykit.grammar.engine import masks_format
from policykit.grammar.schema_check import is_linear
from policykit.grammar.schema_document import Dialect, SchemaDocument
from policykit.grammar.values import Json

BACKTRACK_LIMIT: Final = 100_000


def judge(document: SchemaDocument, pointer: str = "") -> jsonschema_rs.Validator:
    """The validator of the schema, or of its subschema at a pointer. Formats that the mask does not know are
    annotations for it too, and those that it knows are judged in every dialect, as it masks them (`uuid` and
    `duration` came with 2019-09).

    Raises:
        ValueError, jsonschema_rs.ReferencingError: the schema cannot be validated with.
        jsonschema_rs.ValidationError: what is at the pointer cannot be referred to.
    """
    said: Mapping[str, Json] = document.reachable(keywords=None) if document.may_have(_SAID) else {}
    nodes = [schema for schema in said.values() if isinstance(schema, dict) and not _SAID.isdisjoint(schema)]
    named = {name for schema in nodes if isinstance(name := schema.get("format"), str)}
    formats = {name: _accept for name in named if not masks_format(name)}
    if document.dialect not in _WITH_NEW_FORMATS:
        formats |= {name: _newly_judged(name) for name in named & _NEW_FORMATS}
    linear = all(is_linear(source) for schema in nodes for source in _patterns(schema))
    options = jsonschema_rs.RegexOptions() if linear else jsonschema_rs.FancyRegexOptions(BACKTRACK_LIMIT)
    # Beside lookaround `\\s`, `\\d` and `\\w` are what they are in Rust, unless they are written out.
    is_misread = any(for_the_verifier(source) != source for schema in nodes for source in _patterns(schema))
    found = document.root if linear and not is_misread else plain(document.root, SPACES if linear else LETTERS)
    root: dict[str, Json] = {**found, "$schema": document.dialect.value}
    if not pointer:
        return jsonschema_rs.validator_for(
            root, formats=formats, validate_formats=True, pattern_options=options, offline=True
        )
    base = uri.defragment(uri.resolve(_BASE, document.base("")))[0]
    part: dict[str, Json] = {"$schema": document.dialect.value, "$ref": f"{base}#{quote(pointer)}"}
    known = jsonschema_rs.Registry([(base, root)])
    return jsonschema_rs.validator_for(
        part, formats=formats, validate_formats=True, pattern_options=options, registry=known, offline=True
    )


_BASE: Final = "policykit:///schema"
_WITH_NEW_FORMATS: Final = (Dialect.DRAFT_2019, Dialect.DRAFT_2020)
_NEW_FORMATS: Final = frozenset({"uuid", "duration"})


@cache
def _newly_judged(name: str) -> Callable[[str], bool]:
    schema = {"$schema": Dialect.DRAFT_2020.value, "format": name}
    return jsonschema_rs.validator_for(schema, validate_formats=True).is_valid


def may_fail(document: SchemaDocument) -> bool:
    """Whether the validator of a schema that its meta-schema accepts may be impossible to make: it has expressions,
    formats, references or names of its own, or is written in several dialects. The values of all other keywords are
    as the meta-schema says that they must be, and nothing has to be looked up for them."""
    return document.may_have(_LOOKED_UP) or document.is_mixed


_LOOKED_UP: Final = frozenset({
    "format", "pattern", "patternProperties", "$ref", "$dynamicRef", "$recursiveRef", "$id", "id", "$anchor",
    "$dynamicAnchor", "$recursiveAnchor", "$vocabulary", "contentMediaType", "contentEncoding", "contentSchema",
})  # fmt: skip
_PATTERNS: Final = frozenset({"pattern", "patternProperties"})
_SAID: Final = frozenset({"format", "pattern", "patternProperties"})
"""What the validator is told about beside the schema."""


def _accept(_: str) -> bool:
    return True


def _patterns(schema: dict[str, Json]) -> Iterator[str]:
    pattern, properties = schema.get("pattern"), schema.get("patternProperties")
    if isinstance(pattern, str):
        yield pattern
    if isinstance(properties, dict):
        yield from properties


def may_give_up(document: SchemaDocument) -> bool:
    """Whether a pattern of the schema is decided by backtracking, within a limit."""
    if not document.may_have(_PATTERNS):
        return False
    nodes = document.reachable(keywords=None).values()
    return not all(is_linear(source) for schema in nodes if isinstance(schema, dict) for source in _patterns(schema))


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
