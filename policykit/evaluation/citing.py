"""Citations in a text, found by a regex of the user's, by their form, or as the plan's own rules demand them."""
# google-re2 comes without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable, Sequence
from typing import Any

import re2  # pyright: ignore[reportMissingTypeStubs]

from policykit.compile.citations import demanded
from policykit.diagnostics import PolicyError
from policykit.ir.citations import ID, mark_source
from policykit.plan import Plan

FindCitations = Callable[[str], Sequence[str]]


def citations_by(pattern: str | None, plan: Plan | None = None) -> FindCitations:
    """Finds the names of sources by a regex (RE2 syntax): its first group, or the whole match where it has none. A
    pattern that holds `{id}` is the form of a citation, as a rule's `citations: {format: …}` says it, with the ids that
    the plan's rules demand in this form. None are the forms that the plan's rules demand.

    Raises PolicyError (PK845) for a pattern that RE2 does not take, and where nothing says how a citation is written.

    >>> citations_by(r"\\[(K[0-9]+)\\]")("So it is [K1], [K22].")
    ['K1', 'K22']
    >>> citations_by("[{id}]")("So it is [K1], [K22].")
    ['K1', 'K22']
    """
    marks = demanded(plan.spec.rules) if plan else ()
    if pattern is None:
        if not marks:
            help = "name a regex or a form such as `[{id}]`, or policies with a rule that demands citations"
            raise PolicyError.of("PK845", "nothing says how a citation is written", help=help)
        return _by([mark.source for mark in marks])
    if ID not in pattern:
        return _by([pattern])
    return _by([mark.source for mark in marks if mark.form == pattern] or [mark_source(pattern)])


def _by(patterns: Sequence[str]) -> FindCitations:
    """By several patterns, in the order of the text."""
    try:
        compiled: list[Any] = [re2.compile(pattern) for pattern in patterns]
    except re2.error as error:
        message = f"the pattern for citations is not RE2: {error}"
        raise PolicyError.of("PK845", message, help=r"such as `\bK[0-9]+\b`") from None

    def find(text: str) -> list[str]:
        found = {
            match.span(): str(match.group(1 if one.groups else 0) or "")
            for one in compiled
            for match in one.finditer(text)
        }
        return [found[span] for span in sorted(found)]

    return find
