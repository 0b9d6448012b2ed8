"""Regular expressions of the IR as Thompson automata over symbol classes of one view.

Source: Thompson, "Regular Expression Search Algorithm", CACM 11(6), 1968. Assertions are edges that are taken
only between two characters (or at an end) whose flags satisfy them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import assert_never

from policykit.automata.alphabet import (
    DOT_RANGES,
    EDGE,
    NEWLINE,
    NOT_LETTER_RANGES,
    PHRASE_WORD,
    REGEX_WORD,
    SEPARATOR_RANGES,
    TIGHT_RANGES,
    UNSPACED_RANGES,
    WHITE_RANGES,
    WORD_RANGES,
    Alphabet,
    image_ranges,
    partition,
)
from policykit.automata.bodies import (
    Body as Body,
    Chained as Chained,
    Determined as Determined,
    Measured as Measured,
    Pattern as Pattern,
    Room as Room,
    Separated as Separated,
    Squeezed as Squeezed,
)
from policykit.automata.measured import ANY, measured
from policykit.ir.chains import Unit
from policykit.ir.regex import Alternation, Assertion, Chars, Concat, Empty, Look, Ranges, Regex, Repeat
from policykit.text import View, is_mark


class Gate(IntEnum):
    """Assertions with an opcode each; PHRASE_BOUNDARY is the phrases' own notion of a word."""

    TEXT_START = 0
    TEXT_END = 1
    LINE_START = 2
    LINE_END = 3
    WORD_BOUNDARY = 4
    NOT_WORD_BOUNDARY = 5
    PHRASE_BOUNDARY = 6


GATE_OF_LOOK = {
    Look.TEXT_START: Gate.TEXT_START,
    Look.TEXT_END: Gate.TEXT_END,
    Look.LINE_START: Gate.LINE_START,
    Look.LINE_END: Gate.LINE_END,
    Look.WORD_BOUNDARY: Gate.WORD_BOUNDARY,
    Look.NOT_WORD_BOUNDARY: Gate.NOT_WORD_BOUNDARY,
}
_FLAGS_OF_GATE = (EDGE, EDGE, EDGE | NEWLINE, EDGE | NEWLINE, REGEX_WORD, REGEX_WORD, PHRASE_WORD)


def gate_open(gate: Gate, before: int, after: int) -> bool:
    """Whether an assertion holds between characters with these flags."""
    match gate:
        case Gate.TEXT_START:
            return bool(before & EDGE)
        case Gate.TEXT_END:
            return bool(after & EDGE)
        case Gate.LINE_START:
            return bool(before & (EDGE | NEWLINE))
        case Gate.LINE_END:
            return bool(after & (EDGE | NEWLINE))
        case Gate.WORD_BOUNDARY:
            return bool((before ^ after) & REGEX_WORD)
        case Gate.NOT_WORD_BOUNDARY:
            return not (before ^ after) & REGEX_WORD
        case Gate.PHRASE_BOUNDARY:
            return bool((before ^ after) & PHRASE_WORD)
        case _:
            assert_never(gate)


@dataclass(frozen=True, slots=True)
class Nfa:
    """States 0..n-1. ``final`` maps accepting states to the pattern's index; ``body_start`` and ``body_end`` are the
    states where the reported match begins and ends (context lies outside). ``before_flags`` are the flags of the
    previous character that some gate looks at. ``gaps`` list the states of a bounded gap, the one with most room first:
    whatever a later one of them finds, an earlier one finds too."""

    alphabet: Alphabet
    start: int
    final: int
    free: tuple[tuple[int, ...], ...]
    gated: tuple[tuple[tuple[Gate, int], ...], ...]
    edges: tuple[tuple[tuple[frozenset[int], int], ...], ...]
    body_start: int
    body_end: int
    before_flags: int
    gaps: tuple[tuple[int, ...], ...]


