"""Keywords that the mask gives up: what that does to a schema, and which ones the engine makes us give up anyway."""

from collections.abc import Iterable, Iterator, Sequence, Set as AbstractSet
from dataclasses import dataclass
from itertools import count
from typing import Final, TypeGuard, cast
from urllib.parse import unquote

from policykit.diagnostics import InternalError
from policykit.grammar.engine import PROBES, leaks_excluded_bounds, masks_format, masks_keyword
from policykit.grammar.keywords import ASSERTIONS
from policykit.grammar.lookaround import looks_around
from policykit.grammar.multiples import uncounted
from policykit.grammar.schema_document import GENERATING, Dialect, SchemaDocument, children
from policykit.grammar.values import Json, copied_object, join, lookup

EXACT_INTEGERS: Final = 2**53

VACUOUS_WITHOUT: Final = {"then": "if", "else": "if", "minContains": "contains", "maxContains": "contains"}


@dataclass(frozen=True, slots=True)
class Weakening:
    """Keywords of one subschema that the mask gives up, or carries in part where they are ``kept``.

    ``pointer`` is the subschema's, in the schema as its author wrote it. Where `oneOf` stands alone among the
    ``keywords`` it becomes `anyOf`; beside `anyOf`, both go.
    """

    pointer: str
    keywords: tuple[str, ...]
    why: str
    kept: bool = False

    @property
    def renames(self) -> bool:
        return self.keywords == ("oneOf",)

    def apply(self, root: dict[str, Json]) -> None:
        """Weaken in place."""
        if self.kept:
            return
        schema = lookup(root, self.pointer)
        if not isinstance(schema, dict):
            raise InternalError(f"no subschema stands at `{self.pointer}`")
        if not self.renames:
            for keyword in self.keywords:
                schema.pop(keyword, None)
        elif "anyOf" not in schema:
            _rename(schema, "oneOf", "anyOf")
        elif "oneOf" in schema:
            others = cast("list[Json]", schema.get("allOf", []))
            schema["allOf"] = [*others, {"anyOf": schema.pop("oneOf")}]


def weakened(root: dict[str, Json], weakenings: Sequence[Weakening]) -> dict[str, Json]:
    """The schema with all of them given up; the same one where there is nothing to give up."""
    if all(weakening.kept for weakening in weakenings):
        return root
    result = copied_object(root)
    # Inner subschemas first, since an outer weakening may remove the place of an inner one; at one place renamings
    # last, since they change what others go by.
    for weakening in sorted(weakenings, key=lambda w: (-w.pointer.count("/"), w.renames)):
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


def dropped(weakenings: Iterable[Weakening]) -> frozenset[str]:
    """The pointers of keywords that are not in the mask in any form."""
    return frozenset(at for w in weakenings if not w.kept and not w.renames for at, _ in keyword_pointers(w))


def is_below(pointer: str, keywords: AbstractSet[str]) -> bool:
    """Whether a subschema stands inside one of these keywords."""
    while pointer:
        if pointer in keywords:
            return True
        pointer = pointer.rpartition("/")[0]
    return False


def is_vacuous(schema: dict[str, Json], keyword: str) -> bool:
    """Whether a keyword constrains nothing where it stands."""
    value = schema[keyword]
    if keyword == "uniqueItems":
        return value is False
    if keyword == "if":
        return "then" not in schema and "else" not in schema
    return VACUOUS_WITHOUT.get(keyword, keyword) not in schema or keyword in ("$dynamicAnchor", "$recursiveAnchor")


MAY_BE_VACUOUS: Final = frozenset({"uniqueItems", "if", *VACUOUS_WITHOUT, "$dynamicAnchor", "$recursiveAnchor"})
"""All keywords that :func:`is_vacuous` is ever true of."""


def unknown_to_the_engine(document: SchemaDocument) -> list[Weakening]:
    """What the mask cannot carry, as the engine itself tells keyword by keyword."""
    if not document.strays() and not any(map(_may_be_unknown, document.subschemas())):
        return []
    found: list[Weakening] = []
    for pointer, schema in document.reachable().items():
        if not isinstance(schema, dict) or _MAY_BE_UNKNOWN.isdisjoint(schema) or document.ignores_siblings(schema):
            continue
        for keyword, value in schema.items():
            why = _certain_reason(keyword, value)
            if why is not None and is_vacuous(schema, keyword):
                why = VACUOUS
            if why is not None:
                is_kept = why == ROUNDED and _is_rounded_outwards(schema, keyword)
                found.append(Weakening(pointer, (keyword,), why, is_kept))
    found += [Weakening(pointer, ("multipleOf",), UNCOUNTED) for pointer in uncounted(document)]
    return found + (_leaking_bounds(document) if leaks_excluded_bounds() else [])


def _may_be_unknown(schema: Json) -> bool:
    """Whether a subschema has a keyword that is not masked as it stands, or one that may not be beside others."""
    if not isinstance(schema, dict) or _MAY_BE_UNKNOWN.isdisjoint(schema):
        return False
    return not _NEEDING_OTHERS.isdisjoint(schema) or any(_certain_reason(k, value) for k, value in schema.items())


