"""Words of a regular language, drawn by walking Python's own parse of the expression."""

from random import Random
from re import _parser  # pyright: ignore
from typing import Any, cast


def sampled(rng: Random, source: str) -> str:
    """A word that the expression matches, if what it asserts of places holds there."""
    return _word(rng, cast(Any, _parser).parse(source))


def _word(rng: Random, tree: Any) -> str:
    out = ""
    for op, value in tree:
        match str(op):
            case "LITERAL":
                out += chr(value)
            case "IN":
                out += rng.choice([char for kind, of in value for char in _members(str(kind), of)])
            case "BRANCH":
                out += _word(rng, rng.choice(value[1]))
            case "SUBPATTERN":
                out += _word(rng, value[3])
            case "MAX_REPEAT":
                least, most, inner = value
                out += "".join(_word(rng, inner) for _ in range(rng.randint(least, min(most, least + 3))))
            case "AT":
                pass
            case _:
                raise ValueError(f"not for words: {op}")
    return out


def _members(kind: str, of: Any) -> str:
    if kind == "CATEGORY":
        return "0123456789"
    return chr(of) if kind == "LITERAL" else "".join(map(chr, range(of[0], of[1] + 1)))
