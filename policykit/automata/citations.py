"""The automaton of texts without a citation: sentences, lines or whole texts that say something and hold no mark.

What a sentence is stands in :class:`policykit.ir.citations.Per`, and only here in symbols: mask, verifier and stream
run what is made here. A mark has no white space and nothing that ends a line, so none runs from one sentence into the
next.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from policykit.automata.alphabet import LETTER_RANGES, WHITE_RANGES, Alphabet, common, partition
from policykit.automata.anchored import DEAD, AnchoredAutomaton
from policykit.automata.bodies import Determined, Pattern
from policykit.automata.measured import CLOSERS, FULL_STOPS, STOPS
from policykit.automata.nfa import build
from policykit.ir.citations import Per
from policykit.ir.regex import (
    MAX_CODE_POINT,
    Alternation,
    Assertion,
    Chars,
    Concat,
    Look,
    Ranges,
    Regex,
    Repeat,
    ranges_of,
)
from policykit.text import View, is_letter, view
from policykit.text.properties import SEPARATOR_MARKS

LINE_BREAKS = "\n\v\f\r\x85\u2028\u2029"
MAX_STATES = 600
"""States of what lacks a mark: some for each character of a mark, and of a sentence that needs none."""


class TooManyStates(Exception):
    """The mark is too large to look for."""


def _set(chars: str) -> Ranges:
    return ranges_of([(ord(char), ord(char)) for char in chars])


STOP_RANGES = _set(STOPS)
WHITE: Ranges = ranges_of([*WHITE_RANGES, *_set(LINE_BREAKS)])
ENDS: dict[Per, Ranges] = {Per.SENTENCE: _set(LINE_BREAKS + FULL_STOPS), Per.LINE: _set(LINE_BREAKS), Per.TEXT: ()}
"""What ends each of them wherever it stands."""


@cache
def between() -> Ranges:
    """What may stand between a stop and the white space behind it, beside marks: further stops, closing quotes and
    brackets, markdown marks, and what nobody sees."""
    unseen = [p for p, image in view("compat").images.items() if not image and not is_letter[p]]
    return ranges_of([*STOP_RANGES, *_set(CLOSERS + SEPARATOR_MARKS), *((p, p) for p in unseen)])


def beginning(mark: Regex, per: Per) -> Regex:
    """What stands before the first character, not white, of a sentence, a line or the text."""
    starts: list[Regex] = [Assertion(Look.TEXT_START)]
    if per is not Per.TEXT:
        starts.append(Chars(on_view=ENDS[per]))
    if per is Per.SENTENCE:
        may_follow = Repeat(Alternation((Chars(on_view=between()), mark)), 0, None)
        starts.append(Concat((Chars(on_view=STOP_RANGES), may_follow, Chars(on_view=WHITE))))
    return Concat((Alternation(tuple(starts)), Repeat(Chars(on_view=WHITE), 0, None)))


@dataclass(frozen=True, slots=True)
class _Symbol:
    """What the automaton tells of a character; ``of_mark`` is its class in the automaton of marks, ``own`` the
    character itself where an exempt text has it."""

    is_letter: bool
    is_stop: bool
    is_between: bool
    is_white: bool
    is_end: bool
    of_mark: int
    own: str


@dataclass(frozen=True, slots=True)
class _State:
    """``marks`` are the states of the marks that have begun; ``behind_stop``: nothing but what may stand between a
    stop and the end of a sentence came since one. ``free`` are the beginnings of exempt texts that have been read."""

    is_first: bool
    has_letter: bool
    behind_stop: bool
    marks: frozenset[int]
    free: frozenset[str]


_DONE = "\n"
"""An exempt text, and white space behind it. No exempt text has a line break."""
_FIRST = _State(True, False, False, frozenset(), frozenset({""}))


class _Exempt:
    """Reads texts that need no mark; white space may follow them. States are what has been read of them."""

    def __init__(self, texts: frozenset[str]) -> None:
        self._texts = texts
        self._begun = frozenset(text[:n] for text in texts for n in range(1, len(text) + 1))
        self.characters = frozenset("".join(texts))

    def read(self, states: frozenset[str], symbol: _Symbol) -> frozenset[str]:
        ahead = self._begun & {at + symbol.own for at in states} if symbol.own else frozenset[str]()
        return ahead | {_DONE} if symbol.is_white and self.ends(states) else ahead

    def ends(self, states: frozenset[str]) -> bool:
        """Whether all that has been read is such a text."""
        return _DONE in states or not self._texts.isdisjoint(states)


@lru_cache(maxsize=64)
def uncited(mark: Regex, per: Per, free: tuple[str, ...], on: View) -> Determined:
    """From the first character of a sentence (line, text) to what ends it, if it has a letter and no mark and is none
    of the ``free`` texts.

    Raises TooManyStates.
    """
    anchored = AnchoredAutomaton(build(on, Pattern(mark)))
    exempt = _Exempt(frozenset(map(on.apply, free)))
    symbols = list(_symbols(anchored.alphabet, per, exempt.characters))
    numbers: dict[_State, int] = {_FIRST: 0}
    todo = [_FIRST]
    moves: dict[tuple[int, int], list[tuple[int, int]]] = {}
    accept = -1  # until the number of states is known
    while todo:
        state = todo.pop()
        for symbol, ranges in symbols:
            if symbol.is_end or (per is Per.SENTENCE and state.behind_stop and symbol.is_white):
                is_exempt = exempt.ends(state.free) or exempt.ends(exempt.read(state.free, symbol))
                if state.has_letter and not is_exempt:
                    moves.setdefault((numbers[state], accept), []).extend(ranges)
                continue
            ahead = _step(state, symbol, anchored, exempt, per)
            if ahead is None:
                continue
            if ahead not in numbers:
                if len(numbers) >= MAX_STATES:
                    raise TooManyStates
                numbers[ahead] = len(numbers)
                todo.append(ahead)
            moves.setdefault((numbers[state], numbers[ahead]), []).extend(ranges)
    n = len(numbers)
    edges = tuple((at, ranges_of(pairs), n if to == accept else to) for (at, to), pairs in moves.items())
    at_end = tuple(i for state, i in numbers.items() if state.has_letter and not exempt.ends(state.free))
    return Determined(n + 1, edges, at_end)


def _step(state: _State, symbol: _Symbol, anchored: AnchoredAutomaton, exempt: _Exempt, per: Per) -> _State | None:
    """The state behind a character that ends nothing; None where there is a mark, or white space in front."""
    if state.is_first and symbol.is_white:
        return None
    marks = {anchored.step(at, symbol.of_mark) for at in (*state.marks, anchored.start)} - {DEAD}
    if any(map(anchored.accepts, marks)):
        return None
    behind_stop = per is Per.SENTENCE and (symbol.is_stop or (state.behind_stop and symbol.is_between))
    has_letter = state.has_letter or symbol.is_letter
    return _State(False, has_letter, behind_stop, frozenset(marks), exempt.read(state.free, symbol))


def _symbols(
    alphabet: Alphabet, per: Per, own_characters: frozenset[str]
) -> Iterator[tuple[_Symbol, list[tuple[int, int]]]]:
    """The characters that the automaton does not tell apart, as ranges."""
    named = {_set(char): char for char in sorted(own_characters)}
    sets = (LETTER_RANGES, STOP_RANGES, between(), WHITE, ENDS[per], *named)
    own = partition(alphabet.view, sets, 0)
    members = [own.members(ranges) for ranges in sets]
    joint, (of_own, of_mark) = common(alphabet.view, [own, alphabet])
    bounds = [*joint.starts.tolist(), MAX_CODE_POINT + 1]
    ranges: dict[int, list[tuple[int, int]]] = {}
    for low, following, symbol in zip(bounds, bounds[1:], joint.classes.tolist(), strict=False):
        ranges.setdefault(symbol, []).append((low, following - 1))
    for symbol, pairs in ranges.items():
        letter, stop, may_follow, white, end, *of_named = (int(of_own[symbol]) in inside for inside in members)
        char = next((char for char, is_it in zip(named.values(), of_named, strict=True) if is_it), "")
        yield _Symbol(letter, stop, may_follow, white, end, int(of_mark[symbol]), char), pairs
