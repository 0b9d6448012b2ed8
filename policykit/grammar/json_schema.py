"""JSON Schemas as grammars: the strongest mask, and a row for every keyword that says who enforces it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, cast

import jsonschema_rs

from policykit.diagnostics import Place, PolicyError
from policykit.grammar.class_notation import plain
from policykit.grammar.documents import NO_DOCUMENTS, Documents
from policykit.grammar.engine import json_program, json_refusal, spells_names_freely
from policykit.grammar.judge import judge, may_fail
from policykit.grammar.keyword_rows import keyword_rows
from policykit.grammar.meeting import meeting_place
from policykit.grammar.productive import Unsatisfiable
from policykit.grammar.relax import Relaxed, relax
from policykit.grammar.schema_check import checked_document
from policykit.grammar.schema_document import Dialect, SchemaDocument
from policykit.grammar.sites import NAMES, json_sites
from policykit.grammar.turning import turning_reference
from policykit.grammar.values import Json, strings_in
from policykit.grammar.weakening import overlapping
from policykit.ir.grammar import GrammarKind, GrammarShape, GrammarSpec, JsonSites, StringSite
from policykit.ir.later import Later
from policykit.ir.plan import Enforcement, Level, Residue, Rows


@dataclass(frozen=True, slots=True)
class Lowered:
    """What the engine compiles, with the rows that go with it. ``implied`` are keywords from which restrictions of
    strings or names follow that no subschema shows."""

    program: str
    rows: Later[Rows]
    implied: Later[tuple[str, ...]]


def json_schema(schema: dict[str, Json] | bool | str, place: Place, documents: Documents = NO_DOCUMENTS) -> GrammarSpec:
    """The grammar of the schema's instances in compact form, properties in the order in which they are defined.

    References are followed, into ``documents`` and meta-schemas too. What the mask cannot carry is residue, which only
    the verifier checks.

    Raises:
        PolicyError: PK201–PK207 (see :func:`checked_document`), PK208 (nothing satisfies it), PK204 (what a reference
            means is not said, see :mod:`policykit.grammar.turning`).
    """
    source, document = checked_document(schema, place, documents)
    try:
        if may_fail(document):
            judge(document)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        first = str(error).splitlines()[0][:200]
        raise PolicyError.of("PK202", f"not a schema that can be checked: {first}", place) from error
    try:
        lowered = lower(document, source, place)
    except Unsatisfiable as error:
        message = f"no value satisfies the schema: {error.args[0]}"
        raise PolicyError.of("PK208", message, place) from error
    turning = turning_reference(document)
    if turning is not None:
        message = f"the reference at `{turning}/$ref` leads back to itself without a step into the value"
        raise PolicyError.of("PK204", message, place, "no validator knows what that means; take it out")
    return specification(source, lowered, Later(lambda: _shape(document, lowered, place)), place)


def specification(source: str, lowered: Lowered, shape: Later[GrammarShape], place: Place) -> GrammarSpec:
    """The grammar value of a lowered schema."""
    return GrammarSpec(GrammarKind.JSON_SCHEMA, source, lowered.program, True, lowered.rows, shape, place)


def _shape(document: SchemaDocument, lowered: Lowered, place: Place) -> JsonSites:
    sites = json_sites(document, place)
    # What a policy forbids of such strings is not looked at when compiling, so that liveness is not called proved.
    opaque = [StringSite(at, None, f"what follows from `{at.rpartition('/')[2]}`") for at in lowered.implied()]
    restricted = {site.pointer for site in sites.strings if site.why != NAMES}
    named = {site.pointer.rpartition("/patternProperties/")[0] for site in sites.strings if site.why == NAMES}
    meet = meeting_place(document, restricted, named)
    if meet is not None:
        opaque.append(StringSite(meet, None, "restrictions that may meet on one string"))
    return JsonSites(sites.fixed, (*sites.strings, *opaque))


def lower(document: SchemaDocument, source: str, place: Place) -> Lowered:
    """The engine's program for a checked schema, or for what was taken from the one that ``source`` is.

    Raises:
        Unsatisfiable: nothing satisfies the schema.
    """
    may_escape = ("\\" in source or "\x7f" in source) and MAY_BE_ESCAPED.search(source) is not None
    escapes = may_escape and needs_control_characters(document, place)
    has_patterns = document.may_have(_PATTERNS)
    asked: tuple[dict[str, Json], str] | None = None

    def program(schema: dict[str, Json]) -> str:
        """Of the last schema that was asked about, mostly."""
        nonlocal asked
        if asked is None or asked[0] is not schema:
            asked = schema, json_program(plain(schema) if has_patterns else schema, escapes)
        return asked[1]

    def refusal(schema: dict[str, Json]) -> str | None:
        return (overlapping(schema, document.dialect) if has_alternatives else None) or refused(program(schema))

    refused = cache(json_refusal)  # some that differ are the same to the engine, and a large one takes it long
    has_alternatives = document.may_have(_EXCLUSIVE)
    relaxed = relax(document, refusal)
    rows = Later(lambda: _rows(document, relaxed, escapes, place))
    return Lowered(program(relaxed.schema), rows, Later(lambda: relaxed.told().implied_strings))


def _rows(document: SchemaDocument, relaxed: Relaxed, escapes: bool, place: Place) -> Rows:
    rows = keyword_rows(document, relaxed.told(), place)
    residue = [Residue(row.name, row.name.rpartition("/")[2], row.why) for row in rows if row.level is Level.OUTPUT]
    nodes = [*document.reachable().values()]
    if relaxed.told().weakenings:  # what is given up no longer bounds a number, nor closes an object
        nodes += SchemaDocument.of(relaxed.schema, document.dialect).reachable().values()
    why = _reader_disagreement(nodes, document.dialect, escapes or spells_names_freely())
    if why:
        rows.append(Enforcement("grammar", "I-JSON", Level.STREAM, why, place))
    return Rows(tuple(rows), tuple(residue))


_PATTERNS: Final = frozenset({"pattern", "patternProperties"})
_EXCLUSIVE: Final = frozenset({"oneOf"})


def needs_control_characters(document: SchemaDocument, place: Place) -> bool:
    """Whether the schema itself speaks of characters that JSON can only write as ``\\u00xx``."""
    texts = [fixed.text for fixed in json_sites(document, place).fixed]
    for pointer, schema in document.reachable(keywords=None).items():
        if isinstance(schema, dict) and not _SPELLING.isdisjoint(schema):
            patterns = schema.get("patternProperties")
            sources = [schema.get("pattern"), *(patterns if isinstance(patterns, dict) else ())]
            texts += [_numbers_read(source) for source in sources if isinstance(source, str)]
            fixed = [schema.get("const"), schema.get("enum")]
            texts += [text for value in fixed for _, text in strings_in(value, pointer)]
    return any(map(_ESCAPED_AS_NUMBER.search, texts))


_SPELLING: Final = frozenset({"pattern", "patternProperties", "const", "enum"})
MAY_BE_ESCAPED: Final = re.compile(r"\\[uxc]|\x7f")
"""What a schema has in its canonical text wherever it speaks of such a character, or a pattern in it does."""
_ESCAPED_AS_NUMBER: Final = re.compile(r"[^\x20-\x7e\x80-\U0010ffff\b\t\n\f\r]")
_NUMBERED: Final = re.compile(r"\\u([0-9a-fA-F]{4})|\\u\{([0-9a-fA-F]{1,6})\}|\\x([0-9a-fA-F]{2})|\\[uxc]")
_OVER_DELETE: Final = re.compile(r"[\x20-\x7e]-[\x80-\U0010ffff]")


def _numbers_read(pattern: str) -> str:
    """A pattern with the characters in it that are written as numbers. Where it is unclear which, or a range has
    U+007F in it, with one that JSON writes as a number, too."""

    def character(escape: re.Match[str]) -> str:
        code = int(escape[escape.lastindex], 16) if escape.lastindex else 0
        return chr(code) if code < 0x110000 else "\0"

    found = _NUMBERED.sub(character, pattern)
    return found + "\0" if found != pattern and _OVER_DELETE.search(found) else found


def _reader_disagreement(nodes: Sequence[Json], dialect: Dialect, escapes: bool) -> str:
    """What a mask cannot rule out and the reader does (I-JSON, RFC 7493), as soon as it is written; or nothing.

    No keyword of the schema is weakened by it, so it is a row of the plan and no residue.
    """
    found: list[str] = []
    holds_untold = any(_holds_untold(node, dialect) for node in nodes)
    if holds_untold or any(map(_is_open_object, nodes)):
        found.append("repeated names in open objects")
        if escapes:
            found.append("escaped spellings of names that are defined or in a pattern")
    if holds_untold or any(map(_is_unbounded_number, nodes)):
        found.append("numbers beyond a double")
    if holds_untold or any(map(_is_unbounded_nesting, nodes)):
        found.append("nesting beyond 256 levels")
    return f"read as every reader reads it (RFC 7493): no {', no '.join(found)}" if found else ""


def _types(schema: dict[str, Json]) -> frozenset[str]:
    match schema.get("type"):
        case str() as name:
            return frozenset({name})
        case list() as names:
            return frozenset(name for name in names if isinstance(name, str))
        case _:
            return frozenset({"string"}) if "enum" in schema or "const" in schema else frozenset()


def _is_unbounded_nesting(schema: Json) -> bool:
    """Whether a value may nest any deeper than the subschemas spell out (a reference may lead back)."""
    return schema is True or (isinstance(schema, dict) and "$ref" in schema)


def _holds_untold(schema: Json, dialect: Dialect) -> bool:
    """Whether an array or an object that it admits may hold values of which nothing is said."""
    if not isinstance(schema, dict):
        return False
    types, items = _types(schema), schema.get("items")
    if not types and schema.keys().isdisjoint(_TELLING):
        types = frozenset({"array", "object"})
    first: Json = schema.get("prefixItems", []) if dialect is Dialect.DRAFT_2020 else []
    listed = items if isinstance(items, list) else first
    others = schema.get("additionalItems" if isinstance(items, list) else "items", True)
    longest = schema.get("maxItems")
    is_whole = isinstance(longest, int) and isinstance(listed, list) and longest <= len(listed)
    has_members = "object" in types and schema.get("additionalProperties", True) is True
    return has_members or ("array" in types and others is True and not is_whole)


_TELLING: Final = frozenset({"allOf", "anyOf", "oneOf", "$ref"})
"""Keywords that may say what the types are."""


def _is_open_object(schema: Json) -> bool:
    if not isinstance(schema, dict):
        return schema is True
    if _types(schema) and "object" not in _types(schema):
        return False
    return schema.get("additionalProperties") is not False or bool(schema.get("patternProperties"))


def _is_unbounded_number(schema: Json) -> bool:
    if not isinstance(schema, dict):
        return schema is True
    if _types(schema) and not _types(schema) & {"number", "integer"}:
        return False
    above = "minimum" in schema or "exclusiveMinimum" in schema
    return not (above and ("maximum" in schema or "exclusiveMaximum" in schema))


def sites_of(spec: GrammarSpec) -> JsonSites:
    """The sites of a JSON grammar; calling this for any other kind is a mistake of the caller."""
    return cast(JsonSites, spec.shape)
