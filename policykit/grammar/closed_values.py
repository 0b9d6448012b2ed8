"""Residue of a JSON Schema, judged where the value that it concerns is complete, and not only at the end of the text.

A keyword that the mask does not carry belongs to some value. Where nothing but ``properties``, ``items``, ``allOf``,
``$ref`` and their like lead to its subschema, every value at that place has to satisfy the subschema, whatever else
the text says: a value that closes and does not is a fault of every text that goes on from there. Under ``anyOf``,
``not``, ``if`` and what else decides, the value that the deciding keyword concerns is judged, when it closes.

This only finds earlier what :class:`~policykit.grammar.validator.GrammarValidator` finds at the end; that has the last
word, and alone judges the value as a whole.
"""

import json
import re
from dataclasses import dataclass, field
from io import StringIO
from typing import Final, TypeAlias, cast

import jsonschema_rs

from policykit.grammar.judge import gave_up, judge
from policykit.grammar.schema_document import Dialect, SchemaDocument, dialect_of
from policykit.grammar.strict_json import JsonFault, parse
from policykit.grammar.values import Json, escape, join
from policykit.ir.grammar import GrammarKind, GrammarSpec
from policykit.ir.plan import Residue

MAX_JUDGED: Final = 4_000_000
"""Characters of values that are judged before the end, those in one another counted each time; then only the end
is left, so that deep nesting does not multiply what a text costs."""

_PLAIN = re.compile(r'[^"\\]+')
_DYNAMIC: Final = frozenset({"$dynamicRef", "$recursiveRef"})
_FOLLOWED: Final = frozenset({"$ref", "allOf", "properties", "items", "prefixItems", "additionalItems"})

Applied: TypeAlias = tuple[str, ...]
"""The pointers of the subschemas that a value has to satisfy in every valid text."""


@dataclass(frozen=True, slots=True)
class EarlyFault:
    """Why no text that begins so is valid: ``end`` is how many characters of the text show it."""

    end: int
    pointer: str
    keyword: str
    message: str


