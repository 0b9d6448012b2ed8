"""Named predicates: functions of others that find something in a text."""

from policykit.predicates.contract import PredicateError, Spans, TextPredicate, checked
from policykit.predicates.installed import GROUP, Installed, installed, installed_names
from policykit.predicates.process import PredicateProcess
from policykit.predicates.workers import MAX_STUCK, TookTooLong, Workers

__all__ = [
    "GROUP",
    "MAX_STUCK",
    "Installed",
    "PredicateError",
    "PredicateProcess",
    "Spans",
    "TextPredicate",
    "TookTooLong",
    "Workers",
    "checked",
    "installed",
    "installed_names",
]
