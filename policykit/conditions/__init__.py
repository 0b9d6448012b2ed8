"""Conditions over facts: a small, total expression language with the syntax of CEL."""

from policykit.conditions.condition import Condition, compile_condition, parse_condition
from policykit.conditions.evaluate import COST_LIMIT, ConditionError, ConditionResult, UnknownFact
from policykit.conditions.render import render
from policykit.conditions.types import BUILT_IN, FactsSchema

__all__ = [
    "BUILT_IN",
    "COST_LIMIT",
    "Condition",
    "ConditionError",
    "ConditionResult",
    "FactsSchema",
    "UnknownFact",
    "compile_condition",
    "parse_condition",
    "render",
]
