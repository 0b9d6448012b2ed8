"""Which JSON types each subschema can produce: a least fixpoint, so that endless recursion produces nothing.

The result over-approximates (lengths, patterns and `not` are not looked at), so an empty set is a proof.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from policykit.grammar.schema_document import SchemaDocument
from policykit.grammar.values import Json, copied_object, join, lookup, type_name

ALL_TYPES: Final = frozenset({"null", "boolean", "number", "string", "array", "object"})
NOTHING: Final[frozenset[str]] = frozenset()
_IN_PLACE: Final = ("allOf", "anyOf", "oneOf")

Types = dict[str, frozenset[str]]


class Unsatisfiable(Exception):
    """It is shown that no value satisfies the schema. ``args[0]`` is the reason."""


def without_dead_ends(document: SchemaDocument) -> dict[str, Json]:
    """The same language, with every subschema closed (``enum: []``) that no finite value satisfies.

    Subschemas stay in place, so that references into a closed one still lead somewhere.

    Raises:
        Unsatisfiable: nothing satisfies the whole schema.
    """
    if _is_plain(document):
        return document.root
    types = producible_types(document)
    if not types[""]:
        raise Unsatisfiable("no finite value satisfies the schema")
    dead = [p for p, found in types.items() if not found and document.at(p) is not False]
    if not dead:
        return document.root
    result = copied_object(document.root)
    for pointer in dead:
        schema = lookup(result, pointer)
        if isinstance(schema, dict):
            schema["enum"] = []
            schema.pop("$ref", None)  # the engine would look there, and call the whole schema unsatisfiable
    return result


def _is_plain(document: SchemaDocument) -> bool:
    """Whether it shows without a fixpoint that each subschema but `false` has a value: what is inside has one, or is
    not needed. Most schemas without references and alternatives are such."""
    if document.may_have(_DECIDING):
        return False
    nodes = [schema for schema in document.subschemas() if isinstance(schema, dict) and not _NEEDING.isdisjoint(schema)]
    return all(_named_types(schema) and _needs_nothing_false(schema) for schema in nodes)


def _needs_nothing_false(schema: dict[str, Json]) -> bool:
    if "minProperties" in schema:
        return False  # whether there can be so many is for the fixpoint to tell
    items = [schema.get(keyword) for keyword in _OF_ITEMS] if "minItems" in schema else []
    if any(found is False or (isinstance(found, list) and False in found) for found in items):
        return False
    names = schema.get("required")
    properties = schema.get("properties")
    known = properties if isinstance(properties, dict) else {}
    others = schema.get("additionalProperties", True)
    return not isinstance(names, list) or all(
        isinstance(name, str) and known.get(name, others) is not False for name in names
    )


_DECIDING: Final = frozenset({"$ref", "not", *_IN_PLACE})
_NEEDING: Final = frozenset({"enum", "const", "required", "minItems", "minProperties"})
_OF_MEMBERS: Final = frozenset({"required", "minProperties"})
_OF_ITEMS: Final = ("items", "prefixItems", "additionalItems")


def producible_types(document: SchemaDocument) -> Types:
    """The types of finite values that each reachable subschema admits, by pointer. Kept with the document."""
    if not document.types:
        document.types.update(_fixpoint(document))
    return document.types


def _fixpoint(document: SchemaDocument) -> Types:
    nodes = document.reachable()
    inmost_first = list(reversed(list(nodes)))
    types: Types = dict.fromkeys(nodes, NOTHING)
    refers = any(document.reference(pointer) is not None for pointer in nodes)
    together = {pointer: cases for pointer in nodes if refers and (cases := _cases(document, pointer, nodes))}
    changed = True
    while changed:
        changed = False
        for pointer in inmost_first:
            now = _types_of(document, pointer, nodes[pointer], types)
            if pointer in together and not any(_objects_possible(case, nodes, types) for case in together[pointer]):
                now -= {"object"}
            if now != types[pointer]:
                types[pointer] = now
                changed = refers  # otherwise each subschema comes behind all that it holds
    return types


def _types_of(document: SchemaDocument, pointer: str, schema: Json, types: Types) -> frozenset[str]:
    if not isinstance(schema, dict):
        return ALL_TYPES if schema is True else NOTHING
    found = _named_types(schema)
    if not _DECIDING.isdisjoint(schema):
        target = document.reference(pointer)
        referred = ALL_TYPES if target is None else types[target]
        if document.ignores_siblings(schema):
            return referred
        if "not" in schema and schema["not"] in ({}, True):
            return NOTHING
        found &= referred
        groups: dict[str, list[frozenset[str]]] = {}
        for keyword, below, _ in document.children(pointer):
            if keyword in _IN_PLACE:
                groups.setdefault(keyword, []).append(types[below])
        for keyword, members in groups.items():
            found &= NOTHING.union(*members) if keyword != "allOf" else ALL_TYPES.intersection(*members)
    if not _OF_MEMBERS.isdisjoint(schema) and "object" in found and not _object_possible(pointer, schema, types):
        found -= {"object"}
    if "minItems" in schema and "array" in found and not _array_possible(pointer, schema, types):
        found -= {"array"}
    return found


_NAMED: Final = {name: frozenset({name}) for name in ALL_TYPES} | {"integer": frozenset({"number"})}


def _named_types(schema: dict[str, Json]) -> frozenset[str]:
    match schema.get("type"):
        case str() as name:
            found = _NAMED.get(name, NOTHING)
        case list() as names:
            found = NOTHING.union(*(_NAMED.get(name, NOTHING) for name in names if isinstance(name, str)))
        case _:
            found = ALL_TYPES
    if "const" in schema:
        found &= {type_name(schema["const"])}
    members = schema.get("enum")
    return found & frozenset(map(type_name, members)) if isinstance(members, list) else found


Case = tuple[str, ...]
"""Subschemas that judge the same value together: one alternative of each choice."""
MAX_CASES: Final = 64


def _cases(document: SchemaDocument, pointer: str, nodes: Mapping[str, Json]) -> list[Case]:
    """All ways in which a value may satisfy a subschema that has others in place, and in which a member is needed;
    nothing where there are too many."""
    done: list[Case] = []
    pending: list[tuple[Case, Case]] = [((), (pointer,))]  # what is looked at already, and what is not
    while pending:
        case, (first, *others) = pending.pop()
        schema = nodes.get(first)
        found: list[Case] = [tuple(others)]
        if first not in case and isinstance(schema, dict):
            groups: dict[str, list[str]] = {}
            for keyword, below, _ in document.edges(first, schema, _PLACED):
                groups.setdefault(keyword, []).append(below)
            for keyword, members in groups.items():
                choices = [(one,) for one in members] if keyword in ("anyOf", "oneOf") else [tuple(members)]
                found = [(*rest, *choice) for rest in found for choice in choices]
                if len(found) + len(pending) > MAX_CASES:
                    return []
            case = (*case, first)
        pending += [(case, rest) for rest in found if rest]
        done += [case for rest in found if not rest]
        if len(done) > MAX_CASES:
            return []
    is_needed = any(not _OF_MEMBERS.isdisjoint(_keywords(nodes, p)) for case in done for p in case)
    return done if is_needed and any(len(case) > 1 for case in done) else []


_PLACED: Final = frozenset(_IN_PLACE)


def _keywords(nodes: Mapping[str, Json], pointer: str) -> dict[str, Json]:
    schema = nodes[pointer]
    return schema if isinstance(schema, dict) else {}


def _objects_possible(case: Case, nodes: Mapping[str, Json], types: Types) -> bool:
    """Whether an object may satisfy these subschemas together, as far as its members' types tell."""
    if any("object" not in types[pointer] for pointer in case[1:]):
        return False
    members = [(pointer, _keywords(nodes, pointer)) for pointer in case]
    listed = [schema["required"] for _, schema in members if isinstance(schema.get("required"), list)]
    required = {name for names in listed if isinstance(names, list) for name in names if isinstance(name, str)}
    if not all(_name_possible(name, members, types) for name in required):
        return False
    least = max((n for _, schema in members if isinstance(n := schema.get("minProperties"), int)), default=0)
    if least <= len(required) or _name_possible(None, members, types):
        return True
    known = {name for _, schema in members for name in _properties(schema)}
    return sum(_name_possible(name, members, types) for name in known) >= least


