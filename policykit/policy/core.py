"""Types of plain scalars: the core schema of YAML 1.2 (section 10.3.2), and nothing else.

So `on`, `NO` and `2026-01-01` are text, `012` is twelve and `1.10` is a number unless the field takes text as it
stands (versions).
"""

import re

# Longer numbers are text: no limit needs them, and reading digits is quadratic.
_MAX_NUMBER = 64
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def resolve(plain: str) -> str | int | float | bool | None:
    """The value of a plain scalar under the core schema."""
    if plain in _CONSTANTS:
        return _CONSTANTS[plain]
    if len(plain) > _MAX_NUMBER:
        return plain
    if _INT.fullmatch(plain):
        return int(plain)
    if _OCTAL.fullmatch(plain):
        return int(plain[2:], 8)
    if _HEX.fullmatch(plain):
        return int(plain[2:], 16)
    if _FLOAT.fullmatch(plain):
        return float(plain)
    if _INFINITE.fullmatch(plain):
        return float(plain.replace(".", ""))
    return plain
