"""Expressions of which no single text frees all: what they let a text come to together, and where no end is left.

Each automaton by itself is trimmed: from everything that it lets a text come to there is a way to an end. Of several
each may leave a way and yet all together none. Their product says where; what leads there is forbidden like a find, by
one more automaton, so that masks, unfinished characters and proofs know of it in the way that they know of finds.
"""

from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from policykit.automata import FOUND, Automaton, PhraseAutomaton, run
from policykit.automata.alphabet import PHRASE_WORD, Alphabet
from policykit.automata.frames import InJoinedArrays, InStrings
from policykit.automata.whole import Dfa
from policykit.compile.escape import FRESH_WORDS, Escape
from policykit.compile.program import Program, UnitSpec, framed
from policykit.compile.strings import PolicyProduct
from policykit.text import view
from policykit.text.json_strings import CONTROLS

S = TypeVar("S", bound=Hashable)
MAX_TRIED = 60_000
"""Transitions tried for one product."""
MAX_NODES = 300
"""Nodes of phrases that are looked at together with the expressions; of more it is asked only whether they let out."""


@dataclass(frozen=True, eq=False)
class Together:
    """The product of some automata. ``ahead[n]`` are (character, state) of the n-th state but for finds; from those in
    ``lost`` there is no way to an end. ``chars`` spells the classes of characters, but for those written by number."""

    product: PolicyProduct
    ahead: tuple[tuple[tuple[int, int], ...], ...]
    ends: frozenset[int]
    lost: frozenset[int]
    chars: dict[int, str]

    @property
    def n(self) -> int:
        return len(self.ahead)


def explore(automata: Sequence[Automaton], *, in_json: bool) -> Together | None:
    """The product of automata of texts; None where that is too large. What a text in JSON can only write by number is
    no way to an end."""
    product = PolicyProduct(automata)
    chars = product.spelled()
    raw = np.zeros(len(product.key), np.int64)
    numbered = {own for _, own in product.only(map(ord, CONTROLS), raw)} if in_json else frozenset[int]()
    number = {product.start: 0}
    ahead: list[tuple[tuple[int, int], ...]] = []
    into: list[list[int]] = [[]]
    todo, tried = deque([product.start]), 0
    while todo:
        at = todo.popleft()
        tried += len(chars)
        if tried > MAX_TRIED:
            return None
        out: list[tuple[int, int]] = []
        for symbol, to in product.ahead(at):
            if to not in number:
                number[to] = len(into)
                into.append([])
                todo.append(to)
            out.append((symbol, number[to]))
            if symbol not in numbered:
                into[number[to]].append(len(ahead))
        ahead.append(tuple(out))
    ends = frozenset(n for state, n in number.items() if product.may_end(state))
    written = {symbol: char for symbol, char in chars.items() if symbol not in numbered}
    lost = frozenset(range(len(ahead))) - _before(ends, dict(enumerate(into)))
    return Together(product, tuple(ahead), ends, lost, written)


def _before(ends: Iterable[S], into: Mapping[S, Sequence[S]]) -> frozenset[S]:
    """What leads to an end, the ends themselves included."""
    todo = list(ends)
    found = set(todo)
    while todo:
        for source in into[todo.pop()]:
            if source not in found:
                found.add(source)
                todo.append(source)
    return frozenset(found)


def lets_out(together: Together, phrases: Sequence[PhraseAutomaton]) -> bool:
    """Whether every state from which there is a way to an end has one that completes no phrase, whatever was begun.

    A character in no phrase comes first, after which there is one state of each of them to follow.
    """
    alive = [n for n in range(together.n) if n not in together.lost]
    if not phrases:
        return True
    fresh = [word for word in FRESH_WORDS if len(word) == 1 and all(_is_fresh(p, word) for p in phrases)]
    begun: list[tuple[int, ...]] = []
    moves = [dict(out) for out in together.ahead]
    for n in alive:
        for char in fresh:
            to = moves[n].get(together.product.symbol(ord(char)))
            if to is not None and to not in together.lost:
                begun.append((to, *(run(p, p.start, _encoded(p, char)) for p in phrases)))
                break
        else:
            return False
    return _all_end(together, phrases, begun)


def _all_end(together: Together, phrases: Sequence[PhraseAutomaton], begun: Sequence[tuple[int, ...]]) -> bool:
    """Whether from all of these joint states an end is reached, by one character of each class."""
    images = {symbol: [_encoded(p, char) for p in phrases] for symbol, char in together.chars.items()}
    into: dict[tuple[int, ...], list[tuple[int, ...]]] = {state: [] for state in begun}
    todo, tried = deque(into), 0
    ends: list[tuple[int, ...]] = []
    while todo:
        at = todo.popleft()
        if at[0] in together.ends and not any(p.end_found(s) for p, s in zip(phrases, at[1:], strict=True)):
            ends.append(at)
        for symbol, n in together.ahead[at[0]]:
            if symbol not in images:
                continue
            tried += 1
            after = [run(p, s, own) for p, s, own in zip(phrases, at[1:], images[symbol], strict=True)]
            if n in together.lost or FOUND in after:
                continue
            to = (n, *after)
            if to not in into:
                into[to] = []
                todo.append(to)
            into[to].append(at)
        if tried > MAX_TRIED:
            return False
    return _before(ends, into).issuperset(begun)


