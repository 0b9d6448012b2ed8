"""What a value of the policy language can look like: the vocabulary of the field table."""

from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import TypeAlias


class TextKind(StrEnum):
    """What a text is for; each kind has its own check."""

    PLAIN = "plain"  # anything but white space alone
    ANY = "any"  # may be empty
    NAME = "name"
    ID = "id"
    LABEL = "label"
    VERSION = "version"
    GLOB = "glob"
    PHRASE = "phrase"
    REGEX = "regex"
    TEMPLATE = "template"
    LABEL_ID = "exception id"
    CONDITION = "condition"
    PATH = "path"
    REGO = "rego reference"
    HASH_TEMPLATE = "hash template"
    FIELD = "field"


@dataclass(frozen=True, slots=True)
class Text:
    kind: TextKind = TextKind.PLAIN


@dataclass(frozen=True, slots=True)
class Number:
    """``above``: the minimum itself is too little."""

    minimum: float
    maximum: float = inf
    above: bool = False


@dataclass(frozen=True, slots=True)
class Integer:
    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false."""


@dataclass(frozen=True, slots=True)
class Day:
    """A date, YYYY-MM-DD."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One word of several. ``later`` are words of the language that this version does not implement."""

    values: tuple[str, ...]
    later: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Many:
    """A list. ``or_one``: a single value may stand for the list of that value."""

    item: "Shape"
    at_least: int = 1
    or_one: bool = False


@dataclass(frozen=True, slots=True)
class Ref:
    """A record of the table, by name."""

    name: str


@dataclass(frozen=True, slots=True)
class Data:
    """Any JSON value. ``of_mapping``: it is an object."""

    of_mapping: bool = False


@dataclass(frozen=True, slots=True)
class Duration:
    """A whole number and a unit, such as 30s, 15m, 8h or 2d."""


@dataclass(frozen=True, slots=True)
class Either:
    """A text (or a list), or a record in its place."""

    text: "Text | Many"
    record: Ref


@dataclass(frozen=True, slots=True)
class Row:
    """A record, or the values of its first fields as a list: the compact form of a table's line."""

    record: Ref
    columns: tuple[str, ...]


Shape: TypeAlias = Text | Number | Integer | Flag | Day | Choice | Many | Ref | Data | Duration | Either | Row


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    shape: Shape
    about: str
    required: bool = False
    elsewhere: str | None = None
    """What others call it: who writes that is told its name here."""


@dataclass(frozen=True, slots=True)
class Record:
    """A mapping with known fields.

    ``later``: fields of the language that this version does not implement. ``any_of``: one of these must be there.
    ``alone``: a field that stands for itself, with no other beside it. ``needs``: (field, the field without which it
    has no effect).
    """

    name: str
    about: str
    fields: tuple[Field, ...]
    later: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    needs: tuple[tuple[str, str], ...] = ()
    noun: str = "field"

    def field(self, name: str) -> Field | None:
        return next((field for field in self.fields if field.name == name), None)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)
