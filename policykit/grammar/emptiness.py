"""Proofs that no value satisfies several schemas at once: what makes `oneOf` an `anyOf`.

A proof looks at types, members, ranges, lengths and required properties, through references, `allOf` and
alternatives, within a budget. No proof means nothing: the schemas may still be disjoint.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, cast

from policykit.grammar.complement import TYPES, complement, resolved
from policykit.grammar.keywords import is_asserted
from policykit.grammar.schema_document import Dialect, SchemaDocument
from policykit.grammar.values import Json, type_name

MAX_DEPTH: Final = 6
BUDGET: Final = 2_000

Atom = dict[str, Json]


@dataclass(slots=True)
class _Budget:
    left: int = BUDGET

    def spend(self) -> bool:
        self.left -= 1
        return self.left >= 0


def are_disjoint(document: SchemaDocument, first: Json, second: Json) -> bool:
    """Whether it is shown that no value satisfies both. The document must have one base. Kept with the document: the
    same two are often asked about, and mean the same wherever they stand."""
    written = json.dumps(first), json.dumps(second)
    known = document.apart.get(written)
    if known is None:
        known = document.apart[written] = _is_empty(document, [first, second], 0, _Budget())
    return known


def _is_empty(document: SchemaDocument, schemas: Sequence[Json], depth: int, budget: _Budget) -> bool:
    if depth > MAX_DEPTH or not budget.spend():
        return False
    atoms: list[Atom] = []
    for schema in schemas:
        if not _collect(document, schema, atoms, 0):
            return True
    for i, atom in enumerate(atoms):
        for keyword in ("anyOf", "oneOf"):
            branches = atom.get(keyword)
            if isinstance(branches, list):
                rest: list[Json] = [{k: v for k, v in atom.items() if k != keyword}, *atoms[:i], *atoms[i + 1 :]]
                return all(_is_empty(document, [branch, *rest], depth + 1, budget) for branch in branches)
    return all(_lacks(document, atoms, of_type, depth, budget) for of_type in _types(atoms))


def _collect(document: SchemaDocument, schema: Json, atoms: list[Atom], depth: int) -> bool:
    """Add the schema and all that it demands by reference, `allOf` and `not`; False if nothing satisfies it."""
    if not isinstance(schema, dict):
        return schema is not False
    if depth > MAX_DEPTH:
        return True
    target = resolved(document, schema["$ref"]) if "$ref" in schema else True
    if not _collect(document, True if target is None else target, atoms, depth + 1):
        return False
    if document.ignores_siblings(schema):
        return True
    apart = ("$ref", "allOf", "not")
    atoms.append({k: v for k, v in schema.items() if k not in apart and is_asserted(k, document.dialect)})
    demanded = schema.get("allOf")
    others = list(demanded) if isinstance(demanded, list) else []
    if "not" in schema:
        others.append(complement(document, schema["not"]).schema)
    return all(_collect(document, other, atoms, depth + 1) for other in others)


def _types(atoms: Sequence[Atom]) -> list[str]:
    return [of_type for of_type in TYPES if all(_may_be(atom, of_type) for atom in atoms)]


def _may_be(atom: Atom, of_type: str) -> bool:
    match atom.get("type"):
        case str() as name:
            named = name == of_type or (name, of_type) == ("integer", "number")
        case list() as names:
            named = of_type in names or (of_type == "number" and "integer" in names)
        case _:
            named = True
    members = _members(atom)
    return named and (members is None or any(type_name(member) == of_type for member in members))


def _members(atom: Atom) -> list[Json] | None:
    if "const" in atom:
        return [atom["const"]]
    members = atom.get("enum")
    return members if isinstance(members, list) else None


def _lacks(document: SchemaDocument, atoms: Sequence[Atom], of_type: str, depth: int, budget: _Budget) -> bool:
    """Whether it is shown that no value of a type satisfies all atoms."""
    finite = [members for atom in atoms if (members := _members(atom)) is not None]
    if finite:
        ours = [member for member in finite[0] if type_name(member) == of_type]
        return not any(all(_may_admit(atom, member) for atom in atoms) for member in ours)
    match of_type:
        case "number":
            low, high = _range(atoms)
            return low > high
        case "string":
            return _least(atoms, "minLength") > _most(atoms, "maxLength")
        case "array":
            return _least(atoms, "minItems") > _most(atoms, "maxItems") or _lacks_item(document, atoms, depth, budget)
        case "object":
            if _least(atoms, "minProperties") > _most(atoms, "maxProperties"):
                return True
            return any(_lacks_property(document, atoms, name, depth, budget) for name in _required(atoms))
        case _:
            return False


def _may_admit(atom: Atom, value: Json) -> bool:
    """False only where the atom surely refuses the value."""
    if not _may_be(atom, type_name(value)):
        return False
    members = _members(atom)
    if members is not None and not any(_equal(value, member) for member in members):
        return False
    match value:
        case bool() | None:
            return True
        case int() | float():
            low, high = _range([atom])
            return low <= (value, 0) <= high
        case str():
            return _least([atom], "minLength") <= len(value) <= _most([atom], "maxLength")
        case list():
            return _least([atom], "minItems") <= len(value) <= _most([atom], "maxItems")
        case dict():
            return all(name in value for name in _required([atom]))


def _equal(first: Json, second: Json) -> bool:
    """Equality as JSON Schema has it: 1 is 1.0, and neither is true."""
    if type_name(first) != type_name(second):
        return False
    match first, second:
        case list(), list():
            return len(first) == len(second) and all(map(_equal, first, second))
        case dict(), dict():
            return first.keys() == second.keys() and all(_equal(first[key], second[key]) for key in first)
        case _:
            return first == second


def _range(atoms: Sequence[Atom]) -> tuple[tuple[float, int], tuple[float, int]]:
    """The lowest and the highest number; the second part says whether a bound itself is excluded.

    (A flag beside `minimum`, as in draft 4, is not read: the range is then wider than it is.)
    """
    lows = [(-inf, 0), *_bounds(atoms, "minimum", 0), *_bounds(atoms, "exclusiveMinimum", 1)]
    highs = [(inf, 0), *_bounds(atoms, "maximum", 0), *_bounds(atoms, "exclusiveMaximum", -1)]
    return max(lows), min(highs)


def _bounds(atoms: Sequence[Atom], keyword: str, excluded: int) -> Iterator[tuple[float, int]]:
    for atom in atoms:
        value = atom.get(keyword)
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield value, excluded


def _least(atoms: Sequence[Atom], keyword: str) -> float:
    return max((bound for bound, _ in _bounds(atoms, keyword, 0)), default=0)


def _most(atoms: Sequence[Atom], keyword: str) -> float:
    return min((bound for bound, _ in _bounds(atoms, keyword, 0)), default=inf)


def _required(atoms: Sequence[Atom]) -> list[str]:
    found: dict[str, None] = {}
    for atom in atoms:
        names = atom.get("required")
        found |= dict.fromkeys(name for name in (names if isinstance(names, list) else []) if isinstance(name, str))
    return list(found)


def _lacks_property(document: SchemaDocument, atoms: Sequence[Atom], name: str, depth: int, budget: _Budget) -> bool:
    """Whether no value can stand under a name."""
    found: list[Json] = []
    for atom in atoms:
        properties = atom.get("properties")
        if isinstance(properties, dict) and name in properties:
            found.append(properties[name])
        elif "additionalProperties" in atom and "patternProperties" not in atom:
            found.append(atom["additionalProperties"])
    return bool(found) and _is_empty(document, found, depth + 1, budget)


def _lacks_item(document: SchemaDocument, atoms: Sequence[Atom], depth: int, budget: _Budget) -> bool:
    """Whether one of the first items that there must be has no value."""
    for index in range(int(min(_least(atoms, "minItems"), 8))):
        found: list[Json] = []
        for atom in atoms:
            by_prefix = document.dialect is Dialect.DRAFT_2020
            listed = atom.get("prefixItems" if by_prefix else "items")
            positions = cast("list[Json]", listed) if isinstance(listed, list) else []
            rest = atom.get("additionalItems" if positions and not by_prefix else "items", True)
            found.append(positions[index] if index < len(positions) else rest)
        if _is_empty(document, found, depth + 1, budget):
            return True
    return False
