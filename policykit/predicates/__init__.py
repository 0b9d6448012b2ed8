"""Named predicates and classifiers: functions and models of others that find something in a text."""

from policykit.predicates.contract import PredicateError, Spans, TextPredicate, checked
from policykit.predicates.installed import GROUP, Installed, installed, installed_names
from policykit.predicates.process import PredicateProcess
from policykit.predicates.scores import FunctionClassifier, Scored, TextClassifier, checked_scores
from policykit.predicates.workers import MAX_STUCK, TookTooLong, Workers

__all__ = [
    "GROUP",
    "MAX_STUCK",
    "FunctionClassifier",
    "Installed",
    "PredicateError",
    "PredicateProcess",
    "Scored",
    "Spans",
    "TextClassifier",
    "TextPredicate",
    "TookTooLong",
    "Workers",
    "checked",
    "checked_scores",
    "installed",
    "installed_names",
]
