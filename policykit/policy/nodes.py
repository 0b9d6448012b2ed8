"""A policy file's text as a tree of nodes with places, by YAML 1.2 and nothing more.

Departures from YAML 1.2, all refused with a place: anchors, aliases, merge keys, tags, directives other than
`%YAML 1.2`, several documents, keys that are not text, equal keys. The scanner and parser are ruamel.yaml's
(pure Python); nothing is ever constructed from a tag. Types of plain scalars are :mod:`policykit.policy.core`'s.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.reader import ReaderError

from policykit.diagnostics import Diagnostic, Place
from policykit.policy.core import resolve

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_NODES = 50_000


@dataclass(frozen=True, slots=True)
class Scalar:
    """``content`` is the place of the text itself, without quotes, where it stands on one line as it is."""

    text: str
    plain: bool
    place: Place
    content: Place


@dataclass(frozen=True, slots=True)
class Sequence:
    items: "tuple[Node, ...]"
    place: Place


@dataclass(frozen=True, slots=True)
class Entry:
    key: Scalar
    value: "Node"


@dataclass(frozen=True, slots=True)
class Mapping:
    entries: tuple[Entry, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that was complained about already; whoever reads it stays silent."""

    place: Place


Node: TypeAlias = Scalar | Sequence | Mapping | Refused


class _Stop(Exception):
    """A limit was reached; the diagnostic is recorded."""


