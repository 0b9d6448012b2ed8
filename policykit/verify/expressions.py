"""Expressions as RE2 runs them over encoded texts: exact, leftmost-longest, linear for every search."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import thread_time
from typing import Any, Protocol, assert_never, cast

import numpy as np
import re2  # pyright: ignore[reportMissingTypeStubs]

from policykit.automata import Stretches
from policykit.automata.alphabet import image_ranges
from policykit.automata.columns import places
from policykit.automata.regex_normal import matches_empty
from policykit.ir.regex import Alternation, Assertion, Chars, Concat, Empty, Look, Ranges, Regex, Repeat
from policykit.text import View
from policykit.verify.encoded import Encoding

Span = tuple[int, int]
Many = Callable[[Mapping[int, int]], Mapping[int, Stretches | None]]
"""Successive matches of expressions by their numbers, of each those from a place on, found in one reading of the text;
None where they are better looked for one by one."""

_ONE_MEMORY, _SET_MEMORY = 16 << 20, 64 << 20
"""Bytes that RE2 may use for the automata of one expression, and of a set."""
_SENTINEL = rb"\z"
"""Found in every text, so that a set that ran out of memory, which RE2 reports as no match at all, is noticed."""

_PLAIN_LOOKS = {
    Look.TEXT_START: rb"\A",
    Look.TEXT_END: rb"\z",
    Look.LINE_START: b"(?m:^)",
    Look.LINE_END: b"(?m:$)",
    Look.WORD_BOUNDARY: rb"\b",
    Look.NOT_WORD_BOUNDARY: rb"\B",
}
_JOINTED_LOOKS = {**_PLAIN_LOOKS, Look.TEXT_START: b"(?m:^)", Look.TEXT_END: b"(?m:$)"}
"""Where the line feed byte stands between units and nowhere else."""


class _Match(Protocol):
    def span(self) -> Span: ...


class Compiled(Protocol):
    """A compiled expression of google-re2, which ships no types."""

    def search(self, text: bytes, pos: int = 0) -> "_Match | None": ...


def source(regex: Regex, view: View, encoding: Encoding | None) -> bytes:
    """RE2 source for an expression on encoded texts; without an encoding, on ASCII texts as they are."""
    looks = _PLAIN_LOOKS if encoding is None or encoding.lines else _JOINTED_LOOKS
    members = _ascii_members if encoding is None else encoding.members

    def of(char: str) -> bytes | None:
        if encoding is None:
            return char.encode("ascii") if char.isascii() else None
        return bytes([encoding.of(char)])

    return _render(regex, view, members, of, looks)


def _render(
    regex: Regex,
    view: View,
    members: Callable[[Ranges], bytes],
    of: Callable[[str], bytes | None],
    looks: dict[Look, bytes],
) -> bytes:
    match regex:
        case Empty():
            return b"(?:)"
        case Assertion(look):
            return looks[look]
        case Chars(literal, on_view):
            singles, longer = image_ranges(view, literal)
            found = bytes(sorted({*members(on_view), *members(singles)}))
            branches = [_class(found)] if found else []
            for image in sorted(longer):
                spelled = [of(char) for char in image]
                if None not in spelled:
                    branches.append(b"".join(_class(byte) for byte in spelled if byte))
            return _group(branches)
        case Concat(items):
            return b"(?:" + b"".join(_render(item, view, members, of, looks) for item in items) + b")"
        case Alternation(items):
            return _group([_render(item, view, members, of, looks) for item in items])
        case Repeat(item, least, most):
            counts = b"{%d,%s}" % (least, b"" if most is None else b"%d" % most)
            return b"(?:" + _render(item, view, members, of, looks) + counts + b")"
        case _:
            assert_never(regex)


def _ascii_members(ranges: Ranges) -> bytes:
    return bytes(c for low, high in ranges if low < 0x80 for c in range(low, min(high, 0x7F) + 1))


def _class(members: bytes) -> bytes:
    if len(members) == 1:
        return b"\\x%02x" % members[0]
    ranges: list[list[int]] = []
    for byte in members:
        if ranges and byte == ranges[-1][1] + 1:
            ranges[-1][1] = byte
        else:
            ranges.append([byte, byte])
    return b"[" + b"".join(b"\\x%02x-\\x%02x" % (low, high) for low, high in ranges) + b"]"


def _group(branches: list[bytes]) -> bytes:
    return b"(?:" + b"|".join(branches) + b")" if branches else rb"[^\x00-\xff]"


def compile_expression(regex: Regex, view: View, encoding: Encoding | None) -> tuple[Compiled, bytes] | None:
    """The expression and its source, None where RE2 finds it too large or where it may match the empty string."""
    if matches_empty(regex, lambda literal: "" in image_ranges(view, literal)[1]):
        return None
    engine = cast(Any, re2)
    written = source(regex, view, encoding)
    try:
        return engine.compile(written, _options(_ONE_MEMORY)), written
    except engine.error:
        return None


def _options(memory: int) -> object:
    engine = cast(Any, re2)
    options = engine.Options()
    options.encoding = engine.Options.Encoding.LATIN1
    options.longest_match = True
    options.never_capture = True
    options.log_errors = False
    options.max_mem = memory
    return options


@dataclass(frozen=True, slots=True)
class Expressions:
    """Expressions over one encoding. One pass tells which of them match; only those are run by themselves."""

    names: tuple[int, ...]
    compiled: tuple[Compiled, ...]
    together: "_Set | None"

    def matching(self, data: bytes) -> Sequence[int]:
        """The indices of those that match somewhere, or may."""
        if self.together is None or (len(data) >= _LONG and _is_in_vain(self.together, data, len(self.names))):
            return range(len(self.names))
        found = self.together.Match(data)
        # Without the sentinel the set has failed, and each is asked by itself.
        return [i - 1 for i in sorted(found) if i] if found else range(len(self.names))

    def some_spans(self, index: int, data: bytes, most: int) -> Stretches | None:
        """Successive matches of one of them, None where there are more, or where there will be if the rest of the text
        is like its beginning, or where that took more than linear time."""
        reading = _Reading(self.compiled[index], data)
        reading.read(len(data), most)
        return reading.spans()

    def spans(self, data: bytes, many: "Many | None" = None) -> "dict[int, Stretches | None]":
        """Successive leftmost-longest matches by name; None where that took more than linear time. ``many`` is asked
        where one reading for all of them costs less than RE2's for each and for every match."""
        readings = {self.names[i]: _Reading(self.compiled[i], data) for i in self.matching(data)}
        left: list[int] = list(readings)
        at, n, window = 0, len(data), max(_WINDOW, len(data) // _WINDOWS)
        met, read = 0, 1
        while left and at < n:
            if many and n - at >= _WINDOW and _costs_more(len(left), met / read):
                found = many({name: readings[name].at for name in left})
                for name, own in found.items():
                    if own is not None:
                        readings[name].finish(own)
                many = None
                continue
            read = min(window, n - at) if many else n - at
            at += read
            met = sum(readings[name].read(at) for name in left)
            left = [name for name in left if not readings[name].is_done]
        spans = {name: reading.spans() for name, reading in readings.items()}
        return {name: own for name, own in spans.items() if own is None or len(own[0])}


class _Set(Protocol):
    def Match(self, text: bytes) -> list[int] | None: ...


_NEARLY_ALL = 0.75
"""The part of the expressions of a set that pieces of a text match, for it to be no use."""
_LONG, _PROBE, _PROBE_S = 100_000, 8_192, 0.4e-3
"""Bytes of a text of which pieces are tried before a set reads it, bytes of a piece, and what it may take: ten times
what it does as a rule."""


def _is_in_vain(together: _Set, data: bytes, n: int) -> bool:
    """Whether a set meets state after state that it has to build, or finds nearly all ``n`` expressions wherever one
    looks: then they are sooner read one by one."""
    met = set[int]()
    for at in (len(data) // 3, 2 * len(data) // 3):
        begun = thread_time()
        met.update(together.Match(data[at : at + _PROBE]) or ())
        if thread_time() - begun > _PROBE_S:
            return True
    return len(met - {0}) >= n * _NEARLY_ALL


def expressions(sources: Sequence[tuple[int, Compiled, bytes]]) -> Expressions:
    """Expressions by name, compiled and as source."""
    names, compiled = tuple(n for n, _, _ in sources), tuple(c for _, c, _ in sources)
    return Expressions(names, compiled, _set_of([written for _, _, written in sources]) if len(sources) > 1 else None)


def _set_of(sources: Sequence[bytes]) -> "_Set | None":
    engine = cast(Any, re2)
    together = engine.Set.SearchSet(_options(_SET_MEMORY))
    try:
        for written in (_SENTINEL, *sources):
            together.Add(written)
        together.Compile()
    except engine.error:
        return None  # too large together
    return together


_NONE = (-1, -1)
_BENEATH = getattr(re2, "_re2", None)  # not part of the package's interface
_UNANCHORED = None if _BENEATH is None else _BENEATH.RE2.Anchor.UNANCHORED
_CHECK_EVERY = 256
_BLOCK = range(_CHECK_EVERY)
_FAR_MORE = 2
"""So many times what is wanted at most: a text that is on the way there is given up."""
_WINDOW, _WINDOWS = 16_384, 16
"""Characters, and parts of a text, after which it is asked anew whether it is full of matches."""
_SCAN_NS, _MATCH_NS, _TOGETHER_NS, _EACH_NS = 1.9, 1200.0, 10.0, 1.2
"""What a character costs RE2, for every expression, and what a match does; what a character costs where all are read
together, and what every expression adds."""
_SLOW_START_S, _PER_MATCH_S, _PER_BYTE_S = 0.02, 40e-6, 40e-9
"""Far more than matches and bytes take, unless RE2 reads on behind every match in vain."""


def _costs_more(n_expressions: int, per_character: float) -> bool:
    """Whether RE2 takes longer than a reading for all expressions, with so many matches for each character."""
    return n_expressions * (_SCAN_NS - _EACH_NS) + per_character * _MATCH_NS > _TOGETHER_NS


class _Reading:
    """Successive matches of one expression, as far as the text was read (``at``)."""

    def __init__(self, compiled: Compiled, data: bytes) -> None:
        self._match, self._data = _matcher(compiled), data
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._others: Stretches | None = None
        self._spent_s = 0.0
        self._has_failed = False
        self.at = 0

    @property
    def is_done(self) -> bool:
        return self._has_failed or self.at >= len(self._data)

    def read(self, until: int, most: int | None = None) -> int:
        """Read on, up to a match that ends at a place or behind it: the number of matches. Fails where there are more
        than ``most``, or where there will be if the rest of the text is like its beginning, or where reading took more
        than linear time."""
        match, data, anchor, n = self._match, self._data, _UNANCHORED, len(self._data)
        starts, ends, end, before = self._starts, self._ends, self.at, len(self._starts)
        begun = thread_time() - self._spent_s
        while end < until:
            for _ in _BLOCK:  # none matches the empty string, so none is found at the end
                start, end = match(anchor, data, end, n)[0]
                if start < 0:
                    end = n
                    break
                starts.append(start)
                ends.append(end)
                if end >= until:
                    break
            if most is not None and (len(starts) >= most or (end < n and len(starts) * n > _FAR_MORE * most * end)):
                self._has_failed = True
                break
            if end < n and thread_time() - begun > _SLOW_START_S + _PER_MATCH_S * len(starts) + _PER_BYTE_S * end:
                self._has_failed = True
                break
        self.at, self._spent_s = end, thread_time() - begun
        return len(starts) - before

    def finish(self, others: Stretches) -> None:
        """All that is left, found in another way."""
        self._others, self.at = others, len(self._data)

    def spans(self) -> Stretches | None:
        """What was found, None where reading failed."""
        if self._has_failed:
            return None
        found = places(self._starts), places(self._ends)
        if self._others is None:
            return found
        return np.concatenate((found[0], self._others[0])), np.concatenate((found[1], self._others[1]))


def _matcher(compiled: Compiled) -> Callable[[object, bytes, int, int], Sequence[Span]]:
    """The next match between two places, (-1, -1) for none. The package makes three objects for each; where it can be
    had, what is beneath it is called."""
    beneath = getattr(compiled, "_regexp", None)
    if beneath is not None and _UNANCHORED is not None:
        return beneath.Match
    return lambda _, data, at, end: [found.span() if (found := compiled.search(data, at)) else _NONE]
