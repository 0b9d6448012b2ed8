"""The shortest text about which a question is answered with yes, or the proof that there is none.

A breadth-first walk over the product of the automata, built while it is walked. Automata that have found something
stay there, so a state in which the formula can no longer become true is left out.
"""

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from json import dumps
from typing import TypeAlias

from policykit.analysis.question import Compiled, Question, lower_matcher
from policykit.automata import FOUND, Automaton, run
from policykit.compile.program import Every, Formula, Literal
from policykit.ir.document import Matcher
from policykit.text.json_strings import FIRST_MARK, Mark

MAX_STATES = 100_000


@dataclass(frozen=True, slots=True)
class Sample:
    """A text: one part, or the strings of a JSON text if ``in_strings``."""

    parts: tuple[str, ...]
    in_strings: bool = False

    @property
    def text(self) -> str:
        """The text; for strings a JSON array of them."""
        return dumps(self.parts, ensure_ascii=False) if self.in_strings else self.parts[0]

    @property
    def length(self) -> int:
        """Characters, and one more for every string: what is shortest by this measure."""
        return sum(map(len, self.parts)) + (len(self.parts) if self.in_strings else 0)


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is no such text: every state was looked at."""


@dataclass(frozen=True, slots=True)
class NotProven:
    """Not known: the walk met more states than it may."""

    n_states: int


Answer: TypeAlias = Sample | Nothing | NotProven

_State: TypeAlias = tuple[int, ...]
_Word: TypeAlias = tuple[int, ...]
_ERASED = -1
"""Stands for the first symbol of a character that the automaton's view drops."""


def shortest(
    question: Question,
    max_states: int = MAX_STATES,
    *,
    readable: bool = False,
    below: int | None = None,
) -> Answer:
    """A text of least length (:attr:`Sample.length`) that the formula is true of. Exact, else NotProven.

    ``readable`` asks for ASCII texts only; ``below`` for texts that are shorter than this.
    """
    walk = _Walk(question, readable)
    start = walk.start
    came_from: dict[_State, tuple[_State, int] | None] = {start: None}
    if below == 0:
        return Nothing()
    if walk.accepts(start):
        return walk.sample([])
    length, todo = 1, [start] if walk.may_accept(start) else []
    while todo and (below is None or length < below):
        ahead: list[_State] = []
        for state in todo:
            for to, symbol in walk.successors(state):
                if to in came_from:
                    continue
                came_from[to] = (state, symbol)
                if walk.accepts(to):
                    return walk.sample(_path(came_from, to))
                if walk.may_accept(to):
                    ahead.append(to)
                if len(came_from) > max_states:
                    return NotProven(max_states)
        todo, length = ahead, length + 1
    return Nothing()


def holds(matcher: Matcher, sample: Sample, compiled: Compiled) -> bool:
    """Whether the matcher finds something in a text of the kind that it reads."""
    automata, formula = lower_matcher(matcher, compiled)
    found = (_finds(automaton, sample) << i for i, automaton in enumerate(automata))
    return _true(formula, sum(found), is_end=True)


def _finds(automaton: Automaton, sample: Sample) -> bool:
    state, alphabet = automaton.start, automaton.alphabet
    close, begin = _another(automaton)
    for part in sample.parts:
        letters = alphabet.encode(alphabet.view.apply(part))
        state = run(automaton, state, [begin, *letters, close] if sample.in_strings else letters)
    return automaton.end_found(state)


def _path(came_from: dict[_State, tuple[_State, int] | None], state: _State) -> list[int]:
    path: list[int] = []
    while (step := came_from[state]) is not None:
        state, symbol = step
        path.append(symbol)
    return path[::-1]