class ClosingRules:
    """Which subschemas are judged where, for one schema and its residue."""

    @staticmethod
    def of(spec: GrammarSpec | None) -> "ClosingRules | None":
        """Those of a grammar; None where there are none: it is no schema, or its mask carries all of it."""
        if spec is None or spec.kind is not GrammarKind.JSON_SCHEMA or not spec.residue:
            return None
        root = cast(dict[str, Json], json.loads(spec.source))
        rules = ClosingRules(SchemaDocument.of(root, dialect_of(root) or Dialect.DRAFT_2020), spec.residue)
        return rules if rules.root else None

    def __init__(self, document: SchemaDocument, residue: tuple[Residue, ...]) -> None:
        self._document = document
        self._weak = frozenset(found.pointer.rpartition("/")[0] for found in residue)
        # What a dynamic reference means depends on the way to it, which a subschema alone has not taken.
        # Nor does it know in which dialect it is read, where there are several.
        self._is_used = bool(self._weak) and not document.may_have(_DYNAMIC) and not document.is_mixed
        self._judges: dict[str, jsonschema_rs.Validator | None] = {}
        self._children: dict[tuple[Applied, str | int], Applied] = {}
        self._checked: dict[Applied, Applied] = {}
        self._is_weak: dict[str, bool] = {}
        self.root = self._closed({""}) if self._is_used else ()

    def child(self, applied: Applied, step: str | int) -> Applied:
        """What a member (by its name) or an item (by its index) of a value has to satisfy."""
        if not applied:
            return ()
        key = applied, step if isinstance(step, str) else min(step, self._n_positions(applied))
        if key not in self._children:
            if len(self._children) > _MAX_PLACES:
                self._children.clear()
            below = (self._member(p, step) if isinstance(step, str) else self._item(p, step) for p in applied)
            self._children[key] = self._closed({pointer for pointer in below if pointer is not None})
        return self._children[key]

    def judged(self, applied: Applied) -> Applied:
        """The subschemas that a value is judged by when it closes: those with residue that is decided there."""
        if applied not in self._checked:
            self._checked[applied] = tuple(pointer for pointer in applied if self._has_residue(pointer))
        return self._checked[applied]

    def fault(self, pointer: str, value: object) -> tuple[str, str, str] | None:
        """Pointer into the value, keyword and message, where a value breaks the subschema at ``pointer``."""
        if pointer not in self._judges:
            try:
                self._judges[pointer] = judge(self._document, pointer)
            except (ValueError, jsonschema_rs.ReferencingError, jsonschema_rs.ValidationError):
                self._judges[pointer] = None  # then the end of the text has to do
        validator = self._judges[pointer]
        try:  # the first error alone: all of them take long where there are many
            if validator is not None:
                validator.validate(cast("jsonschema_rs.JSONType", value))
        except jsonschema_rs.ValidationError as error:
            if not gave_up(error):
                return join("", *error.instance_path), error.kind.name, error.message.splitlines()[0]
        return None

    # -- the schema ----------------------------------------------------------------------------------------------

    def _closed(self, pointers: set[str]) -> Applied:
        """With all that is applied to the same value unconditionally."""
        found: set[str] = set()
        pending = list(pointers)
        while pending:
            pointer = pending.pop()
            if pointer in found:
                continue
            found.add(pointer)
            edges = self._document.edges(pointer, self._document.at(pointer), None)
            pending += [target for keyword, target, _ in edges if keyword in ("$ref", "allOf")]
        return tuple(sorted(found))

    def _own(self, pointer: str) -> dict[str, Json]:
        """The keywords that count beside a reference."""
        schema = self._document.at(pointer)
        return schema if isinstance(schema, dict) and not self._document.ignores_siblings(schema) else {}

    def _member(self, pointer: str, name: str) -> str | None:
        schema = self._own(pointer)
        properties = schema.get("properties")
        if isinstance(properties, dict) and name in properties:
            return f"{pointer}/properties/{escape(name)}"
        return f"{pointer}/additionalProperties" if _has_others(schema) else None

    def _item(self, pointer: str, index: int) -> str | None:
        schema = self._own(pointer)
        listed, others = self._positions(schema)
        if index < _length(schema.get(listed)):
            return f"{pointer}/{listed}/{index}"
        return f"{pointer}/{others}" if isinstance(schema.get(others), dict) else None

    def _positions(self, schema: dict[str, Json]) -> tuple[str, str]:
        """The keyword of the schemas of the first items, and that of the schema of the others."""
        if self._document.dialect is Dialect.DRAFT_2020:
            return "prefixItems", "items"
        return ("items", "additionalItems" if isinstance(schema.get("items"), list) else "items")

    def _n_positions(self, applied: Applied) -> int:
        """The first index from which on all items have to satisfy the same."""
        schemas = map(self._own, applied)
        return max((_length(schema.get(self._positions(schema)[0])) for schema in schemas), default=0)

    def _has_residue(self, pointer: str) -> bool:
        """Whether residue belongs to the value itself, or to what a keyword of the subschema decides about."""
        if pointer not in self._is_weak:
            schema = self._own(pointer)
            unfollowed = [
                target
                for keyword, target, _ in self._document.edges(pointer, self._document.at(pointer), None)
                if keyword not in _FOLLOWED and not (keyword == "additionalProperties" and _has_others(schema))
            ]
            below = (self._document.reachable(target, None) for target in unfollowed)
            self._is_weak[pointer] = pointer in self._weak or any(not self._weak.isdisjoint(found) for found in below)
        return self._is_weak[pointer]


_MAX_PLACES: Final = 4_096


def _length(value: Json) -> int:
    return len(value) if isinstance(value, list) else 0


def _has_others(schema: dict[str, Json]) -> bool:
    """Whether each member beside those in ``properties`` is what ``additionalProperties`` says."""
    return isinstance(schema.get("additionalProperties"), dict) and "patternProperties" not in schema


