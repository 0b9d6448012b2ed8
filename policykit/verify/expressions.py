"""Expressions as RE2 runs them over encoded texts: exact, leftmost-longest, linear for every search."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import thread_time
from typing import Any, Protocol, assert_never, cast

import re2  # pyright: ignore[reportMissingTypeStubs]

from policykit.automata import Stretches
from policykit.automata.alphabet import image_ranges
from policykit.automata.columns import places
from policykit.automata.regex_normal import matches_empty
from policykit.ir.regex import Alternation, Assertion, Chars, Concat, Empty, Look, Ranges, Regex, Repeat
from policykit.text import View
from policykit.verify.encoded import Encoding

Span = tuple[int, int]
Dense = Callable[[int], Stretches | None]
"""All matches of an expression by its number, None where they are better looked for one by one."""

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
        if self.together is None or (len(data) >= _LONG and _takes_long(self.together, data)):
            return range(len(self.names))
        found = self.together.Match(data)
        # Without the sentinel the set has failed, and each is asked by itself.
        return [i - 1 for i in sorted(found) if i] if found else range(len(self.names))

    def some_spans(self, index: int, data: bytes, most: int) -> Stretches | None:
        """Successive matches of one of them, None where there are more, or where there will be if the rest of the text
        is like its beginning, or where that took more than linear time."""
        return _spans(self.compiled[index], data, most)

    def spans(self, data: bytes, dense: Dense = lambda name: None) -> "dict[int, Stretches | None]":
        """Successive leftmost-longest matches by name; None where that took more than linear time. ``dense`` is asked
        for those of which the text is full, and answers None where that is no gain."""
        found: dict[int, Stretches | None] = {}
        for i in self.matching(data):
            own = _spans(self.compiled[i], data, full=lambda i=i: dense(self.names[i]))
            if own is None or len(own[0]):
                found[self.names[i]] = own
        return found


class _Set(Protocol):
    def Match(self, text: bytes) -> list[int] | None: ...


_LONG, _PROBE, _PROBE_S = 100_000, 8_192, 0.4e-3
"""Bytes of a text of which pieces are tried before a set reads it, bytes of a piece, and what it may take: ten times
what it does as a rule."""


def _takes_long(together: _Set, data: bytes) -> bool:
    """Whether a set meets state after state that it has to build: then expressions are sooner read one by one."""
    for at in (len(data) // 3, 2 * len(data) // 3):
        begun = thread_time()
        together.Match(data[at : at + _PROBE])
        if thread_time() - begun > _PROBE_S:
            return True
    return False


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
_DENSE = 125
"""Characters for each match, below which a text is full of them."""
_SLOW_START_S, _PER_MATCH_S, _PER_BYTE_S = 0.02, 40e-6, 40e-9
"""Far more than matches and bytes take, unless RE2 reads on behind every match in vain."""


def _spans(
    compiled: Compiled, data: bytes, most: int | None = None, full: Callable[[], Stretches | None] | None = None
) -> Stretches | None:
    starts: list[int] = []
    ends: list[int] = []
    note_start, note_end, begun = starts.append, ends.append, thread_time()
    match, anchor, end, n = _matcher(compiled), _UNANCHORED, 0, len(data)
    while end < n:
        for _ in _BLOCK:  # none matches the empty string, so none is found at the end
            start, end = match(anchor, data, end, n)[0]
            if start < 0:
                break
            note_start(start)
            note_end(end)
        if most is not None and (len(starts) >= most or (end >= 0 and len(starts) * n > _FAR_MORE * most * end)):
            return None
        if end < 0:
            break
        if full and len(starts) == _CHECK_EVERY and end < _DENSE * _CHECK_EVERY:
            tried = thread_time()
            found = full()
            if found is not None:
                return found
            begun += thread_time() - tried
        allowed = _SLOW_START_S + _PER_MATCH_S * len(starts) + _PER_BYTE_S * end
        if thread_time() - begun > allowed:
            return None
    return places(starts), places(ends)


def _matcher(compiled: Compiled) -> Callable[[object, bytes, int, int], Sequence[Span]]:
    """The next match between two places, (-1, -1) for none. The package makes three objects for each; where it can be
    had, what is beneath it is called."""
    beneath = getattr(compiled, "_regexp", None)
    if beneath is not None and _UNANCHORED is not None:
        return beneath.Match
    return lambda _, data, at, end: [found.span() if (found := compiled.search(data, at)) else _NONE]
