"""One pattern with context, as the finder reads it, with the starts and ends of what is begun."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from policykit.automata.alphabet import EDGE
from policykit.automata.nfa import Gate, Nfa, gate_open
from policykit.streaming.tags import UNSET, Completed, Tag, TagState, TagStates, TagStep, tags_of

_Reached: TypeAlias = tuple[int, bool, bool, bool]
"""(state, whether the body begins on the way, whether it ends, whether a gate was passed)."""
_NO, _KEEPS_END, _ENDS_NOW = 0, 1, 2


@dataclass(frozen=True, slots=True)
class _Jump:
    """From a place, on a character: (place, begins, ends) for the threads that go on, and for the matches that a gate
    before the character completes whether they begin and end there."""

    targets: tuple[tuple[int, bool, bool], ...]
    finals: tuple[tuple[bool, bool], ...]


class TaggedExpression:
    """Finds one pattern with its body's start and end; of two threads at one place the smaller tag is kept.

    Places are the states that a character leads to. A thread that no continuation can complete is dropped.
    """

    is_varied = False

    def __init__(self, nfa: Nfa) -> None:
        self.alphabet = nfa.alphabet
        self._nfa = nfa
        self._gates = frozenset(gate for row in nfa.gated for gate, _ in row)
        self._open_between: dict[tuple[int, int], frozenset[Gate]] = {}
        """The gates that are open between characters with these flags."""
        self._closures: dict[tuple[int, frozenset[Gate]], tuple[_Reached, ...]] = {}
        self._ungated: dict[int, tuple[_Reached, ...]] = {}
        self._mask = nfa.before_flags
        self._jumps: dict[tuple[int, int, int], _Jump] = {}
        self._free_final = [self._reaches_final(place) for place in range(len(nfa.free))]
        self._gaps = tuple(_arrivals(nfa, gap) for gap in nfa.gaps)
        self._goes_on = self._find_living()
        self.states = TagStates()
        self.start = self.states.state(EDGE & self._mask, (), 0)

    # -- reading -------------------------------------------------------------------------------------------------

    def step(self, state: TagState, classes: tuple[int, ...]) -> TagStep:
        """Read one character of the text, given by the classes of its image."""
        flags, before = self.alphabet.flags, state.before
        threads = tags_of(state)
        completed: list[Completed] = []
        for j, symbol in enumerate(classes):
            ahead: dict[int, Tag] = {}
            best = (UNSET, UNSET)
            for place, (start, end) in (*threads.items(), (self._nfa.start, (UNSET, UNSET))):
                jump = self._jump(place, before, symbol)
                for begins, ends in jump.finals:
                    best = min(best, (j if begins else start, -j if ends else end))
                for to, begins, ends in jump.targets:
                    tag = (j if begins else start, -j if ends else end)
                    if to not in ahead or tag < ahead[to]:
                        ahead[to] = tag
            self._complete(best, j, completed)
            before = flags[symbol] & self._mask
            self._complete(self._best_final(ahead, j + 1), j + 1, completed)
            threads = {to: tag for to, tag in ahead.items() if (to, before) in self._goes_on}
            self._narrow(threads)
        return self.states.aged(before, state.n_registers, threads, tuple(completed))

    def finish(self, state: TagState) -> tuple[Completed, ...]:
        """What the end of the text completes."""
        best = (UNSET, UNSET)
        for place, (start, end) in (*tags_of(state).items(), (self._nfa.start, (UNSET, UNSET))):
            for begins, ends in self._finals(place, state.before, EDGE):
                best = min(best, (0 if begins else start, 0 if ends else end))
        completed: list[Completed] = []
        self._complete(best, 0, completed)
        return tuple(completed)

    def _complete(self, tag: Tag, at: int, completed: list[Completed]) -> None:
        start, end = tag
        if start != UNSET and end != UNSET and (start, -end) != (at, at):
            completed.append(Completed(0, start, -end, at))

    def _best_final(self, ahead: dict[int, Tag], at: int) -> Tag:
        best = (UNSET, UNSET)
        for place, (start, end) in ahead.items():
            final = self._free_final[place]
            if final:
                best = min(best, (start, -at if final == _ENDS_NOW else end))
        return best

    def _narrow(self, threads: dict[int, Tag]) -> None:
        """Of several places in a gap those stay that have more room or an older match."""
        for gap in self._gaps:
            best = (UNSET, UNSET + 1)
            for place in gap:
                tag = threads.get(place)
                if tag is None:
                    continue
                if tag < best:
                    best = tag
                else:
                    del threads[place]

    # -- what the automaton says ---------------------------------------------------------------------------------

    def _jump(self, place: int, before: int, symbol: int) -> _Jump:
        key = (place, before, symbol)
        found = self._jumps.get(key)
        if found is None:
            after = self.alphabet.flags[symbol]
            targets = dict.fromkeys(
                (to, begins, ends)
                for at, begins, ends, _ in self._closure(place, before, after)
                for classes, to in self._nfa.edges[at]
                if symbol in classes
            )
            found = self._jumps[key] = _Jump(tuple(targets), self._finals(place, before, after))
        return found

    def _finals(self, place: int, before: int, after: int) -> tuple[tuple[bool, bool], ...]:
        """The matches that are complete only because a gate opens between these two characters."""
        final = self._nfa.final
        reached = [found for found in self._closure(place, before, after) if found[0] == final]
        if any(not gated for *_, gated in reached):
            return ()
        return tuple(dict.fromkeys((begins, ends) for _, begins, ends, _ in reached))

    def _closure(self, place: int, before: int, after: int) -> tuple[_Reached, ...]:
        """What is reached from a place between two characters, by their flags."""
        found = self._ungated.get(place)
        if found is not None:
            return found
        is_open = self._open_between.get((before, after))
        if is_open is None:
            is_open = frozenset(gate for gate in self._gates if gate_open(gate, before, after))
            self._open_between[before, after] = is_open
        found = self._closures.get((place, is_open))
        if found is None:
            found = tuple(self._close(place, is_open))
            if any(self._nfa.gated[at] for at, *_ in found):
                self._closures[place, is_open] = found
            else:
                self._ungated[place] = found
        return found

    def _close(self, place: int, is_open: frozenset[Gate]) -> Iterator[_Reached]:
        nfa = self._nfa
        todo: list[_Reached] = [(place, False, False, False)]
        seen = set(todo)
        while todo:
            at, begins, ends, gated = todo.pop()
            yield at, begins, ends, gated
            ahead = [(to, gated) for to in nfa.free[at]]
            ahead += [(to, True) for gate, to in nfa.gated[at] if gate in is_open]
            for to, through in ahead:
                found = (to, begins or to == nfa.body_start, ends or to == nfa.body_end, through)
                if found not in seen:
                    seen.add(found)
                    todo.append(found)

    def _reaches_final(self, place: int) -> int:
        """Whether a match is complete at a place already, whatever follows."""
        nfa = self._nfa
        todo, seen = [(place, False)], {(place, False)}
        found = _NO
        while todo:
            at, ends = todo.pop()
            if at == nfa.final:
                found = max(found, _ENDS_NOW if ends else _KEEPS_END)
            for to in nfa.free[at]:
                step = (to, ends or to == nfa.body_end)
                if to != nfa.body_start and step not in seen:
                    seen.add(step)
                    todo.append(step)
        return found

    def _find_living(self) -> frozenset[tuple[int, int]]:
        """(place, flags before) from which a further match can still be completed."""
        flags = set(self.alphabet.flags)
        led = [
            [(frozenset(self.alphabet.flags[c] for c in classes), to) for classes, to in edges]
            for edges in self._nfa.edges
        ]
        starts = {(self._nfa.start, f & self._mask) for f in (EDGE, *flags)}
        users: dict[tuple[int, int], list[tuple[int, int]]] = {}
        living: list[tuple[int, int]] = []
        todo, seen = list(starts), set(starts)
        while todo:
            pair = todo.pop()
            alive, ahead = self._one_further(pair, flags, led)
            if alive:
                living.append(pair)
            for to in ahead:
                users.setdefault(to, []).append(pair)
                if to not in seen:
                    seen.add(to)
                    todo.append(to)
        found = set(living)
        while living:
            for user in users.get(living.pop(), ()):
                if user not in found:
                    found.add(user)
                    living.append(user)
        return frozenset(found)

    def _one_further(
        self, pair: tuple[int, int], flags: set[int], led: Sequence[Sequence[tuple[frozenset[int], int]]]
    ) -> tuple[bool, set[tuple[int, int]]]:
        """Whether a match may be complete one character further, or by a gate; and the pairs that follow. ``led`` are
        the edges by the flags of their characters."""
        place, before = pair
        alive = False
        ahead: set[tuple[int, int]] = set()
        if not self._mask:  # no gate looks at flags
            to_places = {to for at, *_ in self._closure(place, before, EDGE) for among, to in led[at] if among}
            return any(self._free_final[to] for to in to_places), {(to, 0) for to in to_places}
        for after in (EDGE, *flags):
            alive = alive or bool(self._finals(place, before, after))
            if after == EDGE:
                continue
            for at, *_ in self._closure(place, before, after):
                for among, to in led[at]:
                    if after in among:
                        ahead.add((to, after & self._mask))
                        alive = alive or bool(self._free_final[to])
        return alive, ahead


def _arrivals(nfa: Nfa, gap: tuple[int, ...]) -> tuple[int, ...]:
    """The places in a gap that a character leads to, the one with most room first."""
    arrivals = dict.fromkeys(to for place in gap for _, to in nfa.edges[place])
    return gap if arrivals.keys() <= set(gap) else tuple(arrivals)
