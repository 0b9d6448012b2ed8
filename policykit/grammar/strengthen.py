"""What follows from keywords that the masking engine does not know, said in keywords that it knows.

`not`, `if`, dependencies, names and overlapping alternatives become alternatives; what they imply is added to the
subschema as one more member of `allOf`, behind everything else, so that the order of properties stays. An addition is
implied by the schema, so the mask never refuses a valid value for it; where it says all that the keyword says, the
keyword is masked.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Final, cast

from policykit.grammar.complement import Complement, complement, resolved
from policykit.grammar.emptiness import are_disjoint
from policykit.grammar.keywords import is_asserted
from policykit.grammar.lookaround import looks_around, without_lookaround
from policykit.grammar.members import named, populated
from policykit.grammar.negation import not_found
from policykit.grammar.schema_document import Dialect, SchemaDocument
from policykit.grammar.unevaluated import unevaluated
from policykit.grammar.values import Json, copied, copied_object, join, lookup, type_name

MAX_CHARACTERS: Final = 8_000
"""Of one addition, and a quarter of what all of them may have."""
MAX_ROUNDS: Final = 3
MAX_BRANCHES: Final = 24
MAX_WIDTH: Final = 24
"""Alternatives of one subschema, multiplied out: what the engine does when it compiles them grows with them."""


@dataclass(frozen=True, slots=True)
class Addition:
    """What is added at ``pointer``; ``keywords`` are the pointers of those that it stands for."""

    pointer: str
    keywords: tuple[str, ...]
    is_exact: bool


@dataclass(frozen=True, slots=True)
class Strengthened:
    """``disjoint`` holds the pointers of subschemas whose `oneOf` is an `anyOf`, since no two branches overlap."""

    root: dict[str, Json]
    additions: tuple[Addition, ...]
    disjoint: frozenset[str]

    def only(self, kept: Sequence[Addition]) -> dict[str, Json]:
        """The schema with only these additions; what stands inside one that is dropped goes with it."""
        if all(addition in kept for addition in self.additions):
            return self.root
        root = copied_object(self.root)
        for addition in self.additions:
            if addition in kept:
                continue
            path, _, index = addition.pointer.rpartition("/")
            try:
                members = lookup(root, path)
            except KeyError:
                continue  # inside another one that is gone
            cast("list[Json]", members)[int(index)] = True
        return root


def strengthen(document: SchemaDocument) -> Strengthened:
    """The same schema with what its keywords imply. A document with several bases stays as it is, and one to which
    nothing is added keeps its root."""
    root = document.root
    if not document.may_have(_IMPLYING) and not (
        document.may_have(_PATTERN) and any(map(_looks, document.subschemas()))
    ):
        return Strengthened(root, (), frozenset())
    additions: list[Addition] = []
    disjoint: set[str] = set()
    done: set[str] = set()
    left = 4 * MAX_CHARACTERS
    targets = document.targets()
    for _ in range(MAX_ROUNDS if document.has_one_base else 0):
        current = document if root is document.root else SchemaDocument.of(root, document.dialect)
        pending = [pointer for pointer in current.reachable() if pointer not in done]
        if not pending:
            break
        done.update(pending)
        for pointer in pending:
            schema = current.at(pointer)
            if not isinstance(schema, dict) or document.ignores_siblings(schema):
                continue
            if _IMPLYING.isdisjoint(schema) and not _looks(schema):
                continue
            schema = cast(dict[str, Json], lookup(root, pointer))
            is_entered = "oneOf" in schema and any(
                target.startswith(join(pointer, "oneOf") + "/") for target in targets
            )
            if not is_entered and _branches_are_disjoint(document, schema):
                disjoint.add(pointer)
            for keywords, found in _implied(document, schema, _as_written(document, pointer, schema)):
                if keywords == ("oneOf",) and pointer in disjoint:
                    continue
                size = len(json.dumps(found.schema))
                is_wide = _width(lookup(root, _in_place(pointer))) * _width(found.schema) > MAX_WIDTH
                if found.schema is True or is_wide or size > min(MAX_CHARACTERS, left):
                    continue
                left -= size
                if root is document.root:
                    root = copied_object(root)
                    schema = cast(dict[str, Json], lookup(root, pointer))
                additions.append(_add(schema, pointer, keywords, found))
    return Strengthened(root, tuple(additions), frozenset(disjoint))


_IMPLYING: Final = frozenset({
    "not", "if", "dependentRequired", "dependentSchemas", "dependencies", "oneOf", "contains", "uniqueItems",
    "propertyNames", "minProperties", "unevaluatedProperties", "unevaluatedItems",
})  # fmt: skip
"""Keywords from which something follows that other keywords can say."""


_PATTERN: Final = frozenset({"pattern"})


def _looks(schema: Json) -> bool:
    """Whether a subschema has a pattern that looks around."""
    return isinstance(schema, dict) and isinstance(source := schema.get("pattern"), str) and looks_around(source)


def _as_written(document: SchemaDocument, pointer: str, schema: dict[str, Json]) -> dict[str, Json]:
    """The subschema before anything was added to it or in it, unless it is in an addition itself."""
    try:
        found = document.at(pointer)
    except KeyError:
        return schema
    return found if isinstance(found, dict) else schema


def _in_place(pointer: str) -> str:
    """The outermost subschema that judges the same value."""
    while (found := re.fullmatch(r"(.*)/(?:allOf|anyOf|oneOf)/\d+", pointer)) is not None:
        pointer = found[1]
    return pointer


def _width(schema: Json) -> int:
    """How many alternatives the engine multiplies out for one subschema (references are not followed)."""
    if not isinstance(schema, dict):
        return 1
    found = 1
    for keyword in ("anyOf", "oneOf", "allOf"):
        members = schema.get(keyword)
        if isinstance(members, list) and members:
            widths = [_width(member) for member in members]
            found *= math.prod(widths) if keyword == "allOf" else sum(widths)
    return found


def _branches_are_disjoint(document: SchemaDocument, schema: dict[str, Json]) -> bool:
    branches = schema.get("oneOf")
    if not isinstance(branches, list) or len(branches) > MAX_BRANCHES:
        return False
    pairs = ((a, b) for i, a in enumerate(branches) for b in branches[:i])
    return all(are_disjoint(document, a, b) for a, b in pairs)


def _add(schema: dict[str, Json], pointer: str, keywords: Sequence[str], found: Complement) -> Addition:
    # In a keyword of its own, behind all others, so that the properties before it keep their order.
    keyword = next((word for word in ("allOf", "anyOf") if word not in schema), "allOf")
    members = schema.setdefault(keyword, [])
    assert isinstance(members, list)
    members.append(copied(found.schema))
    at = join(pointer, keyword, len(members) - 1)
    return Addition(at, tuple(join(pointer, keyword) for keyword in keywords), found.is_exact)


def _implied(
    document: SchemaDocument, schema: dict[str, Json], written: dict[str, Json]
) -> Iterator[tuple[tuple[str, ...], Complement]]:
    """Keywords of a subschema with what they imply together. ``written`` is the subschema without any addition."""
    left_over = [
        (keyword, unevaluated(document, written, keyword))
        for keyword in ("unevaluatedProperties", "unevaluatedItems")
        if keyword in written and is_asserted(keyword, document.dialect)
    ]
    for keyword, value in list(schema.items()):
        match keyword if is_asserted(keyword, document.dialect) else "", value:
            case "not", _:
                yield ("not",), complement(document, value)
            case "if", _ if "then" in schema or "else" in schema:
                keywords = tuple(k for k in ("if", "then", "else") if k in schema)
                yield keywords, _condition(document, schema)
            case "dependentRequired" | "dependentSchemas" | "dependencies", dict():
                yield (keyword,), _every(_dependency(name, needs) for name, needs in value.items())
            case "oneOf", list() if 1 < len(value) <= MAX_BRANCHES:
                yield ("oneOf",), _exclusive(document, value)
            case "contains", _:
                keywords = tuple(
                    k
                    for k in ("contains", "minContains", "maxContains")
                    if k in schema and is_asserted(k, document.dialect)
                )
                yield keywords, _containing(document, {k: v for k, v in schema.items() if k in (*keywords, "maxItems")})
            case "uniqueItems", True:
                yield ("uniqueItems",), _distinct(document, schema)
            case "propertyNames", _:
                yield ("propertyNames",), named(document, schema, value)
            case "pattern", str():
                yield ("pattern",), _looking(value)
            case "minProperties", int() if not isinstance(value, bool):
                yield ("minProperties",), populated(schema, value)
            case _:
                pass
    for keyword, found in left_over:
        yield (keyword,), found


def _looking(pattern: str) -> Complement:
    """Lookaround as several patterns, of texts in which something is found and of those in which it is not."""
    said = without_lookaround(pattern)
    if said is None:
        return Complement(True, False)
    others = not_found(said.missing) if said.missing else None
    found = [*said.found, *([] if others is None else [others])]
    members: list[Json] = [{"pattern": source} for source in found]
    return Complement({"allOf": members}, said.is_exact and (others is not None or not said.missing))


def _condition(document: SchemaDocument, schema: dict[str, Json]) -> Complement:
    condition = schema["if"]
    if schema.get("then", True) is True and schema.get("else", True) is True:
        return Complement(True, True)
    unmet = complement(document, condition)
    held: Json = {"allOf": [condition, schema["then"]]} if "then" in schema else condition
    missed: Json = {"allOf": [unmet.schema, schema["else"]]} if "else" in schema else unmet.schema
    if unmet.schema is True and "else" not in schema:
        return Complement(True, False)
    return Complement({"anyOf": [held, missed]}, unmet.is_exact)


def _every(parts: Iterator[Complement]) -> Complement:
    found = list(parts)
    return Complement({"allOf": [part.schema for part in found]}, all(part.is_exact for part in found))


def _dependency(name: str, needs: Json) -> Complement:
    """Names that a name demands, or a schema."""
    absent: Json = {"properties": {name: False}}
    if isinstance(needs, list):
        return Complement({"anyOf": [absent, {"required": [name, *needs]}]} if needs else True, True)
    demanded: Json = {"allOf": [{"required": [name]}, needs]}
    return Complement({"anyOf": [absent, demanded]} if needs is not True else True, True)


def _exclusive(document: SchemaDocument, branches: Sequence[Json]) -> Complement:
    """Each branch without those that overlap with it."""
    found: list[Json] = []
    is_exact = True
    refused = [complement(document, branch) for branch in branches]
    for i, branch in enumerate(branches):
        members: list[Json] = [branch]
        for k, other in enumerate(branches):
            if k == i or are_disjoint(document, branch, other):
                continue
            is_exact = is_exact and refused[k].is_exact
            if refused[k].schema is not True:
                members.append(refused[k].schema)
        found.append({"allOf": members} if len(members) > 1 else branch)
    if found == list(branches):
        return Complement(True, False)
    return Complement({"anyOf": found}, is_exact)


def _containing(document: SchemaDocument, schema: dict[str, Json]) -> Complement:
    """Which of the first items are those that there must be, or the only ones; of longer arrays, nothing but that."""
    least, most, wanted = schema.get("minContains", 1), schema.get("maxContains", math.inf), schema["contains"]
    if not isinstance(least, int | float) or not isinstance(most, int | float):
        return Complement(True, False)
    needed, allowed = math.ceil(least), math.floor(most) if most != math.inf else math.inf
    if needed > allowed or (wanted is False and needed > 0):
        return Complement({"type": [*_NOT_ARRAYS]}, True)
    longest = schema.get("maxItems")
    seen = int(longest) if isinstance(longest, int) and longest <= MAX_SEEN else MAX_SEEN
    others = complement(document, wanted) if allowed < seen else Complement(True, True)
    keyword = "prefixItems" if document.dialect is Dialect.DRAFT_2020 else "items"
    found: list[Json] = []
    for chosen in _places(seen, needed, allowed):
        least_length = chosen[-1] + 1 if chosen and needed else 0
        length = seen if others.schema is not True else least_length
        # Where none must be there, those that may be are not asked for.
        items: list[Json] = [(wanted if needed else True) if i in chosen else others.schema for i in range(length)]
        found.append({**({"minItems": least_length} if least_length else {}), **({keyword: items} if items else {})})
    if not found:
        found.append({"type": [*_NOT_ARRAYS]})
    is_whole = isinstance(longest, int) and longest <= seen and (allowed >= seen or others.schema is not True)
    if not isinstance(longest, int) or longest > seen:
        found.append({"minItems": max(seen + 1, needed)})
    if {} in found:
        return Complement(True, False)
    return Complement(found[0] if len(found) == 1 else {"anyOf": found}, is_whole and others.is_exact)


def _places(seen: int, least: int, most: float) -> list[tuple[int, ...]]:
    """Which of the first items may be those that are wanted: the fewest, where more may be; else how many there are."""
    if least > seen:
        return []
    if most >= seen or not least:
        return list(combinations(range(seen), least if most >= seen else int(most)))
    return [chosen for n in range(least, int(most) + 1) for chosen in combinations(range(seen), n)]


_NOT_ARRAYS: Final = ("null", "boolean", "number", "string", "object")
MAX_SEEN: Final = 4
"""How many of the first items are told apart by what `contains` asks of them."""
MAX_WAYS: Final = 12
"""In how many ways items may be chosen, or put in order."""


def _distinct(document: SchemaDocument, schema: dict[str, Json]) -> Complement:
    """That the first items do not come again, as far as there are few values: which those are is told apart."""
    items = schema.get("items")
    if not isinstance(items, dict) or "prefixItems" in schema:
        return Complement(True, False)
    target = resolved(document, items.get("$ref"))
    items = items if target is None else target
    members = items.get("enum") if isinstance(items, dict) else None
    if not isinstance(members, list):
        is_flag = isinstance(items, dict) and items.get("type") == "boolean"
        members = [True, False] if is_flag else None
    if members is None:
        return Complement(True, False)
    values = list({(type_name(member), json.dumps(member, sort_keys=True)): member for member in members}.values())
    told, orders = 0, 1
    while told < len(values) - 1 and orders * (len(values) - told) <= MAX_WAYS:
        orders *= len(values) - told
        told += 1
    if not told:
        return Complement({"maxItems": len(values)}, len(values) <= 1)
    found = [_behind(document, first, values) for first in permutations(range(len(values)), told)]
    return Complement({"anyOf": found}, told == len(values) - 1)


def _behind(document: SchemaDocument, first: Sequence[int], values: Sequence[Json]) -> Json:
    """Some of the values as the first items, and behind them the others."""
    constants: list[Json] = [{"enum": [values[i]]} for i in first]
    others: Json = {"enum": [value for i, value in enumerate(values) if i not in first]}
    names = ("prefixItems", "items") if document.dialect is Dialect.DRAFT_2020 else ("items", "additionalItems")
    return {names[0]: constants, names[1]: others, "maxItems": len(values)}