def text_automaton(automaton: Automaton) -> Automaton:
    """The automaton of one text inside a frame over JSON strings."""
    return automaton.inner if isinstance(automaton, InStrings | InJoinedArrays) else automaton


def _is_fresh(automaton: PhraseAutomaton, char: str) -> bool:
    first, *more = _encoded(automaton, char)
    is_word = bool(automaton.alphabet.flags[first] & PHRASE_WORD)
    return not more and is_word and first not in automaton.trie.symbols


def _encoded(automaton: Automaton, text: str) -> list[int]:
    return automaton.alphabet.encode(automaton.alphabet.view.apply(text))


# ---- what forbids to come there


def trapping(together: Together, n_patterns: int) -> Dfa:
    """The automaton that finds something where no way to an end is left, with as few states as that takes (Moore,
    1956). A text may end anywhere: for that the others are asked."""
    n, key = together.n, together.product.key
    to = np.full((n + 1, int(key.max()) + 1), n)  # where others find something nothing is left to forbid: state n
    for state, out in enumerate(together.ahead):
        for symbol, after in out:
            to[state, symbol] = after
    group = np.ones(n + 1, np.int64)
    group[list(together.lost)] = FOUND
    n_groups = 0
    while n_groups < len(np.unique(group)):
        n_groups = len(np.unique(group))
        _, number = np.unique(np.column_stack((group, group[to])), axis=0, return_inverse=True)
        group = np.where(group == FOUND, FOUND, number.reshape(-1) + 1)
    kept, first = np.unique(np.concatenate(([group[0]], group[group != FOUND])), return_index=True)
    order = np.argsort(first)  # the start's is the first
    renamed = np.zeros(int(group.max()) + 1, np.int32)
    renamed[kept[order]] = np.arange(1, len(kept) + 1)
    table = np.zeros((len(kept) + 1, to.shape[1]), np.int32)
    table[renamed[group]] = renamed[group[to]]
    table[FOUND] = FOUND
    starts = np.concatenate(([0], np.flatnonzero(np.diff(key)) + 1))
    alphabet = Alphabet(view("raw"), starts, key[starts].astype(np.int32), (0,) * to.shape[1])
    return Dfa(alphabet, table, frozenset(range(1, len(kept) + 1)), n_patterns)


@dataclass(frozen=True, slots=True)
class Knot:
    """The escape of a plan, and what is known of the expressions that it does not free. ``units`` leave no way out of
    some states together, so that an automaton of its own forbids to come there. ``n``: from each of so many states
    there is a way to an end, also past the phrases; None: not shown, and ``escape.fragile`` are to be examined.
    Of these ``decoding`` decode escapes."""

    escape: Escape
    units: tuple[int, ...] = ()
    n: int | None = None
    decoding: tuple[int, ...] = ()


def tie(program: Program, escape: Escape) -> Knot:
    """Look at all expressions together where no text frees them all."""
    specs = [(i, spec, text_automaton(spec.make())) for i, spec in enumerate(program.units) if spec.forbids]
    plain = [item for item in specs if not item[1].admits and not item[1].joined and not item[1].unescape]
    everything = [(i, automaton) for i, _, automaton in plain]
    phrases = [automaton for _, automaton in everything if isinstance(automaton, PhraseAutomaton)]
    asked = [(i, automaton) for i, automaton in everything if not isinstance(automaton, PhraseAutomaton)]
    fragile = [(i, automaton) for i, automaton in asked if i in escape.fragile]
    scopes = {spec.within for _, spec, _ in specs}
    decoding = tuple(i for i in escape.fragile if program.units[i].unescape)
    if decoding == escape.fragile or len(scopes) != 1:  # none where no rule forbids, but some wants something
        return Knot(escape, decoding=decoding)
    in_json = scopes.pop().is_json
    is_small = sum(len(automaton.trie.final) for automaton in phrases) <= MAX_NODES
    for some in (everything if is_small else [], asked, fragile):
        together = explore([automaton for _, automaton in some], in_json=in_json) if some else None
        if together is not None:
            units = tuple(i for i, _ in some) if together.lost else ()
            past = len(some) == len(everything) or (len(some) == len(asked) and lets_out(together, phrases))
            if past and len(plain) == len(specs):
                return Knot(replace(escape, fragile=()), units, together.n)
            return Knot(escape, units, decoding=decoding)
    return Knot(escape, decoding=decoding)


def with_traps(program: Program, units: Sequence[int]) -> Program:
    """The program, and an automaton that forbids what these units of it leave no way out of."""
    if not units:
        return program
    specs = [program.units[i] for i in units]
    within = specs[0].within
    together = explore([text_automaton(spec.make()) for spec in specs], in_json=within.is_json)
    assert together is not None, "it was explored when compiling"
    owners = tuple(dict.fromkeys(owner for spec in specs for owner in spec.owners))
    places = tuple(spec.places[0] for spec in specs)
    made = trapping(together, len(owners))
    trap = UnitSpec(lambda: framed(made, within, False), "raw", within, False, owners, places, True)
    return replace(program, units=(*program.units, trap))
