"""A row for every keyword of a JSON Schema that says who enforces it: the mask, the verifier, or nobody."""

from collections.abc import Iterator, Set as AbstractSet

from policykit.diagnostics import Place
from policykit.grammar.keywords import ASSERTIONS, EXACT_FORMATS, SILENT
from policykit.grammar.relax import Told
from policykit.grammar.schema_document import SchemaDocument
from policykit.grammar.values import Json, join
from policykit.grammar.weakening import UNKNOWN_FORMAT, is_vacuous, keyword_pointers
from policykit.ir.plan import Enforcement, Level

ALTERNATIVES = ("anyOf", "oneOf")


def keyword_rows(document: SchemaDocument, relaxed: Told, place: Place) -> list[Enforcement]:
    """The rows of every subschema that bears on the value, in definition order.

    Where the mask admits a value that the schema refuses, one of the keywords that the verifier then reports, or one
    on the way to it, has a row of level OUTPUT.
    """
    rows = {row.name: row for row in _own_rows(document, relaxed, place)}
    left = {name for name, row in rows.items() if row.level is Level.OUTPUT}
    for pointer, schema in document.reachable().items():
        for keyword in ALTERNATIVES if isinstance(schema, dict) else ():
            at = f"{pointer}/{keyword}"
            # What is weak in one alternative shows as a value that none of them admits.
            if at in rows and rows[at].level is Level.DECODE and _is_weak(document, pointer, schema, keyword, left):
                rows[at] = Enforcement(
                    "grammar", at, Level.OUTPUT, "masked, but for the residue of an alternative", place
                )
    return list(rows.values())


def _is_weak(document: SchemaDocument, pointer: str, schema: Json, keyword: str, left: AbstractSet[str]) -> bool:
    inside = [target for word, target, _ in document.edges(pointer, schema) if word == keyword]
    return any(
        join(reached, word) in left or reached in left
        for branch in inside
        for reached, node in document.reachable(branch).items()
        for word in (node if isinstance(node, dict) else ("",))
    )


def _own_rows(document: SchemaDocument, relaxed: Told, place: Place) -> Iterator[Enforcement]:
    weakened = {at: w.why for w in relaxed.weakenings for at, _ in keyword_pointers(w)}
    masked = document.reachable_without(relaxed.dropped)
    for pointer, schema in document.reachable().items():
        if schema is False and pointer in masked:
            yield Enforcement("grammar", pointer, Level.DECODE, "nothing is offered here", place)
        elif schema is False:
            yield Enforcement("grammar", pointer, Level.OUTPUT, _OUT_OF_THE_MASK, place)
        if not isinstance(schema, dict):
            continue
        for keyword in schema:
            if keyword not in SILENT:
                at = join(pointer, keyword)
                level, why = _enforced(document, relaxed, weakened, schema, keyword, at, pointer in masked)
                yield Enforcement("grammar", at, level, why, place)


_OUT_OF_THE_MASK = "it stands only under a keyword that is not in the mask"


def _enforced(
    document: SchemaDocument,
    relaxed: Told,
    weakened: dict[str, str],
    schema: dict[str, Json],
    keyword: str,
    at: str,
    is_masked: bool,
) -> tuple[Level, str]:
    if document.ignores_siblings(schema) and keyword != "$ref":
        return Level.OBSERVE, "ignored beside `$ref` in this dialect"
    if keyword not in ASSERTIONS:
        return Level.OBSERVE, "not a keyword that is asserted: an annotation"
    if weakened.get(at) == UNKNOWN_FORMAT or is_vacuous(schema, keyword):
        return Level.OBSERVE, weakened.get(at, "constrains nothing here")
    if not is_masked:
        return Level.OUTPUT, _OUT_OF_THE_MASK
    if at in relaxed.carried:
        return Level.DECODE, "masked, in other keywords"
    if at in weakened:
        return Level.OUTPUT, weakened[at] + ("; the mask carries what follows from it" if at in relaxed.implied else "")
    if keyword == "format" and schema["format"] not in EXACT_FORMATS:
        return Level.OUTPUT, "the mask carries the format's shape only"
    return Level.DECODE, "masked"
