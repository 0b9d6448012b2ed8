"""The request context that a test's document is resolved for."""

from datetime import date, timedelta

from policykit.ir.document import Document, Effective, Given
from policykit.ir.plan import CompileContext

FIXED_DAY = date(2026, 1, 1)
"""The day of a test whose document is always effective: tests do not read the clock."""


def context_of(document: Document, given: Given) -> CompileContext:
    """What ``given`` says, and for what it leaves out the first entry of the document's scope with `x` for each `*`."""
    scope = document.scope
    return CompileContext(
        profile=given.profile or _example(scope.profiles),
        tenant=given.tenant or _example(scope.tenants),
        locale=given.locale or _example(scope.locales),
        jurisdiction=given.jurisdiction or _example(scope.jurisdictions),
        at=given.at or effective_day(document.effective),
    )


def effective_day(effective: Effective) -> date:
    """A fixed day on which the document is effective: its first, or its last, or any."""
    if effective.since:
        return effective.since
    return effective.until - timedelta(days=1) if effective.until else FIXED_DAY


def _example(globs: tuple[str, ...]) -> str | None:
    return globs[0].replace("*", "x") if globs else None
