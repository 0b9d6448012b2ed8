"""The strongest schema that the engine can mask, with every keyword named that had to be weakened.

First what the engine does not know is dropped; then, while it still refuses, whole kinds of keywords are weakened in
order of how little is lost; last, every weakening that turns out to be unnecessary is undone. The result is never
stronger than the schema: `oneOf` survives only where the engine proves its branches disjoint, and then it equals
`anyOf`; nothing that judges by refutation (`not`, `if`, `contains`) survives at all.
"""

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeGuard, cast

from policykit.diagnostics import InternalError
from policykit.grammar.engine import (
    PROBES,
    is_unsatisfiable,
    leaks_excluded_bounds,
    masks_format,
    masks_keyword,
    unsatisfiable_definition,
)
from policykit.grammar.keywords import EXACT_FORMATS
from policykit.grammar.productive import Unsatisfiable, without_dead_ends
from policykit.grammar.schema_document import Dialect, SchemaDocument
from policykit.grammar.strengthen import Addition, Strengthened, strengthen
from policykit.grammar.unevaluated import with_conditions
from policykit.grammar.values import Json, join, lookup

MAX_TRIALS: Final = 96
MAX_TRIAL_CHARACTERS: Final = 1_000_000
"""How many schemas, and how many characters of schema, are compiled at most to undo weakenings (counted, not timed,
so that the same schema always gives the same mask); what is left undecided stays weakened."""

EXACT_INTEGERS: Final = 2**53

