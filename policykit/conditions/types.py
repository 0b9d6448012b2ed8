"""Types of conditions, and the schema of facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias, cast

import jsonschema_rs

from policykit.diagnostics import Diagnostic, Place, PolicyError


class Kind(StrEnum):
    DYN = "dyn"  # known only when it runs
    BOOL = "bool"
    INT = "int"
    NUMBER = "number"  # int or double: JSON does not tell them apart
    STRING = "string"
    NULL = "null"


@dataclass(frozen=True, slots=True)
class ListType:
    item: "Type"


@dataclass(frozen=True, slots=True)
class MapType:
    """``closed``: there are no other fields."""

    fields: "Mapping[str, Type]" = field(default_factory=dict[str, "Type"])
    closed: bool = False
    other: "Type" = Kind.DYN


Type: TypeAlias = Kind | ListType | MapType

BUILT_IN: dict[str, Type] = {
    "profile": Kind.STRING,
    "tenant": Kind.STRING,
    "locale": Kind.STRING,
    "jurisdiction": Kind.STRING,
    "target": Kind.STRING,
    "tool": Kind.STRING,
    "args": Kind.DYN,
    "json": Kind.DYN,
}
"""Names that conditions can always read: the context, what is judged, a tool's arguments, the output as JSON."""

_SIMPLE = {
    "boolean": Kind.BOOL,
    "integer": Kind.INT,
    "number": Kind.NUMBER,
    "string": Kind.STRING,
    "null": Kind.NULL,
}
_KNOWN = {
    "$schema", "$id", "$comment", "title", "description", "default", "examples", "type", "properties", "required",
    "items", "enum", "const", "additionalProperties", "minimum", "maximum", "minLength", "maxLength", "pattern",
    "minItems", "maxItems", "format",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Described:
    """What a schema says of one fact. ``is_there``: it and all objects around it are demanded. ``is_apart``: the
    objects around it demand nothing of it together with others."""

    schema: Mapping[str, object]
    is_there: bool
    is_apart: bool


@dataclass(frozen=True, slots=True, eq=False)
class FactsSchema:
    """What is known about the facts of a document: their types, and a validator for the facts of a request."""

    type: MapType
    validator: jsonschema_rs.Validator
    source: Mapping[str, object]

    @staticmethod
    def from_json(schema: Mapping[str, object], place: Place) -> "FactsSchema":
        """Raises PolicyError (PK156) for what is no schema, or outside the subset that gives types."""
        problems: list[str] = []
        read = _type(schema, "", problems)
        if not isinstance(read, MapType):
            problems.append("the facts are an object: `type: object`")
        try:
            validator = jsonschema_rs.validator_for(dict(schema))
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise _refused(f"it is no JSON Schema: {str(error).splitlines()[0]}", place) from None
        if problems or not isinstance(read, MapType):
            raise _refused(problems[0], place)
        return FactsSchema(read, validator, dict(schema))

    def described(self, path: Sequence[str]) -> Described:
        """What is said of the fact with this path: an empty schema where nothing is."""
        schema: Mapping[str, object] = self.source
        is_there = is_apart = True
        for name in path:
            fields = cast("Mapping[str, object]", schema.get("properties", {}))
            required = cast("Sequence[str]", schema.get("required", ()))
            is_there &= (schema is self.source or schema.get("type") == "object") and name in required
            is_apart &= not {"enum", "const"} & schema.keys()
            inner = fields.get(name, schema.get("additionalProperties", True))
            schema = cast("Mapping[str, object]", inner) if isinstance(inner, Mapping) else {}
        return Described(schema, is_there, is_apart)

    def problems(self, facts: Mapping[str, object]) -> list[str]:
        """What in the facts contradicts the schema, by JSON pointer."""
        return [
            f"{_pointer(error.instance_path)}: {error.message}" for error in self.validator.iter_errors(dict(facts))
        ]


def _pointer(path: "list[str | int]") -> str:
    return "/" + "/".join(map(str, path))


def _refused(why: str, place: Place) -> PolicyError:
    help = "facts are described by type, properties, items, enum, const and additionalProperties"
    return PolicyError([Diagnostic("PK156", f"the facts' schema cannot be used: {why}", place, help)])


def _type(schema: object, pointer: str, problems: list[str]) -> Type:
    if schema is True or schema == {}:
        return Kind.DYN
    if not isinstance(schema, Mapping):
        problems.append(f"`{pointer or '/'}` is no schema")
        return Kind.DYN
    said = cast(Mapping[str, object], schema)
    unknown = sorted(set(said) - _KNOWN)
    if unknown:
        problems.append(f"`{pointer}/{unknown[0]}` is not understood here")
    name = said.get("type")
    if isinstance(name, str) and name in _SIMPLE:
        return _SIMPLE[name]
    if name == "array":
        return ListType(_type(said.get("items", True), f"{pointer}/items", problems))
    if name == "object" or "properties" in said:
        properties = said.get("properties", {})
        fields = cast("Mapping[str, object]", properties if isinstance(properties, Mapping) else {})
        more = said.get("additionalProperties", True)
        return MapType(
            {key: _type(value, f"{pointer}/properties/{key}", problems) for key, value in fields.items()},
            more is False,
            Kind.DYN if more is False else _type(more, f"{pointer}/additionalProperties", problems),
        )
    return Kind.DYN


def shown(type_: Type) -> str:
    """A type in words."""
    match type_:
        case Kind():
            return type_.value
        case ListType(item):
            return f"list({shown(item)})"
        case MapType():
            return "map"
