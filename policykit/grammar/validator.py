"""Judging a whole text by its grammar, independent of any vocabulary."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final, cast

import jsonschema_rs

from policykit.diagnostics import InternalError
from policykit.grammar.judge import gave_up, judge, may_give_up
from policykit.grammar.matcher import matches
from policykit.grammar.schema_document import Dialect, SchemaDocument, dialect_of
from policykit.grammar.strict_json import JsonFault, parse
from policykit.grammar.tag_format import tag_format
from policykit.grammar.tag_reading import TagReader
from policykit.grammar.values import Json, join
from policykit.grammar.visits import MAX_VISITS, most_visits_in
from policykit.ir.grammar import GrammarKind, GrammarSpec

MAX_VIOLATIONS: Final = 64
MAX_EXPLAINED: Final = 50_000
"""Characters of a text, times the visits of one place, up to which everything that is wrong is looked for. All of it is
found before the first is told, in 25 to 100 µs each (on two cores under load): that would take seconds."""


@dataclass(frozen=True, slots=True)
class GrammarViolation:
    """A text that is not in the grammar. ``pointer`` leads into the value (JSON), ``keyword`` is what it breaks."""

    pointer: str
    keyword: str
    message: str


class GrammarValidator:
    """The judge for one grammar. A JSON Schema is applied as its author wrote it, never in relaxed form."""

    __slots__ = ("_max_explained", "_schema", "_spec", "_tags")

    def __init__(self, spec: GrammarSpec) -> None:
        self._spec = spec
        self._schema: jsonschema_rs.Validator | None = None
        self._tags: TagReader | None = None
        if spec.kind is GrammarKind.STRUCTURAL_TAG:
            self._tags = TagReader(tag_format(spec.source, spec.place), _judge_of)
        if spec.kind is GrammarKind.JSON_SCHEMA:
            root = cast(dict[str, Json], json.loads(spec.source))
            document = SchemaDocument.of(root, dialect_of(root) or Dialect.DRAFT_2020)
            self._max_explained = _max_explained(document)
            try:
                self._schema = judge(document)
            except (ValueError, jsonschema_rs.ReferencingError) as error:
                raise InternalError(f"the schema cannot be validated with: {error}") from error

    def check(self, text: str) -> list[GrammarViolation]:
        """Every way in which ``text`` breaks the grammar (64 at most); empty if it belongs to it. Of a long text and a
        large schema it is one: that it does.

        Raises:
            InternalError: the text could not be judged.
        """
        if self._tags is not None:
            return [GrammarViolation(*fault) for fault in self._tags.check(text)][:MAX_VIOLATIONS]
        if self._schema is None:
            if matches(self._spec, text):
                return []
            return [GrammarViolation("", self._spec.kind.value, "the text does not belong to the grammar")]
        parsed = parse(text)
        if isinstance(parsed, JsonFault):
            return [GrammarViolation("", parsed.keyword, parsed.message)]
        value = cast("jsonschema_rs.JSONType", parsed)
        if len(text) > self._max_explained:
            message = f"it is not what the schema admits; with {len(text):,} characters, it is not looked for where"
            return [] if self._schema.is_valid(value) else [GrammarViolation("", "schema", message)]
        errors = list(islice(self._schema.iter_errors(value), MAX_VIOLATIONS))
        if any(map(gave_up, errors)):
            raise InternalError("a pattern of the schema could not be decided within its backtracking limit")
        return [
            GrammarViolation(join("", *error.instance_path), error.kind.name, error.message.splitlines()[0])
            for error in errors
        ]


def _max_explained(document: SchemaDocument) -> int:
    """Characters up to which errors are listed. Where a pattern may be given up, only they say so."""
    if may_give_up(document):
        return sys.maxsize
    return MAX_EXPLAINED // (most_visits_in(document) or MAX_VISITS)


def _judge_of(spec: GrammarSpec) -> Callable[[str], list[tuple[str, str, str]]]:
    validator = GrammarValidator(spec)
    return lambda text: [(found.pointer, found.keyword, found.message) for found in validator.check(text)]
