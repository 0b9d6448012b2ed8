"""Documents and days: which have expired, which wait, and how long a plan stays what it is."""

from datetime import date

from policykit.compile.resolve import is_effective
from policykit.diagnostics import Diagnostic, PolicyError, Severity
from policykit.ir.document import PolicySet


def check_dates(policies: PolicySet, at: date) -> tuple[Diagnostic, ...]:
    """Warnings about documents that are not effective yet. Raises PolicyError (PK301) for those that have expired."""
    expired: list[Diagnostic] = []
    waiting: list[Diagnostic] = []
    for document in policies.documents:
        effective = document.effective
        if effective.until is not None and effective.until <= at:
            text = f"policy `{document.name}` expired on {effective.until}"
            expired.append(Diagnostic("PK301", text, document.place, "renew `effective.until` or remove the document"))
        elif not is_effective(document, at):
            text = f"policy `{document.name}` is not effective before {effective.since}: its rules are not in this plan"
            waiting.append(
                Diagnostic("PK302", text, document.place, "compile again on that day", severity=Severity.WARNING)
            )
    if expired:
        raise PolicyError(expired)
    return tuple(waiting)


def valid_until(policies: PolicySet, at: date) -> date | None:
    """The next day on which a document or an exception begins or ends."""
    dates = [d for document in policies.documents for d in (document.effective.since, document.effective.until)]
    dates += [e.expires for document in policies.documents for rule in document.rules for e in rule.exceptions]
    return min((d for d in dates if d is not None and d > at), default=None)
