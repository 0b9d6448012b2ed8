"""What follows from keywords that speak of an object's names, and of how many there are, in keywords of each member."""

from collections.abc import Mapping
from itertools import combinations, islice
from typing import Final

from policykit.grammar.complement import Complement, resolved, words_as_pattern
from policykit.grammar.keywords import ASSERTIONS
from policykit.grammar.schema_document import SchemaDocument
from policykit.grammar.values import Json

MAX_NAMED: Final = 24
"""Alternatives in which some names must be there."""


def populated(schema: Mapping[str, Json], least: int) -> Complement:
    """Which names must be there, so that there are enough, where the object defines names; others count as well, unless
    it is closed."""
    properties, required = schema.get("properties"), schema.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list) or "patternProperties" in schema:
        return Complement(True, False)
    demanded = {name for name in required if isinstance(name, str)}
    missing = max(0, least - len(demanded))
    if not missing:
        return Complement({"required": [*demanded]} if demanded else True, True)
    names = [name for name, item in properties.items() if name not in demanded and item is not False]
    is_closed = schema.get("additionalProperties") is False
    if not names or (not is_closed and (missing > 1 or demanded)):
        return Complement(True, False)
    chosen = list(islice(combinations(names, missing), MAX_NAMED + 1))
    is_exact = len(chosen) <= MAX_NAMED
    if not is_exact:
        chosen = [(name,) for name in names]
    if len(chosen) > MAX_NAMED - (not is_closed):
        return Complement(True, False)
    found: list[Json] = [{"required": [*some]} for some in chosen]
    if not is_closed:
        found.append({"properties": dict.fromkeys(names, False), "minProperties": missing})
    return Complement({"anyOf": found} if found else {"type": [*_NOT_OBJECTS]}, is_exact)


_NOT_OBJECTS: Final = ("null", "boolean", "number", "string", "array")


def named(document: SchemaDocument, schema: Mapping[str, Json], names: Json) -> Complement:
    """Names as patterns of properties, which sets no order among them. The engine takes no two patterns that may both
    hold."""
    if isinstance(names, dict) and (target := resolved(document, names.get("$ref"))) is not None:
        names = target if document.ignores_siblings(names) or len(names) == 1 else names
    if _admits_no_name(names):
        return Complement({"maxProperties": 0}, True)
    if not isinstance(names, dict) or "patternProperties" in schema:
        return Complement(True, False)
    pattern, is_exact = _name_pattern({k: v for k, v in names.items() if k in ASSERTIONS and (k, v) != _STRING})
    if pattern is None:
        return Complement(True, False)
    return Complement({"patternProperties": {pattern: True}, "additionalProperties": False}, is_exact)


_STRING: Final = ("type", "string")


def _admits_no_name(names: Json) -> bool:
    """Whether no string satisfies a schema of names, as it shows at once."""
    if not isinstance(names, dict) or "$ref" in names:  # beside which the dialect may read nothing
        return names is False
    types, members, others = names.get("type", "string"), names.get("enum"), names.get("allOf")
    return (
        "string" not in (types if isinstance(types, list) else [types])
        or not isinstance(names.get("const", ""), str)
        or (isinstance(members, list) and not any(isinstance(name, str) for name in members))
        or names.get("not") in (True, {})
        or (isinstance(others, list) and any(map(_admits_no_name, others)))
    )


def _name_pattern(names: Mapping[str, Json]) -> tuple[str | None, bool]:
    """One of the restrictions of names as a pattern, and whether there is no other one."""
    match names:
        case {"const": str() as name, **rest}:
            return f"^{words_as_pattern([name])}$", not rest
        case {"enum": list() as members, **rest}:
            return f"^{words_as_pattern([name for name in members if isinstance(name, str)])}$", not rest
        case {"pattern": str() as pattern, **rest}:
            return pattern, not rest
        case {"minLength": int() as least, "maxLength": int() as most, **rest} if least <= most:
            return f"^[\\s\\S]{{{least},{most}}}$", not rest
        case {"minLength": int() as least, **rest}:
            return f"^[\\s\\S]{{{least},}}$", not rest
        case {"maxLength": int() as most, **rest}:
            return f"^[\\s\\S]{{0,{most}}}$", not rest
        case _:
            return None, False