class _Walk:
    """The product of a question's automata over joint symbols; the last symbol begins another string.

    A row of an automaton's state holds the state after each symbol in the order of :attr:`Symbols.order`.
    """

    def __init__(self, question: Question, readable: bool = False) -> None:
        self._automata = question.automata
        self._symbols = question.symbols
        self._readable = readable
        self._in_strings = question.in_strings
        self._formula = question.formula
        self._verdicts: dict[tuple[int, bool], bool] = {}
        self._rows: list[dict[int, array[int]]] = [{} for _ in self._automata]
        self._ends: list[dict[int, bool]] = [{FOUND: True} for _ in self._automata]

    @cached_property
    def _labels(self) -> tuple[int, ...]:
        """The symbol of each place of a row, those that read best first."""
        return (*self._order, self._symbols.n) if self._in_strings else self._order

    @cached_property
    def _order(self) -> tuple[int, ...]:
        order = self._symbols.order
        return order[: self._symbols.n_readable] if self._readable else order

    @cached_property
    def _places(self) -> list[dict[int, list[tuple[_Word, list[int]]]]]:
        """For each automaton, by the first symbol that it reads: the words, each with its places in a row."""
        found: list[dict[int, list[tuple[_Word, list[int]]]]] = []
        for automaton in self._automata:
            words = self._symbols.words_of(automaton)
            spelled = [*(words[s] for s in self._order), *([_another(automaton)] if self._in_strings else [])]
            places: dict[_Word, list[int]] = {}
            for place, word in enumerate(spelled):
                places.setdefault(word, []).append(place)
            by_first: dict[int, list[tuple[_Word, list[int]]]] = {}
            for word, at in places.items():
                by_first.setdefault(word[0] if word else _ERASED, []).append((word, at))
            found.append(by_first)
        return found

    @property
    def start(self) -> _State:
        return tuple(automaton.start for automaton in self._automata)

    def successors(self, state: _State) -> list[tuple[_State, int]]:
        """Every state after one symbol, with the symbol that reads best."""
        found: dict[_State, int] = {}
        for to, symbol in self._moves(state):
            found.setdefault(to, symbol)
        return list(found.items())

    def _moves(self, state: _State) -> Iterable[tuple[_State, int]]:
        if self._in_strings and state == self.start:
            opened = tuple(_after(a, q, _another(a)[1:]) for a, q in zip(self._automata, state, strict=True))
            return [(opened, self._symbols.n)]
        rows = [self._row(i, at) for i, at in enumerate(state)]
        return zip(zip(*rows, strict=True), self._labels, strict=True)

    def _row(self, i: int, state: int) -> "array[int]":
        row = self._rows[i].get(state)
        if row is None:
            row = self._rows[i][state] = self._new_row(i, state)
        return row

    def _new_row(self, i: int, state: int) -> "array[int]":
        """Words that begin with a symbol on which the state moves as its reference does lead where they lead there."""
        automaton, places = self._automata[i], self._places[i]
        reference, hot = automaton.reference(state), automaton.hot(state)
        if hot is None or reference == state:
            row = array("l", [FOUND]) * len(self._labels)
            changed = places.values()
        else:
            row = self._row(i, reference)[:]
            changed = [places[first] for first in (_ERASED, *hot) if first in places]
        for spelled in changed:
            for word, at in spelled:
                to = _after(automaton, state, word)
                for place in at:
                    row[place] = to
        return row

    def _found(self, state: _State) -> int:
        """A bit for every automaton that has found something."""
        return sum(1 << i for i, at in enumerate(state) if not at)

    def _found_at_end(self, state: _State) -> int:
        found = 0
        for i, at in enumerate(state):
            known = self._ends[i].get(at)
            if known is None:
                known = self._ends[i][at] = self._automata[i].end_found(at)
            found |= known << i
        return found

    def accepts(self, state: _State) -> bool:
        """Whether the formula is true of the text that ends here."""
        return self._verdict(self._found_at_end(state), is_end=True)

    def may_accept(self, state: _State) -> bool:
        """Whether the formula may become true, as far as what has been found tells."""
        return self._verdict(self._found(state), is_end=False)

    def _verdict(self, found: int, is_end: bool) -> bool:
        known = self._verdicts.get((found, is_end))
        if known is None:
            known = self._verdicts[found, is_end] = _true(self._formula, found, is_end)
        return known

    def sample(self, path: list[int]) -> Sample:
        """The text of a path."""
        parts: list[str] = [] if self._in_strings else [""]
        for symbol in path:
            if symbol == self._symbols.n:
                parts.append("")
            else:
                parts[-1] += self._symbols.character(symbol)
        return Sample(tuple(parts), self._in_strings)


def _another(automaton: Automaton) -> _Word:
    """What a framed automaton reads between two strings: one ends, another begins."""
    return tuple(automaton.alphabet.n + mark - FIRST_MARK for mark in (Mark.CLOSE, Mark.OPEN))


def _after(automaton: Automaton, state: int, word: _Word) -> int:
    for symbol in word:
        if not state:
            return FOUND
        state = automaton.step(state, symbol)
    return state


def _true(formula: Formula, found: int, is_end: bool) -> bool:
    """Whether the formula is true, or may become so where the text goes on."""
    if isinstance(formula, Literal):
        has_found = any(found >> unit & 1 for unit in formula.units)
        return has_found == formula.positive if is_end or has_found else True
    combine: Callable[..., bool] = all if isinstance(formula, Every) else any
    return combine(_true(item, found, is_end) for item in formula.items)
