"""What keeps one automaton alive: of some strings of symbols those after which it has found nothing, state by state."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from policykit.automata import FOUND
from policykit.constraint.unit import Unit

Bits: TypeAlias = NDArray[np.uint64]
"""``[n, words]``: n sets of completions, one bit each."""
SET_BYTES = 150
"""Memory of one set that is kept as an integer."""


class Openings:
    """For each state of one automaton the completions that keep it alive, on first use.

    They are read along their trie, and from a state that has a reference only as far as the two stand apart: where
    they fall together, so do their answers. Node n of the trie has the completions ``ends[n]``, and ``below[n]`` in
    its subtree, one bit each. With ``may_end`` only those count after which the text may end.
    """

    def __init__(self, unit: Unit, options: Sequence[tuple[int, ...]], words: int, *, may_end: bool = False) -> None:
        own = unit.symbol_list
        self._may_end = may_end
        self._unit = unit
        self._children: list[dict[int, int]] = [{}]
        self._ends, self._below = [0], [0]
        for k, option in enumerate(options):
            node = 0
            for symbol in (own[c] for c in option if own[c] >= 0):
                node = self._grow(node, symbol)
                self._below[node] |= 1 << k
            self._ends[node] |= 1 << k
        self._first = np.array(list(self._children[0]), np.int64)
        self._words = words
        self._bits: dict[int, int] = {FOUND: 0}

    def _grow(self, node: int, symbol: int) -> int:
        child = self._children[node].get(symbol)
        if child is None:
            child = self._children[node][symbol] = len(self._children)
            self._children.append({})
            self._ends.append(0)
            self._below.append(0)
        return child

    @property
    def kept(self) -> Mapping[int, int]:
        """The sets by state, as far as they were asked for."""
        return self._bits

    def rows(self, states: NDArray[np.int32]) -> Bits:
        """``[n, words]`` for n states."""
        distinct, index = np.unique(states, return_inverse=True)
        data = b"".join(self.bits(state).to_bytes(8 * self._words, "little") for state in distinct.tolist())
        return np.frombuffer(data, np.uint64).reshape(-1, self._words)[index]

    def bits(self, state: int) -> int:
        """The same for one state, as an integer."""
        known = self._bits.get(state)
        if known is None:
            reference = self._unit.automaton.reference(state)
            known = self._read(state) if reference == state else self._like(state, reference)
            self._bits[state] = known
        return known

    def _read(self, state: int) -> int:
        step = self._unit.automaton.step
        alive = self._ends[0] if self._is_open(state) else 0  # all was erased: nothing is found
        todo = [(0, state)]
        while todo:
            node, at = todo.pop()
            for symbol, child in self._children[node].items():
                after = step(at, symbol)
                if after:
                    if self._is_open(after):
                        alive |= self._ends[child]
                    todo.append((child, after))
        return alive

    def _is_open(self, state: int) -> bool:
        return not (self._may_end and self._unit.automaton.end_found(state))

    def _like(self, state: int, reference: int) -> int:
        step = self._unit.automaton.step
        alive = self.bits(reference)
        if not self._is_open(state):
            alive &= ~self._ends[0]
        todo = [(0, state, reference, self._unit.differing(state, reference, self._first))]
        while todo:
            node, mine, other, symbols = todo.pop()
            children = self._children[node]
            for symbol in symbols:
                after, beside = step(mine, symbol), step(other, symbol)
                if after == beside:
                    continue
                child = children[symbol]
                if after:
                    alive = alive | self._ends[child] if self._is_open(after) else alive & ~self._ends[child]
                    todo.append((child, after, beside, list(self._children[child])))
                else:
                    alive &= ~self._below[child]
        return alive