def compose(text: str, file: str, diagnostics: list[Diagnostic]) -> Node | None:
    """The root node, or None where the text has none; everything that is wrong is appended to ``diagnostics``.

    Bounded: 1 MiB of text, 64 levels, 50,000 nodes. Never raises for any text.
    """
    source = _Source(text.removeprefix("\ufeff"), file)
    if len(source.text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        diagnostics.append(_too_large(f"the file has more than {MAX_BYTES} bytes", source.place(0, 0)))
        return None
    composer = _Composer(source, diagnostics)
    try:
        composer.run(_events(source.text))
    except _Stop:
        return None
    except (YAMLError, ValueError, OverflowError) as error:
        diagnostics.append(_not_yaml(error, source))
        return None
    if composer.root is None and not diagnostics:
        help = "a policy begins with `apiVersion: policykit/v1`"
        diagnostics.append(Diagnostic("PK007", "there is no document in the file", source.place(0, 0), help))
    return composer.root


def _events(text: str) -> Iterable[Any]:
    parse = cast(Callable[[str], Iterable[Any]], YAML(typ="safe", pure=True).parse)  # pyright: ignore[reportUnknownMemberType]
    return parse(text)


class _Source:
    """The text, and places in it by offset. Lines end at LF, CR LF or CR, as in YAML 1.2 (production 28)."""

    def __init__(self, text: str, file: str) -> None:
        self.text, self.file = text, file
        self.starts = [0]
        for at, char in enumerate(text):
            if char == "\n" or (char == "\r" and text[at + 1 : at + 2] != "\n"):
                self.starts.append(at + 1)

    def place(self, start: int, end: int) -> Place:
        first, last = bisect_right(self.starts, start), bisect_right(self.starts, end)
        return Place(self.file, first, start - self.starts[first - 1] + 1, last, end - self.starts[last - 1] + 1)

    def word_end(self, start: int) -> int:
        """The offset of the next white space."""
        return start + len(self.text[start : start + 256].split(maxsplit=1)[0])

    def trimmed(self, start: int, end: int) -> int:
        """``end`` without trailing white space (a block scalar's end is where the next token begins)."""
        return start + max(len(self.text[start:end].rstrip()), 1)


@dataclass(slots=True)
class _Open:
    """A collection that is being read: keys and values alternate in a mapping."""

    start: int
    is_mapping: bool
    children: list[tuple[Node, int]]


class _Composer:
    def __init__(self, source: _Source, diagnostics: list[Diagnostic]) -> None:
        self.source, self.diagnostics = source, diagnostics
        self.root: Node | None = None
        self.open: list[_Open] = []
        self.documents = 0
        self.nodes = 0

    def run(self, events: Iterable[Any]) -> None:
        for event in events:
            kind = type(event).__name__
            start, end = event.start_mark.index, event.end_mark.index
            match kind:
                case "DocumentStartEvent":
                    self.document(event, start)
                case "AliasEvent":
                    self.complain("PK009", f"alias `*{event.anchor}` is refused", start, end, "write the value out")
                    self.add(Refused(self.source.place(start, end)), end)
                case "ScalarEvent":
                    self.add(self.scalar(event, start, end), end)
                case "SequenceStartEvent" | "MappingStartEvent":
                    self.begin(event, start, kind == "MappingStartEvent")
                case "SequenceEndEvent" | "MappingEndEvent":
                    self.end(start, end)
                case _:
                    pass

    def complain(self, code: str, message: str, start: int, end: int, help: str) -> None:
        self.diagnostics.append(Diagnostic(code, message, self.source.place(start, end), help))

    def stop(self, message: str, at: int) -> None:
        self.diagnostics.append(_too_large(message, self.source.place(at, at + 1)))
        raise _Stop

    def document(self, event: Any, start: int) -> None:
        self.documents += 1
        if self.documents > 1:
            self.complain("PK008", "a second document begins here", start, start + 3, "put it into a file of its own")
            raise _Stop
        if event.tags or event.version not in (None, (1, 2)):
            self.complain("PK010", "directives are refused", 0, self.source.trimmed(0, start), "remove the `%` line")

    def properties(self, event: Any, start: int) -> bool:
        """Whether the node is free of tags, after complaining about tags and anchors."""
        if event.anchor is not None:
            at = self.source.text.index("&", start)
            help = "remove it; values are written out where they are used"
            self.complain("PK009", f"anchor `&{event.anchor}` is refused", at, self.source.word_end(at), help)
        if event.tag is not None:
            at = self.source.text.index("!", start)
            help = "remove it; quote a value that is meant as text"
            self.complain("PK010", f"tag `{_short(event.tag)}` is refused", at, self.source.word_end(at), help)
        return event.tag is None

    def scalar(self, event: Any, start: int, end: int) -> Node:
        end = self.source.trimmed(start, end) if event.style in ("|", ">") else end
        place = self.source.place(start, end)
        if not self.properties(event, start):
            return Refused(place)
        try:
            # A pair of \u escapes is one character, as in JSON; half a pair is none.
            text = str(event.value).encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            help = r"write the character itself, or `\U0001F600`"
            self.complain("PK006", "an escape stands for half of a surrogate pair", start, end, help)
            return Refused(place)
        inside = self.source.text[start + 1 : end - 1]
        quoted_as_is = event.style in ("'", '"') and inside == text
        content = self.source.place(start + 1, end - 1) if quoted_as_is else place
        return Scalar(text, event.style is None, place, content)

    def begin(self, event: Any, start: int, is_mapping: bool) -> None:
        self.properties(event, start)
        if len(self.open) >= MAX_DEPTH:
            self.stop(f"nested deeper than {MAX_DEPTH} levels", start)
        self.open.append(_Open(start, is_mapping, []))

    def end(self, start: int, end: int) -> None:
        done = self.open.pop()
        if start == end:  # a block collection ends where the next token begins: its last child is its end
            end = done.children[-1][1] if done.children else done.start
        place = self.source.place(done.start, end)
        nodes = [child for child, _ in done.children]
        node = self.mapping(nodes, place) if done.is_mapping else Sequence(tuple(nodes), place)
        self.add(node, end)

    def add(self, node: Node, end: int) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self.stop(f"more than {MAX_NODES} values", max(end - 1, 0))
        if self.open:
            self.open[-1].children.append((node, end))
        else:
            self.root = node

    def mapping(self, nodes: list[Node], place: Place) -> Mapping:
        entries: dict[str, Entry] = {}
        for key, value in zip(nodes[::2], nodes[1::2], strict=True):
            if isinstance(key, Refused):
                continue
            if not isinstance(key, Scalar):
                self.diagnostics.append(
                    Diagnostic("PK012", "a key must be text", key.place, "keys are names of fields")
                )
            elif key.plain and key.text == "<<":
                self.diagnostics.append(
                    Diagnostic("PK009", "merge key `<<` is refused", key.place, "write the fields out")
                )
            elif key.plain and not reads_as_text(key.text):
                message = f"a key must be text, `{key.text}` is not" if key.text else "a key must be text, it is empty"
                self.diagnostics.append(Diagnostic("PK012", message, key.place, "keys are names of fields"))
            elif key.text in entries:
                self.duplicate(key, entries[key.text].key)
            else:
                entries[key.text] = Entry(key, value)
        return Mapping(tuple(entries.values()), place)

    def duplicate(self, key: Scalar, first: Scalar) -> None:
        self.diagnostics.append(
            Diagnostic(
                "PK011",
                f"duplicate key `{key.text}`",
                key.place,
                "keep one of the two",
                related=((first.place, "the first one"),),
            )
        )


def reads_as_text(plain: str) -> bool:
    """Whether the core schema resolves a plain scalar to text."""
    return isinstance(resolve(plain), str)


def _short(tag: str) -> str:
    return "!!" + tag.removeprefix("tag:yaml.org,2002:") if tag.startswith("tag:yaml.org,2002:") else tag


def _too_large(message: str, place: Place) -> Diagnostic:
    return Diagnostic("PK005", message, place, "split the document")


_SAYINGS = {
    "found character '\\t' that cannot start any token": ("a tab stands where only spaces can", "indent with spaces"),
    "mapping values are not allowed here": (
        "a `:` stands where no value can begin",
        "quote text that holds a colon, and check the indentation",
    ),
    "could not find expected ':'": ("a line without `:` among the fields", "a field is written `name: value`"),
    "found unexpected end of stream": ("the quotes are not closed", "close them with the same quote"),
}


def _not_yaml(error: Exception, source: _Source) -> Diagnostic:
    """What the scanner complained about, at its place."""
    if isinstance(error, ReaderError):
        at = int(cast(Any, error).position)
        message = f"the character U+{ord(source.text[at]):04X} cannot stand in a YAML file"
        return Diagnostic(
            "PK006", message, source.place(at, at + 1), 'write it as an escape in double quotes, "\\u...."'
        )
    problem = str(getattr(error, "problem", None) or error)
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    at = min(int(mark.index), len(source.text)) if mark else 0
    message, help = _SAYINGS.get(
        problem, (f"not valid YAML: {_ticks(problem)}", "check indentation, quotes and brackets")
    )
    return Diagnostic("PK006", message, source.place(at, min(at + 1, len(source.text))), help)


def _ticks(problem: str) -> str:
    return problem.replace("'", "`").partition("\n")[0]
