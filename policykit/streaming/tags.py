"""States that know how long ago their matches began.

A state is a set of threads: a place in a pattern, and when the match began there (and, before its context, ended).
Times are ages, counted back from where the reading stands, so that a state recurs wherever the same text does. An age
over :data:`OLD_AGE` becomes a register: a position that is kept beside the state, which names it by its rank. Then
the states of a pattern that waits for long do not grow in number with the text (Laurikari, "NFAs with tagged
transitions", SPIRE 2000, with the youngest registers left in the state).

Positions and ages count ``UNITS`` to a character of the text, so that characters with several characters in their
image keep those apart.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

UNITS = 64
"""Steps of a position per character; an image on a view is shorter."""
OLD_AGE = 64 * UNITS
REGISTER = 1 << 40
"""Ages from here on are registers: ``REGISTER + rank``, where the youngest has rank 0."""
UNSET = 1 << 60

Tag: TypeAlias = tuple[int, int]
"""(start, -end) as positions seen from the reading; UNSET where the match has not begun or ended. The smaller wins."""
Thread: TypeAlias = tuple[int, int, int]
"""(place, age of the start, age of the end); -1 for what is not set."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A match: pattern, start, end, and where it was complete; positions as seen from the character that was read.
    A position under ``-REGISTER`` is a register of the state before."""

    pattern: int
    start: int
    end: int
    at: int


@dataclass(frozen=True, slots=True)
class Registers:
    """How registers change: which stay (oldest first, by their index), and the ages of those that are new."""

    kept: tuple[int, ...]
    new: tuple[int, ...]

    def after(self, old: tuple[int, ...], position: int) -> tuple[int, ...]:
        """The registers, oldest first, once the reading stands at ``position``."""
        return (*(old[i] for i in self.kept), *(position - age for age in self.new))


@dataclass(slots=True, eq=False)
class TagState:
    """A state; ``n_registers`` are in use. ``oldest`` is the age of the oldest start, or its register; -1 for none."""

    before: int
    threads: tuple[Thread, ...]
    n_registers: int
    oldest: int
    memo: "dict[tuple[int, ...], TagStep]" = field(default_factory=dict["tuple[int, ...]", "TagStep"])


@dataclass(frozen=True, slots=True)
class TagStep:
    target: TagState
    registers: Registers | None
    completed: tuple[Completed, ...]


def position_of(age: int) -> int:
    """An age as a position seen from where the reading stands; registers sort before everything young."""
    return -age


class TagStates:
    """Interned states of one pattern."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, tuple[Thread, ...], int], TagState] = {}

    def __len__(self) -> int:
        return len(self._known)

    def forget(self) -> None:
        """Drop all states, and what they know of each other. Those that are in use go on working."""
        for state in self._known.values():
            state.memo.clear()
        self._known.clear()

    def state(self, before: int, threads: tuple[Thread, ...], n_registers: int) -> TagState:
        key = (before, threads, n_registers)
        found = self._known.get(key)
        if found is None:
            oldest = max((start for _, start, _ in threads), default=-1)
            found = self._known[key] = TagState(before, threads, n_registers, oldest)
        return found

    def aged(self, before: int, n_registers: int, threads: dict[int, Tag], completed: tuple[Completed, ...]) -> TagStep:
        """The step to these threads, whose tags are positions seen from a character that has been read now."""
        if not threads:
            registers = Registers((), ()) if n_registers else None
            return TagStep(self.state(before, (), 0), registers, completed)
        if not n_registers:
            young = sorted([(place, _age_of(s), _age_of(-e)) for place, (s, e) in threads.items()])
            if max([start if start > end else end for _, start, end in young]) <= OLD_AGE:
                return TagStep(self.state(before, tuple(young), 0), None, completed)
        old: set[int] = set()
        new: set[int] = set()
        for start, end in threads.values():
            for position in (start, -end):
                if position in (UNSET, -UNSET):
                    continue
                if position <= -REGISTER:
                    old.add(-position - REGISTER)
                elif UNITS - position > OLD_AGE:
                    new.add(UNITS - position)
        kept, added = sorted(old, reverse=True), sorted(new, reverse=True)
        n = len(kept) + len(added)
        rank = {position_of(REGISTER + k): REGISTER + n - 1 - i for i, k in enumerate(kept)}
        rank |= {UNITS - age: REGISTER + len(added) - 1 - i for i, age in enumerate(added)}

        def age(position: int) -> int:
            if position in (UNSET, -UNSET):
                return -1
            return rank.get(position, UNITS - position)

        aged = tuple((place, age(s), age(-e)) for place, (s, e) in sorted(threads.items()))
        changed = bool(added) or len(kept) != n_registers
        registers = Registers(tuple(n_registers - 1 - k for k in kept), tuple(added)) if changed else None
        return TagStep(self.state(before, aged, n), registers, completed)


def _age_of(position: int) -> int:
    """How long ago a position was, once the character is read."""
    return -1 if position in (UNSET, -UNSET) else UNITS - position


def tags_of(state: TagState) -> dict[int, Tag]:
    """The threads of a state with positions seen from where the reading stands."""
    return {place: (UNSET if start < 0 else -start, UNSET if end < 0 else end) for place, start, end in state.threads}
