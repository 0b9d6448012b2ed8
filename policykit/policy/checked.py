"""Content that has passed the field table: typed values with places, before any meaning is given to them."""

from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

from policykit.automata.regex_syntax import ParsedRegex
from policykit.diagnostics import Place

Json: TypeAlias = "str | float | int | bool | list[Json] | dict[str, Json] | None"


@dataclass(frozen=True, slots=True)
class Leaf:
    value: str | float | int | bool | date
    place: Place


@dataclass(frozen=True, slots=True)
class DataLeaf:
    """A JSON value of any kind."""

    value: Json
    place: Place


@dataclass(frozen=True, slots=True)
class RegexLeaf:
    source: str
    parsed: ParsedRegex
    place: Place


@dataclass(frozen=True, slots=True)
class Items:
    items: "tuple[Checked, ...]"
    place: Place


@dataclass(frozen=True, slots=True)
class Entries:
    """A record: fields in the file's order, with the places of their keys."""

    record: str
    fields: "dict[str, Checked]"
    keys: dict[str, Place]
    place: Place

    def entries(self, name: str) -> "Entries | None":
        found = self.fields.get(name)
        return found if isinstance(found, Entries) else None

    def items(self, name: str) -> "tuple[Checked, ...]":
        """The items of a list; none where the field is not there."""
        found = self.fields.get(name)
        return found.items if isinstance(found, Items) else ()

    def records(self, name: str) -> "tuple[Entries, ...]":
        return tuple(item for item in self.items(name) if isinstance(item, Entries))

    def leaves(self, name: str) -> tuple[Leaf, ...]:
        return tuple(item for item in self.items(name) if isinstance(item, Leaf))

    def regexes(self, name: str) -> tuple[RegexLeaf, ...]:
        """The expressions of a field, whether it holds one or a list."""
        found = self.fields.get(name)
        if isinstance(found, RegexLeaf):
            return (found,)
        return tuple(item for item in self.items(name) if isinstance(item, RegexLeaf))

    def leaf(self, name: str) -> Leaf | None:
        found = self.fields.get(name)
        return found if isinstance(found, Leaf) else None

    def data(self, name: str) -> Json:
        """A field's JSON value; None where the field is not there."""
        found = self.fields.get(name)
        return found.value if isinstance(found, DataLeaf) else None

    def text(self, name: str) -> str | None:
        found = self.leaf(name)
        return found.value if found and isinstance(found.value, str) else None

    def day(self, name: str) -> date | None:
        found = self.leaf(name)
        return found.value if found and isinstance(found.value, date) else None

    def number(self, name: str) -> float | None:
        found = self.leaf(name)
        return float(found.value) if found and isinstance(found.value, int | float) else None

    def flag(self, name: str) -> bool:
        """The flag; false where the field is not there."""
        found = self.leaf(name)
        return found is not None and found.value is True


Checked: TypeAlias = Leaf | DataLeaf | RegexLeaf | Items | Entries
