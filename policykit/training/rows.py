"""Rows of JSON Lines with the columns that a kind of training reads, and a place in the file for each."""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import assert_never, cast

from policykit.diagnostics import Diagnostic, Place, PolicyError, did_you_mean
from policykit.plan import Plan
from policykit.policy.checked import Json

MAX_TOLD = 20
"""Diagnostics about rows of one file; the rest is counted."""
_DIGESTS = ("plan_digest", "bundle_digest")


class ColumnType(Enum):
    """What a column holds, in words for people."""

    PROMPT = "text, or a list of messages with `role` and `content`"
    TEXT = "text"
    NUMBER = "a finite number"
    NOT_NEGATIVE = "a number of 0 or more"
    FLAG = "true or false"
    OBJECT = "an object"
    TEXTS = "a list of texts"


@dataclass(frozen=True, slots=True)
class Column:
    """A column by name; ``required`` in every row, else where a row has it. One with an ``instead`` is not read, and
    refused with that advice: other trainers read it, and a row that has it would not be understood."""

    name: str
    type: ColumnType
    required: bool = True
    instead: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its values by column (those that the kind does not read too), and the line that it stands in."""

    values: Mapping[str, Json]
    place: Place

    def text(self, name: str) -> str:
        return str(self.values[name])

    def number(self, name: str, default: float = 0.0) -> float:
        """A column that was checked to be a number."""
        value = self.values.get(name)
        return default if value is None else float(cast("float", value))


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a file, in its order, and the SHA-256 of its bytes; none of both where no file is named."""

    rows: tuple[Row, ...] = ()
    digest: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def column(self, name: str) -> list[Json]:
        """One value per row; None where a row has none."""
        return [row.values.get(name) for row in self.rows]


def load_rows(path: Path, columns: Sequence[Column], plan: Plan | None, named_at: Place) -> Rows:
    """The rows of a file. A column `plan_digest` or `bundle_digest` must be the plan's in every row.

    Raises PolicyError with everything that is wrong: PK781 for rows that are not of the columns, PK762 for another
    digest, PK001 for a file that cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PolicyError.of("PK001", f"`{path}` cannot be read: {reason}", named_at, "check the path") from error
    found: list[Diagnostic] = []
    rows = [row for i, line in enumerate(data.splitlines(), 1) if (row := _row(line, Place(str(path), i), found))]
    for row in rows:
        found.extend(_faults(row, columns))
        found.extend(_digests(row, plan))
    if not rows and not found:
        found.append(Diagnostic("PK781", "the file has no rows", Place(str(path)), "write one JSON object a line"))
    if not found and any(c.name == "weight" for c in columns) and not any(row.number("weight", 1.0) for row in rows):
        help = "give rows that count a weight above 0"
        found.append(Diagnostic("PK781", "every row has the `weight` 0", rows[0].place, help))
    if found:
        raise PolicyError(_most(found))
    return Rows(tuple(rows), f"sha256:{hashlib.sha256(data).hexdigest()}")


def _most(found: list[Diagnostic]) -> list[Diagnostic]:
    if len(found) <= MAX_TOLD:
        return found
    rest = Diagnostic("PK781", f"{len(found) - MAX_TOLD} more faults of rows", found[MAX_TOLD].place, "repair these")
    return [*found[:MAX_TOLD], rest]


class _Twice(Exception):
    """A member that an object has twice: readers differ in which of the two they take."""


def _members(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name, value in pairs:
        if name in found:
            raise _Twice(name)
        found[name] = value
    return found


def _row(line: bytes, place: Place, found: list[Diagnostic]) -> Row | None:
    if not line.strip():
        return None
    try:
        value: object = json.loads(line, object_pairs_hook=_members)
        if b"\\ud" in line.lower():  # the escape of half a character
            json.dumps(value, ensure_ascii=False).encode()
    except _Twice as error:
        found.append(Diagnostic("PK781", f"`{error}` stands twice in one object", place, "keep one of the two"))
        return None
    except UnicodeEncodeError:
        message = "a text holds half of a pair of surrogates, which is no character"
        found.append(Diagnostic("PK781", message, place, "repair the text, or leave the row out"))
        return None
    except (ValueError, RecursionError) as error:
        found.append(Diagnostic("PK781", f"the line is no JSON: {error}", place, "write one JSON object a line"))
        return None
    if not isinstance(value, dict):
        found.append(Diagnostic("PK781", "the line is no JSON object", place, "write one JSON object a line"))
        return None
    return Row(cast("dict[str, Json]", value), place)


def _faults(row: Row, columns: Sequence[Column]) -> Iterator[Diagnostic]:
    for column in columns:
        value = row.values.get(column.name)
        if column.instead:
            if value is not None:
                yield Diagnostic("PK781", f"`{column.name}` is not read", row.place, column.instead)
        elif value is None and column.required:
            others = [name for name in row.values if name not in {c.name for c in columns}]
            help = did_you_mean(column.name, others)
            help = help or f"give every row `{column.name}`: {column.type.value}"
            yield Diagnostic("PK781", f"there is no column `{column.name}`", row.place, help)
        elif value is not None and not _fits(value, column.type):
            message = (
                f"`{column.name}` is empty" if value in ("", []) else f"`{column.name}` is not {column.type.value}"
            )
            yield Diagnostic("PK781", message, row.place, f"give `{column.name}` {column.type.value}")


def _fits(value: Json, type: ColumnType) -> bool:
    match type:
        case ColumnType.PROMPT:
            return (isinstance(value, str) and bool(value)) or _is_messages(value)
        case ColumnType.TEXT:
            return isinstance(value, str) and bool(value)
        case ColumnType.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
        case ColumnType.NOT_NEGATIVE:
            return _fits(value, ColumnType.NUMBER) and float(cast("float", value)) >= 0
        case ColumnType.FLAG:
            return isinstance(value, bool)
        case ColumnType.OBJECT:
            return isinstance(value, dict)
        case ColumnType.TEXTS:
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        case _:
            assert_never(type)


def _is_messages(value: Json) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(m, dict) and isinstance(m.get("role"), str) and isinstance(m.get("content"), str)
                for m in value)
    )  # fmt: skip


def _digests(row: Row, plan: Plan | None) -> Iterator[Diagnostic]:
    own = {} if plan is None else {"plan_digest": plan.digest, "bundle_digest": plan.bundle_digest}
    for name in _DIGESTS:
        digest = row.values.get(name)
        if digest is not None and own and digest != own[name]:
            message = f"the row was made under the {name.partition('_')[0]} {digest}, not {own[name]}"
            yield Diagnostic("PK762", message, row.place, "make the data under the policies that are trained")
