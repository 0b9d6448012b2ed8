"""Conditions when compiling: checked against the facts schema, and decided where the context alone decides them."""

import json
from functools import lru_cache

from policykit.conditions import Condition, FactsSchema, compile_condition, parse_condition
from policykit.diagnostics import Place
from policykit.ir.document import Condition as DocumentCondition, Expression
from policykit.ir.plan import CompileContext

CONTEXT = ("profile", "tenant", "locale", "jurisdiction")


@lru_cache(maxsize=64)
def schema_of(source: str | None, place: Place) -> FactsSchema | None:
    """The schema that a document's text describes. Raises PolicyError (PK156)."""
    return None if source is None else FactsSchema.from_json(json.loads(source), place)


def checked(when: Expression, schema: FactsSchema | None) -> Condition:
    """The condition. Raises PolicyError with its places (PK150 to PK155)."""
    return parse_condition(when.source, when.place, schema)


def context_facts(context: CompileContext) -> dict[str, object]:
    """What a context says, as facts; a part that it leaves open is unknown."""
    return {name: value for name in CONTEXT if (value := getattr(context, name)) is not None}


def decide(when: DocumentCondition | None, schema: FactsSchema | None, context: CompileContext) -> bool | None:
    """Whether a condition holds in the context; None where that depends on the request."""
    if when is None:
        return True
    if not isinstance(when, Expression):
        return None
    condition = checked(when, schema)
    known = context_facts(context)
    if not condition.reads <= known.keys():
        return None
    result = compile_condition(condition)(known)
    return result if isinstance(result, bool) else None
