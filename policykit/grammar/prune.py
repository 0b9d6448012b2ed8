"""A schema without some of the texts that it could force: what remains for a policy that forbids them."""

import copy
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from policykit.grammar.json_schema import Lowered, lower, sites_of, specification
from policykit.grammar.productive import Unsatisfiable
from policykit.grammar.schema_document import Dialect, SchemaDocument, dialect_of
from policykit.grammar.sites import json_sites
from policykit.grammar.values import Json, join, lookup, split
from policykit.ir.grammar import FixedText, GrammarKind, GrammarSpec, JsonSites
from policykit.ir.later import Later
from policykit.ir.plan import Enforcement, Level, Rows


class EmptyGrammar(Exception):
    """Nothing is left of a grammar once the text at ``pointer`` is forbidden."""

    def __init__(self, pointer: str) -> None:
        self.pointer = pointer
        super().__init__(f"nothing is left without the text at `{pointer}`")


@dataclass(frozen=True, slots=True)
class _Removal:
    """``schema`` is the subschema's pointer; ``member`` the index in its enum or the name of the property."""

    schema: str
    keyword: str
    member: str


def without_fixed(spec: GrammarSpec, pointers: Iterable[str]) -> GrammarSpec:
    """The same grammar, never writing the fixed texts at ``pointers`` (as ``spec.shape`` names them).

    An enum loses the member, an optional property is forbidden, a branch with a removed constant is closed; each is
    an enforcement row. The verifier keeps judging by the original schema.

    Raises:
        EmptyGrammar: no value is left; it names the first pointer that leaves none.
        ValueError: a pointer is not one of the grammar's fixed texts.
    """
    if spec.kind is not GrammarKind.JSON_SCHEMA:
        raise ValueError("only a JSON Schema has fixed texts")
    document = _document(spec)
    sites = sites_of(spec)
    known = {fixed.pointer: fixed for fixed in sites.fixed}
    wanted = list(dict.fromkeys(pointers))
    if unknown := [pointer for pointer in wanted if pointer not in known]:
        raise ValueError(f"not a fixed text of the grammar: {unknown[0]}")
    earlier = [f.pointer for f in json_sites(document, spec.place).fixed if f.pointer not in known]
    wanted, new = [*earlier, *wanted], wanted
    removals = [_removal(document, pointer) for pointer in wanted]
    try:
        lowered = _lowered(document, removals, spec)
    except Unsatisfiable as error:
        raise EmptyGrammar(_first_fatal(document, wanted, removals, spec)) from error
    left = tuple(f for f in sites.fixed if _removal(document, f.pointer) not in removals)
    rows = (*spec.enforcements, *(_row(known[pointer], spec) for pointer in new))
    extra = tuple(residue for residue in lowered.rows().residue if residue not in spec.residue)
    rows += tuple(Enforcement("grammar", r.pointer, Level.OUTPUT, r.why, spec.place) for r in extra)
    lowered = replace(lowered, rows=Later.of(Rows(rows, (*spec.residue, *extra))))
    return specification(spec.source, lowered, Later.of(JsonSites(left, sites.strings)), spec.place)


def _lowered(document: SchemaDocument, removals: Sequence[_Removal], spec: GrammarSpec) -> Lowered:
    return lower(_edited(document, removals), spec.source, spec.place)


def _document(spec: GrammarSpec) -> SchemaDocument:
    root = cast(dict[str, Json], json.loads(spec.source))
    return SchemaDocument.of(root, dialect_of(root) or Dialect.DRAFT_2020)


def _row(fixed: FixedText, spec: GrammarSpec) -> Enforcement:
    return Enforcement("grammar", fixed.pointer, Level.DECODE, f"`{fixed.text}` is not offered: forbidden", spec.place)


def _removal(document: SchemaDocument, pointer: str) -> _Removal:
    """The subschema that a fixed text belongs to. A text inside a member (an object in an enum) takes the member."""
    nodes = document.reachable()
    tokens = split(pointer)
    for length in range(len(tokens) - 1, -1, -1):
        schema, keyword = join("", *tokens[:length]), tokens[length]
        if schema in nodes and keyword == "const":
            return _Removal(schema, keyword, "")
        if schema in nodes and keyword in ("enum", "properties", "required") and length + 1 < len(tokens):
            return _Removal(schema, keyword, tokens[length + 1])
    raise ValueError(f"not a fixed text of the grammar: {pointer}")


def _edited(document: SchemaDocument, removals: Sequence[_Removal]) -> SchemaDocument:
    root: dict[str, Json] = copy.deepcopy(document.root)
    members: dict[str, set[int]] = {}
    for removal in removals:
        if removal.keyword == "enum":
            members.setdefault(removal.schema, set()).add(int(removal.member))
        else:
            _remove(root, removal)
    for pointer, gone in members.items():
        schema = lookup(root, pointer)
        values = schema.get("enum") if isinstance(schema, dict) else None
        if isinstance(schema, dict) and isinstance(values, list):
            schema["enum"] = [value for i, value in enumerate(values) if i not in gone]
    return SchemaDocument.of(root, document.dialect)


def _remove(root: dict[str, Json], removal: _Removal) -> None:
    schema = lookup(root, removal.schema)
    if not isinstance(schema, dict):
        raise ValueError(f"no subschema stands at {removal.schema}")
    if removal.keyword == "const":
        schema["enum"] = []
        return
    names = lookup(root, join(removal.schema, "required")) if removal.keyword == "required" else None
    name = cast(str, names[int(removal.member)]) if isinstance(names, list) else removal.member
    properties = schema.setdefault("properties", {})
    if isinstance(properties, dict):
        old = properties.get(name)
        # Closed, not replaced: references may lead inside.
        properties[name] = {**old, "enum": []} if isinstance(old, dict) and "$ref" not in old else False


def _first_fatal(
    document: SchemaDocument, wanted: Sequence[str], removals: Sequence[_Removal], spec: GrammarSpec
) -> str:
    """The pointer at which the grammar runs empty. Removing more never leaves more, so halving finds it."""
    low, high = 0, len(removals) - 1
    while low < high:
        middle = (low + high) // 2
        try:
            _lowered(document, removals[: middle + 1], spec)
            low = middle + 1
        except Unsatisfiable:
            high = middle
    return wanted[low]
