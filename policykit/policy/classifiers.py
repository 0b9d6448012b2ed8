"""What a rule with a classifier means: an action that needs no place."""

from collections.abc import Iterator

from policykit.diagnostics import Diagnostic
from policykit.policy.checked import Entries
from policykit.policy.transforms import is_on_spans


def check_classifiers(rule: Entries, diagnostics: list[Diagnostic]) -> None:
    """Appends transforms that would have nothing to replace."""
    require, action = rule.entries("require"), rule.entries("action")
    matches = [match for holder in (rule, require) if holder and (match := holder.entries("match"))]
    transform = action.entries("transform") if action else None
    for match in (inner for outer in matches for inner in _all(outer)):
        classifier = match.entries("classifier")
        if classifier and transform and is_on_spans(transform):
            message = "a classifier says that something is in the text and not where: nothing can be replaced"
            help = "use `block` or `escalate`, or find the place by another matcher in a rule of its own"
            diagnostics.append(Diagnostic("PK173", message, match.keys["classifier"], help))


def _all(match: Entries) -> Iterator[Entries]:
    yield match
    inner = match.entries("not")
    for item in (*match.records("all"), *match.records("any"), *((inner,) if inner else ())):
        yield from _all(item)
