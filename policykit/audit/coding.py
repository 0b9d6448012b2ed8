"""Records as canonical JSON (RFC 8785) and back, strictly: what was rendered parses to an equal record."""

import json
import types
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Any, cast, get_args, get_origin, get_type_hints

from policykit.approvals.canonical import canonical
from policykit.audit.errors import RecordUnusable
from policykit.audit.record import BestReport, Body, MaskReport, Record, Retired, SamplingReport
from policykit.diagnostics import PolicyError

VERSION = 1
_KINDS: dict[str, type[Body]] = {"decision": Record, "retired": Retired}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_LATER: dict[type, set[str]] = {
    MaskReport: {"attempt"},
    Record: {"sampling"},
    SamplingReport: {"best"},
    BestReport: {"missing"},
}
"""Fields that the first records of this version do not have: they are read as their defaults."""
_HELP = "this is a mistake of whoever made the record"


def render(body: Body) -> bytes:
    """The one spelling of an entry, UTF-8. Raises RecordUnusable (PK660): it holds what JSON has no spelling for."""
    try:
        plain = _plain(body)
        return canonical({"v": VERSION, "kind": _NAMES[type(body)], **plain}).encode("utf-8")
    except PolicyError as error:
        why = error.diagnostics[0].message.partition(": ")[2]
        raise RecordUnusable.because(f"the record cannot be written: {why}", _HELP) from error


def parse(data: bytes) -> Body:
    """The entry of a spelling. Raises RecordUnusable (PK660): it is none of this version, or not strictly one."""
    try:
        found: object = json.loads(data)
        if not isinstance(found, dict):
            raise ValueError("no object")
        members = cast(dict[str, object], found)
        version, kind = members.pop("v", None), members.pop("kind", None)
        if version != VERSION or not isinstance(kind, str) or kind not in _KINDS:
            raise ValueError(f"version {version!r}, kind {kind!r}")
        return cast(Body, _reader(_KINDS[kind])(members))
    except (ValueError, RecursionError) as error:
        raise RecordUnusable.because(
            f"this is no record of version {VERSION}: {error}", "compare with a copy"
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in cast(tuple[object, ...], value)]
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise RecordUnusable.because("the record cannot be written: its time has no time zone", _HELP)
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value


Reader = Callable[[object], object]


@cache
def _reader(kind: Any) -> Reader:
    """What reads a value of a type; made once for each."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (types.UnionType,):
        (inner,) = (arg for arg in args if arg is not types.NoneType)
        read = _reader(inner)
        return lambda value: None if value is None else read(value)
    if origin is tuple:
        return _reader_of_tuple(args)
    if is_dataclass(kind):
        return _reader_of_object(cast(type, kind))
    if kind is datetime:
        return _time
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        member = cast(Callable[[str], StrEnum], kind)
        return lambda value: member(_exact(str, value))
    if kind is float:
        return _fraction
    return lambda value: _exact(cast(type, kind), value)


def _reader_of_tuple(args: tuple[Any, ...]) -> Reader:
    if len(args) == 2 and args[1] is Ellipsis:
        read = _reader(args[0])
        return lambda value: tuple(read(item) for item in cast(list[object], _exact(list, value)))
    readers = [_reader(arg) for arg in args]

    def fixed(value: object) -> object:
        return tuple(read(item) for read, item in zip(readers, cast(list[object], _exact(list, value)), strict=True))

    return fixed


def _reader_of_object(kind: type) -> Reader:
    hints = get_type_hints(kind)
    readers = {field.name: _reader(hints[field.name]) for field in fields(kind)}

    def read(value: object) -> object:
        members = cast(dict[str, object], _exact(dict, value))
        if members.keys() != readers.keys() and members.keys() | _LATER.get(kind, set()) != readers.keys():
            raise ValueError(f"fields {sorted(members.keys() ^ readers.keys())} of `{kind.__name__}`")
        return kind(**{name: reader(members[name]) for name, reader in readers.items() if name in members})

    return read


def _exact(kind: type, value: object) -> Any:
    if type(value) is not kind:
        raise ValueError(f"{value!r} is no `{kind.__name__}`")
    return value


def _fraction(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _time(value: object) -> datetime:
    text = cast(str, _exact(str, value))
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return at.astimezone(UTC)
