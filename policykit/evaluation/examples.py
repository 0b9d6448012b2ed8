"""What an evaluation reads: prompts with what is wanted of their answers, and answers that were made before.

JSON Lines, one object a line. Columns that are not ours are left alone, except near misses of ours, which are errors.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from policykit.diagnostics import Diagnostic, Place, PolicyError, did_you_mean

COLUMNS = ("id", "prompt", "reference", "references", "citations", "facts", "cohort", "output", "completion")
ANSWERS = ("output", "completion")


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt. ``references`` are answers as good as each other, ``citations`` the sources that an answer should cite
    (None where nothing is said about them), ``facts`` what conditions of rules read."""

    name: str
    prompt: str
    references: tuple[str, ...] = ()
    citations: tuple[str, ...] | None = None
    facts: Mapping[str, object] = field(default_factory=dict[str, object])
    cohort: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A text that a model wrote to the example at ``index``. ``ended_by``: `end`, `length`, `dead_end`, `given` (it was
    in a file), or why a strategy has no answer, in which case there is no text."""

    index: int
    text: str | None
    ended_by: str
    n_tokens: int | None = None
    token_ids: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Data:
    """A file of examples, with the digest of its bytes; ``answers`` is empty for prompts alone."""

    name: str
    digest: str
    examples: tuple[Example, ...]
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt, of which the first is preferred. ``rejected_ends``: the rejected one came to its end
    by itself, so that its end of text is part of it."""

    prompt: str
    chosen: str
    rejected: str
    cohort: str | None = None
    rejected_ends: bool = True


def read_prompts(path: Path, limit: int | None = None) -> Data:
    """The prompts of a file, the first ``limit`` if there is one. Raises PolicyError (PK840) with every bad line."""
    return _data(path, limit, wants_answers=False)


def read_answers(path: Path, limit: int | None = None) -> Data:
    """Prompts with an answer each. Raises PolicyError (PK840) with every bad line."""
    return _data(path, limit, wants_answers=True)


def read_pairs(path: Path) -> tuple[Pair, ...]:
    """Preference pairs, as `policykit sample --pairs` writes them. Raises PolicyError (PK840) with every bad line."""
    lines = _Lines(path)
    pairs = [
        Pair(
            lines.text(line, row, "prompt"),
            lines.text(line, row, "chosen"),
            lines.text(line, row, "rejected"),
            lines.maybe_text(line, row, "cohort"),
            row.get("rejected_finish", "end") == "end",
        )
        for line, row in lines.rows()
    ]
    lines.check()
    return tuple(pairs)


def _data(path: Path, limit: int | None, wants_answers: bool) -> Data:
    lines = _Lines(path)
    examples: list[Example] = []
    answers: list[Answer] = []
    for line, row in lines.rows():
        if limit is not None and len(examples) >= limit:
            break
        lines.look_for_near_misses(line, row)
        examples.append(_example(lines, line, row))
        if wants_answers:
            answers.append(Answer(len(answers), lines.answer(line, row), "given"))
    lines.check()
    return Data(path.name, lines.digest, tuple(examples), tuple(answers))


def _example(lines: "_Lines", line: int, row: Mapping[str, object]) -> Example:
    return Example(
        lines.maybe_text(line, row, "id") or str(line),
        lines.text(line, row, "prompt"),
        lines.references(line, row),
        lines.names(line, row, "citations") if "citations" in row else None,
        lines.mapping(line, row, "facts"),
        lines.maybe_text(line, row, "cohort"),
    )


class _Lines:
    """The lines of one file, and what is wrong with them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        data = path.read_bytes()
        self.digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self._wrong: list[Diagnostic] = []
        try:
            self._text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            self._text = ""
            self._say(1, f"the file is not UTF-8 from byte {error.start} on", "convert it to UTF-8")

    def rows(self) -> Iterator[tuple[int, dict[str, object]]]:
        n = 0
        for line, text in enumerate(self._text.split("\n"), 1):
            if not text.strip():
                continue
            n += 1
            try:
                row: object = json.loads(text)
            except (ValueError, RecursionError) as error:
                self._say(line, f"no JSON: {error}", "write one JSON object a line")
                continue
            if not isinstance(row, dict):
                self._say(line, "no JSON object", 'write one object a line, such as {"prompt": "Is it safe?"}')
                continue
            yield line, cast("dict[str, object]", row)
        if not n and not self._wrong:
            self._say(1, "the file has no rows", "give at least one")

    def check(self) -> None:
        if self._wrong:
            raise PolicyError(self._wrong)

    def look_for_near_misses(self, line: int, row: Mapping[str, object]) -> None:
        for name in row:
            if name not in COLUMNS and (advice := did_you_mean(name, COLUMNS)):
                self._say(line, f"`{name}` is no column of ours", advice)

    def text(self, line: int, row: Mapping[str, object], name: str) -> str:
        value = row.get(name)
        if not isinstance(value, str):
            found = "is missing" if name not in row else "is no text"
            self._say(line, f"`{name}` {found}", f"give `{name}` as a string")
            return ""
        return value

    def maybe_text(self, line: int, row: Mapping[str, object], name: str) -> str | None:
        value = row.get(name)
        return str(value) if type(value) is int else None if value is None else self.text(line, row, name)

    def answer(self, line: int, row: Mapping[str, object]) -> str:
        named = [name for name in ANSWERS if name in row]
        if len(named) != 1:
            found = "both `output` and `completion`" if named else "neither `output` nor `completion`"
            self._say(line, f"there is {found}", "give the answer in one of them")
            return ""
        return self.text(line, row, named[0])

    def references(self, line: int, row: Mapping[str, object]) -> tuple[str, ...]:
        if "reference" in row and "references" in row:
            self._say(line, "there are both `reference` and `references`", "keep one of them")
        if isinstance(row.get("reference"), str):
            return (cast(str, row["reference"]),)
        return self.names(line, row, "reference") or self.names(line, row, "references")

    def names(self, line: int, row: Mapping[str, object], name: str) -> tuple[str, ...]:
        value = row.get(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(one, str) for one in cast("list[object]", value)):
            self._say(line, f"`{name}` is no list of strings", f'give it as {{"{name}": ["…"]}}')
            return ()
        return tuple(cast("Sequence[str]", value))

    def mapping(self, line: int, row: Mapping[str, object], name: str) -> Mapping[str, object]:
        value = row.get(name)
        if value is not None and not isinstance(value, dict):
            self._say(line, f"`{name}` is no object", f'give it as {{"{name}": {{…}}}}')
            return {}
        return cast("Mapping[str, object]", value or {})

    def _say(self, line: int, message: str, help: str) -> None:
        self._wrong.append(Diagnostic("PK840", message, Place(str(self._path), line), help))
