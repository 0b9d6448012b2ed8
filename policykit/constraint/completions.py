"""Characters that were begun and not finished: which of their completions keep *all* automata alive.

Every automaton may leave some completion open and yet no completion be open to all. So for a token that ends inside a
character each automaton answers with a set of completions, as bits, and the sets are intersected: for the state of a
base once, and for an automaton that stands apart only where its trie walk differs from that of its reference.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from policykit.automata import FOUND, run
from policykit.constraint.binding import Binding
from policykit.constraint.formula import for_good
from policykit.constraint.images import cut
from policykit.constraint.joint import Joint, RowCache
from policykit.constraint.trie import Ints
from policykit.constraint.unit import Unit

MAX_KEPT = 20_000
"""Answers kept before they are forgotten together."""

What: TypeAlias = bytes | tuple[str, ...]
"""What is unfinished: the bytes of a character, or a JSON escape (the lexers' modes)."""
Option: TypeAlias = tuple[tuple[int, ...], ...]
"""One completion, as class strings per group."""
Bits: TypeAlias = NDArray[np.uint64]
"""``[n, words]``: n sets of completions, one bit each."""


@dataclass(frozen=True, eq=False)
class Ends:
    """The tokens that end inside a character in one combination of lexer modes: ``ids [n]``, and in ``possible
    [n, words]`` what that character can become."""

    ids: NDArray[np.int64]
    possible: Bits


@dataclass(frozen=True, eq=False)
class Places:
    """Where a unit stands after each of the tokens, the unfinished character left out: ``nodes [n]`` of its trie (-1:
    the lexer refuses the token). The tokens of node x are ``order[start[x]:start[x + 1]]``."""

    nodes: NDArray[np.int64]
    order: Ints
    start: Ints


class Openings:
    """For each state of one automaton the completions that keep it alive, ``[states, words]``, on first use."""

    def __init__(self, unit: Unit, options: Sequence[tuple[int, ...]], words: int) -> None:
        own = unit.symbol_list
        self._unit = unit
        strings = [tuple(own[c] for c in option if own[c] >= 0) for option in options]
        distinct = {string: k for k, string in enumerate(dict.fromkeys(strings))}
        self._of_option = np.array([distinct[string] for string in strings], np.int64)
        self._single = np.array([s[0] if len(s) == 1 else 0 for s in distinct], np.int64)
        self._others = [(k, s) for s, k in distinct.items() if len(s) != 1]
        self._words = words
        self._rows = np.zeros((64, words), np.uint64)
        self._built = np.zeros(64, bool)
        self._ints: dict[int, int] = {}

    @property
    def n_bytes(self) -> int:
        """Memory of the sets."""
        return self._rows.nbytes + self._built.nbytes

    def rows(self, states: NDArray[np.int32]) -> Bits:
        """``[n, words]`` for n states."""
        highest = int(states.max(initial=0))
        if highest >= len(self._built):
            grown = max(2 * len(self._built), highest + 1) - len(self._built)
            self._rows = np.concatenate([self._rows, np.zeros((grown, self._words), np.uint64)])
            self._built = np.concatenate([self._built, np.zeros(grown, bool)])
        if not self._built[states].all():
            self._build(np.unique(states[~self._built[states]]))
        return self._rows[states]

    def bits(self, state: int) -> int:
        """The same for one state, as an integer."""
        known = self._ints.get(state)
        if known is None:
            known = int.from_bytes(self.rows(np.array([state], np.int32))[0].tobytes(), "little")
            self._ints[state] = known
        return known

    def _build(self, states: NDArray[np.int32]) -> None:
        alive = self._unit.successors(states)[:, self._single] != FOUND
        for k, string in self._others:
            alive[:, k] = [run(self._unit.automaton, state, string) != FOUND for state in states.tolist()]
        alive[states == FOUND] = False
        bits = np.zeros((len(states), 64 * self._words), bool)
        bits[:, : len(self._of_option)] = alive[:, self._of_option]
        self._rows[states] = np.packbits(bits, axis=1, bitorder="little").view(np.uint64)
        self._built[states] = True


class Completions:
    """Answers about one generation of automata. A completion has one bit, whatever was begun."""

    def __init__(self, binding: Binding, units: Sequence[Unit]) -> None:
        self._binding = binding
        self._units = units
        self._requirements = binding.program.requirements
        self._can: dict[tuple[What, tuple[int, ...]], bool] = {}
        self._openings: dict[int, Openings] = {}
        self._ends: dict[tuple[str, ...], Ends] = {}
        self._places: dict[tuple[int, tuple[str, ...]], Places] = {}
        self._references: dict[tuple[int, tuple[str, ...], int], NDArray[np.int32]] = {}
        self._bases: dict[tuple[tuple[str, ...], tuple[int, ...]], Bits] = {}

    @property
    def n_bytes(self) -> int:
        """Memory of what grows while running: the sets of the automata's states and of the bases."""
        return sum(o.n_bytes for o in self._openings.values()) + sum(bits.nbytes for bits in self._bases.values())

    def can_complete(self, pending: bytes, modes: tuple[str, ...], states: tuple[int, ...]) -> bool:
        """Whether one way to finish the character that was begun keeps all automata alive."""
        what = pending or modes
        known = self._can.get((what, states))
        if known is None:
            if len(self._can) >= MAX_KEPT:
                self._can.clear()
            known = self._can[what, states] = self._completes(what, states)
        return known

    def _options(self, what: What) -> list[Option]:
        return self._binding.completions_of(what) if isinstance(what, bytes) else self._binding.endings_of(what)

    def _completes(self, what: What, states: tuple[int, ...]) -> bool:
        if not self._binding.groups:
            return True
        if self._requirements:
            return any(self._lets_on(states, option) for option in self._options(what))
        alive = self._possible(what)
        for i in self._binding.forbids:
            alive &= self._opening(i).bits(states[i])
        return bool(alive)

    def _lets_on(self, states: tuple[int, ...], option: Option) -> bool:
        """Whether one completion keeps all automata alive and every requirement open."""
        after: list[int] = []
        for i, unit in enumerate(self._units):
            own = unit.symbol_list
            after.append(run(unit.automaton, states[i], [own[c] for c in option[self._binding.place[i][0]]]))
        broken = any(for_good(r.formula, after) for r in self._requirements)
        return not broken and all(after[i] for i in self._binding.forbids)

    # ---- all completions as bits

    @cached_property
    def _numbers(self) -> dict[Option, int]:
        """Everything that an unfinished character or escape can become, numbered."""
        numbers = {option: k for k, option in enumerate(self._binding.strings)}
        for modes in self._binding.unfinished_modes():
            for option in self._options(modes):
                numbers.setdefault(option, len(numbers))
        return numbers

    @cached_property
    def _words(self) -> int:
        return -(-len(self._numbers) // 64)

    def _opening(self, i: int) -> Openings:
        known = self._openings.get(i)
        if known is None:
            at = self._binding.place[i][0]
            known = Openings(self._units[i], [option[at] for option in self._numbers], self._words)
            self._openings[i] = known
        return known

    def _possible(self, what: What) -> int:
        return sum(1 << self._numbers[option] for option in dict.fromkeys(self._options(what)))

    # ---- all tokens at once

    def shut(self, joint: Joint, base: Joint, kept: RowCache) -> NDArray[np.int64]:
        """The tokens after which no completion keeps all automata alive. ``base`` is the base of the joint state.

        What its reference finds, a state finds; so a state leaves no completion open that its reference shuts, and
        the base's bits stay in force where an automaton stands apart.
        """
        ends = self.ends_in(joint.modes)
        bits = self._base(base, ends).copy()
        for i in joint.apart:
            at, open_there = self._differing(i, joint, ends, kept)
            bits[at] &= open_there
        return ends.ids[~bits.any(1)]

    def ends_in(self, modes: tuple[str, ...]) -> Ends:
        """The tokens that end inside a character in these lexer modes."""
        known = self._ends.get(modes)
        if known is None:
            pieces = cut(self._binding.vocabulary)
            found: set[int] = set(np.array(pieces.ids, np.int64)[pieces.tail_of >= 0].tolist())
            for group, scope in self._binding.scope_of_group:
                listed = group.trie(modes[scope])[1]
                found.update(listed.token_ids[listed.tail_of >= len(pieces.tails)].tolist())
            ids = sorted(found)
            rows: dict[What, bytes] = {}
            possible: list[bytes] = []
            for token_id in ids:
                tail, after = self._binding.ends_of(modes, token_id)
                what = tail or after
                if what not in rows:
                    rows[what] = self._possible(what).to_bytes(8 * self._words, "little")
                possible.append(rows[what])
            bits = np.frombuffer(b"".join(possible), np.uint64).reshape(-1, self._words)
            known = self._ends[modes] = Ends(np.array(ids, np.int64), bits)
        return known

    def _base(self, base: Joint, ends: Ends) -> Bits:
        key = (base.modes, base.states)
        known = self._bases.get(key)
        if known is None:
            known = ends.possible.copy()
            for i in self._binding.forbids:
                known &= self._opening(i).rows(self._reference(i, base.modes, base.states[i], ends))
            self._bases[key] = known
        return known

    def _places_of(self, i: int, modes: tuple[str, ...], ends: Ends) -> Places:
        known = self._places.get((i, modes))
        if known is None:
            nodes, n = self._units[i].whole_nodes(modes[self._binding.scope_of[i]], ends.ids)
            order = np.argsort(nodes, kind="stable")
            start = np.searchsorted(nodes[order], np.arange(n + 1))
            known = self._places[i, modes] = Places(nodes, order.astype(np.int32), start.astype(np.int32))
        return known

    def _reference(self, i: int, modes: tuple[str, ...], state: int, ends: Ends) -> NDArray[np.int32]:
        """Where a state that is its own reference stands after each of the tokens: every one is worked out."""
        known = self._references.get((i, modes, state))
        if known is None:
            mode = modes[self._binding.scope_of[i]]
            self._binding.group_of[i].prepare(self._units[i], mode)
            places = self._places_of(i, modes, ends)
            known = self._units[i].at_nodes(mode, state, places.nodes)
            self._references[i, modes, state] = known
        return known

    def _differing(self, i: int, joint: Joint, ends: Ends, kept: RowCache) -> tuple[Ints, Bits]:
        """The tokens (as indices) where a state that stands apart leaves less open than its reference, and what."""
        unit, state, modes = self._units[i], joint.states[i], joint.modes
        key = ("open", i, modes, state)
        row = kept.part(key)
        if row is None:
            places = self._places_of(i, modes, ends)
            nodes, own = unit.apart_at(modes[self._binding.scope_of[i]], state)
            first = places.start[nodes]
            count = places.start[nodes + 1] - first
            some = np.flatnonzero(count)
            first, count, own = first[some], count[some], own[some]
            at = places.order[np.arange(int(count.sum())) + np.repeat(first - (np.cumsum(count) - count), count)]
            bits = np.repeat(self._opening(i).rows(own), count, axis=0)
            there = self._reference(i, modes, unit.automaton.reference(state), ends)[at]
            less = (bits != self._opening(i).rows(there)).any(1)
            at, bits = at[less], bits[less]
            row = np.concatenate((at, bits.reshape(-1).view(np.int32)))  # one array, since the cache keeps rows
            kept.keep_part(key, row)
        n = len(row) // (1 + 2 * self._words)
        return row[:n], row[n:].copy().view(np.uint64).reshape(-1, self._words)
