"""Phrases from CSV and TSV files: what a document names becomes part of the document, column by column."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from pathlib import Path, PurePosixPath

from policykit.diagnostics import Diagnostic, Place, did_you_mean
from policykit.policy.checked import Checked, DataLeaf, Entries, Items, Json, Leaf
from policykit.policy.files import read_text_file
from policykit.policy.nodes import Scalar
from policykit.policy.shapes import TextKind
from policykit.policy.texts import read_text

RECORD = "phraseList"
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_HELP = "name a file in the folder of this one, or below it: `lists/phrases.csv`"


def inline_lists(checked: Checked, folder: Path, diagnostics: list[Diagnostic]) -> None:
    """Put the rows of every list's file in its place, as `entries`: from here on there are no files.

    A document that was saved with its content, as in a plan, so loads to the same digest.
    """
    match checked:
        case Entries() if checked.record == RECORD:
            if "csv" in checked.fields:
                _inline(checked, folder, diagnostics)
            else:
                _check_twice(checked.records("entries"), diagnostics)
        case Entries(_, fields):
            for value in fields.values():
                inline_lists(value, folder, diagnostics)
        case Items(items):
            for item in items:
                inline_lists(item, folder, diagnostics)
        case _:
            pass


def phrases_of(match: Entries) -> tuple[tuple[Leaf, tuple[tuple[str, str], ...]], ...]:
    """The phrases of a match, each with what is said about it."""
    listed = match.entries("phrases")
    if listed is None:
        return tuple((leaf, ()) for leaf in match.leaves("phrases"))
    found = ((entry.leaf("phrase"), _pairs(entry.data("data"))) for entry in listed.records("entries"))
    return tuple((leaf, data) for leaf, data in found if leaf)


def _pairs(data: Json) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in sorted(data.items())) if isinstance(data, dict) else ()


def _inline(listed: Entries, folder: Path, diagnostics: list[Diagnostic]) -> None:
    named, column = listed.leaf("csv"), listed.leaf("column")
    if named is None:
        return
    path = PurePosixPath(str(named.value))
    separator = _SEPARATORS.get(path.suffix.lower())
    if path.is_absolute() or ".." in path.parts or "\\" in str(named.value):
        _refuse(f"`{named.value}` is not in the folder of this file, or below it", named.place, _HELP, diagnostics)
        return
    if separator is None:
        _refuse(f"`{named.value}` is neither a CSV nor a TSV file", named.place, _HELP, diagnostics)
        return
    text = read_text_file(folder / path, diagnostics, named.place)
    if text is None:
        return
    n_before = len(diagnostics)
    rows = list(_rows(text.removeprefix("\ufeff"), str(folder / path), separator, diagnostics))
    entries = _entries(rows, column or Leaf("phrase", named.place), diagnostics)
    if not entries:
        if len(diagnostics) == n_before:
            _refuse(f"`{named.value}` has no phrases", named.place, "put one into each line", diagnostics)
        return
    _check_twice(entries, diagnostics)
    key = listed.keys.pop("csv")
    for name in ("csv", "column"):
        listed.fields.pop(name, None)
        listed.keys.pop(name, None)
    listed.keys["entries"] = key
    listed.fields["entries"] = Items(entries, named.place)


_Row = tuple[list[str], list[Place]]
"""The cells of a line, and where each of them begins."""


def _rows(text: str, file: str, separator: str, diagnostics: list[Diagnostic]) -> Iterator[_Row]:
    """The lines that are not empty, as long as they are well formed."""
    lines = text.split("\n")
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    start, width = 1, 0
    try:
        for cells in reader:
            first, start = start, reader.line_num + 1
            if not cells:
                continue
            line = lines[first - 1] if reader.line_num == first else ""
            columns = _columns(line, separator, len(cells))
            places = [Place(file, first, at, first, at) for at in columns]
            width = width or len(cells)
            if len(cells) != width:
                message = f"{len(cells)} values under {width} columns"
                _refuse(message, places[0], "put quotes around text that holds a separator", diagnostics)
                return
            yield cells, places
    except csv.Error as error:
        _refuse(f"not a table: {error}", Place(file, start, 1, start, 1), "check quotes", diagnostics)


def _columns(line: str, separator: str, n: int) -> list[int]:
    """The columns at which the cells of a line begin, quotes included; the first for cells of several lines."""
    found, quoted = [1], False
    for at, char in enumerate(line, 2):
        quoted ^= char == '"'
        if char == separator and not quoted:
            found.append(at)
    return found if len(found) == n else [1] * n


def _entries(rows: Sequence[_Row], column: Leaf, diagnostics: list[Diagnostic]) -> tuple[Entries, ...]:
    if not rows:
        _refuse("the list is empty", column.place, "its first line names the columns", diagnostics)
        return ()
    names, places = rows[0]
    twice = next((i for i, name in enumerate(names) if not name.strip() or name in names[:i]), None)
    if twice is not None:
        message = f"the column `{names[twice]}` has no name, or that of another"
        _refuse(message, places[twice], "give each column a name of its own", diagnostics)
        return ()
    if column.value not in names:
        help = did_you_mean(str(column.value), names) or f"its columns: {', '.join(names)}"
        _refuse(f"the list has no column `{column.value}`", column.place, help, diagnostics)
        return ()
    at = names.index(str(column.value))
    made = (_entry(names, at, cells, where, diagnostics) for cells, where in rows[1:])
    return tuple(entry for entry in made if entry)


def _entry(
    names: Sequence[str], at: int, cells: Sequence[str], places: Sequence[Place], diagnostics: list[Diagnostic]
) -> Entries | None:
    place = places[at]
    phrase = read_text(Scalar(cells[at], False, place, place), TextKind.PHRASE, "phrase", diagnostics)
    if phrase is None:
        return None
    data: dict[str, Json] = {name: cell for name, cell in zip(names, cells, strict=True) if cell and name != names[at]}
    fields: dict[str, Checked] = {"phrase": phrase, **({"data": DataLeaf(data, place)} if data else {})}
    return Entries("listedPhrase", fields, dict.fromkeys(fields, place), place)


def _check_twice(entries: Iterable[Entries], diagnostics: list[Diagnostic]) -> None:
    first: dict[str, Place] = {}
    for entry in entries:
        leaf = entry.leaf("phrase")
        if leaf is None:
            continue
        if str(leaf.value) in first:
            related = ((first[str(leaf.value)], "the first one"),)
            message = f"the list has `{leaf.value}` twice"
            diagnostics.append(Diagnostic("PK133", message, leaf.place, "keep one of the two", related=related))
        first.setdefault(str(leaf.value), leaf.place)


def _refuse(message: str, place: Place, help: str, diagnostics: list[Diagnostic]) -> None:
    diagnostics.append(Diagnostic("PK133", message, place, help))