def _name_possible(name: str | None, members: Sequence[tuple[str, dict[str, Json]]], types: Types) -> bool:
    """Whether some type is left for a member of this name, or of one (None) that no subschema knows."""
    found = ALL_TYPES
    for pointer, schema in members:
        if name is not None and name in _properties(schema):
            found &= types[join(pointer, "properties", name)]
        elif "patternProperties" not in schema:
            found &= types.get(join(pointer, "additionalProperties"), ALL_TYPES)
    return bool(found)


def _properties(schema: dict[str, Json]) -> dict[str, Json]:
    found = schema.get("properties")
    return found if isinstance(found, dict) else {}


def _object_possible(pointer: str, schema: dict[str, Json], types: Types) -> bool:
    required = schema.get("required")
    least = schema.get("minProperties")
    if isinstance(least, int) and least > 0 and not _member_possible(pointer, schema, types):
        return False
    properties = schema.get("properties")
    known = properties if isinstance(properties, dict) else {}
    for name in required if isinstance(required, list) else []:
        if not isinstance(name, str):
            continue  # draft 4 metadata; the meta-schema has spoken
        if name in known:
            if not types[join(pointer, "properties", name)]:
                return False
        elif "patternProperties" not in schema and not types.get(join(pointer, "additionalProperties"), ALL_TYPES):
            return False
    return True


def _member_possible(pointer: str, schema: dict[str, Json], types: Types) -> bool:
    """Whether an object may have any member at all."""
    patterns = schema.get("patternProperties")
    rules = {p: types[join(pointer, "patternProperties", p)] for p in patterns} if isinstance(patterns, dict) else {}
    if not rules.get("", ALL_TYPES):
        return False
    properties = schema.get("properties")
    named = [join(pointer, "properties", name) for name in properties] if isinstance(properties, dict) else []
    others = types.get(join(pointer, "additionalProperties"), ALL_TYPES) if "" not in rules else NOTHING
    return bool(others) or any(map(types.__getitem__, named)) or any(rules.values())


def _array_possible(pointer: str, schema: dict[str, Json], types: Types) -> bool:
    least = schema.get("minItems")
    if not isinstance(least, int) or least < 1:
        return True
    items, prefix = schema.get("items"), schema.get("prefixItems")
    key, rest = ("items", "additionalItems") if isinstance(items, list) else ("prefixItems", "items")
    listed = items if isinstance(items, list) else prefix if isinstance(prefix, list) else []
    if any(not types.get(join(pointer, key, i), ALL_TYPES) for i in range(min(least, len(listed)))):
        return False
    return least <= len(listed) or bool(types.get(join(pointer, rest), ALL_TYPES))
