"""Which parts of a completion weigh what: by a JSON path, by a name of the grammar, or by a regular expression."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from lark import Lark, LarkError, Token, Tree

from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.ir.grammar import GrammarKind, GrammarSpec
from policykit.policy.checked import Entries
from policykit.policy.shapes import Field, Number, Record, Text, TextKind
from policykit.verify.json_fields import Node, Step, Wild, parsed, steps

Span = tuple[int, int]
SEGMENT = Record(
    "segment",
    "Parts of a completion, and what their tokens weigh; a later one takes what it has in common with an earlier one.",
    (
        Field("weight", Number(0.0, 1000.0), "of each of their characters; those of no segment weigh 1", required=True),
        Field("json", Text(TextKind.FIELD), "a path into the completion as JSON, such as `entities.*.value`"),
        Field("grammar", Text(), "a rule or a terminal of the plan's Lark grammar"),
        Field("regex", Text(), "a regular expression, searched for in the completion"),
    ),
    any_of=("json", "grammar", "regex"),
)


@dataclass(frozen=True, slots=True)
class Segment:
    """``spans`` finds the parts of a text that weigh ``weight``; it raises ValueError where a text has no such form."""

    weight: float
    spans: Callable[[str], Iterable[Span]]


def segments_from(entries: Sequence[Entries], grammar: GrammarSpec | None, found: list[Diagnostic]) -> list[Segment]:
    """The segments of a section, with a diagnostic (PK780) for each that cannot be told apart in a text."""
    reader = _Grammar(grammar)
    out: list[Segment] = []
    for entry in entries:
        named = [name for name in ("json", "grammar", "regex") if name in entry.fields]
        place = entry.keys[named[0]]
        if len(named) > 1:
            help = "make two segments of it"
            found.append(Diagnostic("PK780", f"a segment has `{named[0]}` and `{named[1]}`", place, help))
            continue
        try:
            finder = _finder(named[0], entry.text(named[0]) or "", reader)
        except ValueError as error:
            found.append(Diagnostic("PK780", str(error), place, "name parts that can be found in a completion"))
            continue
        out.append(Segment(entry.number("weight") or 0.0, finder))
    return out


def _finder(kind: str, written: str, grammar: "_Grammar") -> Callable[[str], Iterable[Span]]:
    match kind:
        case "json":
            path = steps(written)
            return lambda text: json_spans(text, path)
        case "grammar":
            grammar.check(written)
            return lambda text: grammar.spans(text, written)
        case _:
            return regex_spans(written)


def regex_spans(written: str) -> Callable[[str], Iterable[Span]]:
    """Where an expression matches, from left to right. Raises ValueError for what is none."""
    try:
        expression = re.compile(written)
    except re.error as error:
        raise ValueError(f"`{written}` is no regular expression: {error}") from error
    return lambda text: [match.span() for match in expression.finditer(text)]


def json_spans(text: str, path: tuple[Step, ...]) -> list[Span]:
    """Where the values that a path leads to stand in a JSON text. Raises ValueError for any other.

    >>> json_spans('{"a": [1, 22]}', ("a", Wild.ONE))
    [(7, 8), (10, 12)]
    """
    json.loads(text)
    found: set[Span] = set()
    todo: list[tuple[Node, tuple[Step, ...]]] = [(parsed(text), path)]
    while todo:
        node, left = todo.pop()
        if not left:
            found.add((node.start, node.end))
            continue
        first, rest = left[0], left[1:]
        if first is Wild.DEEP:
            todo.append((node, rest))
        for name, _, child in node.children:
            if first is Wild.DEEP:
                todo.append((child, left))
            elif first is Wild.ONE or first == name:
                todo.append((child, rest))
    return sorted(found)


class _Grammar:
    """A plan's Lark grammar, read by lark: its engine masks, but tells no spans."""

    def __init__(self, spec: GrammarSpec | None) -> None:
        self._spec = spec
        self._trees: dict[str, Tree[Token]] = {}

    @cached_property
    def _parser(self) -> Lark:
        if self._spec is None or self._spec.kind is not GrammarKind.LARK:
            raise ValueError("the plan has no Lark grammar whose names a segment could have")
        source = re.sub(r"^[?!]+", "", self._spec.source, flags=re.MULTILINE)  # every rule keeps its node
        try:
            return Lark(
                source, parser="earley", propagate_positions=True, keep_all_tokens=True, maybe_placeholders=False
            )
        except LarkError as error:
            reason = str(error).strip().splitlines()[0]
            raise ValueError(
                f"the plan's grammar is of llguidance's own dialect, and lark cannot read it: {reason}"
            ) from error

    def check(self, name: str) -> None:
        """Raises ValueError for a name that no part of a text can have."""
        parser = self._parser
        names = {str(rule.origin.name) for rule in parser.rules} | {str(t.name) for t in parser.terminals}
        if name not in names or (name.startswith("_") and name.islower()):
            known = ", ".join(sorted(n for n in names if not n.startswith("_")))
            raise ValueError(f"the plan's grammar has no part `{name}`: it has {known}")

    def spans(self, text: str, name: str) -> list[Span]:
        if text not in self._trees:
            try:
                tree: Any = cast(Any, self._parser).parse(text)
            except LarkError as error:
                raise ValueError("the completion is not of the plan's grammar") from error
            self._trees = {text: tree}
        found: list[Span] = []
        todo: list[Tree[Token] | Token] = [self._trees[text]]
        while todo:
            node = todo.pop()
            if isinstance(node, Tree):
                if str(node.data) == name and not node.meta.empty:
                    found.append((node.meta.start_pos, node.meta.end_pos))
                todo += node.children
            elif node.type == name and node.start_pos is not None and node.end_pos is not None:
                found.append((node.start_pos, node.end_pos))
        return sorted(found)


def character_weights(text: str, segments: Sequence[Segment], place: Place) -> list[float]:
    """A weight for every character. Raises PolicyError (PK781) for a text without the form that a segment reads."""
    weights = [1.0] * len(text)
    for segment in segments:
        try:
            spans = list(segment.spans(text))
        except ValueError as error:
            help = "leave the row out, or the segment"
            raise PolicyError.of("PK781", str(error), place, help) from error
        for start, end in spans:
            weights[start:end] = [segment.weight] * (end - start)
    return weights


def token_means(values: Sequence[float], spans: Sequence[Span], otherwise: float) -> list[float]:
    """The mean of the characters' values over each token; ``otherwise`` for a token without characters."""
    return [sum(values[a:b]) / (b - a) if b > a else otherwise for a, b in spans]
