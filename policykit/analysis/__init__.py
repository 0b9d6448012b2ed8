"""Exact answers about what rules find, because what they find is regular: which texts, and which texts shortest."""

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
    "Why",
    "analyse",
    "compare",
    "compare_rules",
    "on_view",
]
