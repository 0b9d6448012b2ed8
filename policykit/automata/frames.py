"""Automata for the contents of JSON strings, from automata for texts.

A matcher reads each string as a text of its own: it starts at the opening quote, and what would complete at the end
of a text completes at the closing quote. With joined arrays it reads consecutive elements of one array as if a space
stood between them.
"""

from collections import deque
from collections.abc import Iterable
from typing import cast

from policykit.automata.interned import Interned
from policykit.automata.lazy import FOUND, Automaton, RegexAutomaton
from policykit.automata.nfa import Gate
from policykit.automata.unescaped import Unescaped
from policykit.automata.whole import Dfa
from policykit.text.json_strings import FIRST_MARK, Mark

_OUT = 1
_N_MARKS = len(Mark)
MAX_DEPTH = 256
"""Deepest nesting that a joined matcher follows; a deeper text is not generated under it."""


def _mark(symbol: int, n_classes: int) -> int:
    return symbol - n_classes + FIRST_MARK


class InStrings:
    """Each string is a text; outside strings nothing is read. States: 0 found, 1 outside, inner state + 1 inside."""

    def __init__(self, inner: Automaton) -> None:
        self.inner = inner
        self.alphabet = inner.alphabet
        self.start = _OUT
        self._n = inner.alphabet.n
        self._opens, self._closes = (self._n + mark - FIRST_MARK for mark in (Mark.OPEN, Mark.CLOSE))

    @property
    def n_symbols(self) -> int:
        return self._n + _N_MARKS

    @property
    def n_states(self) -> int:
        return self.inner.n_states + 1

    def step(self, state: int, symbol: int) -> int:
        if state == _OUT:
            return self.inner.start + 1 if symbol == self._opens else _OUT
        if not state:
            return FOUND
        if symbol < self._n:
            to = self.inner.step(state - 1, symbol)
            return to + 1 if to else FOUND
        if symbol != self._closes:
            return state
        return FOUND if self.inner.end_found(state - 1) else _OUT

    def end_found(self, state: int) -> bool:
        """A text that is cut off inside a string ends the string's content there."""
        return state != _OUT and (not state or self.inner.end_found(state - 1))

    def reference(self, state: int) -> int:
        return self.inner.reference(state - 1) + 1 if state > _OUT else state

    def hot(self, state: int) -> Iterable[int] | None:
        """A closing quote always counts: a pending boundary is decided there."""
        if state <= _OUT:
            return None
        hot = self.inner.hot(state - 1)
        return None if hot is None else {*hot, self._closes}

    def pass_over(self, state: int, symbol: int) -> int:
        if state <= _OUT or symbol >= self.alphabet.n:
            return self.step(state, symbol) or _OUT
        return self.inner.pass_over(state - 1, symbol) + 1

    def culprits(self, state: int, symbol: int | None) -> tuple[int, ...]:
        closes = symbol is None or symbol >= self.alphabet.n
        return self.inner.culprits(state - 1, None if closes else symbol)

    def key(self, state: int) -> object:
        return ("out",) if state == _OUT else self.inner.key(state - 1) if state else None

    def intern(self, key: object) -> int:
        if key is None:
            return FOUND
        return _OUT if key == ("out",) else self.inner.intern(key) + 1


