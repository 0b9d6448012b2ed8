"""Grammars that a client may send and nobody should compile, by what is wrong with them."""

import json
from functools import reduce
from typing import Any


def _nested(depth: int) -> dict[str, Any]:
    return reduce(lambda inner, _: {"type": "array", "items": inner}, range(depth), {"type": "integer"})


def _products(*lengths: int) -> str:
    return " & ".join(f"/(.{{{n}}})*/" for n in lengths)


EXCEEDING: dict[str, dict[str, Any]] = {
    "product of expressions": {"grammar": f"start: A\nA: {_products(7, 11, 13, 17, 19, 23, 29)}"},
    "optional items": {"grammar": "start: " + '"a"? ' * 300},
}
"""What exceeds any bound (PK209)."""
REFUSED: dict[str, dict[str, Any]] = {
    "deep nesting": {"json": json.dumps(_nested(300))},
    "a huge count": {"regex": "(a|b|cd){20000}x"},
    "counts of counts": {"regex": "((((a{1,30}){1,30}){1,30}){1,30})b"},
    "classes of Unicode": {"regex": r"[\p{L}\p{N}]{1000}([\p{L}]|[^\p{Lu}]){1000}"},
    "a long expression": {"regex": "|".join(f"[a-z]{{{n}}}x{n}" for n in range(1, 900))},
    "nested rules": {"grammar": "root ::= " + '("a"? ' * 2_000 + ")" * 2_000},
}
"""What is refused when it is read."""
AMBIGUOUS = 'start: s\ns: s s s s | s s s | s s | "a" | "b" | "c" | "d" | "e" | " "'
"""What compiles at once, and has masks that take longer with every token."""
EVERYDAY: dict[str, Any] = {"json": {"enum": ["yes", "no"]}}


def quick(n: int) -> dict[str, Any]:
    """An everyday grammar that nobody has sent before."""
    return {"choice": ["yes", f"no, {n}"]}
