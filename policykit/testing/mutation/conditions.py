"""Small changes of conditions, as texts.

A comparison is changed to its neighbour and its constant by one, which together are the values on either side of the
threshold (Kaminski, Ammann, Offutt: Improving logic-based testing, JSS 2013); a negated condition is noticed by every
test that notices one of these, and so made only where there are none.
"""

import re
from collections.abc import Iterator

_CEL = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|&&|\|\||[<>=!]=|[<>]|!|\d+\.\d+|\d+|[\w.]+|\s+|.""", re.S)
_OPPOSITE = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "&&": "||", "||": "&&"}


def changed_conditions(source: str) -> Iterator[tuple[str, str]]:
    """Conditions that hold in slightly other cases, each with what was done. Some may not be valid."""
    parts = list(_changed_parts(source))
    yield from parts or [("negate the condition", f"!({source})")]


def _changed_parts(source: str) -> Iterator[tuple[str, str]]:
    for match in _CEL.finditer(source):
        token, before, after = match[0], source[: match.start()], source[match.end() :]
        if token in _OPPOSITE:
            yield f"`{_OPPOSITE[token]}` in place of `{token}`", f"{before}{_OPPOSITE[token]}{after}"
        elif token == "!":
            yield "without `!`", before + after
        elif token.isdigit():
            for number in (int(token) + 1, int(token) - 1):
                yield f"{number} in place of {token}", f"{before}{number}{after}"
        elif token.replace(".", "", 1).isdigit():
            for number in (float(token) * 1.25 + 0.01, float(token) * 0.75 - 0.01):
                yield f"{number:g} in place of {token}", f"{before}{number:g}{'.0' * (number == int(number))}{after}"
        elif token[0] in "\"'" and len(token) > 1:
            yield f"another text in place of {token}", f"{before}{token[:-1]}~{token[-1]}{after}"
