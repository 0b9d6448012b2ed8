"""The field table as a JSON Schema (2020-12), for editors and for whoever generates policies."""

from collections.abc import Mapping
from math import isfinite
from typing import assert_never

from policykit.policy.canonical import Json
from policykit.policy.shapes import (
    Choice,
    Data,
    Day,
    Duration,
    Either,
    Flag,
    Integer,
    Many,
    Number,
    Record,
    Ref,
    Row,
    Shape,
    Text,
    TextKind,
)
from policykit.policy.table import RECORDS
from policykit.policy.texts import DATE, DURATION, GLOB, PATTERNS, REGO


def document_schema() -> dict[str, Json]:
    """The schema of a policy document, or of a file of tests.

    It checks the form; meanings (expressions, references) only loading checks.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "policykit policy or tests, version 1",
        "if": {"properties": {"kind": {"const": "Tests"}}, "required": ["kind"]},
        "then": {"$ref": "#/$defs/tests"},
        "else": {"$ref": "#/$defs/document"},
        "$defs": definitions(RECORDS),
    }


def definitions(records: Mapping[str, Record]) -> dict[str, Json]:
    """The schema of every record of a table, by name, for ``$defs``."""
    return {name: _record(record, records) for name, record in records.items()}


def _record(record: Record, records: Mapping[str, Record]) -> Json:
    properties: dict[str, Json] = {}
    for field in record.fields:
        shape = _shape(field.shape, records)
        properties[field.name] = {"description": field.about, **(shape if isinstance(shape, dict) else {})}
    out: dict[str, Json] = {
        "description": record.about,
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    required: list[Json] = [field.name for field in record.fields if field.required]
    if required:
        out["required"] = required
    if record.any_of:
        out["anyOf"] = [{"required": [name]} for name in record.any_of]
    if record.alone:
        alone: list[Json] = [{"required": [name]} for name in record.alone]
        out["if"], out["then"] = {"anyOf": alone}, {"maxProperties": 1}
    if record.needs:
        out["dependentRequired"] = {name: [needed] for name, needed in record.needs}
    return out


def _shape(shape: Shape, records: Mapping[str, Record]) -> Json:
    match shape:
        case Text(kind):
            return _text(kind)
        case Number(minimum, maximum, above):
            bounds: dict[str, Json] = {"exclusiveMinimum" if above else "minimum": minimum}
            return {"type": "number", **bounds, **({"maximum": maximum} if isfinite(maximum) else {})}
        case Integer(minimum, maximum):
            return {"type": "integer", "minimum": minimum, "maximum": maximum}
        case Flag():
            return {"type": "boolean"}
        case Day():
            return {"type": "string", "format": "date", "pattern": f"^{DATE.pattern}$"}
        case Choice(values):
            return {"enum": list(values)}
        case Many(item, at_least, or_one):
            many: dict[str, Json] = {"type": "array", "items": _shape(item, records), "minItems": at_least}
            return {"anyOf": [_shape(item, records), many]} if or_one else many
        case Ref(name):
            return {"$ref": f"#/$defs/{name}"}
        case Row(Ref(name), columns):
            return {"anyOf": [{"$ref": f"#/$defs/{name}"}, _row(records[name], columns, records)]}
        case Data(of_mapping):
            return {"type": "object"} if of_mapping else {}
        case Duration():
            return {"type": "string", "pattern": f"^({DURATION.pattern})$"}
        case Either(text, record):
            return {"anyOf": [_shape(text, records), _shape(record, records)]}
        case _:
            assert_never(shape)


def _row(record: Record, columns: tuple[str, ...], records: Mapping[str, Record]) -> Json:
    fields = [field for name in columns if (field := record.field(name))]
    least = sum(field.required for field in fields)
    shapes: list[Json] = [_shape(field.shape, records) for field in fields]
    return {"type": "array", "prefixItems": shapes, "items": False, "minItems": least}


def _text(kind: TextKind) -> Json:
    match kind:
        case TextKind.ANY:
            return {"type": "string"}
        case TextKind.PLAIN | TextKind.TEMPLATE | TextKind.HASH_TEMPLATE:
            return {"type": "string", "pattern": "\\S"}
        case TextKind.PHRASE | TextKind.REGEX | TextKind.CONDITION | TextKind.PATH:
            return {"type": "string", "minLength": 1}
        case TextKind.REGO:
            return {"type": "string", "pattern": f"^{REGO.pattern}$"}
        case TextKind.GLOB:
            return {"type": "string", "pattern": f"^{GLOB.pattern}$"}
        case TextKind.VERSION:  # an unquoted 1.10 is a number to an editor and the text 1.10 to the loader
            return {"type": ["string", "number"], "pattern": f"^({PATTERNS[kind][0].pattern})$"}
        case TextKind.NAME | TextKind.ID | TextKind.LABEL | TextKind.FIELD | TextKind.LABEL_ID:
            return {"type": "string", "pattern": f"^({PATTERNS[kind][0].pattern})$"}
        case _:
            assert_never(kind)
