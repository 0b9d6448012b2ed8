"""Exact answers about rules: which texts they find, because that is regular, and which conditions never change."""

from policykit.analysis.compare import (
    Comparison,
    Example,
    Outside,
    Relation,
    Report,
    compare,
    compare_rules,
    on_view,
)
from policykit.analysis.conditions import Settled, Value, analyse_conditions
from policykit.analysis.search import MAX_STATES, Nothing, NotProven, Sample
from policykit.analysis.shadows import Analysis, Idle, Why, analyse

__all__ = [
    "MAX_STATES",
    "Analysis",
    "Comparison",
    "Example",
    "Idle",
    "NotProven",
    "Nothing",
    "Outside",
    "Relation",
    "Report",
    "Sample",
    "Settled",
    "Value",
    "Why",
    "analyse",
    "analyse_conditions",
    "compare",
    "compare_rules",
    "on_view",
]
