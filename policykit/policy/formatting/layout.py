"""How a YAML text is laid out: its blocks, the source of its leaves, and the comments and blank lines between them.

A leaf is a scalar or a collection in brackets; its source is never rewritten, so no value can change by being
formatted. Everything between two leaves is white space, `-`, `:` and comments.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from ruamel.yaml import YAML


class Unformattable(Exception):
    """A form of YAML that is not laid out here. ``at`` is its offset, ``help`` what to write instead."""

    def __init__(self, why: str, at: int, help: str = "write keys as `name:`, and one document per file") -> None:
        super().__init__(why)
        self.at, self.help = at, help


@dataclass(frozen=True, slots=True)
class Remark:
    """A comment on a line of its own with its column, or a blank line where ``text`` is empty."""

    text: str
    column: int


@dataclass(slots=True)
class Anchor:
    """Something that a line can begin with, a dash, a key or a value, with what stands before it and behind it.

    ``lead``: the remarks above it. ``comment``: the comment behind it on the same line, with the space before it that
    people align comments by. ``breaks``: whether a line
    break stands before it.
    """

    start: int
    end: int
    column: int
    lead: list[Remark] = field(default_factory=list[Remark])
    comment: str = ""
    breaks: bool = False


@dataclass(frozen=True, slots=True)
class Leaf:
    anchor: Anchor
    source: str
    parent_column: int

    @property
    def text(self) -> str:
        """A key's name: its source without quotes."""
        return self.source.strip("'\"")


@dataclass(frozen=True, slots=True)
class Empty:
    """No value: `key:` or `-` alone."""


@dataclass(frozen=True, slots=True)
class Item:
    dash: Anchor
    value: "Block"


@dataclass(frozen=True, slots=True)
class BlockSequence:
    """``tail``: the remarks below its last item that are indented like it."""

    items: tuple[Item, ...]
    tail: tuple[Remark, ...]


@dataclass(frozen=True, slots=True)
class Field:
    key: Leaf
    value: "Block"


@dataclass(frozen=True, slots=True)
class BlockMapping:
    """``tail`` as for a sequence."""

    fields: tuple[Field, ...]
    tail: tuple[Remark, ...]


Block: TypeAlias = Leaf | Empty | BlockSequence | BlockMapping


@dataclass(frozen=True, slots=True)
class Layout:
    """``head``: lines above the document, such as `---`. ``tail``: remarks below it."""

    head: tuple[str, ...]
    root: Block
    tail: tuple[Remark, ...]


def layout_of(text: str) -> Layout:
    """The layout of a valid YAML document with line breaks that are LF.

    Raises:
        Unformattable: keys written with `?`, an end marker `...`, or collections that share a line with `---`.
    """
    return _Reader(text).layout()


@dataclass(frozen=True, slots=True)
class _Span:
    """A leaf, or the begin or the end of a block collection."""

    kind: str
    start: int
    end: int


def _spans(text: str) -> Iterator[_Span]:
    """The parser's events, those of a collection in brackets as one leaf."""
    parse = cast(Any, YAML(typ="safe", pure=True)).parse
    depth, opened = 0, 0
    for event in cast(Iterable[Any], parse(text)):
        name, start, end = type(event).__name__, event.start_mark.index, event.end_mark.index
        if name in ("MappingStartEvent", "SequenceStartEvent") and (depth or event.flow_style):
            opened, depth = (opened, depth + 1) if depth else (start, 1)
        elif name in ("MappingEndEvent", "SequenceEndEvent") and depth:
            depth -= 1
            if not depth:
                yield _Span("leaf", opened, end)
        elif name == "ScalarEvent" and not depth:
            if event.style in ("|", ">"):
                if event.end_mark.index >= len(text) and not text.endswith("\n"):
                    why = "the last line is part of a value and has no line break, which would change the value"
                    raise Unformattable(why, len(text) - 1, "end the file with a line break")
                end = _end_of_block_scalar(text, start)
            yield _Span("leaf" if end > start else "empty", start, end)
        elif name in ("MappingStartEvent", "SequenceStartEvent", "MappingEndEvent", "SequenceEndEvent"):
            yield _Span(name.removesuffix("Event"), start, end)


def _end_of_block_scalar(text: str, start: int) -> int:
    """Behind the last line of a literal or folded scalar; the parser's mark is where the next token begins."""
    line_start = text.rfind("\n", 0, start) + 1
    at = _line_end(text, start)
    keeps = "+" in text[start:at].partition("#")[0]
    least: int | None = None
    owner = len(text[line_start:start]) - len(text[line_start:start].lstrip(" "))
    given = re.search(r"[1-9]", text[start:at].partition("#")[0])
    if given:
        least = owner + 1  # at least so much: the indicator counts from the block that holds the scalar
    end = at
    while at < len(text):
        next_end = _line_end(text, at + 1)
        line = text[at + 1 : next_end]
        blank = not line.strip(" ") and (least is None or len(line) <= least)
        indent = len(line) - len(line.lstrip(" "))
        if least is None and not blank:
            least = indent
            if indent <= owner:
                break
        if not blank and indent < (least or 0):
            break
        at = next_end
        if not blank or keeps:
            end = at
    return min(end, len(text))


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end


