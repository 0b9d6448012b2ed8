"""Nodes against the field table: typed content, or diagnostics for everything that does not fit."""

import math
from collections.abc import Mapping as Table
from dataclasses import replace
from datetime import date
from typing import TypeAlias, assert_never

from policykit.diagnostics import Diagnostic, Place, did_you_mean
from policykit.policy.checked import Checked, DataLeaf, Entries, Items, Json, Leaf
from policykit.policy.core import resolve
from policykit.policy.nodes import Entry, Mapping, Node, Refused, Scalar, Sequence
from policykit.policy.shapes import (
    Choice,
    Data,
    Day,
    Duration,
    Either,
    Field,
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
from policykit.policy.table import LATER, RECORDS
from policykit.policy.texts import DATE, DURATION, read_text

_CODES = {"field": "PK020", "matcher": "PK031", "action": "PK032"}
MAX_UNKNOWN = 20
_NOT_YET = "remove it: a policy does not load with a part left out"


def read(
    node: Node,
    shape: Shape,
    name: str,
    key: Place,
    diagnostics: list[Diagnostic],
    records: Table[str, Record] = RECORDS,
) -> Checked | None:
    """The content of ``node`` as far as it fits ``shape``; None where nothing of it does.

    ``name`` is the field that holds it and ``key`` the place to name for what is missing in it. ``records`` are the
    table that references name: the policy language's, or another kind of file's.
    """
    return _Reader(diagnostics, records).value(node, shape, name, key)


_ScalarShape: TypeAlias = Text | Number | Integer | Flag | Day | Choice | Duration


class _Reader:
    def __init__(self, diagnostics: list[Diagnostic], records: Table[str, Record]) -> None:
        self.diagnostics, self.records = diagnostics, records

    def complain(self, code: str, message: str, place: Place, help: str) -> None:
        self.diagnostics.append(Diagnostic(code, message, place, help))

    def value(self, node: Node, shape: Shape, name: str, key: Place) -> Checked | None:
        if isinstance(node, Refused):
            return None
        if isinstance(node, Scalar) and node.plain and not node.text:
            node = replace(node, place=key)  # nothing stands there: its key is what can be shown
        match shape:
            case Ref(record):
                return self.record(node, self.records[record], name, key)
            case Many():
                return self.many(node, shape, name, key)
            case Data():
                return self.data(node, shape, name)
            case Row():
                return self.row(node, shape, name, key)
            case Either(text, record):
                is_plain = isinstance(node, Scalar) or (isinstance(text, Many) and isinstance(node, Sequence))
                return self.value(node, text if is_plain else record, name, key)
            case _:
                return self.scalar(node, shape, name)

    # -- collections -------------------------------------------------------------------------------------------

    def many(self, node: Node, shape: Many, name: str, key: Place) -> Checked | None:
        if shape.or_one and isinstance(node, Scalar):
            item = self.value(node, shape.item, name, key)
            return item and Items((item,), node.place)
        if not isinstance(node, Sequence):
            self.wrong_type(node, name, "a list", "a list is written `[a, b]`, or one `- a` per line")
            return None
        if len(node.items) < shape.at_least:
            self.complain("PK028", f"`{name}` is an empty list", node.place, "name at least one, or remove the field")
        item_name = shape.item.name if isinstance(shape.item, Ref) else name
        read = [self.value(item, shape.item, item_name, _first(item)) for item in node.items]
        return Items(tuple(item for item in read if item is not None), node.place)

    def record(self, node: Node, record: Record, name: str, key: Place) -> Checked | None:
        if not isinstance(node, Mapping):
            self.wrong_type(node, name, "a mapping", f"known fields: {', '.join(record.names)}")
            return None
        fields: dict[str, Checked] = {}
        keys: dict[str, Place] = {}
        unknown: list[Entry] = []
        present = {entry.key.text for entry in node.entries}
        for entry in node.entries:
            field = record.field(entry.key.text)
            if field is None:
                unknown.append(entry)
                continue
            keys[field.name] = entry.key.place
            value = self.value(entry.value, field.shape, field.name, entry.key.place)
            if value is not None:
                fields[field.name] = value
        for entry in unknown[:MAX_UNKNOWN]:
            self.unknown(entry, record)
        if len(unknown) > MAX_UNKNOWN:
            message = f"{len(unknown) - MAX_UNKNOWN} more unknown fields"
            self.complain("PK020", message, unknown[MAX_UNKNOWN].key.place, "is this a policy?")
        self.together(record, keys, present, name, key)
        return Entries(record.name, fields, keys, node.place)

    def row(self, node: Node, shape: Row, name: str, key: Place) -> Checked | None:
        """A list is read as the mapping of its columns; each value stands for its key as well."""
        if isinstance(node, Sequence):
            if len(node.items) > len(shape.columns):
                extra = node.items[len(shape.columns)]
                self.complain(
                    "PK507", "more values than columns", _first(extra), f"columns: {', '.join(shape.columns)}"
                )
            pairs = zip(shape.columns, node.items, strict=False)
            entries = tuple(Entry(Scalar(column, True, _first(item), _first(item)), item) for column, item in pairs)
            node = Mapping(entries, node.place)
        return self.value(node, shape.record, shape.record.name, key)

    def unknown(self, entry: Entry, record: Record) -> None:
        key = entry.key
        if key.text in record.later:
            what = f" ({LATER[key.text]})" if key.text in LATER else ""
            self.complain("PK040", f"`{key.text}`{what} is not implemented in this version", key.place, _NOT_YET)
            return
        help = did_you_mean(key.text, record.names) or f"known {record.noun}s: {', '.join(record.names)}"
        ours = next((field.name for field in record.fields if field.elsewhere == key.text), None)
        if ours is not None:
            help = f"did you mean `{ours}`?"
        elif record.noun == "matcher":
            help = did_you_mean(key.text, record.names) or f"known fields: {', '.join(record.names)}"
        self.complain(_CODES[record.noun], f"unknown {record.noun} `{key.text}`", key.place, help)

    def together(self, record: Record, keys: dict[str, Place], present: set[str], name: str, key: Place) -> None:
        """What a record needs, and what cannot stand together in it."""
        if not present & set(record.later):  # what a later feature would have said is not missing
            for field in record.fields:
                if field.required and field.name not in present:
                    self.missing(field, name, key)
            if record.any_of and not present & set(record.any_of) and present <= set(record.names):
                one_of = ", ".join(f"`{option}`" for option in record.any_of)
                self.complain("PK028", f"`{name}` says nothing", key, f"it needs one of {one_of}")
        for alone in record.alone:
            others = [other for other in keys if other != alone]
            if alone in keys and others:
                self.complain(
                    "PK030",
                    f"`{alone}` cannot stand beside `{others[0]}`",
                    keys[alone],
                    "put each into an item of `all` or `any`" if record.noun == "matcher" else "keep one of them",
                )
                break
        for option, needed in record.needs:
            if option in keys and needed not in keys:
                self.complain("PK056", f"`{option}` has no effect without `{needed}`", keys[option], "remove it")

    def missing(self, field: Field, name: str, key: Place) -> None:
        where = f" in `{name}`" if name else ""
        self.complain("PK021", f"missing field `{field.name}`{where}", key, f"`{field.name}`: {field.about}")

    # -- scalars -----------------------------------------------------------------------------------------------

    def scalar(self, node: Node, shape: _ScalarShape, name: str) -> Checked | None:
        if not isinstance(node, Scalar):
            self.wrong_type(node, name, _wanted(shape), "write a single value")
            return None
        match shape:
            case Text(kind):
                return self.text(node, kind, name)
            case Choice():
                return self.choice(node, shape, name)
            case Number(minimum, maximum, above):
                return self.number(node, minimum, maximum, name, integer=False, above=above)
            case Integer(minimum, maximum):
                return self.number(node, minimum, maximum, name, integer=True)
            case Flag():
                value = resolve(node.text) if node.plain else None
                if isinstance(value, bool):
                    return Leaf(value, node.place)
                self.wrong_type(node, name, "true or false", "write `true` or `false`, without quotes")
                return None
            case Day():
                return self.day(node, name)
            case Duration():
                return self.duration(node, name)
            case _:
                assert_never(shape)

    def text(self, node: Scalar, kind: TextKind, name: str) -> Checked | None:
        value = resolve(node.text) if node.plain else node.text
        # A version is the text as it stands: 1.10 is not the number 1.1.
        if isinstance(value, str) or (kind is TextKind.VERSION and isinstance(value, int | float)):
            return read_text(node, kind, name, self.diagnostics)
        message = f"`{name}` is text, but `{node.text}` reads as {_kind(node)}" if node.text else f"`{name}` is empty"
        self.complain("PK024", message, node.place, f'quote it: "{node.text}"' if node.text else "give it a text")
        return None

    def choice(self, node: Scalar, shape: Choice, name: str) -> Checked | None:
        if node.text in shape.values:
            return Leaf(node.text, node.place)
        if node.text.partition("(")[0] in shape.later:
            message = f"`{name}: {node.text}` is not implemented in this version"
            self.complain("PK040", message, node.place, f"known values: {', '.join(shape.values)}")
            return None
        help = did_you_mean(node.text, shape.values) or f"known values: {', '.join(shape.values)}"
        self.complain("PK023", f"unknown value `{node.text}` for `{name}`", node.place, help)
        return None

    def number(
        self, node: Scalar, least: float, most: float, name: str, integer: bool, above: bool = False
    ) -> Checked | None:
        value = resolve(node.text) if node.plain else None
        wanted = "a whole number" if integer else "a number"
        if isinstance(value, bool) or not isinstance(value, int if integer else int | float):
            self.wrong_type(node, name, wanted, f"write {wanted}, without quotes")
            return None
        if not math.isfinite(value) or not least <= value <= most or (above and value == least):
            limits = f"from {least} to {most}" if math.isfinite(most) else f"at least {least:g} and finite"
            limits = f"above {least:g} and at most {most:g}" if above else limits
            self.complain("PK026", f"`{name}` is `{node.text}`", node.place, f"`{name}` is {limits}")
            return None
        return Leaf(value if integer else float(value), node.place)

    def day(self, node: Scalar, name: str) -> Checked | None:
        try:
            if DATE.fullmatch(node.text):
                return Leaf(date.fromisoformat(node.text), node.place)
        except ValueError:
            pass  # the form of a date, but no day of the calendar: told below like any other text
        self.complain("PK027", f"`{node.text}` is no date", node.place, f"`{name}` is a day, YYYY-MM-DD")
        return None

    def duration(self, node: Scalar, name: str) -> Checked | None:
        if DURATION.fullmatch(node.text):
            return Leaf(node.text, node.place)
        self.complain("PK026", f"`{name}` is `{node.text}`", node.place, "a number and a unit: 30s, 15m, 8h or 2d")
        return None

    def data(self, node: Node, shape: Data, name: str) -> Checked | None:
        """Any JSON value; plain scalars have the types of the core schema."""
        if shape.of_mapping and not isinstance(node, Mapping):
            self.wrong_type(node, name, "a mapping", "write `name: value` pairs")
            return None
        return DataLeaf(self.json(node), node.place)

    def json(self, node: Node) -> Json:
        match node:
            case Scalar(text, plain, place, _):
                value = resolve(text) if plain else text
                if isinstance(value, float) and not math.isfinite(value):
                    self.complain("PK026", f"`{text}` is no JSON number", place, "write a finite number")
                    return None
                return value
            case Sequence(items, _):
                return [self.json(item) for item in items]
            case Mapping(entries, _):
                return {entry.key.text: self.json(entry.value) for entry in entries}
            case Refused():
                return None  # told already
            case _:
                assert_never(node)

    def wrong_type(self, node: Node, name: str, wanted: str, help: str) -> None:
        place = node.place if node.place.line == node.place.end_line else _first(node)
        self.complain("PK022", f"`{name}` is {wanted}, not {_kind(node)}", place, help)


def _wanted(shape: _ScalarShape) -> str:
    match shape:
        case Text():
            return "text"
        case Number() | Integer():
            return "a number"
        case Flag():
            return "true or false"
        case Day():
            return "a date"
        case Duration():
            return "a duration"
        case Choice():
            return "a word"
        case _:
            assert_never(shape)


def _kind(node: Node) -> str:
    match node:
        case Scalar(text, plain, _, _):
            value = resolve(text) if plain else text
            if isinstance(value, str | bool):
                return "a truth value" if isinstance(value, bool) else "text"
            return "nothing" if value is None else "a number"
        case Sequence():
            return "a list"
        case Mapping():
            return "a mapping"
        case Refused():
            return "a value"
        case _:
            assert_never(node)


def _first(node: Node) -> Place:
    """A place on one line that stands for a node: its first key or item."""
    match node:
        case Mapping(entries, _) if entries:
            return entries[0].key.place
        case Sequence(items, _) if items:
            return _first(items[0])
        case _:
            return node.place
