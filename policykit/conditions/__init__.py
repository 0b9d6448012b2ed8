"""Conditions over facts: a small, total expression language with the syntax of CEL."""

from policykit.conditions.condition import Condition, compile_condition, parse_condition
from policykit.conditions.constancy import MAX_CASES, Constancy, constancy
from policykit.conditions.evaluate import COST_LIMIT, ConditionError, ConditionResult, UnknownFact
from policykit.conditions.render import render
from policykit.conditions.types import BUILT_IN, FactsSchema

__all__ = [
    "BUILT_IN",
    "COST_LIMIT",
    "MAX_CASES",
    "Condition",
    "ConditionError",
    "ConditionResult",
    "Constancy",
    "FactsSchema",
    "UnknownFact",
    "compile_condition",
    "constancy",
    "parse_condition",
    "render",
]
