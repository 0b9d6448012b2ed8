"""The strongest schema that the engine can mask, with every keyword named that had to be weakened.

First what the engine does not know is dropped; then, while it still refuses, whole kinds of keywords are weakened in
order of how little is lost; last, every weakening that turns out to be unnecessary is undone. The result is never
stronger than the schema: `oneOf` survives only where the engine proves its branches disjoint, and then it equals
`anyOf`; nothing that judges by refutation (`not`, `if`, `contains`) survives at all.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence, Set as AbstractSet
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from policykit.diagnostics import InternalError
from policykit.grammar.engine import is_unsatisfiable, masks_format, unsatisfiable_definition
from policykit.grammar.keywords import EXACT_FORMATS
from policykit.grammar.productive import Unsatisfiable, without_dead_ends
from policykit.grammar.schema_document import SchemaDocument
from policykit.grammar.strengthen import Addition, Strengthened, strengthen
from policykit.grammar.turning import turning_reference
from policykit.grammar.unevaluated import with_conditions
from policykit.grammar.values import Json, copied_object, join, lookup
from policykit.grammar.weakening import (
    MAY_BE_VACUOUS,
    NOTHING_LOST,
    Weakening,
    dropped,
    is_below,
    is_vacuous,
    keyword_pointers,
    unknown_to_the_engine,
    weakened,
)
from policykit.ir.later import Later

MAX_TRIALS: Final = 96
MAX_TRIAL_CHARACTERS: Final = 1_000_000
"""How many schemas, and how many characters of schema, are compiled at most to undo weakenings (counted, not timed,
so that the same schema always gives the same mask); what is left undecided stays weakened."""
TRIALS_OF_LARGE: Final = 8
"""A schema that the engine gives up on for its size has cost it as much as any can."""
_LARGE: Final = ("too large", "panic")

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
    (("anyOf", "oneOf"), ()),
    (("items", "prefixItems", "additionalItems"), ()),
    (("properties", "required"), ("additionalProperties", "patternProperties")),
)
"""Keywords that are weakened where they occur, each with those that mean something else without it. What costs the
mask least comes first."""

_ALTERNATIVES: Final = ("anyOf", "oneOf")


@dataclass(frozen=True, slots=True)
class Relaxed:
    """The schema for the engine, and what became of the author's."""

    schema: dict[str, Json]
    told: "Later[Told]"


@dataclass(frozen=True, slots=True)
class Told:
    """``carried`` are the pointers of keywords that the mask carries in another form; ``implied`` are those of keywords
    of which it carries something; ``dropped`` are those that are not in the mask, with all that they apply."""

    weakenings: tuple[Weakening, ...]
    carried: frozenset[str]
    implied: frozenset[str]
    dropped: frozenset[str]
    implied_strings: tuple[str, ...]


Refusal = Callable[[dict[str, Json]], str | None]


def relax(document: SchemaDocument, refusal: Refusal) -> Relaxed:
    """The schema that ``refusal`` no longer refuses, and what was given up for it.

    Raises:
        Unsatisfiable: no value satisfies the schema.
        InternalError: even the schema without any keyword is refused.
    """
    conditional = with_conditions(document)
    plain = conditional.of_root(plain_keywords(conditional))
    closed = plain.of_root(without_dead_ends(plain))
    strong = strengthen(closed)
    kept = _accepted(strong, closed, refusal)
    origin = closed.of_root(strong.only(kept))
    if kept and origin.referring and turning_reference(document) is None:
        # What was added may leave nothing but endless recursion.
        origin = origin.of_root(without_dead_ends(origin))
    certain = _certain(strong, origin)
    chosen: list[Weakening] = []
    stages = iter(STAGES)
    schema = weakened(origin.root, certain)
    refused = refusal(schema)
    while refused is not None:
        if is_unsatisfiable(refused):
            origin = SchemaDocument.of(_without_definition(origin, refused), origin.dialect)
            schema = weakened(origin.root, [*certain, *chosen])
            refused = refusal(schema)
            continue
        stage = next(stages, None)
        if stage is None:
            raise InternalError(f"the grammar engine refuses the weakest form of the schema: {reason(refused)}")
        found = _candidates(origin, *stage, certain, refused)
        if found:
            chosen += found
            schema = weakened(origin.root, [*certain, *chosen])
            refused = refusal(schema)
    weakenings = [*certain, *_shrink(origin.root, certain, chosen, refusal)]
    if chosen:
        schema = weakened(origin.root, weakenings)
    return Relaxed(schema, Later(lambda: _told(strong, kept, origin, weakenings)))


