"""Citations in a text, found by a regex of the user's, or by their form."""
# google-re2 comes without types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from collections.abc import Callable, Sequence
from typing import Any

import re2  # pyright: ignore[reportMissingTypeStubs]

from policykit.diagnostics import PolicyError
from policykit.ir.citations import ID, mark_source

FindCitations = Callable[[str], Sequence[str]]


def citations_by(pattern: str) -> FindCitations:
    """Finds the names of sources by a regex (RE2 syntax): its first group, or the whole match where it has none. A
    pattern that holds `{id}` is the form of a citation, as a rule's `citations: {format: …}` says it.

    Raises PolicyError (PK845) for a pattern that RE2 does not take.

    >>> citations_by(r"\\[(K[0-9]+)\\]")("So it is [K1], [K22].")
    ['K1', 'K22']
    >>> citations_by("[{id}]")("So it is [K1], [K22].")
    ['K1', 'K22']
    """
    try:
        compiled: Any = re2.compile(mark_source(pattern) if ID in pattern else pattern)
    except re2.error as error:
        message = f"the pattern for citations is not RE2: {error}"
        raise PolicyError.of("PK845", message, help=r"such as `\bK[0-9]+\b`") from None
    group = 1 if compiled.groups else 0

    def find(text: str) -> list[str]:
        return [str(match.group(group) or "") for match in compiled.finditer(text)]

    return find
