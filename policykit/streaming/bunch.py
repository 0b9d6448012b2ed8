"""A few parts of a joint automaton, stepped together.

Most steps that the whole has not met yet are new for one or two of its parts only. Looked up bunch by bunch, such a
step costs as many look-ups as there are bunches, and not as many as there are parts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isqrt
from typing import Protocol, TypeAlias

from policykit.automata import Alphabet
from policykit.streaming.tags import REGISTER, Completed, Registers, TagState, TagStates, TagStep

Classes: TypeAlias = tuple[tuple[int, ...], ...]
"""For every part the classes of a character's image."""


class Part(Protocol):
    """One pattern (or trie) on one view. What ``is_varied`` has far more states than the others."""

    alphabet: Alphabet
    states: TagStates
    start: TagState
    is_varied: bool

    def step(self, state: TagState, classes: tuple[int, ...]) -> TagStep: ...
    def finish(self, state: TagState) -> tuple[Completed, ...]: ...


@dataclass(frozen=True, slots=True)
class Effect:
    """What a step does to one part beside its state."""

    part: int
    registers: Registers | None
    completed: tuple[Completed, ...]


@dataclass(frozen=True, slots=True)
class Oldest:
    """How far back the oldest start is of some parts: as an age in the state, -1 for none, and as (part, register)."""

    age: int
    registers: tuple[tuple[int, int], ...]


@dataclass(slots=True, eq=False)
class Bunched:
    """A state of a bunch, with the oldest start per group of parts."""

    states: tuple[TagState, ...]
    oldest: tuple[Oldest, ...]
    memo: "dict[int, tuple[Bunched, tuple[Effect, ...]]]" = field(
        default_factory=dict["int", "tuple[Bunched, tuple[Effect, ...]]"]
    )


class Bunch:
    """The parts with these numbers. ``groups`` are sets of parts whose oldest start is asked for together."""

    def __init__(self, numbers: Sequence[int], parts: Sequence[Part], groups: Sequence[frozenset[int]]) -> None:
        self.numbers = tuple(numbers)
        self._parts = tuple(parts[i] for i in numbers)
        self._groups = tuple(groups)
        self._known: dict[tuple[TagState, ...], Bunched] = {}
        self._own: list[int] = [0]
        self._numbers: dict[Classes, int] = {}
        self._classes: list[Classes] = []
        self.n_states = 0
        """States of the parts, as far as they are remembered."""
        self.start = self._state(tuple(part.start for part in self._parts))

    def add_symbol(self, classes: Classes) -> None:
        """The next symbol of the whole."""
        own = tuple(classes[i] for i in self.numbers)
        number = self._numbers.get(own)
        if number is None:
            number = self._numbers[own] = len(self._classes)
            self._classes.append(own)
        self._own.append(number)

    def step(self, state: Bunched, symbol: int) -> tuple[Bunched, tuple[Effect, ...]]:
        """The next state, and what changes beside it, on a symbol of the whole."""
        own = self._own[symbol]
        found = state.memo.get(own)
        if found is None:
            found = state.memo[own] = self._make(state, self._classes[own])
        return found

    def forget(self) -> None:
        """Drop all states, and those of the parts; what is in use works on as before."""
        for state in self._known.values():
            state.memo.clear()
        self._known = {}
        for part in self._parts:
            part.states.forget()
        self.n_states = 0

    def _make(self, state: Bunched, classes: Classes) -> tuple[Bunched, tuple[Effect, ...]]:
        targets: list[TagState] = []
        effects: list[Effect] = []
        is_new = False
        for number, part, before, own in zip(self.numbers, self._parts, state.states, classes, strict=True):
            step = before.memo.get(own)
            if step is None:
                step = before.memo[own] = part.step(before, own)
                is_new = True
            targets.append(step.target)
            if step.registers or step.completed:
                effects.append(Effect(number, step.registers, step.completed))
        if is_new:
            self.n_states = sum(len(part.states) for part in self._parts)
        return self._state(tuple(targets)), tuple(effects)

    def _state(self, states: tuple[TagState, ...]) -> Bunched:
        found = self._known.get(states)
        if found is None:
            oldest = tuple(self._oldest(states, group) for group in self._groups)
            found = self._known[states] = Bunched(states, oldest)
        return found

    def _oldest(self, states: tuple[TagState, ...], group: frozenset[int]) -> Oldest:
        ages = [(i, state.oldest) for i, state in zip(self.numbers, states, strict=True) if state.oldest >= 0]
        if not ages:
            return NOTHING
        ages = [(i, age) for i, age in ages if i in group]
        young = max((age for _, age in ages if age < REGISTER), default=-1)
        return Oldest(young, tuple((i, age) for i, age in ages if age >= REGISTER))


NOTHING = Oldest(-1, ())


def oldest_of(found: Iterable[Oldest]) -> Oldest:
    """The oldest start of several bunches together."""
    age, registers = -1, list[tuple[int, int]]()
    for one in found:
        if one.age > age:
            age = one.age
        if one.registers:
            registers += one.registers
    return Oldest(age, tuple(sorted(registers))) if registers or age >= 0 else NOTHING


def bunches_of(parts: Sequence[Part], groups: Sequence[frozenset[int]]) -> tuple[Bunch, ...]:
    """Parts with many states alone, and about as many bunches of the others as each has members."""
    alone = [[i] for i, part in enumerate(parts) if part.is_varied]
    others = [i for i, part in enumerate(parts) if not part.is_varied]
    size = isqrt(len(others)) + 1
    together = [others[i : i + size] for i in range(0, len(others), size)]
    return tuple(Bunch(numbers, parts, groups) for numbers in (*alone, *together))
