"""Guards of types at all places of a text at once."""

import re
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from policykit.automata import Places, parse_regex
from policykit.diagnostics import Place
from policykit.entities.entity import Guard
from policykit.ir.regex import Alternation, Assertion, Chars, Concat, Empty, Ranges, Regex, Repeat
from policykit.text.joined import BEYOND, Joined

_OTHER, _EDGE = BEYOND, BEYOND + 1
"""What stands for all characters beyond ASCII, and for an end of a text."""
_KINDS = 130
_REACH = 2
"""Characters on either side that a guard may read to be decided for all places at once."""
_FEWER = 4
"""One place in so many, up to which places are looked at rather than the whole text."""


class Beside:
    """What may stand beside a match in one text."""

    def __init__(self, joined: Joined) -> None:
        codes = joined.narrow
        kinds = np.full(len(codes) + 2 * _REACH, _EDGE, np.uint8)
        kinds[_REACH:-_REACH] = codes
        if joined.is_jointed:
            kinds[_REACH:-_REACH][np.array(joined.starts[1:], np.int64) - 1] = _EDGE
        self._kinds = kinds
        self._begins: dict[str, NDArray[np.bool_]] = {}
        self._ends: dict[str, Ends] = {}

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

    def begins_at(self, guard: Guard, starts: Places) -> NDArray[np.bool_]:
        """At which of some places a match may begin."""
        if _FEWER * len(starts) > len(self._kinds) or guard.behind in self._begins:
            return self.may_begin(guard)[starts]
        return _of_pairs(_behind(guard.behind), self._kinds, starts)

    def ends(self, guard: Guard) -> "Ends":
        """Where a match may end."""
        found = self._ends.get(guard.ahead)
        if found is None:
            found = self._ends[guard.ahead] = Ends(_ahead(guard.ahead), self._kinds)
        return found


class Ends:
    """Where a match may end in one text."""

    def __init__(self, by_pair: NDArray[np.bool_], kinds: NDArray[np.uint8]) -> None:
        self._by_pair, self._kinds = by_pair, kinds

    def at(self, places: Places) -> NDArray[np.bool_]:
        """At which of some places."""
        return _of_pairs(self._by_pair, self._kinds[_REACH:], places)

    def one(self, place: int) -> bool:
        return self._by_pair.item(self._kinds.item(place + _REACH), self._kinds.item(place + _REACH + 1))

    @cached_property
    def everywhere(self) -> Places:
        """All such places, in order."""
        first = self._kinds[_REACH:-1]
        found = _of_bytes(self._by_pair[:, 0], first).copy()
        both = np.flatnonzero(_of_bytes((self._by_pair != self._by_pair[:, :1]).any(1), first))
        found[both] = self._by_pair[first[both], self._kinds[_REACH + 1 :][both]]
        return np.flatnonzero(found)


@cache
def is_near(guard: Guard) -> bool:
    """Whether the guard reads two characters at most and tells apart no characters beyond ASCII."""
    sides = [parse_regex(side, Place("entities")) for side in (guard.left, guard.right) if side]
    return all(_width(side) <= _REACH and all(_is_ascii(found) for found in _sets(side)) for side in sides)


def _of_pairs(by_pair: NDArray[np.bool_], kinds: NDArray[np.uint8], places: Places) -> NDArray[np.bool_]:
    """What holds of the two kinds from each place on."""
    second = kinds.take(
        places + 1, mode="clip"
    )  # only what is behind the end of a text, where nothing ends, is clipped
    return by_pair.ravel().take(kinds.take(places, mode="clip").astype(np.intp) * _KINDS + second)


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
