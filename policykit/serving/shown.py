"""What a client is told of what is wrong with a grammar, or a schema, that it sent."""

import re
from typing import Final

from policykit.diagnostics import CATALOGUE, Diagnostic
from policykit.grammar.keywords import ASSERTIONS, SILENT

_ALONE: Final = frozenset({"PK201", "PK202", "PK204", "PK205"})
"""Codes of what is found in a JSON Schema before it meets any rule."""
_PLACE: Final = re.compile(r" at `((?:/[^`]*)?)`")
_KEYWORDS: Final = ASSERTIONS | SILENT
"""What a client is shown of a pointer. All else in it the client wrote, and a rule may forbid it."""
_INDEX: Final = re.compile(r"[0-9]{1,3}", re.ASCII)
_MAX_PARTS: Final = 30


def shown(found: Diagnostic) -> str:
    """The title, and where in a schema something is none. A message, or a name in a pointer, may quote what a rule
    forbids, which no field of an answer may hold."""
    title = f"{found.code}: {CATALOGUE[found.code].title}"
    place = _PLACE.search(found.message) if found.code in _ALONE else None
    if place is None:
        return title
    parts = place[1].split("/")
    kept = [part if part in _KEYWORDS or _INDEX.fullmatch(part) else "*" for part in parts[1:]]
    if len(kept) > _MAX_PARTS:
        kept[_MAX_PARTS:] = ["…"]
    return f"{title}, at `{''.join(f'/{part}' for part in kept)}`"
