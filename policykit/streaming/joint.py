"""All patterns as one automaton that is built while it runs.

A row is a state of all patterns at once: a list that gives the next row for every symbol. Where a step is not known
yet, or where something beside the row changes (a match is complete, a register moves), the list holds a
:class:`Miss`, which cannot be indexed: a loop over plain steps needs no test of its own, and stops there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import length_hint
from threading import Lock
from typing import Any, TypeAlias, cast

from policykit.automata import Alphabet, common
from policykit.streaming.bunch import Bunched, Effect, Part, bunches_of, oldest_of
from policykit.streaming.tags import REGISTER, UNITS, Completed, TagState
from policykit.text import View

MAX_CELLS = 6_000_000
"""Successors in all rows, of eight bytes, after which they are forgotten."""
MAX_PART_STATES = 200_000
MAX_CHARACTERS = 50_000
"""Characters other than ASCII whose symbols are remembered."""
_BLOCK = 256

Row: TypeAlias = list[Any]
"""``row[0]`` is its :class:`Info`; ``row[symbol]`` is the next row or a :class:`Miss`."""


@dataclass(frozen=True, slots=True)
class Miss:
    """Stands in a row where a step needs more than the next row."""

    row: Row


@dataclass(frozen=True, slots=True)
class Step:
    row: Row
    effects: tuple[Effect, ...]


@dataclass(slots=True, eq=False)
class Info:
    """``ages`` and ``old`` give, per group of parts, how far back the oldest start is: as an age in the state, and
    as (part, register). ``held`` and ``held_by_transforms`` are the characters from there on, of the first and the
    second group; -1 where a register says it. ``memo`` holds the steps with effects."""

    bunched: tuple[Bunched, ...]
    miss: Miss
    ages: tuple[int, ...]
    old: tuple[tuple[tuple[int, int], ...], ...]
    held: int
    held_by_transforms: int
    memo: dict[int, Step] = field(default_factory=dict[int, Step])


@dataclass(frozen=True, slots=True)
class _Seen:
    """All parts on one view, over one alphabet; ``classes[i][c]`` is the class of symbol c for the i-th of them."""

    view: View
    parts: tuple[int, ...]
    alphabet: Alphabet
    classes: tuple[tuple[int, ...], ...]


class Joint:
    """The product of all parts. ``groups`` are two sets of parts whose oldest start is asked for together.

    Shared between streams and threads: rows only gain steps, under a lock.
    """

    def __init__(self, parts: Sequence[Part], groups: Sequence[frozenset[int]]) -> None:
        self.parts = tuple(parts)
        self._groups = tuple(groups)
        self._bunches = bunches_of(self.parts, groups)
        self._places = tuple(i for bunch in self._bunches for i in bunch.numbers)
        self._views = _by_view(self.parts)
        self._lock = Lock()
        self._n_symbols = 1
        self._numbers: dict[tuple[tuple[int, ...], ...], int] = {}
        self._wide: dict[str, int] = {}
        self._rows: dict[tuple[Bunched, ...], Row] = {}
        self._n_cells = 0
        self.ascii = bytes(self._number(chr(i)) if i < 128 else 0 for i in range(256))
        self.start = self._row(tuple(bunch.start for bunch in self._bunches))

    @property
    def n_rows(self) -> int:
        return len(self._rows)

    # -- symbols -------------------------------------------------------------------------------------------------

    def symbols(self, text: str) -> Sequence[int]:
        """The symbols of a text, one per character."""
        if text.isascii():
            return text.encode("ascii").translate(self.ascii)
        return [self._symbol(char) for char in text]

    def _symbol(self, char: str) -> int:
        found = self._wide.get(char)
        if found is None:
            with self._lock:
                if len(self._wide) > MAX_CHARACTERS:
                    self._wide.clear()
                found = self._wide[char] = self._number(char)
        return found

    def _number(self, char: str) -> int:
        """The number of a character's symbol: the classes of its image for every part."""
        classes: list[tuple[int, ...]] = [()] * len(self.parts)
        for seen in self._views:
            image = seen.view.image(ord(char))
            if len(image) >= UNITS:
                raise ValueError(f"the image of U+{ord(char):04X} is too long")
            codes = seen.alphabet.encode(image)
            for part, own in zip(seen.parts, seen.classes, strict=True):
                classes[part] = tuple(own[c] for c in codes)
        key = tuple(classes)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = self._n_symbols
            for bunch in self._bunches:
                bunch.add_symbol(key)
            self._n_symbols += 1
        return number

    # -- rows ----------------------------------------------------------------------------------------------------

    def step(self, row: Row, symbol: int) -> Step:
        """The step of a row on a symbol, remembered in the row where it has no effects."""
        info = cast(Info, row[0])
        known = info.memo.get(symbol)
        if known is not None:
            return known
        with self._lock:
            return self._make(row, info, symbol)

    def run(self, row: Row, symbols: Sequence[int], start: int) -> tuple[Row, int]:
        """Read symbols from ``start`` on as long as steps have no effects: the row reached, and the number of the
        symbol that comes next."""
        at, n = start, len(symbols)
        while at < n:
            part = symbols if n <= _BLOCK and not at else symbols[at : at + _BLOCK]
            ahead = iter(part)
            n_read = -1
            try:
                for symbol in ahead:
                    row = row[symbol]
            except TypeError:
                n_read = len(part) - length_hint(ahead) - 2  # the step before went to a miss
            except IndexError:
                n_read = len(part) - length_hint(ahead) - 1  # a symbol that is younger than the row
            if isinstance(row, Miss):
                row, n_read = row.row, n_read if n_read >= 0 else len(part) - 1
            elif n_read < 0:
                at += len(part)
                continue
            at += n_read
            step = self.step(row, part[n_read])
            if step.effects:
                return row, at
            row = step.row
            at += 1
        return row, n

    def _make(self, row: Row, info: Info, symbol: int) -> Step:
        steps = [bunch.step(state, symbol) for bunch, state in zip(self._bunches, info.bunched, strict=True)]
        effects = [effect for _, own in steps if own for effect in own]
        if len(effects) > 1:
            effects.sort(key=_part_of)
        to = self._row(tuple([target for target, _ in steps]))
        made = Step(to, tuple(effects))
        if len(row) <= symbol:
            self._n_cells += self._n_symbols - len(row)
            row.extend([info.miss] * (self._n_symbols - len(row)))
        if effects:
            info.memo[symbol] = made
        else:
            row[symbol] = to
        return made

    def states(self, row: Row) -> list[TagState]:
        """The state of every part in a row."""
        found = [state for bunched in cast(Info, row[0]).bunched for state in bunched.states]
        return [state for _, state in sorted(zip(self._places, found, strict=True), key=_place_of)]

    def _row(self, bunched: tuple[Bunched, ...]) -> Row:
        found = self._rows.get(bunched)
        if found is None:
            if self._n_cells > MAX_CELLS or sum([bunch.n_states for bunch in self._bunches]) > MAX_PART_STATES:
                self._forget()
            row: Row = []
            oldest = list(map(oldest_of, zip(*[one.oldest for one in bunched], strict=True)))
            held = [-1 if one.registers else -(-max(one.age, 0) // UNITS) for one in oldest]
            ages, old = tuple(one.age for one in oldest), tuple(one.registers for one in oldest)
            info = Info(bunched, Miss(row), ages, old, held[0], held[1])
            row.append(info)
            row.extend([info.miss] * (self._n_symbols - 1))
            self._n_cells += len(row)
            found = self._rows[bunched] = row
        return found

    def _forget(self) -> None:
        """Cut every row and state loose from the others, so that only those in use stay; they work on as before."""
        for row in self._rows.values():
            info = cast(Info, row[0])
            info.memo.clear()
            row[1:] = [info.miss] * (len(row) - 1)
        self._rows = {}
        self._n_cells = 0
        for bunch in self._bunches:
            bunch.forget()


def _part_of(effect: Effect) -> int:
    return effect.part


def _place_of(placed: tuple[int, TagState]) -> int:
    return placed[0]


def _by_view(parts: Sequence[Part]) -> tuple[_Seen, ...]:
    names: dict[str, list[int]] = {}
    for i, part in enumerate(parts):
        names.setdefault(part.alphabet.view.name, []).append(i)
    out: list[_Seen] = []
    for own in names.values():
        alphabets = [parts[i].alphabet for i in own]
        joint, classes = common(alphabets[0].view, alphabets)
        out.append(_Seen(joint.view, tuple(own), joint, tuple(tuple(c.tolist()) for c in classes)))
    return tuple(out)


@dataclass(frozen=True, slots=True)
class Match:
    """A completed match with absolute positions (UNITS to a character); ``part`` and ``pattern`` say of what."""

    part: int
    pattern: int
    start: int
    end: int
    at: int


@dataclass(slots=True)
class Cursor:
    """Where one stream stands in a joint automaton. ``position`` counts characters, of which the first has 0."""

    joint: Joint
    row: Row
    position: int = 0
    registers: dict[int, tuple[int, ...]] = field(default_factory=dict[int, tuple[int, ...]])

    def copy(self) -> "Cursor":
        return Cursor(self.joint, self.row, self.position, dict(self.registers))

    def read(self, symbols: Sequence[int]) -> list[Match]:
        """Read on; the matches that are complete now, in the order of completion."""
        joint, n = self.joint, len(symbols)
        found: list[Match] = []
        row, at = joint.run(self.row, symbols, 0)
        while at < n:
            step = joint.step(row, symbols[at])
            self._apply(step.effects, self.position + at, found)
            row, at = joint.run(step.row, symbols, at + 1)
        self.row = row
        self.position += n
        return found

    def finish(self) -> list[Match]:
        """What the end of the text completes. The cursor stays where it is."""
        found: list[Match] = []
        for i, (part, state) in enumerate(zip(self.joint.parts, self.joint.states(self.row), strict=True)):
            self._matches(i, part.finish(state), self.position, found)
        return found

    def restart(self) -> None:
        """Begin a new text where the reading stands."""
        self.row = self.joint.start
        self.registers.clear()

    def oldest(self, group: int) -> int:
        """The earliest start, in UNITS, of a match of the group that can still be completed; else the position."""
        info = cast(Info, self.row[0])
        now = self.position * UNITS
        oldest = now if info.ages[group] < 0 else now - info.ages[group]
        for part, register in info.old[group]:
            oldest = min(oldest, self.registers[part][REGISTER - 1 - register])
        return oldest

    def oldest_part(self, group: int) -> int | None:
        """The part whose match :meth:`oldest` gives; None where there is none."""
        info = cast(Info, self.row[0])
        oldest = self.oldest(group)
        for part, register in info.old[group]:
            if self.registers[part][REGISTER - 1 - register] == oldest:
                return part
        age = self.position * UNITS - oldest
        return next((i for i, state in enumerate(self.joint.states(self.row)) if age and state.oldest == age), None)

    def _apply(self, effects: tuple[Effect, ...], position: int, found: list[Match]) -> None:
        for effect in effects:
            self._matches(effect.part, effect.completed, position, found)
            if effect.registers:
                after = effect.registers.after(self.registers.get(effect.part, ()), (position + 1) * UNITS)
                if after:
                    self.registers[effect.part] = after
                else:
                    self.registers.pop(effect.part, None)

    def _matches(self, part: int, completed: tuple[Completed, ...], position: int, found: list[Match]) -> None:
        base = position * UNITS

        def absolute(at: int) -> int:
            if at <= -REGISTER:
                return self.registers[part][-1 - (-at - REGISTER)]
            return base + at

        found += [Match(part, c.pattern, absolute(c.start), absolute(c.end), absolute(c.at)) for c in completed]
