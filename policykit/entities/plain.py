"""Expressions over digits and capitals, as numbering plans are written, as automata that are built in a millisecond.

The position automaton (Glushkov, "The abstract theory of automata", 1961) determinised while it runs: a state is a set
of positions as the bits of a number. What else an expression may hold is for the general one.
"""

import re
from typing import TypeAlias

CHARS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""What is read; a character's symbol is its place here, as far as the expression has capitals."""
N_DIGITS = 10
DEAD, START = 0, 1
MAX_POSITIONS = 4_000
_CAPITALS = re.compile("[A-Z]")
_TOKEN = re.compile(r"\(\?:|[()|?*+]|\{(\d+)(?:,(\d+))?\}|\\d|[0-9A-Z]|\[((?:\\d|[0-9A-Z](?:-[0-9A-Z])?)+)\]", re.ASCII)

Part: TypeAlias = tuple[bool, int, int]
"""Whether it matches nothing too, and the positions that it begins and ends with, as bits."""
_Token: TypeAlias = tuple[str, re.Match[str]]


class NotPlain(Exception):
    """The expression has something else than digits and capitals, their sets, groups, alternatives, repetitions."""


class PlainAutomaton:
    """Reads digits and capitals from the first on; ``n`` symbols, behind which stands any other character. State 0 is
    dead. Raises NotPlain."""

    start = START

    def __init__(self, source: str) -> None:
        self.n = N_DIGITS if not _CAPITALS.search(source) else len(CHARS)
        self._follow = [0]
        self._having = [0] * self.n
        self._tokens = _tokens(source)
        self._at = 0
        nullable, first, last = self._alternatives()
        if self._at < len(self._tokens):
            raise NotPlain(source)
        self._follow[0] = first
        self._last = last | nullable
        self._keys = [0, 1]
        self._ids = {0: DEAD, 1: START}

    def step(self, state: int, symbol: int) -> int:
        if symbol >= self.n:
            return DEAD
        ahead, left = 0, self._keys[state]
        while left:
            low = left & -left
            ahead |= self._follow[low.bit_length() - 1]
            left ^= low
        key = ahead & self._having[symbol]
        found = self._ids.get(key)
        if found is None:
            found = self._ids[key] = len(self._keys)
            self._keys.append(key)
        return found

    def accepts(self, state: int) -> bool:
        """Whether what was read is in the language."""
        return bool(self._keys[state] & self._last)

    # -- building ------------------------------------------------------------------------------------------------

    def _alternatives(self) -> Part:
        nullable, first, last = self._sequence()
        while self._peek() == "|":
            self._at += 1
            also = self._sequence()
            nullable, first, last = nullable or also[0], first | also[1], last | also[2]
        return nullable, first, last

    def _sequence(self) -> Part:
        made: Part = (True, 0, 0)
        while self._peek() not in ("", "|", ")"):
            made = self._behind(made, self._repeated())
        return made

    def _repeated(self) -> Part:
        """An atom with what says how often; it is read again for every time that it may stand there."""
        begin = self._at
        part = self._atom()
        token = self._peek()
        if token not in ("?", "*", "+") and not token.startswith("{"):
            return part
        behind = self._at + 1
        if token in ("*", "+"):
            self._link(part[2], part[1])
            part = (part[0] or token == "*", *part[1:])
        else:
            least, most = self._times(token)
            made: Part = (True, 0, 0)
            for i in range(most):
                if i:
                    self._at = begin
                    part = self._atom()
                made = self._behind(made, part if i < least else (True, *part[1:]))
            part = made
        self._at = behind
        if self._peek() in ("?", "*", "+") or self._peek().startswith("{"):
            raise NotPlain("a repetition of a repetition")
        return part

    def _times(self, token: str) -> tuple[int, int]:
        if token == "?":
            return 0, 1
        found = self._tokens[self._at][1]
        least = int(found[1])
        most = least if found[2] is None else int(found[2])
        if not 0 < most <= MAX_POSITIONS or least > most:
            raise NotPlain(token)
        return least, most

    def _atom(self) -> Part:
        token = self._peek()
        self._at += 1
        if token in ("(", "(?:"):
            part = self._alternatives()
            if self._peek() != ")":
                raise NotPlain("a group without an end")
            self._at += 1
            return part
        if token in ("", "|", ")", "?", "*", "+") or token.startswith("{"):
            raise NotPlain(token)
        return self._position(_members(token, self._tokens[self._at - 1][1]))

    def _position(self, symbols: set[int]) -> Part:
        bit = 1 << len(self._follow)
        self._follow.append(0)
        if len(self._follow) > MAX_POSITIONS:
            raise NotPlain("too long")
        for symbol in symbols:
            self._having[symbol] |= bit
        return False, bit, bit

    def _behind(self, before: Part, part: Part) -> Part:
        self._link(before[2], part[1])
        first = before[1] | part[1] if before[0] else before[1]
        last = before[2] | part[2] if part[0] else part[2]
        return before[0] and part[0], first, last

    def _link(self, last: int, first: int) -> None:
        while last:
            low = last & -last
            self._follow[low.bit_length() - 1] |= first
            last ^= low

    def _peek(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""


def _tokens(source: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(source):
        token = _TOKEN.match(source, at)
        if token is None:
            raise NotPlain(source[at:])
        found.append((token[0], token))
        at = token.end()
    return found


def _members(token: str, found: re.Match[str]) -> set[int]:
    """The symbols of one character or set."""
    if token == r"\d":
        return set(range(N_DIGITS))
    if len(token) == 1:
        return {CHARS.index(token)}
    symbols: set[int] = set()
    for low, high in re.findall(r"(\\d|[0-9A-Z])(?:-([0-9A-Z]))?", found[3]):
        if low == r"\d":
            symbols |= set(range(N_DIGITS))
            continue
        if high and high < low:
            raise NotPlain(token)
        symbols |= {i for i, char in enumerate(CHARS) if low <= char <= (high or low)}
    return symbols