class _Builder:
    def __init__(self, view: View) -> None:
        self.view = view
        self.free: list[list[int]] = []
        self.gated: list[list[tuple[Gate, int]]] = []
        self.edges: list[list[tuple[Ranges, int]]] = []
        self.gaps: list[tuple[int, ...]] = []

    def state(self) -> int:
        self.free.append([])
        self.gated.append([])
        self.edges.append([])
        return len(self.free) - 1

    def text(self, text: str, at: int) -> int:
        for char in text:
            at = self.set(((ord(char), ord(char)),), at)
        return at

    def set(self, ranges: Ranges, at: int) -> int:
        to = self.state()
        self.edges[at].append((ranges, to))
        return to

    def gate(self, gate: Gate, at: int) -> int:
        to = self.state()
        self.gated[at].append((gate, to))
        return to

    def chars(self, node: Chars, at: int) -> int:
        singles, longer = image_ranges(self.view, node.literal)
        to = self.state()
        if node.on_view:
            self.edges[at].append((node.on_view, to))
        if singles:
            self.edges[at].append((singles, to))
        for image in sorted(longer):
            self.free[self.text(image, at)].append(to)
        return to

    def repeat(self, node: Repeat, at: int) -> int:
        for _ in range(node.least):
            at = self.regex(node.item, at)
        if node.most is None:
            loop, out = self.state(), self.state()
            self.free[at].append(loop)
            self.free[self.regex(node.item, loop)].append(loop)
            self.free[loop].append(out)
            return out
        out = self.state()
        self.free[at].append(out)
        for _ in range(node.most - node.least):
            at = self.regex(node.item, at)
            self.free[at].append(out)
        return out

    def regex(self, node: Regex, at: int) -> int:
        match node:
            case Empty():
                return at
            case Chars():
                return self.chars(node, at)
            case Concat(items):
                for item in items:
                    at = self.regex(item, at)
                return at
            case Alternation(items):
                out = self.state()
                for item in items:
                    branch = self.state()
                    self.free[at].append(branch)
                    self.free[self.regex(item, branch)].append(out)
                return out
            case Repeat():
                return self.repeat(node, at)
            case Assertion(look):
                return self.gate(GATE_OF_LOOK[look], at)
            case _:
                assert_never(node)

    def body(self, body: Body, at: int) -> int:
        match body:
            case Chained():
                return self.chained(body, at)
            case Separated():
                return self.separated(body, at)
            case Squeezed():
                return self.squeezed(body, at)
            case _:
                return self.regex(body, at)

    def separated(self, phrase: Separated, at: int) -> int:
        if phrase.left_boundary:
            at = self.gate(Gate.PHRASE_BOUNDARY, at)
        for i, piece in enumerate(phrase.pieces):
            if i:
                at = self.set(SEPARATOR_RANGES, at)
                self.edges[at].append((SEPARATOR_RANGES, at))
            at = self.text(piece, at)
        return self.gate(Gate.PHRASE_BOUNDARY, at) if phrase.right_boundary else at

    def squeezed(self, phrase: Squeezed, at: int) -> int:
        if phrase.left_boundary:
            at = self.gate(Gate.PHRASE_BOUNDARY, at)
        apart, out = self.state(), self.state()
        self.free[at].append(apart)
        for i, char in enumerate("".join(phrase.words)):
            if i:
                apart = apart if is_mark[ord(char)] else self.set(NOT_LETTER_RANGES, apart)
                self.edges[apart].append((NOT_LETTER_RANGES, apart))
            apart = self.text(char, apart)
        for i, word in enumerate(phrase.words):
            at = self.between_words(at) if i else at
            for k, char in enumerate(word):
                if k:
                    self.edges[at].append((NOT_LETTER_RANGES, at))
                at = self.text(char, at)
        self.free[apart].append(out)
        self.free[at].append(out)
        return self.gate(Gate.PHRASE_BOUNDARY, out) if phrase.right_boundary else out

    def between_words(self, at: int) -> int:
        """Separators; or dots and separators other than white space; or nothing."""
        spaced, dotted, out = self.state(), self.state(), self.state()
        self.edges[at] += [(TIGHT_RANGES, at), (WHITE_RANGES, spaced), (DOT_RANGES, dotted)]
        self.edges[spaced] += [(WHITE_RANGES, spaced), (TIGHT_RANGES, spaced)]
        self.edges[dotted] += [(DOT_RANGES, dotted), (TIGHT_RANGES, dotted)]
        for node in (at, spaced, dotted):
            self.free[node].append(out)
        return out

    def chained(self, body: Chained, at: int) -> int:
        loops: list[int] = []
        for part in body.parts:
            match part:
                case Room(in_words, int(most)):
                    at = self.words(most, at) if in_words else self.gap(most, at)
                case Room():
                    loops.append(self.state())
                    self.free[at].append(loops[-1])
                    self.edges[loops[-1]].append((ANY, loops[-1]))
                    at = loops[-1]
                case Measured(unit, at_least):
                    at = self.measured(unit, at_least, self.gate(Gate.TEXT_START, at))
                case Determined():
                    at = self.determined(part, at)
                case _:
                    at = self.any_of(part, at)
        self.gaps.append(tuple(reversed(loops)))  # what is left to find behind one loop is part of what was before it
        return at

    def measured(self, unit: Unit, at_least: int, at: int) -> int:
        n, edges = measured(unit, at_least)
        return self.determined(Determined(n, tuple(edges), ()), at)

    def determined(self, body: Determined, at: int) -> int:
        states = (at, *(self.state() for _ in range(body.n - 1)))
        for source, ranges, to in body.edges:
            self.edges[states[source]].append((ranges, states[to]))
        for source in body.at_end:
            self.gated[states[source]].append((Gate.TEXT_END, states[-1]))
        return states[-1]

    def any_of(self, bodies: tuple[Regex | Separated, ...], at: int) -> int:
        out = self.state()
        for body in bodies:
            branch = self.state()
            self.free[at].append(branch)
            self.free[self.body(body, branch)].append(out)
        return out

    def words(self, n: int, at: int) -> int:
        """At most ``n`` words: runs of word characters, and single letters of scripts without spaces.

        ``outside[k]`` has read ``k`` words and is in none, ``inside[k]`` is in the k-th.
        """
        outside = [self.state() for _ in range(n + 1)]
        inside = [self.state() for _ in range(n)]
        out = self.state()
        self.free[at].append(outside[0])
        for k, place in enumerate(outside):
            self.edges[place].append((NOT_LETTER_RANGES, place))
            if k < n:
                self.edges[place] += [(WORD_RANGES, inside[k]), (UNSPACED_RANGES, outside[k + 1])]
        for k, place in enumerate(inside, 1):
            self.edges[place] += [(WORD_RANGES, place), (NOT_LETTER_RANGES, outside[k])]
            if k < n:
                self.edges[place].append((UNSPACED_RANGES, outside[k + 1]))
        for place in (*outside, *inside):
            self.free[place].append(out)
        room_first = [outside[0], *(p for pair in zip(inside, outside[1:], strict=True) for p in pair)]
        self.gaps.append(tuple(room_first))
        return out

    def gap(self, n: int, at: int) -> int:
        """At most ``n`` characters of any kind."""
        out = self.state()
        self.free[at].append(out)
        places: list[int] = []
        for _ in range(n):
            place = self.state()
            self.free[at].append(place)
            at = self.set(ANY, place)
            self.free[at].append(out)
            places.append(place)
        self.gaps.append(tuple(places))
        return out


