"""A policy file's text, and what a change of one node looks like in it."""

import difflib
import json
from dataclasses import dataclass

from policykit.diagnostics import Place
from policykit.policy.nodes import Entry, Mapping, Node, Scalar, Sequence


@dataclass(frozen=True, slots=True)
class TextEdit:
    """Puts a text in place of ``[start, end)``."""

    start: int
    end: int
    put: str


class Source:
    """The text with its lines. Lines end at LF, CR LF or CR."""

    def __init__(self, text: str, file: str) -> None:
        self.text, self.file = text.removeprefix("\ufeff"), file
        self._starts = [0]
        for line in self.text.splitlines(keepends=True) if "\r" in self.text else self.text.split("\n"):
            self._starts.append(self._starts[-1] + len(line) + ("\r" not in self.text))

    def span(self, place: Place) -> tuple[int, int]:
        return (
            self._starts[place.line - 1] + place.column - 1,
            self._starts[place.end_line - 1] + place.end_column - 1,
        )

    def replacement(self, node: Node, put: str) -> TextEdit:
        return TextEdit(*self.span(node.place), put)

    def removal(self, parent: Sequence | Mapping, index: int) -> TextEdit:
        """Takes out an item or entry, with its line or its comma."""
        starts = [self._start(child) for child in _children(parent)]
        ends = [self._end(child) for child in _children(parent)]
        if self.is_flow(parent):
            if index + 1 < len(starts):
                return TextEdit(starts[index], starts[index + 1], "")
            return TextEdit(ends[index - 1] if index else starts[index], ends[index], "")
        start = self.text.rfind("\n", 0, starts[index]) + 1
        before = self.text[start : starts[index]]
        if isinstance(parent, Mapping) and before.strip():  # the first field of an item of a list
            following = starts[index + 1] if index + 1 < len(starts) else ends[index]
            return TextEdit(starts[index], following, "")
        end = self.text.find("\n", ends[index])
        return TextEdit(start, len(self.text) if end < 0 else end + 1, "")

    def insertion(self, parent: Mapping, field: str) -> TextEdit:
        """Puts a field before all others."""
        first = self._start(parent.entries[0])
        indent = first - self.text.rfind("\n", 0, first) - 1
        put = f"{field}, " if self.is_flow(parent) else f"{field}\n{' ' * indent}"
        return TextEdit(first, first, put)

    def is_flow(self, node: Sequence | Mapping) -> bool:
        return self.text[self.span(node.place)[0]] in "[{"

    def applied(self, edit: TextEdit) -> str:
        return self.text[: edit.start] + edit.put + self.text[edit.end :]

    def diff(self, edit: TextEdit) -> str:
        """A unified diff of the file."""
        before, after = self.text.splitlines(), self.applied(edit).splitlines()
        lines = difflib.unified_diff(before, after, self.file, self.file, n=1, lineterm="")
        return "\n".join(lines)

    def _start(self, child: Node | Entry) -> int:
        return self.span(child.key.place if isinstance(child, Entry) else child.place)[0]

    def _end(self, child: Node | Entry) -> int:
        return self.span(child.value.place if isinstance(child, Entry) else child.place)[1]


def _children(parent: Sequence | Mapping) -> tuple[Node, ...] | tuple[Entry, ...]:
    return parent.items if isinstance(parent, Sequence) else parent.entries


def written(text: str) -> str:
    """A text as a YAML scalar on one line."""
    return "'" + text.replace("'", "''") + "'" if text.isprintable() else json.dumps(text)


def scalar(text: str, at: Node, *, plain: bool = False) -> Scalar:
    """A new scalar at the place of another node."""
    return Scalar(text, plain, at.place, at.place)