class InJoinedArrays:
    """Strings as texts, where elements of one array that follow each other are one text joined by a space.

    A state is (open brackets, where the reading stands, inner state). Between two elements the inner state is kept
    and not ended; anything but a comma and an opening quote ends it.
    """

    def __init__(self, inner: Automaton) -> None:
        self.inner = inner
        self.alphabet = inner.alphabet
        self._space = inner.alphabet.of(" ")
        self._states = Interned[tuple[str, str, object]]()
        self.start = self._number("", "out", None)

    @property
    def n_symbols(self) -> int:
        return self.alphabet.n + _N_MARKS

    @property
    def n_states(self) -> int:
        return len(self._states)

    def key(self, state: int) -> object:
        return self._states.key(state) if state else None

    def intern(self, key: object) -> int:
        return FOUND if key is None else self._states.number(cast(tuple[str, str, object], key))

    def inside(self, state: int) -> int:
        """The inner state where the reading stands in a string, else 0."""
        _, phase, kept = self._states.key(state) if state else ("", "out", None)
        return self.inner.intern(kept) if phase == "in" else FOUND

    def _number(self, stack: str, phase: str, kept: object) -> int:
        return self._states.number((stack, phase, kept))

    def step(self, state: int, symbol: int) -> int:
        if not state:
            return FOUND
        stack, phase, kept = self._states.key(state)
        if phase == "in":
            return self._inside(stack, self.inner.intern(kept), symbol)
        mark = _mark(symbol, self.alphabet.n)
        if mark < FIRST_MARK:
            return state
        if mark == Mark.OPEN:
            return self._open(stack, phase, kept)
        if mark == Mark.COMMA and phase == "after":
            return self._number(stack, "comma", kept)
        return self._leave(stack, kept, mark)

    def _inside(self, stack: str, inner: int, symbol: int) -> int:
        n = self.alphabet.n
        if symbol == n + Mark.CLOSE - FIRST_MARK:
            in_array = stack[-1:] == "["
            ends = self.inner.end_found(inner)
            if in_array and not (ends and not self.inner.step(inner, self._space)):
                return self._number(stack, "after", self.inner.key(inner))
            return FOUND if ends else self._number(stack, "out", None)
        if symbol >= n:
            return self._number(stack, "in", self.inner.key(inner))
        to = self.inner.step(inner, symbol)
        return self._number(stack, "in", self.inner.key(to)) if to else FOUND

    def _open(self, stack: str, phase: str, kept: object) -> int:
        if phase == "comma":
            joined = self.inner.step(self.inner.intern(kept), self._space)
            return self._number(stack, "in", self.inner.key(joined)) if joined else FOUND
        if phase == "after" and self.inner.end_found(self.inner.intern(kept)):
            return FOUND
        return self._number(stack, "in", self.inner.key(self.inner.start))

    def _leave(self, stack: str, kept: object, mark: int) -> int:
        """Structure between strings: what was kept for joining ends here."""
        if kept is not None and self.inner.end_found(self.inner.intern(kept)):
            return FOUND
        if mark in (Mark.BEGIN_ARRAY, Mark.BEGIN_OBJECT):
            if len(stack) >= MAX_DEPTH:
                return FOUND
            stack += "[" if mark == Mark.BEGIN_ARRAY else "{"
        elif mark in (Mark.END_ARRAY, Mark.END_OBJECT):
            stack = stack[:-1]
        return self._number(stack, "out", None)

    def end_found(self, state: int) -> bool:
        if not state:
            return True
        kept = self._states.key(state)[2]
        return kept is not None and self.inner.end_found(self.inner.intern(kept))

    def reference(self, state: int) -> int:
        if not state:
            return FOUND
        stack, phase, kept = self._states.key(state)
        if phase != "in":
            return state
        return self._number(stack, "in", self.inner.key(self.inner.reference(self.inner.intern(kept))))

    def hot(self, state: int) -> None:
        return None

    def pass_over(self, state: int, symbol: int) -> int:
        """Structure that completes a joined match ends it; inside a string the other patterns go on."""
        stack, phase, kept = self._states.key(state)
        if phase != "in" or symbol >= self.alphabet.n:
            return self.step(state, symbol) or self._leave(stack, None, _mark(symbol, self.alphabet.n))
        return self._number(stack, "in", self.inner.key(self.inner.pass_over(self.inner.intern(kept), symbol)))

    def culprits(self, state: int, symbol: int | None) -> tuple[int, ...]:
        kept = self._states.key(state)[2]
        if kept is None:
            return ()
        inner = self.inner.intern(kept)
        if symbol is not None and symbol < self.alphabet.n:
            return self.inner.culprits(inner, symbol)
        return self.inner.culprits(inner, None) or self.inner.culprits(inner, self._space)


