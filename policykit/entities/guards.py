"""Guards of types at all places of a text at once."""

import re
from functools import cache

import numpy as np
from numpy.typing import NDArray

from policykit.automata import parse_regex
from policykit.diagnostics import Place
from policykit.entities.entity import Guard
from policykit.ir.regex import Alternation, Assertion, Chars, Concat, Empty, Ranges, Regex, Repeat
from policykit.text.joined import Joined

_OTHER, _EDGE = 128, 129
"""What stands for all characters beyond ASCII, and for an end of a text."""
_KINDS = 130
_REACH = 2
"""Characters on either side that a guard may read to be decided for all places at once."""


class Beside:
    """What may stand beside a match in one text."""

    def __init__(self, joined: Joined) -> None:
        codes = joined.codes
        kinds = np.full(len(codes) + 2 * _REACH, _EDGE, np.uint8)
        kinds[_REACH:-_REACH] = codes if joined.points is None else np.minimum(codes, _OTHER)
        if joined.is_jointed:
            kinds[_REACH:-_REACH][np.array(joined.starts[1:], np.int64) - 1] = _EDGE
        self._kinds = kinds
        self._begins: dict[str, NDArray[np.bool_]] = {}
        self._ends: dict[str, NDArray[np.bool_]] = {}

    def may_begin(self, guard: Guard) -> NDArray[np.bool_]:
        """Where a match may begin, ``[characters + 1]``."""
        found = self._begins.get(guard.behind)
        if found is None:
            by_pair, last = _behind(guard.behind), self._kinds[1:-_REACH]
            found = _of_bytes(by_pair[0], last)
            both = np.flatnonzero(_of_bytes((by_pair != by_pair[:1]).any(0), last))
            if len(both):
                found = found.copy()
                found[both] = by_pair[self._kinds[both], last[both]]
            self._begins[guard.behind] = found
        return found

    def may_end(self, guard: Guard) -> NDArray[np.bool_]:
        """Where a match may end, ``[characters + 2]``."""
        found = self._ends.get(guard.ahead)
        if found is None:
            by_pair = _ahead(guard.ahead)
            found = np.zeros(len(self._kinds) - _REACH, np.bool_)
            first = self._kinds[_REACH:-1]
            found[:-1] = _of_bytes(by_pair[:, 0], first)
            both = np.flatnonzero(_of_bytes((by_pair != by_pair[:, :1]).any(1), first))
            found[both] = by_pair[first[both], self._kinds[_REACH + 1 :][both]]
            self._ends[guard.ahead] = found
        return found


@cache
def is_near(guard: Guard) -> bool:
    """Whether the guard reads two characters at most and tells apart no characters beyond ASCII."""
    sides = [parse_regex(side, Place("entities")) for side in (guard.left, guard.right) if side]
    return all(_width(side) <= _REACH and all(_is_ascii(found) for found in _sets(side)) for side in sides)


def _of_bytes(holds: NDArray[np.bool_], kinds: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """What holds of each kind."""
    return np.frombuffer(kinds.tobytes().translate(holds.tobytes().ljust(256, b"\0")), np.bool_)


def _width(regex: Regex) -> int:
    match regex:
        case Empty() | Assertion():
            return 0
        case Chars():
            return 1
        case Concat(items):
            return sum(map(_width, items))
        case Alternation(items):
            return max(map(_width, items), default=0)
        case Repeat(item, _, most):
            return _REACH + 1 if most is None else most * _width(item)


def _sets(regex: Regex) -> list[Ranges]:
    match regex:
        case Chars(literal, on_view):
            return [literal, on_view]
        case Concat(items) | Alternation(items):
            return [found for item in items for found in _sets(item)]
        case Repeat(item):
            return _sets(item)
        case Empty() | Assertion():
            return []


def _is_ascii(ranges: Ranges) -> bool:
    """Whether a set has all characters beyond ASCII or none."""
    return all(high < 0x80 or (low <= 0x80 and high == 0x10FFFF) for low, high in ranges)


def _shown(kind: int) -> str:
    return "" if kind == _EDGE else "\u0100" if kind == _OTHER else chr(kind)


_ATOM = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]|\\.|[^\\]")


def _classes(source: str) -> tuple[NDArray[np.intp], list[int]]:
    """Kinds that an assertion does not tell apart, as numbers, and one kind of each."""
    atoms = [re.compile(atom if len(atom) > 1 else re.escape(atom)) for atom in set(_ATOM.findall(source))]
    known: dict[tuple[bool, ...], int] = {}
    shown = [_shown(kind) for kind in range(_KINDS)]
    keys: list[tuple[bool, ...]] = [
        (kind == _EDGE, *(bool(atom.fullmatch(char)) for atom in atoms)) for kind, char in enumerate(shown)
    ]
    numbers = np.array([known.setdefault(key, len(known)) for key in keys], np.intp)
    return numbers, [keys.index(key) for key in known]


@cache
def _behind(source: str) -> NDArray[np.bool_]:
    """By the kinds of the two characters before a place."""
    holds, (number, kinds) = re.compile(source).match, _classes(source)
    found = [
        [bool(holds(text, len(text))) for text in (f"{'' if b == _EDGE else _shown(a)}{_shown(b)}" for b in kinds)]
        for a in kinds
    ]
    return np.array(found)[number[:, None], number]


@cache
def _ahead(source: str) -> NDArray[np.bool_]:
    """By the kinds of the two characters behind a place."""
    holds, (number, kinds) = re.compile(source).match, _classes(source)
    found = [[bool(holds(f"{_shown(a)}{'' if a == _EDGE else _shown(b)}")) for b in kinds] for a in kinds]
    return np.array(found)[number[:, None], number]
