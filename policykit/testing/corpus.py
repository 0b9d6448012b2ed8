"""Texts from files, to judge by one plan or two: JSON Lines, CSV and TSV, plain text by the line, folders of texts."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from policykit.diagnostics import Diagnostic, Place, PolicyError, did_you_mean
from policykit.ir.document import Target
from policykit.verify import Subject

TEXT_TARGETS = {target.value: target for target in Target if target is not Target.TOOL_CALL}
_KEYS = ("text", *TEXT_TARGETS, "tool_call", "tool", "facts")
_HELP = 'a line is such as {"output": "…", "facts": {"user": {"id": "u7"}}}'
_NO_LINES = (".json", ".yaml", ".yml")
_SEPARATORS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One text of a corpus, and where it stands."""

    place: Place
    subject: Subject


def read_corpus(path: Path) -> tuple[Entry, ...]:
    """Every text of a file or folder.

    ``.jsonl``: an object per line, with one of ``text`` or ``output`` (what the model writes), ``input``,
    ``retrieved``, ``json``, ``tool_result`` (beside ``tool``) or ``tool_call`` (``{name, args}``), and maybe
    ``facts``. ``.csv`` and ``.tsv``: a table whose first line names a column ``text`` or one of the others; further
    columns are left alone. A folder: every ``*.txt`` and ``*.md`` in it is one text. Other files: one text per line,
    empty lines aside; but for JSON and YAML, whose lines are no texts and which are refused.

    Raises:
        PolicyError: with every line that is no such text (PK561), or an empty corpus.
        OSError: the file cannot be read.
    """
    diagnostics: list[Diagnostic] = []
    if path.is_dir():
        entries = list(_folder(path, diagnostics))
    elif path.suffix.lower() == ".jsonl":
        entries = list(_json_lines(path, diagnostics))
    elif path.suffix.lower() in _SEPARATORS:
        entries = list(_table(path, _SEPARATORS[path.suffix.lower()], diagnostics))
    elif path.suffix.lower() in _NO_LINES:
        entries = []
        message = f"the lines of a `{path.suffix}` file are no texts"
        diagnostics.append(Diagnostic("PK561", message, Place(str(path)), f"write it as JSON Lines, `.jsonl`: {_HELP}"))
    else:
        lines = enumerate(_text(path, diagnostics).split("\n"), 1)
        entries = [Entry(_at(path, number), Subject(line)) for number, line in lines if line.strip()]
    if not entries and not diagnostics:
        diagnostics.append(Diagnostic("PK561", "the corpus holds no text", Place(str(path)), "check the path"))
    if diagnostics:
        raise PolicyError(diagnostics)
    return tuple(entries)


def _at(path: Path, line: int) -> Place:
    return Place(str(path), line, 1, line, 1)


def _text(path: Path, diagnostics: list[Diagnostic]) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"byte {error.start} is not UTF-8"
        diagnostics.append(Diagnostic("PK561", message, _at(path, line), "save the file as UTF-8"))
        return ""


def _folder(path: Path, diagnostics: list[Diagnostic]) -> Iterator[Entry]:
    for file in sorted(file for kind in ("*.txt", "*.md") for file in path.rglob(kind) if file.is_file()):
        text = _text(file, diagnostics)
        yield Entry(Place(str(file)), Subject(text.removesuffix("\n")))


def _json_lines(path: Path, diagnostics: list[Diagnostic]) -> Iterator[Entry]:
    for number, line in enumerate(_text(path, diagnostics).split("\n"), 1):
        if not line.strip():
            continue
        try:
            value: object = json.loads(line)
        except (ValueError, RecursionError) as error:
            diagnostics.append(Diagnostic("PK561", f"not JSON: {error}", _at(path, number), _HELP))
            continue
        if not isinstance(value, dict):
            diagnostics.append(Diagnostic("PK561", "the line is no JSON object", _at(path, number), _HELP))
            continue
        try:
            yield Entry(_at(path, number), _subject(cast("dict[str, object]", value)))
        except ValueError as error:
            diagnostics.append(Diagnostic("PK561", str(error), _at(path, number), _HELP))


def _subject(fields: Mapping[str, object]) -> Subject:
    """Raises ValueError, saying why, for what is no text to judge."""
    for key in fields:
        if key not in _KEYS:
            raise ValueError(f"unknown field `{key}`; {did_you_mean(key, _KEYS) or 'known are ' + ', '.join(_KEYS)}")
    named = [key for key in _KEYS if key in fields and key not in ("tool", "facts")]
    if len(named) != 1:
        raise ValueError("no text" if not named else f"both `{named[0]}` and `{named[1]}`")
    facts = fields.get("facts", {})
    if not isinstance(facts, Mapping):
        raise ValueError("`facts` is no object")
    facts = cast("Mapping[str, object]", facts)
    (key,) = named
    value, tool = fields[key], fields.get("tool")
    if key == "tool_call":
        return _call(value, facts)
    if not isinstance(value, str):
        raise ValueError(f"`{key}` is no text")
    if tool is not None and not isinstance(tool, str):
        raise ValueError("`tool` is no text")
    return Subject(value, TEXT_TARGETS.get(key, Target.OUTPUT), tool, facts)


def _call(value: object, facts: Mapping[str, object]) -> Subject:
    call = cast("dict[str, object]", value) if isinstance(value, dict) else dict[str, object]()
    name, args = call.get("name"), call.get("args")
    if not isinstance(name, str) or not isinstance(args, Mapping) or len(call) != 2:
        raise ValueError("`tool_call` is `{name, args}`, a text and an object")
    text = json.dumps(args, ensure_ascii=False, separators=(",", ":"))
    return Subject(text, Target.TOOL_CALL, name, facts)


def _table(path: Path, separator: str, diagnostics: list[Diagnostic]) -> Iterator[Entry]:
    lines = csv.DictReader(_text(path, diagnostics).splitlines(keepends=True), delimiter=separator, strict=True)
    try:
        columns = [name for name in lines.fieldnames or () if name == "text" or name in TEXT_TARGETS]
        if len(columns) != 1:
            message = f"{len(columns) or 'no'} columns hold a text"
            help = f"name one column `text`, or one of {', '.join(TEXT_TARGETS)}"
            diagnostics.append(Diagnostic("PK561", message, _at(path, 1), help))
            return
        (column,) = columns
        for row in lines:
            text = row[column]
            if None in row or None in row.values():
                message = "more values than columns" if None in row else "fewer values than columns"
                help = "put quotes around text that holds a separator"
                diagnostics.append(Diagnostic("PK561", message, _at(path, lines.line_num), help))
                continue
            yield Entry(_at(path, lines.line_num), Subject(text, TEXT_TARGETS.get(column, Target.OUTPUT)))
    except csv.Error as error:
        diagnostics.append(Diagnostic("PK561", f"not a table: {error}", _at(path, lines.line_num), "check quotes"))