_TOKEN = re.compile(
    r"(?P<comment>#[^\n]*)|(?P<newline>\n)|(?P<dash>-(?=\s|\Z))|(?P<other>\?|\.\.\.|---|%[^\n]*)|[\s:]|."
)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.spans = list(_spans(text))
        self.leaves = [span for span in self.spans if span.kind == "leaf"]
        self.start = self._head()
        self.anchors: list[Anchor] = []
        self.at = 0  # the next anchor
        self.position = 0  # the next span

    def layout(self) -> Layout:
        head = self.text[: self.start].split("\n")[:-1] if self.start else []
        before = self.start
        previous: Anchor | None = None
        pending: list[Remark] = []
        for leaf in self.leaves:
            previous, pending = self._gap(before, leaf.start, previous, pending)
            previous = self._anchor(leaf.start, leaf.end, pending)
            pending, before = [], leaf.end
        previous, pending = self._gap(before, len(self.text), previous, pending)
        end = Anchor(len(self.text), len(self.text), -1, pending)
        self.anchors.append(end)
        root = self._block(-1)
        return Layout(tuple(line.rstrip() for line in head), root, tuple(end.lead))

    def _head(self) -> int:
        """Where the document begins: behind `---` and everything above it."""
        first = self.leaves[0].start if self.leaves else len(self.text)
        marker = re.search(r"^---(?=\s)", self.text[:first], re.MULTILINE)
        if marker is None:
            return 0
        end = _line_end(self.text, marker.start())
        if end > first:
            raise Unformattable("a value stands on the line of `---`", marker.start())
        return end + 1

    def _anchor(self, start: int, end: int, lead: list[Remark]) -> Anchor:
        line = self.text.rfind("\n", 0, start) + 1
        breaks = not self.text[line:start].strip()
        self.anchors.append(Anchor(start, end, start - line, lead, breaks=breaks))
        return self.anchors[-1]

    def _gap(
        self, start: int, end: int, previous: Anchor | None, pending: list[Remark]
    ) -> tuple[Anchor | None, list[Remark]]:
        """Take in what stands between two leaves: dashes become anchors, comments go to what they stand beside."""
        fresh = start == 0 or self.text[start - 1] == "\n"  # nothing stands on this line yet
        for token in _TOKEN.finditer(self.text, start, end):
            match token.lastgroup:
                case "newline":
                    if fresh:
                        pending.append(Remark("", 0))
                    fresh = True
                case "comment":
                    text = token.group().rstrip()
                    if fresh:
                        column = token.start() - self.text.rfind("\n", 0, token.start()) - 1
                        pending.append(Remark(text, column))
                        # The line break that ends the comment is no blank line.
                        fresh = False
                    elif previous is not None:
                        behind = self.text[start : token.start()]
                        previous.comment = behind[len(behind.rstrip(" \t")) :] + text
                case "dash":
                    previous = self._anchor(token.start(), token.end(), pending)
                    pending, fresh = [], False
                case "other":
                    raise Unformattable(f"`{token.group()}` is not laid out", token.start())
                case _:
                    if not token.group().isspace() and token.group() != ":":
                        raise Unformattable(f"`{token.group()}` stands between two values", token.start())
                    fresh = fresh and token.group().isspace()
        return previous, pending

    # -- the tree ----------------------------------------------------------------------------------------------

    def _take(self) -> Anchor:
        self.at += 1
        return self.anchors[self.at - 1]

    def _block(self, parent_column: int) -> Block:
        if self.position == len(self.spans):
            return Empty()
        span = self.spans[self.position]
        self.position += 1
        match span.kind:
            case "leaf":
                return Leaf(self._take(), self.text[span.start : span.end], parent_column)
            case "empty":
                return Empty()
            case "SequenceStart":
                return self._sequence()
            case _:
                return self._mapping()

    def _ends(self) -> bool:
        ends = self.spans[self.position].kind in ("SequenceEnd", "MappingEnd")
        self.position += ends
        return ends

    def _sequence(self) -> BlockSequence:
        items: list[Item] = []
        column = 0
        while not self._ends():
            dash = self._take()
            column = dash.column
            items.append(Item(dash, self._block(dash.column)))
        return BlockSequence(tuple(items), self._tail(column))

    def _mapping(self) -> BlockMapping:
        fields: list[Field] = []
        column = 0
        while not self._ends():
            key = self._block(-1)
            if not isinstance(key, Leaf):
                raise Unformattable("a key that is no text", self.anchors[min(self.at, len(self.anchors) - 1)].start)
            column = key.anchor.column
            fields.append(Field(key, self._block(column)))
        return BlockMapping(tuple(fields), self._tail(column))

    def _tail(self, column: int) -> tuple[Remark, ...]:
        """Comments below a block that are indented like it, while what follows is not, belong to it."""
        follows = self.anchors[self.at]
        if follows.column >= column:
            return ()
        taken = 0
        for number, remark in enumerate(follows.lead, 1):
            if remark.text and remark.column < column:
                break
            taken = number if remark.text else taken
        tail = tuple(follows.lead[:taken])
        del follows.lead[:taken]
        return tail


__all__ = ["BlockMapping", "BlockSequence", "Empty", "Field", "Item", "Layout", "Leaf", "Remark", "Unformattable"]