def _without_definition(document: SchemaDocument, refused: str) -> dict[str, Json]:
    """The schema without references to the definition that the engine calls unsatisfiable: it says so of a definition
    that no value needs, too, and means the whole schema.

    Raises:
        Unsatisfiable: it is the whole schema, as far as the engine tells.
    """
    at = unsatisfiable_definition(refused)
    result = copied_object(document.root)
    leading = [pointer for pointer in document.reachable() if at and document.reference(pointer) == at]
    if not leading:
        raise Unsatisfiable(reason(refused))
    for pointer in leading:
        schema = lookup(result, pointer)
        if isinstance(schema, dict):
            schema.pop("$ref", None)
            schema["enum"] = []
    return result


def _accepted(strong: Strengthened, document: SchemaDocument, refusal: Refusal) -> tuple[Addition, ...]:
    """The additions that the engine takes: all of them, or else those that it takes one after the other; where it
    refuses the schema without any, once the first kinds of keywords are weakened that it may refuse it for."""

    def refuses(kept: Sequence[Addition], n_stages: int) -> bool:
        origin = document.of_root(strong.only(kept))
        certain = _certain(strong, origin)
        first = [w for stage in STAGES[:n_stages] for w in _candidates(origin, *stage, certain, "asked")]
        refused = refusal(weakened(origin.root, [*certain, *first]))
        return refused is not None and not is_unsatisfiable(refused)

    if not strong.additions or not refuses(strong.additions, 0):
        return strong.additions
    n_stages = next((n for n in range(MAX_FIRST_STAGES + 1) if not refuses((), n)), None)
    if n_stages is None:
        return ()
    if n_stages and not refuses(strong.additions, n_stages):
        return strong.additions
    kept: tuple[Addition, ...] = ()
    for addition in strong.additions[:MAX_TRIED_ADDITIONS]:  # those around another one stand before it
        is_placed = all(outer in kept for outer in _around(strong.additions, addition.pointer) if outer is not addition)
        if is_placed and not refuses((*kept, addition), n_stages):
            kept = (*kept, addition)
    return kept


MAX_FIRST_STAGES: Final = 4
MAX_TRIED_ADDITIONS: Final = 12


def _certain(strong: Strengthened, origin: SchemaDocument) -> list[Weakening]:
    """What is given up, whatever else is: keywords that the engine has not, and `oneOf` where `anyOf` says the same."""
    there = [pointer for pointer in origin.reachable() if pointer in strong.disjoint] if strong.disjoint else []
    same = [Weakening(pointer, ("oneOf",), "no two alternatives overlap") for pointer in there]
    return [*same, *unknown_to_the_engine(origin)]


def _told(
    strong: Strengthened, kept: Sequence[Addition], origin: SchemaDocument, weakenings: Sequence[Weakening]
) -> Told:
    """What was given up, in terms of the author's schema."""
    gone = dropped(weakenings)
    lost = {at: w.pointer for w in weakenings if w.why not in NOTHING_LOST for at, _ in keyword_pointers(w)}
    placed = [addition for addition in kept if not is_below(addition.pointer, gone)]
    same = {join(pointer, "oneOf") for pointer in strong.disjoint} - gone
    carried = same | _carried(placed, origin, lost, same)
    own = tuple(w for w in weakenings if not _around(strong.additions, w.pointer))
    implied = frozenset(keyword for addition in placed for keyword in addition.keywords)
    strings = {
        keyword: None
        for addition in kept
        if len(_around(kept, addition.pointer)) == 1 and _restricts_strings(strong.root, addition.pointer)
        for keyword in addition.keywords
    }
    return Told(own, frozenset(carried), implied, gone, tuple(strings))


def _carried(
    placed: Sequence[Addition], origin: SchemaDocument, lost: Mapping[str, str], same: AbstractSet[str]
) -> set[str]:
    """The keywords that an addition carries whole: it is exact, and nothing that it applies, there or behind a
    reference, is lost for good. A least fixpoint, so that no two of them vouch for each other only."""
    losses = {
        addition: {at for at, place in lost.items() if place in reached and at not in same} | _loose_formats(reached)
        for addition in placed
        if addition.is_exact
        for reached in [origin.reachable(addition.pointer)]
    }
    carried: set[str] = set()
    while found := [addition for addition, held in losses.items() if held <= carried]:
        for addition in found:
            carried |= set(addition.keywords)
            del losses[addition]
    return carried


def _around(additions: Sequence[Addition], pointer: str) -> list[Addition]:
    """The additions in which a place lies, or which it is."""
    return [a for a in additions if f"{pointer}/".startswith(f"{a.pointer}/")]


def _loose_formats(nodes: Mapping[str, Json]) -> set[str]:
    """The pointers of formats of which the mask carries the shape only."""
    return {
        join(pointer, "format")
        for pointer, schema in nodes.items()
        if isinstance(schema, dict) and isinstance(name := schema.get("format"), str)
        if name not in EXACT_FORMATS and masks_format(name)
    }