@dataclass(slots=True)
class _Open:
    """A bracket that is open: what its value has to satisfy, where it begins, and which member or item comes next
    (None: a name is to come)."""

    applied: Applied
    start: int
    step: str | int | None


@dataclass(slots=True)
class ClosedValues:
    """A JSON text that arrives. What is no JSON ends the reading, and is the judge's to say."""

    rules: ClosingRules
    budget: int = MAX_JUDGED
    fault: EarlyFault | None = None
    _text: StringIO = field(default_factory=StringIO)
    _n: int = 0
    _open: list[_Open] = field(default_factory=list[_Open])
    _scalar: int | None = None
    _string: int | None = None
    _is_escaped: bool = False
    _is_over: bool = False

    def read(self, text: str) -> EarlyFault | None:
        """Read on; the first fault that is certain by now."""
        if self._is_over or not self.rules.root:
            return self.fault
        self._text.write(text)
        try:
            self._read(text)
        except (IndexError, ValueError):  # brackets that do not match, a name that is none
            self._is_over = True
        self._n += len(text)
        return self.fault

    def _read(self, text: str) -> None:
        i = 0
        while i < len(text) and not self._is_over:
            if self._string is not None:
                i = self._in_string(text, i)
                continue
            char, at = text[i], self._n + i
            if char == '"':
                self._string = at
            elif char in "{[":
                applied = self.rules.child(self._open[-1].applied, self._step()) if self._open else self.rules.root
                self._open.append(_Open(applied, at, None if char == "{" else 0))
            elif char in ",:}] \t\r\n":
                self._structure(char, at)
            elif self._scalar is None:
                self._scalar = at
            i += 1

    def _step(self) -> str | int:
        step = self._open[-1].step
        if step is None:
            raise ValueError("a value stands where a name was to come")
        return step

    def _in_string(self, text: str, i: int) -> int:
        if self._is_escaped:
            self._is_escaped = False
            return i + 1
        plain = _PLAIN.match(text, i)
        if plain:
            return plain.end()
        if text[i] == "\\":
            self._is_escaped = True
            return i + 1
        start, end = cast(int, self._string), self._n + i + 1
        self._string = None
        if self._open and self._open[-1].step is None:
            self._open[-1].step = cast(str, json.loads(self._slice(start, end)))
        elif self._open:
            self._close(self.rules.child(self._open[-1].applied, self._step()), start, end, end)
        return i + 1

    def _structure(self, char: str, at: int) -> None:
        if self._scalar is not None:
            start, self._scalar = self._scalar, None
            if self._open:
                self._close(self.rules.child(self._open[-1].applied, self._step()), start, at, at + 1)
        if char in "}]":
            closed = self._open.pop()
            if self._open:
                self._close(closed.applied, closed.start, at + 1, at + 1)
            self._is_over |= not self._open
        elif char == ",":
            step = self._open[-1].step
            self._open[-1].step = step + 1 if isinstance(step, int) else None

    def _close(self, applied: Applied, start: int, end: int, seen: int) -> None:
        """Judge the value between two places, which ``seen`` characters show to be complete."""
        judged = self.rules.judged(applied)
        if not judged or self._is_over:
            return
        self.budget -= end - start
        value = parse(self._slice(start, end)) if self.budget >= 0 else None
        if self.budget < 0 or isinstance(value, JsonFault):
            self._is_over = True
            return
        for pointer in judged:
            found = self.rules.fault(pointer, value)
            if found is not None:
                inside, keyword, message = found
                self.fault = EarlyFault(seen, self._place() + inside, keyword, message)
                self._is_over = True
                return

    def _slice(self, start: int, end: int) -> str:
        self._text.seek(start)
        found = self._text.read(end - start)
        self._text.seek(0, 2)
        return found

    def _place(self) -> str:
        return join("", *(cast("str | int", one.step) for one in self._open))
