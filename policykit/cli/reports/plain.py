"""Any value of ours as plain JSON data: dataclasses as objects, tuples as arrays, enums by value, dates as ISO 8601."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from typing import TypeAlias, cast

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


def plain(value: object) -> Json:
    """``value`` as JSON data. Raises `TypeError` for what has no JSON form, rather than its ``repr``."""
    match value:
        case Enum():
            return plain(value.value)
        case None | bool() | int() | float() | str():
            return value
        case date():
            return value.isoformat()
        case tuple() | list():
            return [plain(item) for item in cast("Sequence[object]", value)]
        case dict():
            return {str(key): plain(item) for key, item in cast("Mapping[object, object]", value).items()}
        case _ if is_dataclass(value):
            return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        case _:
            raise TypeError(f"no JSON form for {type(value).__name__}")


def to_json(value: object) -> str:
    """Indented JSON with a final line break; non-ASCII text stays readable."""
    return json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n"