STAGES: Final[tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = (
    (("oneOf",), ()),
    (("pattern",), ()),
    (("format",), ()),
    (("patternProperties",), ("additionalProperties",)),
    (("minProperties", "maxProperties"), ()),
    (("multipleOf",), ()),
    (("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), ()),
    (("minLength", "maxLength"), ()),
    (("minItems", "maxItems"), ()),
    (("const", "enum"), ()),
    (("$ref",), ()),
    (("allOf",), ()),
    (("anyOf",), ()),
    (("items", "prefixItems", "additionalItems"), ()),
    (("properties", "required"), ("additionalProperties", "patternProperties")),
)
"""Keywords that are weakened where they occur, each with those that mean something else without it. What costs the
mask least comes first."""

VACUOUS_WITHOUT: Final = {"then": "if", "else": "if", "minContains": "contains", "maxContains": "contains"}


@dataclass(frozen=True, slots=True)
class Weakening:
    """Keywords of one subschema that the mask gives up, or carries in part where they are ``kept``.

    ``pointer`` is the subschema's.
    """

    pointer: str
    keywords: tuple[str, ...]
    why: str
    kept: bool = False

    def apply(self, root: dict[str, Json]) -> None:
        """Weaken in place."""
        if self.kept:
            return
        schema = lookup(root, self.pointer)
        if not isinstance(schema, dict):
            raise InternalError(f"no subschema stands at `{self.pointer}`")
        for keyword in self.keywords:
            match keyword, schema.get("allOf", []):
                case "oneOf", _ if "anyOf" not in schema:
                    _rename(schema, "oneOf", "anyOf")
                case "oneOf", list() as others:
                    schema["allOf"] = [*others, {"anyOf": schema.pop("oneOf")}]
                case _:
                    schema.pop(keyword, None)


@dataclass(frozen=True, slots=True)
class Relaxed:
    """``carried`` are the pointers of keywords that the mask carries in another form; ``implied`` are those of keywords
    of which it carries something."""

    schema: dict[str, Json]
    weakenings: tuple[Weakening, ...]
    carried: frozenset[str]
    implied: frozenset[str]
    implied_strings: tuple[str, ...]


Refusal = Callable[[dict[str, Json]], str | None]


def relax(document: SchemaDocument, refusal: Refusal) -> Relaxed:
    """The schema that ``refusal`` no longer refuses, and what was given up for it.

    Raises:
        Unsatisfiable: no value satisfies the schema.
        InternalError: even the schema without any keyword is refused.
    """
    plain = SchemaDocument.of(plain_keywords(with_conditions(document)), document.dialect)
    closed = plain.of_root(without_dead_ends(plain))
    strong = strengthen(closed)
    kept = _accepted(strong, closed.dialect, refusal)
    root = strong.only(kept)
    certain = _certain(strong, root, closed.dialect)
    base = _weakened(root, certain)
    chosen: list[Weakening] = []
    stages = iter(STAGES)
    refused = refusal(base)
    while refused is not None:
        if is_unsatisfiable(refused):
            base = _without_definition(SchemaDocument.of(base, document.dialect), refused)
            refused = refusal(_weakened(base, chosen))
            continue
        stage = next(stages, None)
        if stage is None:
            raise InternalError(f"the grammar engine refuses the weakest form of the schema: {reason(refused)}")
        found = _candidates(SchemaDocument.of(base, document.dialect), *stage, refused)
        if found:
            chosen += found
            refused = refusal(_weakened(base, chosen))
    needed = _shrink(base, chosen, refusal)
    return _told(strong, kept, [*certain, *needed], _weakened(base, needed))


def _without_definition(document: SchemaDocument, refused: str) -> dict[str, Json]:
    """The schema without references to the definition that the engine calls unsatisfiable: it says so of a definition
    that no value needs, too, and means the whole schema.

    Raises:
        Unsatisfiable: it is the whole schema, as far as the engine tells.
    """
    at = unsatisfiable_definition(refused)
    result: dict[str, Json] = copy.deepcopy(document.root)
    leading = [pointer for pointer in document.reachable() if at and document.reference(pointer) == at]
    if not leading:
        raise Unsatisfiable(reason(refused))
    for pointer in leading:
        schema = lookup(result, pointer)
        if isinstance(schema, dict):
            schema.pop("$ref", None)
            schema["enum"] = []
    return result


def _accepted(strong: Strengthened, dialect: Dialect, refusal: Refusal) -> tuple[Addition, ...]:
    """The additions that the engine takes: all of them, or else those that it takes one after the other."""

    def refuses(kept: Sequence[Addition]) -> bool:
        root = strong.only(kept)
        refused = refusal(_weakened(root, _certain(strong, root, dialect)))
        return refused is not None and not is_unsatisfiable(refused)

    if not strong.additions or not refuses(strong.additions):
        return strong.additions
    kept: tuple[Addition, ...] = ()
    if refuses(kept):
        return kept
    for addition in strong.additions[:MAX_TRIED_ADDITIONS]:
        if not refuses((*kept, addition)):
            kept = (*kept, addition)
    return kept


MAX_TRIED_ADDITIONS: Final = 12


def _certain(strong: Strengthened, root: dict[str, Json], dialect: Dialect) -> list[Weakening]:
    """What is given up, whatever else is: keywords that the engine has not, and `oneOf` where `anyOf` says the same."""
    document = SchemaDocument.of(root, dialect)
    there = [pointer for pointer in document.reachable() if pointer in strong.disjoint]
    same = [Weakening(pointer, ("oneOf",), "no two alternatives overlap") for pointer in there]
    return [*same, *unknown_to_the_engine(document)]


def _told(
    strong: Strengthened, kept: Sequence[Addition], weakenings: Sequence[Weakening], schema: dict[str, Json]
) -> Relaxed:
    """What was given up, in terms of the author's schema. Innermost additions first: one that holds a keyword which
    another carries loses nothing by it."""
    carried = {join(pointer, "oneOf") for pointer in strong.disjoint}
    held: dict[Addition | None, list[str]] = {}
    for weakening in weakenings:
        lost = [pointer for pointer, _ in keyword_pointers(weakening)]
        held.setdefault(_innermost(strong.additions, weakening.pointer), []).extend(lost)
    for addition in sorted(kept, key=lambda a: -a.pointer.count("/")):
        is_whole = all(lost in carried for lost in held.get(addition, ()))
        if addition.is_exact and is_whole and not _has_loose_format(lookup(strong.root, addition.pointer)):
            carried |= set(addition.keywords)
    own = tuple(w for w in weakenings if _innermost(strong.additions, w.pointer) is None)
    implied = frozenset(keyword for addition in kept for keyword in addition.keywords)
    strings = {
        keyword: None
        for addition in kept
        if _innermost([a for a in kept if a is not addition], addition.pointer) is None
        and _speaks_of_strings(lookup(strong.root, addition.pointer))
        for keyword in addition.keywords
    }
    return Relaxed(schema, own, frozenset(carried), implied, tuple(strings))


def _innermost(additions: Sequence[Addition], pointer: str) -> Addition | None:
    around = [a for a in additions if f"{pointer}/".startswith(f"{a.pointer}/")]
    return max(around, key=lambda a: a.pointer.count("/"), default=None)


_OF_STRINGS: Final = frozenset({
    "pattern", "const", "enum", "format", "minLength", "maxLength", "required", "properties", "patternProperties",
    "$ref",
})  # fmt: skip


def _speaks_of_strings(value: Json) -> bool:
    """Whether an addition may restrict strings or names."""
    match value:
        case dict():
            return not _OF_STRINGS.isdisjoint(value) or any(map(_speaks_of_strings, value.values()))
        case list():
            return any(map(_speaks_of_strings, value))
        case _:
            return False


def _has_loose_format(value: Json) -> bool:
    """Whether a format is named somewhere of which the mask carries the shape only."""
    match value:
        case dict():
            name = value.get("format")
            loose = isinstance(name, str) and name not in EXACT_FORMATS
            return loose or any(map(_has_loose_format, value.values()))
        case list():
            return any(map(_has_loose_format, value))
        case _:
            return False


def plain_keywords(document: SchemaDocument) -> dict[str, Json]:
    """The schema without keywords that say nothing: those beside a `$ref` that stands alone, and vacuous ones."""
    result: dict[str, Json] = copy.deepcopy(document.root)
    for pointer in document.reachable():
        schema = lookup(result, pointer)
        if not isinstance(schema, dict):
            continue
        alone = document.ignores_siblings(schema)
        for keyword in list(schema):
            if is_vacuous(schema, keyword) or (alone and keyword not in _BESIDE_REF):
                del schema[keyword]
    return result


_BESIDE_REF: Final = frozenset({"$ref", "$schema", "id", "$id", "definitions", "$defs"})


def is_vacuous(schema: dict[str, Json], keyword: str) -> bool:
    """Whether a keyword constrains nothing where it stands."""
    value = schema[keyword]
    if keyword == "uniqueItems":
        return value is False
    if keyword == "if":
        return "then" not in schema and "else" not in schema
    return VACUOUS_WITHOUT.get(keyword, keyword) not in schema or keyword in ("$dynamicAnchor", "$recursiveAnchor")


def unknown_to_the_engine(document: SchemaDocument) -> list[Weakening]:
    """What the mask cannot carry, as the engine itself tells keyword by keyword."""
    found: list[Weakening] = []
    for pointer, schema in document.reachable().items():
        if not isinstance(schema, dict) or document.ignores_siblings(schema):
            continue
        for keyword, value in schema.items():
            why = None if is_vacuous(schema, keyword) else _certain_reason(keyword, value)
            if why is not None:
                found.append(Weakening(pointer, (keyword,), why))
    return found + (_leaking_bounds(document) if leaks_excluded_bounds() else [])


def _leaking_bounds(document: SchemaDocument) -> list[Weakening]:
    """Excluded whole numbers less than 1 away from a bound of the other side, wherever that stands."""
    nodes = {p: s for p, s in document.reachable().items() if isinstance(s, dict) and not document.ignores_siblings(s)}
    bounds = {word: [s[word] for s in nodes.values() if _is_number(s.get(word))] for word in _BOUNDS}
    found: list[Weakening] = []
    for pointer, schema in nodes.items():
        for word, plain, others in _EXCLUSIVE:
            excluded = schema.get(plain) if schema.get(word) is True else schema.get(word)
            near = (abs(cast(float, other) - excluded) for o in others for other in bounds[o] if _is_number(excluded))
            if _is_number(excluded) and excluded % 1 == 0 and any(0 < distance < 1 for distance in near):
                found.append(Weakening(pointer, (word,), "the masking engine admits the excluded bound itself", True))
    return found


_EXCLUSIVE: Final = (
    ("exclusiveMinimum", "minimum", ("maximum", "exclusiveMaximum")),
    ("exclusiveMaximum", "maximum", ("minimum", "exclusiveMinimum")),
)
_BOUNDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


def _is_number(value: Json) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _certain_reason(keyword: str, value: Json) -> str | None:
    if keyword in PROBES and not masks_keyword(keyword):
        return "the masking engine has no such keyword"
    if keyword == "format" and isinstance(value, str) and not masks_format(value):
        return UNKNOWN_FORMAT
    bounded = ("const", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    if keyword in bounded and _has_large_number(value):
        return "the masking engine rounds numbers beyond 2^53"
    return None


UNKNOWN_FORMAT: Final = "a format that is not asserted: an annotation"


def _has_large_number(value: Json) -> bool:
    match value:
        case bool():
            return False
        case int() | float():
            return abs(value) > EXACT_INTEGERS
        case list():
            return any(map(_has_large_number, value))
        case dict():
            return any(map(_has_large_number, value.values()))
        case _:
            return False


def _candidates(
    document: SchemaDocument, triggers: tuple[str, ...], dependent: tuple[str, ...], refused: str
) -> list[Weakening]:
    why = f"the masking engine refuses it: {reason(refused)}"
    return [
        Weakening(pointer, tuple(k for k in (*triggers, *dependent) if k in schema), why)
        for pointer, schema in document.reachable().items()
        if isinstance(schema, dict) and not schema.keys().isdisjoint(triggers)
    ]


def reason(refused: str) -> str:
    """The first line of a refusal, without its frame."""
    return refused.splitlines()[0].split("failed to compile JSON schema: ", 1)[-1][:200]


def _shrink(
    base: dict[str, Json], chosen: list[Weakening], refusal: Callable[[dict[str, Json]], str | None]
) -> list[Weakening]:
    """The weakenings that cannot be undone one by one (halving, so that unneeded ones go together)."""
    kept = list(chosen)
    trials = max(8, min(MAX_TRIALS, MAX_TRIAL_CHARACTERS // len(json.dumps(base))))
    groups = [chosen] if len(chosen) > 1 else []
    while groups and trials:
        group = groups.pop(0)
        without = [w for w in kept if w not in group]
        trials -= 1
        if refusal(_weakened(base, without)) is None:
            kept = without
        elif len(group) > 1:
            middle = len(group) // 2
            groups += [group[:middle], group[middle:]]
    return kept


def _weakened(root: dict[str, Json], weakenings: list[Weakening]) -> dict[str, Json]:
    result: dict[str, Json] = copy.deepcopy(root)
    # Inner subschemas first: an outer weakening may remove the place of an inner one.
    for weakening in sorted(weakenings, key=lambda w: -w.pointer.count("/")):
        weakening.apply(result)
    return result


def _rename(schema: dict[str, Json], old: str, new: str) -> None:
    """Rename a keyword where it stands: the order of keywords decides the order of properties."""
    items = [(new if key == old else key, value) for key, value in schema.items()]
    schema.clear()
    schema.update(items)


def keyword_pointers(weakening: Weakening) -> list[tuple[str, str]]:
    """``(pointer of the keyword, keyword)`` of everything that a weakening gives up."""
    return [(join(weakening.pointer, keyword), keyword) for keyword in weakening.keywords]
