"""Some of the ways to finish a character, as bits: which of them keep all automata alive, for all tokens at once.

For a token that ends inside a character each automaton answers with a set of completions, and the sets are
intersected: for the state of a base once, and for an automaton that stands apart only where its trie walk differs from
that of its reference.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from policykit.constraint.binding import Binding
from policykit.constraint.images import cut
from policykit.constraint.joint import Joint, RowCache
from policykit.constraint.openings import SET_BYTES, Bits, Openings
from policykit.constraint.trie import Ints
from policykit.constraint.unit import Unit

What: TypeAlias = bytes | tuple[str, ...]
"""What is unfinished: the bytes of a character, or a JSON escape (the lexers' modes)."""
Option: TypeAlias = tuple[tuple[int, ...], ...]
"""One completion, as class strings per group."""
_NONE = np.zeros(0, np.int32)


@dataclass(frozen=True, eq=False)
class Ends:
    """The tokens that end inside a character in one combination of lexer modes: ``ids [n]``; token i is in the middle
    of ``begun[which[i]]``."""

    ids: NDArray[np.int64]
    begun: tuple[What, ...]
    which: NDArray[np.int64]

    @cached_property
    def in_bytes(self) -> NDArray[np.bool_]:
        """Whether it is the bytes of a character that each of them ends inside."""
        return np.array([isinstance(what, bytes) for what in self.begun], np.bool_)[self.which]


@dataclass(frozen=True, eq=False)
class Places:
    """Where a unit stands after each of the tokens, the unfinished character left out: ``nodes [n]`` of its trie (-1:
    the lexer refuses the token). The tokens of node x are ``order[start[x]:start[x + 1]]``."""

    nodes: NDArray[np.int64]
    order: Ints
    start: Ints


class Endings:
    """Where tokens end inside a character, and where the automata of one generation stand there."""

    def __init__(self, binding: Binding, units: Sequence[Unit]) -> None:
        self.binding = binding
        self.units = units
        self._ends: dict[tuple[str, ...], Ends] = {}
        self._places: dict[tuple[int, tuple[str, ...]], Places] = {}
        self._references: dict[tuple[int, tuple[str, ...], int], NDArray[np.int32]] = {}

    def options(self, what: What) -> list[Option]:
        """What it can become."""
        return self.binding.completions_of(what) if isinstance(what, bytes) else self.binding.endings_of(what)

    def in_modes(self, modes: tuple[str, ...]) -> Ends:
        """The tokens that end inside a character in these lexer modes."""
        known = self._ends.get(modes)
        if known is None:
            pieces = cut(self.binding.vocabulary)
            found: set[int] = set(np.array(pieces.ids, np.int64)[pieces.tail_of >= 0].tolist())
            for group, scope in self.binding.scope_of_group:
                listed = group.trie(modes[scope])[1]
                found.update(listed.token_ids[listed.tail_of >= len(pieces.tails)].tolist())
            ids = sorted(found)
            begun: dict[What, int] = {}
            which: list[int] = []
            for token_id in ids:
                tail, after = self.binding.ends_of(modes, token_id)
                which.append(begun.setdefault(tail or after, len(begun)))
            known = self._ends[modes] = Ends(np.array(ids, np.int64), tuple(begun), np.array(which, np.int64))
        return known

    def places(self, i: int, modes: tuple[str, ...]) -> Places:
        """Where the i-th unit stands after each of the tokens."""
        known = self._places.get((i, modes))
        if known is None:
            nodes, n = self.units[i].whole_nodes(modes[self.binding.scope_of[i]], self.in_modes(modes).ids)
            order = np.argsort(nodes, kind="stable")
            start = np.searchsorted(nodes[order], np.arange(n + 1))
            known = self._places[i, modes] = Places(nodes, order.astype(np.int32), start.astype(np.int32))
        return known

    def reference(self, i: int, modes: tuple[str, ...], state: int) -> NDArray[np.int32]:
        """Where a state that is its own reference stands after each of the tokens: every one is worked out."""
        known = self._references.get((i, modes, state))
        if known is None:
            mode = modes[self.binding.scope_of[i]]
            self.binding.group_of[i].prepare(self.units[i], mode)
            known = self.units[i].at_nodes(mode, state, self.places(i, modes).nodes)
            self._references[i, modes, state] = known
        return known


class Choice:
    """Some completions, ``options``: one bit for each. ``name`` tells choices apart in a cache that they share;
    ``options_of`` says what something can become, where that is not what the endings say. With ``may_end`` a completion
    keeps an automaton alive only if the text may end after it."""

    def __init__(
        self,
        name: str,
        endings: Endings,
        options: Sequence[Option],
        options_of: Callable[[What], Sequence[Option]] | None = None,
        *,
        may_end: bool = False,
    ) -> None:
        self._name = name
        self._may_end = may_end
        self._endings = endings
        self._options_of = options_of or endings.options
        self._binding = endings.binding
        self._numbers = {option: k for k, option in enumerate(options)}
        self._words = max(1, -(-len(options) // 64))
        self._openings: dict[int, Openings] = {}
        self._sets: list[Mapping[int, int]] = []  # of all openings: how many there are is asked for at each new mask
        self._possible: dict[tuple[str, ...], Bits] = {}
        self._bases: dict[tuple[tuple[str, ...], tuple[int, ...]], tuple[Bits, NDArray[np.bool_]]] = {}
        self._base_bytes = 0

    @property
    def n_bytes(self) -> int:
        """Memory of what grows while running: the sets of the automata's states and of the bases."""
        return SET_BYTES * sum(map(len, self._sets)) + self._base_bytes

    def completes(self, what: What, states: tuple[int, ...]) -> bool:
        """Whether one of the completions keeps all automata alive."""
        alive = self._bits_of(what)
        for i in self._binding.forbids:
            alive &= self._opening(i).bits(states[i])
        return bool(alive)

    def shut(self, joint: Joint, base: Joint, kept: RowCache) -> NDArray[np.bool_]:
        """For every token that ends inside a character, whether none of the completions keeps all automata alive.

        What its reference finds, a state finds; so a state leaves no completion open that its reference shuts, and
        the base's bits stay in force where an automaton stands apart.
        """
        bits = self._open(joint, base, kept)
        return self.shut_by_base(base) if bits is self._base(base)[0] else _empty(bits)

    def partly_shut(self, joint: Joint, base: Joint, kept: RowCache) -> NDArray[np.bool_]:
        """The same, whether one of those that the token can become does not keep them alive."""
        return (self._open(joint, base, kept) != self._possible_in(base.modes)).any(1)

    def _open(self, joint: Joint, base: Joint, kept: RowCache) -> Bits:
        less = [found for found in (self._differing(i, joint, kept) for i in joint.apart) if len(found[0])]
        bits = self._base(base)[0]
        bits = bits.copy() if less else bits
        for at, open_there in less:
            bits[at] &= open_there
        return bits

    def shut_by_base(self, base: Joint) -> NDArray[np.bool_]:
        """The same for a base."""
        return self._base(base)[1]

    def _opening(self, i: int) -> Openings:
        known = self._openings.get(i)
        if known is None:
            at = self._binding.place[i][0]
            options = [option[at] for option in self._numbers]
            known = Openings(self._endings.units[i], options, self._words, may_end=self._may_end)
            self._openings[i] = known
            self._sets.append(known.kept)
        return known

    def _bits_of(self, what: What) -> int:
        return sum(1 << self._numbers[o] for o in dict.fromkeys(self._options_of(what)) if o in self._numbers)

    def _base(self, base: Joint) -> tuple[Bits, NDArray[np.bool_]]:
        """What is open after each of the tokens, and where nothing is."""
        key = (base.modes, base.states)
        known = self._bases.get(key)
        if known is None:
            bits = self._possible_in(base.modes).copy()
            for i in self._binding.forbids:
                bits &= self._opening(i).rows(self._endings.reference(i, base.modes, base.states[i]))
            known = self._bases[key] = (bits, _empty(bits))
            self._base_bytes += bits.nbytes
        return known

    def _possible_in(self, modes: tuple[str, ...]) -> Bits:
        """``[n, words]``: what each token's character can become."""
        known = self._possible.get(modes)
        if known is None:
            ends = self._endings.in_modes(modes)
            rows = b"".join(self._bits_of(what).to_bytes(8 * self._words, "little") for what in ends.begun)
            known = self._possible[modes] = np.frombuffer(rows, np.uint64).reshape(-1, self._words)[ends.which]
        return known

    def _differing(self, i: int, joint: Joint, kept: RowCache) -> tuple[Ints, Bits]:
        """The tokens (as indices) where a state that stands apart leaves less open than its reference, and what."""
        state, modes = joint.states[i], joint.modes
        key = ("open", self._name, i, modes, state)
        row = kept.part(key)
        if row is None:
            row = self._less_open(i, modes, state)
            kept.keep_part(key, row)
        n = len(row) // (1 + 2 * self._words)
        return row[:n], row[n:].copy().view(np.uint64).reshape(-1, self._words)

    def _less_open(self, i: int, modes: tuple[str, ...], state: int) -> Ints:
        """The same in one array, since the cache keeps rows. Tokens that end at one node have all the same open."""
        unit, places, opening = self._endings.units[i], self._endings.places(i, modes), self._opening(i)
        nodes, own = unit.apart_at(modes[self._binding.scope_of[i]], state)
        first = places.start[nodes]
        count = places.start[nodes + 1] - first
        some = np.flatnonzero(count)
        if not len(some):
            return _NONE
        first, count = first[some], count[some]
        reference = self._endings.reference(i, modes, unit.automaton.reference(state))
        there: list[int] = reference[places.order[first]].tolist()
        mine = [opening.bits(at) for at in own[some].tolist()]
        less = [k for k, (bits, at) in enumerate(zip(mine, there, strict=True)) if bits != opening.bits(at)]
        if not less:
            return _NONE
        rows = np.frombuffer(b"".join(mine[k].to_bytes(8 * self._words, "little") for k in less), np.int32)
        first, count = first[less], count[less]
        at = places.order[np.arange(int(count.sum())) + np.repeat(first - (np.cumsum(count) - count), count)]
        return np.concatenate((at, np.repeat(rows.reshape(len(less), -1), count, axis=0).reshape(-1)))


def _empty(bits: Bits) -> NDArray[np.bool_]:
    return np.logical_not(np.bitwise_or.reduce(bits, 1)).astype(np.bool_)