def _leaking_bounds(document: SchemaDocument) -> list[Weakening]:
    """Excluded whole numbers less than 1 away from a bound of the other side, wherever that stands."""
    nodes = {p: s for p, s in document.reachable().items() if isinstance(s, dict) and not document.ignores_siblings(s)}
    if not any(word in schema for schema in nodes.values() for word, _, _ in _EXCLUSIVE):
        return []
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
_NEEDING_OTHERS: Final = frozenset({"multipleOf", *(word for word, _, _ in _EXCLUSIVE)})
_BOUNDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_BOUNDING: Final = frozenset({"const", "enum", *_BOUNDS})


UNCOUNTED: Final = "the masking engine cannot count so many remainders"
_MAY_BE_UNKNOWN: Final = frozenset({"format", "pattern", "multipleOf", *PROBES, *_BOUNDING})


def _is_number(value: Json) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _certain_reason(keyword: str, value: Json) -> str | None:
    if keyword in PROBES and not masks_keyword(keyword):
        return "the masking engine has no such keyword"
    if keyword == "format" and isinstance(value, str) and not masks_format(value):
        return UNKNOWN_FORMAT
    if keyword == "pattern" and isinstance(value, str) and looks_around(value):
        return "the masking engine looks nowhere around, nor back"
    if keyword in _BOUNDING and _has_large_number(value):
        return ROUNDED
    return None


ROUNDED: Final = "the masking engine rounds numbers beyond 2^53"


def _is_rounded_outwards(schema: dict[str, Json], keyword: str) -> bool:
    """Whether a bound beyond 2^53 stays one, at most looser, where it is read as a double and then as 64 bits."""
    value = schema[keyword]
    if keyword not in _BOUNDS or not _is_number(value) or not -(2**63) < float(value) <= 2.0**63:
        return False
    if float(value) == 2.0**63:  # which is read as 2^63 - 1, itself admitted
        return keyword == "maximum" and value == 2**63 - 1
    is_exclusive = keyword.startswith("exclusive") or schema.get(f"exclusive{keyword.capitalize()}") is True  # draft 4
    if is_exclusive and abs(value) < 2**54:
        return False  # the next double is 2 away, and what lies between them is rounded to either of them
    return float(value) <= value if "inimum" in keyword else float(value) >= value


UNKNOWN_FORMAT: Final = "a format that is not asserted: an annotation"
VACUOUS: Final = "constrains nothing here"
NOTHING_LOST: Final = (UNKNOWN_FORMAT, VACUOUS)


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


def overlapping(root: dict[str, Json], dialect: Dialect) -> str | None:
    """Why the engine would refuse a schema: two alternatives of a `oneOf` admit everything; or None. It is not asked,
    since it copies what stands beside them once for each before it says so, and all of that again for the next
    `oneOf`: a schema of 3 KB takes all memory."""
    looked_at = count()
    pending: list[Json] = [root]
    entered: set[str] = set()
    while pending:
        schema = pending.pop()
        if not isinstance(schema, dict) or schema.get("enum") == []:
            continue
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in entered:
            entered.add(reference)
            pending.append(_target(root, reference))
        if reference is not None and dialect.ref_stands_alone:
            continue
        branches = schema.get("oneOf")
        if (
            isinstance(branches, list)
            and sum(_n_admitting_all(root, one, MAX_STEPS, looked_at) for one in branches) > 1
        ):
            return "two alternatives of a `oneOf` admit everything"
        pending += [item for keyword, _, item in children(schema) if keyword in GENERATING]
    return None


MAX_STEPS: Final = 16
MAX_LOOKED_AT: Final = 20_000
"""Through so many references and groups, and at so many subschemas in all, it is looked for what an alternative says;
what is left undecided the engine is asked about."""


def _n_admitting_all(root: dict[str, Json], schema: Json, left: int, looked_at: Iterator[int]) -> int:
    """How many alternatives without a condition the engine sees in one."""
    if not isinstance(schema, dict) or not left or next(looked_at) > MAX_LOOKED_AT:
        return int(schema is True)
    said = [keyword for keyword in schema if keyword in ASSERTIONS]
    if len(said) != 1:
        return int(not said)
    match said[0], schema[said[0]]:
        case "$ref", str() as reference:
            return _n_admitting_all(root, _target(root, reference), left - 1, looked_at)
        case "oneOf" | "anyOf" | "allOf" as keyword, list() as members:
            found = [_n_admitting_all(root, member, left - 1, looked_at) for member in members]
            return sum(found) if keyword == "oneOf" else int(any(found) if keyword == "anyOf" else all(found))
        case _:
            return 0


def _target(root: dict[str, Json], reference: str) -> Json:
    """Where a reference leads, if it is a pointer into the document; else what admits nothing."""
    try:
        return lookup(root, unquote(reference[1:])) if reference.startswith("#") else False
    except KeyError:
        return False