class Trimmed:
    """The same automaton, where a state from which no text can end without a match counts as found.

    ``a(\\b|\\B)`` is such a case: after `a` every continuation completes it. Only states that cannot end at once are
    examined, by a search for one that can.
    """

    def __init__(self, inner: Automaton) -> None:
        self.inner = inner
        self.alphabet = inner.alphabet
        self._doomed: dict[int, bool] = {FOUND: True}
        self.start = inner.start

    @property
    def n_symbols(self) -> int:
        return self.inner.n_symbols

    @property
    def n_states(self) -> int:
        return self.inner.n_states

    def step(self, state: int, symbol: int) -> int:
        to = self.inner.step(state, symbol)
        known = self._doomed.get(to)
        return FOUND if (self.is_doomed(to) if known is None else known) else to

    def is_doomed(self, state: int) -> bool:
        known = self._doomed.get(state)
        if known is None:
            known = self._doomed[state] = not self._can_end(state)
        return known

    def _can_end(self, state: int) -> bool:
        seen, todo = {state}, deque([state])
        while todo:
            at = todo.popleft()
            if at in self._doomed:
                if self._doomed[at]:
                    continue
                return True
            if not self.inner.end_found(at):
                return True
            for to in self._ahead(at):
                if to and to not in seen:
                    seen.add(to)
                    todo.append(to)
        self._doomed.update(dict.fromkeys(seen, True))
        return False

    def _ahead(self, state: int) -> Iterable[int]:
        """Where any text leads: over the next symbol, or to the end of an escape that was begun."""
        settled = self.inner.settled(state) if isinstance(self.inner, Unescaped) else None
        return settled or (self.inner.step(state, symbol) for symbol in range(self.inner.n_symbols))

    def end_found(self, state: int) -> bool:
        return self.inner.end_found(state)

    def reference(self, state: int) -> int:
        return self.inner.reference(state)

    def hot(self, state: int) -> Iterable[int] | None:
        return self.inner.hot(state)

    def pass_over(self, state: int, symbol: int) -> int:
        """A state that only completes is let go too: the text before cannot be mended."""
        to = self.inner.pass_over(state, symbol)
        return self.inner.reference(to) if self.is_doomed(to) else to

    def culprits(self, state: int, symbol: int | None) -> tuple[int, ...]:
        return self.inner.culprits(state, symbol)

    def key(self, state: int) -> object:
        return self.inner.key(state)

    def intern(self, key: object) -> int:
        return self.inner.intern(key)


def room(automaton: Automaton, state: int) -> int:
    """No fewer symbols than this lead to something that the state finds and its reference does not; 0 if not known."""
    inner = automaton.inner if isinstance(automaton, Trimmed) else automaton
    if not state or not isinstance(inner, RegexAutomaton) or inner.looks_ahead:
        return 0
    return inner.room(state)


def alike(automaton: Automaton, state: int) -> tuple[int, Iterable[int]] | None:
    """A state that does the same on all symbols but these, where there is one that many states share, else None."""
    match automaton:
        case Unescaped():
            return automaton.alike(state)
        case Trimmed():
            return alike(automaton.inner, state)
        case InStrings():
            found = alike(automaton.inner, state - 1) if state > _OUT else None
            if found is None:
                return None
            marks = range(automaton.alphabet.n, automaton.n_symbols)
            return found[0] + 1 if found[0] else FOUND, (*found[1], *marks)
        case _:
            return None


def completing(automaton: Automaton, state: int) -> Iterable[str]:
    """Texts that complete the escape which was begun, one for everything that it can be; none where none was."""
    match automaton:
        case Unescaped():
            return automaton.completing(state)
        case Trimmed():
            return completing(automaton.inner, state)
        case InStrings():
            return completing(automaton.inner, state - 1) if state > _OUT else ()
        case InJoinedArrays():
            inner = automaton.inside(state)
            return completing(automaton.inner, inner) if inner else ()
        case _:
            return ()


def innermost(automaton: Automaton) -> Automaton:
    """The automaton inside all frames."""
    while isinstance(automaton, InStrings | InJoinedArrays | Trimmed | Unescaped):
        automaton = automaton.inner
    return automaton


def is_anchored_at_start(automaton: Automaton) -> bool:
    """Whether an expression of the automaton looks at the start of the text (or of a line)."""
    inner = innermost(automaton)
    if isinstance(inner, Dfa):
        return True
    gates = {gate for row in inner.nfa.gated for gate, _ in row} if isinstance(inner, RegexAutomaton) else set[Gate]()
    return bool(gates & {Gate.TEXT_START, Gate.LINE_START})
