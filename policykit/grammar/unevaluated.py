"""What `unevaluatedProperties` and `unevaluatedItems` demand, said without annotations (2020-12, section 11).

Which properties and items are evaluated depends on which subschemas in place hold. So the demand is a disjunction of
cases: what has to hold in the case, and what is evaluated then. A subschema that holds can only evaluate more, so a
case needs no word of what does not hold, but for the `else` of a condition.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

from policykit.grammar.complement import Complement, complement, resolved
from policykit.grammar.keywords import is_asserted
from policykit.grammar.schema_document import Dialect, SchemaDocument
from policykit.grammar.values import Json, copied_object, lookup

MAX_CASES: Final = 8
MAX_DEPTH: Final = 8
PROPERTIES: Final = "unevaluatedProperties"
ITEMS: Final = "unevaluatedItems"


@dataclass(frozen=True, slots=True)
class _Evaluated:
    """``names`` and ``patterns`` of properties; the first ``n_items`` items and those that one of ``contained`` admits.

    ``everything`` says that nothing is left over, of the properties or of the items, whichever is asked for.
    """

    names: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    n_items: int = 0
    contained: tuple[Json, ...] = ()
    everything: bool = False

    def __or__(self, other: "_Evaluated") -> "_Evaluated":
        return _Evaluated(
            tuple(dict.fromkeys((*self.names, *other.names))),
            tuple(dict.fromkeys((*self.patterns, *other.patterns))),
            max(self.n_items, other.n_items),
            (*self.contained, *(schema for schema in other.contained if schema not in self.contained)),
            self.everything or other.everything,
        )


NOTHING: Final = _Evaluated()
EVERYTHING: Final = _Evaluated(everything=True)


@dataclass(frozen=True, slots=True)
class _Case:
    """What is evaluated where ``holds`` all hold. ``is_exact`` is False where they may hold in other cases too."""

    holds: tuple[Json, ...] = ()
    evaluated: _Evaluated = NOTHING
    is_exact: bool = True


_Cases = tuple[_Case, ...]
ALWAYS: Final[_Cases] = (_Case(),)


def unevaluated(document: SchemaDocument, schema: dict[str, Json], keyword: str) -> Complement:
    """What follows from one of the two keywords, and whether that is all that it says."""
    rest = schema[keyword]
    cases = _Reading(document, keyword).of(schema, is_outermost=True)
    found: list[Json] = []
    for case in cases:
        closed = _closed(case.evaluated, rest, keyword, document.dialect)
        members = [*case.holds, *([] if closed is True else [closed])]
        found.append(True if not members else members[0] if len(members) == 1 else {"allOf": members})
    is_exact = all(case.is_exact for case in cases)
    if True in found:
        return Complement(True, is_exact)
    return Complement(found[0] if len(found) == 1 else {"anyOf": found}, is_exact)


def with_conditions(document: SchemaDocument) -> SchemaDocument:
    """The same schema, with `then` beside every `if` that has neither `then` nor `else`, where something asks what is
    evaluated: what it evaluates counts, though it demands nothing."""
    if not document.may_have({PROPERTIES, ITEMS}):
        return document
    nodes = document.reachable(keywords=None)
    if not any(isinstance(schema, dict) and (PROPERTIES in schema or ITEMS in schema) for schema in nodes.values()):
        return document
    root = copied_object(document.root)
    for pointer in nodes:
        schema = lookup(root, pointer)
        if isinstance(schema, dict) and "if" in schema and "then" not in schema and "else" not in schema:
            schema["then"] = True
    return SchemaDocument.of(root, document.dialect)


def _closed(evaluated: _Evaluated, rest: Json, keyword: str, dialect: Dialect) -> Json:
    """That everything else satisfies ``rest``."""
    if evaluated.everything or rest is True or rest == {}:
        return True
    if keyword == PROPERTIES:
        properties: dict[str, Json] = dict.fromkeys(evaluated.names, True)
        patterns: dict[str, Json] = dict.fromkeys(evaluated.patterns, True)
        found: dict[str, Json] = {"properties": properties} if properties else {}
        return {**found, **({"patternProperties": patterns} if patterns else {}), "additionalProperties": rest}
    if rest is False and not evaluated.contained:
        return {"maxItems": evaluated.n_items}
    admitted = [*evaluated.contained, *([] if rest is False else [rest])]
    other: Json = admitted[0] if len(admitted) == 1 else {"anyOf": admitted}
    if not evaluated.n_items:
        return {"items": other}
    first: list[Json] = [True] * evaluated.n_items
    if dialect is Dialect.DRAFT_2020:
        return {"prefixItems": first, "items": other}
    return {"items": first, "additionalItems": other}


@dataclass(slots=True)
class _Reading:
    """One pass over the subschemas in place; ``keyword`` is the one that asks."""

    document: SchemaDocument
    keyword: str
    depth: int = 0
    following: list[str] = field(default_factory=list[str])

    def of(self, schema: Json, is_outermost: bool = False) -> _Cases:
        """The cases of a subschema that holds."""
        if not isinstance(schema, dict):
            return ALWAYS
        if self.depth >= MAX_DEPTH:
            return (_Case((), EVERYTHING, False),)
        self.depth += 1
        parts: list[_Cases] = [(_Case((), self._own(schema, is_outermost)),)]
        for word, value in schema.items():
            if not is_asserted(word, self.document.dialect):
                continue
            match word, value:
                case "$ref", str():
                    parts.append(self._referred(value))
                case "$dynamicRef" | "$recursiveRef", _:
                    parts.append((_Case((), EVERYTHING, False),))
                case "allOf", list():
                    parts += [self.of(member) for member in value]
                case "anyOf" | "oneOf", list():
                    parts.append(self._alternatives(value, at_once=len(value) if word == "anyOf" else 1))
                case "if", _:
                    parts.append(self._condition(schema))
                case "dependentSchemas", dict():
                    parts += [self._dependent(name, needed) for name, needed in value.items()]
                case _:
                    pass
        self.depth -= 1
        return _product(parts)

    def _own(self, schema: dict[str, Json], is_outermost: bool) -> _Evaluated:
        """What the keywords of the subschema itself evaluate."""
        if self.keyword in schema and not is_outermost:
            return EVERYTHING
        if self.keyword == PROPERTIES:
            names, patterns = schema.get("properties"), schema.get("patternProperties")
            return _Evaluated(
                tuple(names) if isinstance(names, dict) else (),
                tuple(patterns) if isinstance(patterns, dict) else (),
                everything="additionalProperties" in schema,
            )
        is_new = self.document.dialect is Dialect.DRAFT_2020
        items, prefix = schema.get("items"), schema.get("prefixItems")
        first = prefix if is_new else items
        n_items = len(first) if isinstance(first, list) else 0
        others = "items" in schema if is_new or not isinstance(items, list) else "additionalItems" in schema
        contained = (schema["contains"],) if is_new and "contains" in schema else ()
        return _Evaluated((), (), n_items, contained, others)

    def _referred(self, reference: str) -> _Cases:
        if reference in self.following:
            return ALWAYS  # the same subschema says the same again
        self.following.append(reference)
        target = resolved(self.document, reference)
        found = self.of(target) if target is not None else (_Case((), EVERYTHING, False),)
        self.following.pop()
        return found

    def _alternatives(self, branches: Sequence[Json], at_once: int) -> _Cases:
        """Which of the branches hold, of those that evaluate anything: at most ``at_once`` of them."""
        read = [(branch, self.of(branch)) for branch in branches if branch is not False]
        telling = [(branch, cases) for branch, cases in read if _tells(cases)]
        most = min(at_once, len(telling))
        found: list[_Case] = [] if telling and len(telling) == len(read) else [_Case()]
        for n in range(1, most + 1):
            for chosen in combinations(telling, n):
                if len(found) > MAX_CASES:
                    return _collapsed(case for _, cases in telling for case in cases)
                found += _product([_given(branch, cases) for branch, cases in chosen])
        return _limited(found)

    def _condition(self, schema: dict[str, Json]) -> _Cases:
        condition = schema["if"]
        met = _product([self.of(condition), self.of(schema.get("then", True))])
        missed = self.of(schema.get("else", True))
        if not _tells(met) and not _tells(missed):
            return ALWAYS
        unmet = complement(self.document, condition)
        holds = [condition, *([schema["then"]] if "then" in schema else [])]
        fails = [unmet.schema, *([schema["else"]] if "else" in schema else [])]
        found = [
            *(_Case((*_telling(holds), *case.holds), case.evaluated, case.is_exact) for case in met),
            *(
                _Case((*_telling(fails), *case.holds), case.evaluated, case.is_exact and unmet.is_exact)
                for case in missed
            ),
        ]
        return _limited(found)

    def _dependent(self, name: str, needed: Json) -> _Cases:
        cases = self.of(needed)
        if not _tells(cases):
            return ALWAYS
        there: Json = {"required": [name]}
        with_it = [_Case((there, *_telling([needed]), *case.holds), case.evaluated, case.is_exact) for case in cases]
        return _limited([_Case(({"properties": {name: False}},)), *with_it])


def _given(branch: Json, cases: _Cases) -> _Cases:
    return tuple(_Case((branch, *case.holds), case.evaluated, case.is_exact) for case in cases)


def _telling(schemas: Iterable[Json]) -> list[Json]:
    return [schema for schema in schemas if schema is not True and schema != {}]


def _tells(cases: _Cases) -> bool:
    """Whether anything is evaluated in any case."""
    return any(case.evaluated != NOTHING for case in cases)


def _product(parts: Sequence[_Cases]) -> _Cases:
    """The cases of subschemas that all hold."""
    found: _Cases = ALWAYS
    for cases in parts:
        pairs = [
            _Case((*a.holds, *b.holds), a.evaluated | b.evaluated, a.is_exact and b.is_exact)
            for a in found
            for b in cases
        ]
        found = _limited(pairs)
    return found


def _limited(cases: Sequence[_Case]) -> _Cases:
    return tuple(cases) if len(cases) <= MAX_CASES else _collapsed(cases)


def _collapsed(cases: Iterable[_Case]) -> _Cases:
    """One case for all: whatever is evaluated in any of them may be."""
    evaluated = NOTHING
    for case in cases:
        evaluated = evaluated | case.evaluated
    return (_Case((), evaluated, False),)
