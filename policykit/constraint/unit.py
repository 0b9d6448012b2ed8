"""One automaton bound to a vocabulary: its transition table, its token tries and the mask of each state.

The mask of a state is the mask of its *reference* (same boundary context, no progress) minus what only this state
forbids. The difference is found by walking the trie where the two states move apart, and nowhere else: a state finds
everything that its reference finds, so nothing has to be allowed again.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from policykit.automata import FOUND, Automaton, alike, run
from policykit.automata.frames import room
from policykit.constraint.rows import Row
from policykit.constraint.trie import Ints, TokenTrie

Difference: TypeAlias = tuple[list[Ints], Ints, NDArray[np.int32]]
"""Forbidden tokens, nodes, and the states there."""
Parting: TypeAlias = tuple[tuple[int, int, int], ...]
"""Symbols, each with the two states that it leads to."""
_NONE = np.zeros(0, np.int32)
NARROW = 12
"""Open nodes up to which the difference walk goes node by node."""


@dataclass(frozen=True, eq=False)
class Tails:
    """Unfinished characters at token ends, as one automaton sees them.

    ``column[i]`` is the kind of the i-th tail (-1: some completion never matters); kind j may become any of
    ``strings[j]``, the class strings of its completions.
    """

    column: Ints
    strings: tuple[tuple[tuple[int, ...], ...], ...]

    def single(self, n_symbols: int) -> NDArray[np.bool_]:
        """``[kinds, symbols]``: which single symbols a kind can become."""
        out = np.zeros((len(self.strings), n_symbols), bool)
        for j, strings in enumerate(self.strings):
            out[j, [s[0] for s in strings if len(s) == 1]] = True
        return out


class Unit:
    """An automaton and its masks. ``symbols`` maps the shared symbols to this automaton's (-1: erased)."""

    def __init__(
        self,
        automaton: Automaton,
        symbols: Ints,
        tails: Tails,
        size: int,
        free_ids: Sequence[int],
        escape: Sequence[int],
    ) -> None:
        self.automaton = automaton
        self.symbols = symbols
        self.symbol_list: list[int] = symbols.tolist()
        self.tails = tails
        self._single = tails.single(automaton.n_symbols)
        self._longest_tail = max((len(s) for kind in tails.strings for s in kind), default=0)
        self._n_symbols = automaton.n_symbols
        self._columns = self._n_symbols + len(tails.strings)
        self._size = size
        self._escape = tuple(escape)
        self._free_ids = np.array(sorted(free_ids), np.int64)
        self._free = self._pack(_NONE)
        self._table = np.zeros((64, self._columns), np.int32)
        self._built = np.zeros(64, bool)
        # [states, 2]: the text cannot end here; it cannot, or the escape does not free the state. -1: not asked yet.
        self._fails = np.full((64, 2), -1, np.int8)
        self._tries: dict[str, TokenTrie] = {}
        self._token_ids: dict[str, Ints] = {}
        self._base: dict[tuple[str, int], Row] = {}
        self._held_base: dict[tuple[str, int, bool], Row] = {}
        self._base_bytes = 0
        self._freed: dict[tuple[int, str], bool] = {}
        self._parting: dict[tuple[int, int], Parting | None] = {}
        # A state's row, its held row and its open completions are asked for one after the other: one walk serves all.
        self._last: tuple[tuple[str, int], Difference] = (("", FOUND), ([], _NONE, _NONE))

    def add_mode(self, mode: str, trie: TokenTrie, token_ids: Ints) -> None:
        """Make the masks of a lexer mode available."""
        self._tries[mode] = trie
        self._token_ids[mode] = token_ids

    def has_mode(self, mode: str) -> bool:
        return mode in self._tries

    @property
    def n_bytes(self) -> int:
        """Memory of what grows while running: the transition table and the masks of the references."""
        asked = 150 * len(self._freed) + 300 * len(self._parting)
        return self._table.nbytes + self._base_bytes + 400 * self.automaton.n_states + asked

    def freed_by(self, state: int, symbols: Sequence[int]) -> bool:
        """Whether the automaton admits the symbols from this state and lets the text end after them."""
        after = run(self.automaton, state, symbols)
        return after != FOUND and not self.automaton.end_found(after)

    def freed_by_text(self, state: int, text: str, symbols: Sequence[int]) -> bool:
        """:meth:`freed_by`, remembered under the text that the symbols spell: for few texts."""
        known = self._freed.get((state, text))
        if known is None:
            known = self._freed[state, text] = self.freed_by(state, symbols)
        return known

    def _is_far(self, mode: str, state: int, further: int = 0) -> bool:
        """Whether no token, and ``further`` symbols after it, lead to what only this state finds: a long text that is
        not yet too long. Then it is as if the state were its reference."""
        return room(self.automaton, state) > len(self._tries[mode].levels) + self._longest_tail + further

    def _row(self, state: int) -> NDArray[np.int32]:
        """Successor on every symbol, then 1 or 0 for every kind of tail: can it still be completed?"""
        if state < len(self._built) and self._built[state]:
            return self._table[state]
        automaton = self.automaton
        n = self._n_symbols
        like, hot = alike(automaton, state) or (automaton.reference(state), None)
        if hot is None and like != state:
            hot = automaton.hot(state)
        if hot is None:
            row = np.zeros(self._columns, np.int32)
            row[:n] = [automaton.step(state, s) for s in range(n)]
        else:
            row = self._row(like).copy()
            for s in hot:
                row[s] = automaton.step(state, s)
        alive = (self._single & (row[:n] != FOUND)).any(1)
        for j in np.flatnonzero(~alive).tolist():
            alive[j] = any(run(automaton, state, s) for s in self.tails.strings[j] if len(s) != 1)
        row[n:] = alive
        self._store(state, row)
        return row

    def _store(self, state: int, row: NDArray[np.int32]) -> None:
        n_states = max(self.automaton.n_states, state + 1)
        if n_states > len(self._built):
            grown = max(2 * len(self._built), n_states)
            self._table = np.concatenate([self._table, np.zeros((grown - len(self._table), self._columns), np.int32)])
            self._built = np.concatenate([self._built, np.zeros(grown - len(self._built), bool)])
        self._table[state] = row
        self._built[state] = True

    def _go(self, states: NDArray[np.int32], symbols: Ints) -> NDArray[np.int32]:
        """Successors of many states at once; rows are built on first use."""
        highest = int(states.max(initial=0))
        missing = highest >= len(self._built) or not bool(self._built[states].all())
        if missing:
            for state in np.unique(states).tolist():
                if state >= len(self._built) or not self._built[state]:
                    self._row(state)
        return self._table[states, symbols]

    def _full(self, mode: str, state: int) -> NDArray[np.int32]:
        """The state at every trie node, walking everything."""
        trie = self._tries[mode]
        at = np.zeros(trie.n, np.int32)
        at[0] = state
        self._row(FOUND)
        for a, b in trie.levels:
            at[a:b] = self._go(at[trie.parent[a:b]], trie.symbol[a:b])
        return at

    def after_all(self, mode: str, state: int) -> NDArray[np.int32]:
        """The state after every token, ``int32 [V]``; FOUND also for tokens that the lexer refuses.

        A tail is not read."""
        trie, ids = self._tries[mode], self._token_ids[mode]
        at = self._full(mode, state)
        nodes = trie.token_node
        whole = np.where(trie.symbol[nodes] < self._n_symbols, nodes, trie.parent[nodes])
        after = np.zeros(self._size, np.int32)
        after[ids] = at[whole]
        return after

    def at_nodes(self, mode: str, state: int, nodes: NDArray[np.int64]) -> NDArray[np.int32]:
        """The state at each of the trie's nodes; FOUND for node -1."""
        return np.where(nodes >= 0, self._full(mode, state)[nodes], FOUND).astype(np.int32)

    def whole_nodes(self, mode: str, token_ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
        """The node where each token ends, an unfinished character left out (-1 where the lexer refuses the token);
        and the number of nodes."""
        trie = self._tries[mode]
        nodes = trie.token_node
        whole = np.where(trie.symbol[nodes] < self._n_symbols, nodes, trie.parent[nodes])
        of_token = np.full(self._size, -1, np.int64)
        of_token[self._token_ids[mode]] = whole
        return of_token[token_ids], trie.n

    def differing(self, state: int, other: int, symbols: NDArray[np.int64]) -> list[int]:
        """Those of the symbols that lead the two states to different ones."""
        found: list[int] = symbols[self._row(state)[symbols] != self._row(other)[symbols]].tolist()
        return found

    def apart_at(self, mode: str, state: int) -> tuple[Ints, NDArray[np.int32]]:
        """The nodes where a state stands apart from its reference, alive, and the states there."""
        _, nodes, own = self._difference(mode, state, self.automaton.reference(state))
        return np.concatenate(([0], nodes)).astype(np.int32), np.concatenate(([state], own)).astype(np.int32)

    def _reference_row(self, mode: str, reference: int) -> Row:
        row = self._base.get((mode, reference))
        if row is None:
            trie, ids = self._tries[mode], self._token_ids[mode]
            at = self._full(mode, reference)[trie.token_node]
            row = self._base[mode, reference] = self._pack(ids[at != FOUND])
            self._base_bytes += row.nbytes
        return row

    def _pack(self, allowed_ids: Ints) -> Row:
        bits = np.zeros(-(-self._size // 32) * 32, bool)
        bits[allowed_ids] = True
        bits[self._free_ids] = True
        return np.packbits(bits, bitorder="little").view(np.int32)

    def row(self, mode: str, state: int) -> Row:
        """The mask of a state, ``int32 [ceil(V/32)]``, bit 1 = survives. Not cached here."""
        if state == FOUND:
            return self._free
        reference = self.automaton.reference(state)
        base = self._reference_row(mode, reference)
        if state == reference:
            return base
        dead = self._difference(mode, state, reference)[0]
        if not dead:
            return base
        ids = np.concatenate(dead)
        row = base.copy()
        np.bitwise_and.at(row.view(np.uint32), ids >> 5, ~(np.uint32(1) << (ids & 31).astype(np.uint32)))
        row |= self._free
        return row

    def held_base(self, mode: str, reference: int, by_escape: bool = True) -> Row:
        """Tokens after which the escape does not free a reference, packed like a mask; without it, those after which
        the text cannot end. What holds on to the text there holds on in every state of it."""
        base = self._held_base.get((mode, reference, by_escape))
        if base is None:
            trie = self._tries[mode]
            at = self._full(mode, reference)
            at = np.where(trie.symbol < self._n_symbols, at, at[trie.parent])  # a tail is not read
            held = self._held(at, by_escape) & (at != FOUND)
            flags = np.zeros(self._size, bool)
            flags[self._token_ids[mode]] = held[trie.token_node]
            base = self._held_base[mode, reference, by_escape] = self._packed(flags)
        return base

    def held_ids(self, mode: str, state: int, by_escape: bool = True) -> Ints:
        """The tokens that :meth:`held_base` is to have, besides, for a state that stands apart from its reference."""
        if self._is_far(mode, state, len(self._escape)):
            return _NONE
        trie = self._tries[mode]
        _, nodes, own = self._difference(mode, state, self.automaton.reference(state))
        if not len(nodes):
            return _NONE
        nodes = nodes[self._held(own, by_escape)]
        first, below = trie.begin[nodes], trie.first_child[nodes]
        has_children = below < trie.first_child[nodes + 1]  # what stands before them ends at the node itself
        count = np.where(has_children, trie.begin[np.minimum(below, trie.n - 1)] - first, trie.size[nodes])
        at = np.arange(int(count.sum())) + np.repeat(first - (np.cumsum(count) - count), count)
        return trie.order[at]

    def _packed(self, flags: NDArray[np.bool_]) -> Row:
        bits = np.zeros(-(-self._size // 32) * 32, bool)
        bits[: self._size] = flags
        return np.packbits(bits, bitorder="little").view(np.int32)

    def explore(self, limit: int) -> None:
        """Build the transition rows of all states, if there are not more than ``limit``: no walk has to wait later."""
        todo = [self.automaton.start]
        seen = set(todo)
        while todo and len(seen) <= limit:
            for to in set(self._row(todo.pop())[: self._n_symbols].tolist()) - seen:
                seen.add(to)
                todo.append(to)

    def _held(self, states: NDArray[np.int32], by_escape: bool) -> NDArray[np.bool_]:
        highest, column = int(states.max(initial=0)), int(by_escape)
        if highest >= len(self._fails):
            grown = max(2 * len(self._fails), highest + 1) - len(self._fails)
            self._fails = np.concatenate([self._fails, np.full((grown, 2), -1, np.int8)])
        found = self._fails[states, column]
        if (found < 0).any():
            for state in np.unique(states[found < 0]).tolist():
                is_open = self.automaton.end_found(state)
                self._fails[state, column] = is_open or (by_escape and not self.freed_by(state, self._escape))
            found = self._fails[states, column]
        return found.astype(np.bool_)

    def _difference(self, mode: str, state: int, reference: int) -> "Difference":
        """Tokens that ``state`` forbids and its reference does not, as slices of the depth-first order; and the nodes
        (with the state there) where the two merely stand apart."""
        if self._is_far(mode, state):
            return [], _NONE, _NONE
        last_key, last = self._last  # read once: another thread may put its own there
        if last_key == (mode, state):
            return last
        trie = self._tries[mode]
        dead: list[Ints] = []
        apart: list[tuple[Ints, NDArray[np.int32]]] = []
        nodes = np.zeros(1, np.int64)
        mine, other = np.array([state], np.int32), np.array([reference], np.int32)
        depth = 0
        few = self.automaton.hot(state) is not None  # symbols that matter, at any node: an array of all would cost more
        while not few and (len(nodes) > NARROW or (len(nodes) and depth < 2)):
            depth += 1
            first = trie.first_child[nodes]
            count = trie.first_child[nodes + 1] - first
            who = np.repeat(np.arange(len(nodes)), count)
            child = np.arange(len(who)) + np.repeat(first - (np.cumsum(count) - count), count)
            symbol = trie.symbol[child]
            a, b = self._go(mine[who], symbol), self._go(other[who], symbol)
            differ = a != b
            child, a, b = child[differ], a[differ], b[differ]
            found = a == FOUND
            for node in child[found].tolist():
                dead.append(trie.order[trie.begin[node] : trie.begin[node] + trie.size[node]])
            inner = ~found & (symbol[differ] < self._n_symbols)
            nodes, mine, other = child[inner], a[inner], b[inner]
            apart.append((nodes.astype(np.int32), mine))
        todo = list(zip(nodes.tolist(), mine.tolist(), other.tolist(), strict=True))
        apart.append(self._difference_narrow(trie, todo, dead))
        result = (dead, np.concatenate([n for n, _ in apart]), np.concatenate([own for _, own in apart]))
        self._last = ((mode, state), result)
        return result

    def _difference_narrow(
        self, trie: TokenTrie, todo: list[tuple[int, int, int]], dead: list[Ints]
    ) -> tuple[Ints, NDArray[np.int32]]:
        """The same walk node by node: where few nodes are open (a run of spaces, a long word), or few symbols matter
        (those that a phrase goes on with), arrays cost more."""
        n_symbols = self._n_symbols
        children, labels = trie.first_child.data, trie.symbol.data
        nodes: list[int] = []
        own: list[int] = []
        while todo:
            node, mine, other = todo.pop()
            first, last = children[node], children[node + 1]
            if first == last:  # a row that nothing reads is not built
                continue
            for child, a, b in self._moves(labels, first, last, mine, other):
                if not a:
                    dead.append(trie.order[trie.begin[child] : trie.begin[child] + trie.size[child]])
                elif labels[child] < n_symbols:
                    nodes.append(child)
                    own.append(a)
                    todo.append((child, a, b))
        return np.array(nodes, np.int32), np.array(own, np.int32)

    def _moves(self, labels: Sequence[int], first: int, last: int, mine: int, other: int) -> list[tuple[int, int, int]]:
        """The children of a node, from ``first`` on, where two states move apart, and where both are there."""
        found: list[tuple[int, int, int]] = []
        if (mine, other) in self._parting:
            parting = self._parting[mine, other]
        else:
            parting = self._parting[mine, other] = self._parting_of(mine, other)
        if parting is not None:
            for symbol, a, b in parting:
                child = bisect_left(labels, symbol, first, last)
                if child < last and labels[child] == symbol:
                    found.append((child, a, b))
            if labels[last - 1] < self._n_symbols:
                return found
            first = bisect_left(labels, self._n_symbols, first, last)  # what is left are unfinished characters
        mine_after, other_after = self._row(mine).data, self._row(other).data
        for child in range(first, last):
            a, b = mine_after[labels[child]], other_after[labels[child]]
            if a != b:
                found.append((child, a, b))
        return found

    def _parting_of(self, mine: int, other: int) -> Parting | None:
        """The few symbols that lead two states to different ones, and these; None where any symbol may."""
        hot = self.automaton.hot(mine)
        if hot is None:
            return None
        step = self.automaton.step
        moves = ((symbol, step(mine, symbol), step(other, symbol)) for symbol in hot)
        return tuple((symbol, a, b) for symbol, a, b in moves if a != b)


def tails_of(
    completions: Sequence[Sequence[tuple[int, ...]]], is_harmless: Callable[[frozenset[tuple[int, ...]]], bool]
) -> Tails:
    """Group tails by what they can become. A tail is harmless if it can become nothing, or if ``is_harmless`` says
    that among its completions one survives in every state."""
    column = np.full(len(completions), -1, np.int32)
    kinds: dict[frozenset[tuple[int, ...]], int] = {}
    for i, strings in enumerate(completions):
        possible = frozenset(strings)
        if () in possible or is_harmless(possible):
            continue
        column[i] = kinds.setdefault(possible, len(kinds))
    ordered = tuple(tuple(sorted(kind, key=lambda s: (len(s), s))) for kind in kinds)
    return Tails(column, ordered)