_OF_STRINGS: Final = frozenset({
    "pattern", "const", "enum", "format", "minLength", "maxLength", "required", "properties", "patternProperties",
    "$ref",
})  # fmt: skip


def _restricts_strings(root: Json, pointer: str) -> bool:
    """Whether an addition may restrict strings, or names: more than by asking for some that the object defines, which
    are fixed texts of the schema."""
    around = lookup(root, pointer.rpartition("/")[0].rpartition("/")[0])
    properties = around.get("properties") if isinstance(around, dict) else None
    names = frozenset(properties) if isinstance(properties, dict) else frozenset[str]()
    return not _asks_for(lookup(root, pointer), names) and _speaks_of_strings(lookup(root, pointer))


def _asks_for(value: Json, names: AbstractSet[str]) -> bool:
    """Whether a schema says nothing but which of these names there must be."""
    match value:
        case {"required": list(required)} if len(value) == 1:
            return all(name in names for name in required)
        case {"anyOf": list(members)} | {"allOf": list(members)} if len(value) == 1:
            return all(_asks_for(member, names) for member in members)
        case _:
            return value is True


def _speaks_of_strings(value: Json) -> bool:
    """Whether a schema may restrict strings or names."""
    match value:
        case dict():
            return not _OF_STRINGS.isdisjoint(value) or any(map(_speaks_of_strings, value.values()))
        case list():
            return any(map(_speaks_of_strings, value))
        case _:
            return False


def plain_keywords(document: SchemaDocument) -> dict[str, Json]:
    """The schema without keywords that say nothing: those beside a `$ref` that stands alone, and vacuous ones. Where
    a reference leads into one, it stays; where all stay, it is the same schema."""
    silent = list(_silent(document))
    if not silent:
        return document.root
    result = copied_object(document.root)
    entered = {above for target in document.targets() for above in accumulate(target.split("/"), "{}/{}".format)}
    for pointer, keyword in silent:
        if join(pointer, keyword) not in entered:
            schema = lookup(result, pointer)
            assert isinstance(schema, dict)
            del schema[keyword]
    return result


def _silent(document: SchemaDocument) -> Iterator[tuple[str, str]]:
    """The keywords that say nothing, each with the pointer of its subschema."""
    is_alone = document.dialect.ref_stands_alone and document.referring
    if not is_alone and not document.may_have(MAY_BE_VACUOUS):
        return
    for pointer, schema in document.reachable().items():
        if isinstance(schema, dict):
            alone = document.ignores_siblings(schema)
            for keyword in schema:
                if (alone and keyword not in _BESIDE_REF) or is_vacuous(schema, keyword):
                    yield pointer, keyword


_BESIDE_REF: Final = frozenset({"$ref", "$schema", "id", "$id", "definitions", "$defs"})


def _candidates(
    document: SchemaDocument,
    triggers: tuple[str, ...],
    dependent: tuple[str, ...],
    certain: Sequence[Weakening],
    refused: str,
) -> list[Weakening]:
    """The places of ``triggers``, but for keywords that are given up already."""
    why = f"the masking engine refuses it: {reason(refused)}"
    given_up = certain if triggers != _ALTERNATIVES else ()
    done = {at for w in given_up if not w.kept for at, _ in keyword_pointers(w)}
    found: list[Weakening] = []
    for pointer, schema in document.reachable().items():
        if isinstance(schema, dict) and schema.get("enum") != []:  # which is closed, and stays so
            there = [k for k in (*triggers, *dependent) if k in schema and join(pointer, k) not in done]
            if not set(triggers).isdisjoint(there):
                # `oneOf` alone would only be renamed
                found.append(Weakening(pointer, _ALTERNATIVES if triggers == _ALTERNATIVES else tuple(there), why))
    return found


def reason(refused: str) -> str:
    """The first line of a refusal, without its frame."""
    return refused.splitlines()[0].split("failed to compile JSON schema: ", 1)[-1][:200]


def _shrink(
    root: dict[str, Json], certain: Sequence[Weakening], chosen: list[Weakening], refusal: Refusal
) -> list[Weakening]:
    """The weakenings that cannot be undone one by one (halving, so that unneeded ones go together)."""
    if len(chosen) < 2:
        return chosen
    kept = list(chosen)
    trials = max(8, min(MAX_TRIALS, MAX_TRIAL_CHARACTERS // len(json.dumps(root))))
    groups = [chosen]
    while groups and trials:
        group = groups.pop(0)
        tried = frozenset(group)
        without = [w for w in kept if w not in tried]
        refused = refusal(weakened(root, [*certain, *without]))
        is_large = refused is not None and any(word in refused for word in _LARGE)
        trials = max(0, trials - (TRIALS_OF_LARGE if is_large else 1))
        if refused is None:
            kept = without
        elif len(group) > 1:
            middle = len(group) // 2
            groups += [group[:middle], group[middle:]]
    return kept