def build(view: View, pattern: Pattern, alphabet: Alphabet | None = None) -> Nfa:
    """The automaton of one pattern on one view, over an alphabet that tells apart all that it does (None: one that
    tells apart nothing else)."""
    b = _Builder(view)
    start = at = b.state()
    if pattern.before:
        at = b.gap(pattern.before[1], b.regex(pattern.before[0], at))
    body_start = b.state()
    b.free[at].append(body_start)
    at = b.body(pattern.body, body_start)
    body_end = b.state()
    b.free[at].append(body_end)
    at = body_end
    if pattern.after:
        at = b.regex(pattern.after[0], b.gap(pattern.after[1], at))
    final = b.state()
    b.free[at].append(final)
    return _finish(b, start, final, body_start, body_end, alphabet)


def build_whole(view: View, bodies: Sequence[Body]) -> Nfa:
    """The automaton that finds a text only as a whole, where it matches one of the bodies from end to end."""
    b = _Builder(view)
    start = b.state()
    opened = b.gate(Gate.TEXT_START, start)
    closed = b.state()
    for body in bodies:
        at = b.state()
        b.free[opened].append(at)
        b.free[b.body(body, at)].append(closed)
    final = b.gate(Gate.TEXT_END, closed)
    return _finish(b, start, final, opened, closed)


def _finish(
    b: _Builder, start: int, final: int, body_start: int, body_end: int, alphabet: Alphabet | None = None
) -> Nfa:
    gates = {gate for row in b.gated for gate, _ in row}
    flags = 0
    for gate in gates:
        flags |= _FLAGS_OF_GATE[gate]
    if alphabet is None:
        alphabet = partition(b.view, (ranges for row in b.edges for ranges, _ in row), flags & ~EDGE)
    classes: dict[Ranges, frozenset[int]] = {}
    edges: list[tuple[tuple[frozenset[int], int], ...]] = []
    for row in b.edges:
        for ranges, _ in row:
            if ranges not in classes:
                classes[ranges] = alphabet.members(ranges)
        edges.append(tuple((classes[ranges], to) for ranges, to in row))
    return Nfa(
        alphabet=alphabet,
        start=start,
        final=final,
        free=tuple(map(tuple, b.free)),
        gated=tuple(map(tuple, b.gated)),
        edges=tuple(edges),
        body_start=body_start,
        body_end=body_end,
        before_flags=flags,
        gaps=tuple(b.gaps),
    )


def close(
    nfa: Nfa, states: Sequence[int] | frozenset[int] | set[int], before: int = 0, after: int | None = None
) -> set[int]:
    """States reachable without reading; gates are tried only when the next character's flags are known."""
    seen, todo = set(states), list(states)
    while todo:
        at = todo.pop()
        ahead = list(nfa.free[at])
        if after is not None:
            ahead += [to for gate, to in nfa.gated[at] if gate_open(gate, before, after)]
        for to in ahead:
            if to not in seen:
                seen.add(to)
                todo.append(to)
    return seen
