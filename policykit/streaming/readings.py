"""A text as patterns read it, piece by piece: the whole text, or the strings in its JSON.

Each reading numbers the characters that it reads. What it finds has places in the original text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from policykit.ir.document import Join
from policykit.streaming.joint import Cursor, Joint, Match, Row
from policykit.streaming.tags import UNITS
from policykit.streaming.window import Window
from policykit.text import View
from policykit.text.json_strings import INSIDE, OUTSIDE, Mark, step
from policykit.verify.units import Span

ALL, TRANSFORMS = 0, 1
"""Groups of parts whose oldest start is asked for: every part that changes the output; those that transform."""
_PLAIN = re.compile(r'[^"\\]+')
_KEPT_BEHIND = 64
"""Characters that stay after they were let go, to see which of them a view erases."""
_NEAR = 256
"""Characters on a view before a match that decide whether it is one: context of entities, guards."""
_MANY = 4096
"""Characters that are let go together."""


class UnreadableString(Exception):
    """A JSON string that is no Unicode text."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Text on a view around a match that begins at ``first``, at the earliest. Character ``i`` from ``behind`` on comes
    from the ``offsets[i - behind]``-th character after ``start`` of the reading, or where the view changes nothing from
    the one with that number. ``lead`` is read before the text."""

    text: str
    first: int
    behind: int
    start: int
    offsets: NDArray[np.int64] | None
    lead: str = ""

    def position(self, at: int) -> int:
        """Where a character of the view stands, in UNITS."""
        i = at - self.behind
        if self.offsets is None:
            return (self.start + i) * UNITS
        source = int(self.offsets[i])
        return (self.start + source) * UNITS + i - int(np.searchsorted(self.offsets, source))


def seen_of(on: View, text: str, start: int, first: int, at: int, behind: str = "", lead: str = "") -> Seen:
    """The characters from ``start`` up to ``at`` on a view; ``first`` and ``at`` are positions in UNITS."""
    if not on.images:
        first_at = first // UNITS - start
        return Seen(behind + text[: -(-at // UNITS) - start], len(behind) + first_at, len(behind), start, None, lead)
    image, offsets = on.apply_with_offsets(text[: -(-at // UNITS) - start])
    if at % UNITS:  # only a part of the last character's image
        image = image[: int(np.searchsorted(offsets, at // UNITS - start)) + at % UNITS]
    begin = int(np.searchsorted(offsets, first // UNITS - start)) + first % UNITS
    return Seen(behind + image, len(behind) + begin, len(behind), start, offsets, lead)


class Sight(Protocol):
    """What a candidate is looked at by."""

    def seen(self, on: View, first: int, at: int) -> Seen:
        """The text up to ``at`` on a view, with what decides about a match that begins at ``first``; in UNITS."""
        ...


class Reading(Sight, Protocol):
    """What a reading answers; positions of matches are in its own characters, ``UNITS`` to each."""

    cursor: Cursor

    def copy(self) -> "Reading":
        """A reading that goes on from here. This one may be used again after :meth:`rewind`, and then the copy not."""
        ...

    def rewind(self) -> None:
        """Forget what a copy has read."""
        ...

    def read(self, text: str) -> list[Match]: ...
    def finish(self) -> list[Match]: ...
    def hold(self, group: int) -> int:
        """Where in the original the earliest match begins that can still be completed."""
        ...

    def true_end(self, end: int, view: View) -> int:
        """The end of a match without the characters behind it that the view erases, in UNITS."""
        ...

    def pieces(self, start: int, end: int) -> tuple[tuple[Span, ...], str]:
        """Where the characters ``[start, end)`` stand in the original, and what they say."""
        ...

    def let_go(self, until: int) -> None:
        """Nothing before ``until`` of the original is asked for any more."""
        ...


class TextReading:
    """The whole text; its own characters are those of the original."""

    def __init__(self, joint: Joint, looked_at: Sequence[View] = ()) -> None:
        self.cursor = Cursor(joint, joint.start)
        self._kept = Window()
        self._behind = {on.name: (on, "") for on in looked_at}

    def copy(self) -> "TextReading":
        made = TextReading(self.cursor.joint)
        made.cursor, made._kept, made._behind = self.cursor.copy(), self._kept.copy(), dict(self._behind)
        return made

    def rewind(self) -> None:
        pass

    def note(self, text: str) -> None:
        """Keep text that is read elsewhere. The reading stands where it did, and jumps behind it later."""
        self._kept.append(text)

    def jump(self, row: Row, n: int) -> None:
        """Stand in ``row``, ``n`` characters of noted text further."""
        self.cursor.row = row
        self.cursor.position += n

    def read(self, text: str) -> list[Match]:
        self._kept.append(text)
        return self.cursor.read(self.cursor.joint.symbols(text))

    def finish(self) -> list[Match]:
        return self.cursor.finish()

    def hold(self, group: int) -> int:
        return self.cursor.oldest(group) // UNITS

    def true_end(self, end: int, view: View) -> int:
        at = end // UNITS
        if end % UNITS or not view.images:
            return end if end % UNITS else at * UNITS - UNITS + 1
        while at > self._kept.start:
            at -= 1
            image = view.image(ord(self._kept.text(at, at + 1)))
            if image:
                return at * UNITS + len(image)
        return end

    def pieces(self, start: int, end: int) -> tuple[tuple[Span, ...], str]:
        return ((start, end),), self._kept.text(start, end)

    def seen(self, on: View, first: int, at: int, ahead: str = "") -> Seen:
        """``ahead`` is text behind what is kept."""
        kept, n_back = self._kept, _NEAR
        end = -(-at // UNITS)
        while True:
            start = max(first // UNITS - n_back, kept.start)
            left = max(start - kept.end, 0)  # of what is ahead, where nothing that is kept is near enough
            text = ("" if left else kept.text(start, min(end, kept.end))) + ahead[left : max(end - kept.end, 0)]
            if start == kept.start:
                return seen_of(on, text, start, first, at, self._behind[on.name][1])
            if len(on.apply(text[: first // UNITS - start])) >= _NEAR:
                return seen_of(on, text, start, first, at)
            n_back *= 2

    def let_go(self, until: int) -> None:
        if until - _MANY > self._kept.start:
            gone = self._kept.take(until - _KEPT_BEHIND)
            for name, (on, behind) in self._behind.items():
                self._behind[name] = on, (behind + on.apply(gone))[-_NEAR:]


@dataclass(slots=True)
class _Lexer:
    """Where in the JSON the reading stands. ``begin`` is where the spelling of the next character begins."""

    mode: str = OUTSIDE
    at: int = 0
    begin: int = 0
    high: int | None = None
    stack: str = ""
    in_run: bool = False
    last_end: int | None = None


class JsonReading:
    """The decoded strings of a JSON text, each a text of its own; with ``join: array``, neighbours in one array are
    one text, joined by a space that stands nowhere in the original."""

    def __init__(self, joint: Joint, join: Join) -> None:
        self.cursor = Cursor(joint, joint.start)
        self._joined = join is Join.ARRAY
        self._lexer = _Lexer()
        self._base = 0
        self._chars: list[str] = []
        self._spans: list[Span] = []
        self._seams: list[bool] = []
        self._unit = 0

    def copy(self) -> "JsonReading":
        made = JsonReading(self.cursor.joint, Join.ARRAY if self._joined else Join.NONE)
        made.cursor, made._base = self.cursor.copy(), self._base
        made._lexer = replace(self._lexer)
        made._chars, made._spans, made._seams = self._chars, self._spans, self._seams
        made._unit = self._unit
        return made

    def rewind(self) -> None:
        n = self.cursor.position - self._base
        del self._chars[n:], self._spans[n:], self._seams[n:]

    # -- reading -------------------------------------------------------------------------------------------------

    def read(self, text: str) -> list[Match]:
        lexer = self._lexer
        found: list[Match] = []
        i, first = 0, lexer.at
        while i < len(text):
            plain = _PLAIN.match(text, i) if lexer.mode == INSIDE and lexer.high is None else None
            if plain:
                at = first + i
                self._add(plain[0], [(at + k, at + k + 1) for k in range(len(plain[0]))], found)
                i = plain.end()
                lexer.begin = first + i
                continue
            lexer.at = first + i
            self._one(text[i], found)
            i += 1
        lexer.at = first + len(text)
        return found

    def _one(self, char: str, found: list[Match]) -> None:
        lexer = self._lexer
        was, stepped = lexer.mode, step(lexer.mode, char, strict=False)
        assert stepped is not None, "the lenient lexer reads every character"
        lexer.mode, symbols = stepped
        if was == OUTSIDE and lexer.mode == INSIDE:
            self._open(found)
        elif was == OUTSIDE:
            for symbol in symbols:
                self._structure(symbol, found)
        elif was == INSIDE and lexer.mode == OUTSIDE:
            self._close(found)
        else:
            for symbol in symbols:
                self._decoded(symbol, found)
            if lexer.mode == INSIDE and lexer.high is None:
                lexer.begin = lexer.at + 1

    def _decoded(self, symbol: int, found: list[Match]) -> None:
        lexer = self._lexer
        if lexer.high is not None:
            if not 0xDC00 <= symbol <= 0xDFFF:
                raise UnreadableString
            symbol, lexer.high = 0x10000 + (lexer.high - 0xD800) * 0x400 + symbol - 0xDC00, None
        elif 0xD800 <= symbol <= 0xDBFF:
            lexer.high = symbol
            return
        elif 0xDC00 <= symbol <= 0xDFFF:
            raise UnreadableString
        self._add(chr(symbol), [(lexer.begin, lexer.at + 1)], found)

    def _add(self, chars: str, spans: list[Span], found: list[Match], seam: bool = False) -> None:
        self._chars += chars
        self._spans += spans
        self._seams += [seam] * len(chars)
        self._lexer.last_end = spans[-1][1]
        found += self.cursor.read(self.cursor.joint.symbols(chars))

    def _open(self, found: list[Match]) -> None:
        lexer = self._lexer
        lexer.begin = lexer.at + 1
        if lexer.in_run:
            start = lexer.begin if lexer.last_end is None else lexer.last_end
            self._add(" ", [(start, lexer.begin)], found, seam=True)
        else:
            lexer.last_end = None

    def _close(self, found: list[Match]) -> None:
        lexer = self._lexer
        if lexer.high is not None:
            raise UnreadableString
        lexer.in_run = self._joined and lexer.stack.endswith("[")
        if not lexer.in_run:
            self._end_unit(found)

    def _structure(self, mark: int, found: list[Match]) -> None:
        lexer = self._lexer
        if lexer.in_run and not (mark == Mark.COMMA and lexer.stack.endswith("[")):
            lexer.in_run = False
            self._end_unit(found)
        if mark in (Mark.BEGIN_ARRAY, Mark.BEGIN_OBJECT):
            lexer.stack += "[" if mark == Mark.BEGIN_ARRAY else "{"
        elif mark in (Mark.END_ARRAY, Mark.END_OBJECT):
            lexer.stack = lexer.stack[:-1]

    def _end_unit(self, found: list[Match]) -> None:
        found += self.cursor.finish()
        self.cursor.restart()
        self._unit = self.cursor.position

    def finish(self) -> list[Match]:
        """The end of the text ends a string that is open there."""
        if self._lexer.high is not None:
            raise UnreadableString
        return self.cursor.finish()

    # -- places --------------------------------------------------------------------------------------------------

    def hold(self, group: int) -> int:
        lexer = self._lexer
        at = self.cursor.oldest(group) // UNITS
        if at < self.cursor.position:
            return self._spans[at - self._base][0]
        if lexer.mode == OUTSIDE:  # the space that joins two strings would stand where the first one ended
            return lexer.at if not lexer.in_run or lexer.last_end is None else lexer.last_end
        return min(lexer.begin, lexer.at)

    def true_end(self, end: int, view: View) -> int:
        at = end // UNITS
        if end % UNITS:
            return end
        while at > self._base:
            at -= 1
            image = view.image(ord(self._chars[at - self._base]))
            if image:
                return at * UNITS + len(image)
        return end

    def pieces(self, start: int, end: int) -> tuple[tuple[Span, ...], str]:
        out: list[Span] = []
        first: int | None = None
        for at in range(start, end + 1):
            seam = at == end or self._seams[at - self._base]
            if seam and first is not None:
                out.append((self._spans[first - self._base][0], self._spans[at - 1 - self._base][1]))
                first = None
            elif not seam and first is None:
                first = at
        content = "".join(self._chars[start - self._base : end - self._base])
        nowhere = self._spans[start - self._base][0]
        return tuple(out) or ((nowhere, nowhere),), content

    def seen(self, on: View, first: int, at: int) -> Seen:
        start = max(self._unit, self._base)
        text = "".join(self._chars[start - self._base : -(-at // UNITS) - self._base])
        return seen_of(on, text, start, first, at)

    def let_go(self, until: int) -> None:
        n = 0
        while n < len(self._spans) - _KEPT_BEHIND and self._spans[n + _KEPT_BEHIND][0] < until:
            n += 1
        if n > _KEPT_BEHIND:
            del self._chars[:n], self._spans[:n], self._seams[:n]
            self._base += n
