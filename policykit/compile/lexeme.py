"""Terminals as deterministic automata over joint symbols, and what the longest-match rule makes of two of them.

Source of the determinisation: Rabin and Scott, "Finite automata and their decision problems", 1959.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import assert_never

from policykit.automata.nfa import Nfa, close
from policykit.compile.symbols import Budget, OverBudget
from policykit.ir.regex import Alternation, Assertion, Chars, Concat, Empty, Regex, Repeat


@dataclass(frozen=True, slots=True)
class Lexeme:
    """State 0 is the start; every other state is reachable, and from every state but 0 some word can be finished.

    ``onward[s]`` maps joint symbols to states, ``ends[s]`` says whether a word ends at s.
    """

    name: str
    onward: tuple[dict[int, int], ...]
    ends: tuple[bool, ...]

    @property
    def nullable(self) -> bool:
        return self.ends[0]


def written_out(regex: Regex) -> int:
    """Characters of the expression once repetitions are written out. Assertions count as one."""
    match regex:
        case Empty():
            return 0
        case Chars() | Assertion():
            return 1
        case Concat(items) | Alternation(items):
            return sum(map(written_out, items))
        case Repeat(item, least, most):
            return written_out(item) * max(least + 1 if most is None else most, 1)
        case _:
            assert_never(regex)


def classes_read(nfa: Nfa) -> frozenset[int]:
    """Classes on which some edge is labelled."""
    return frozenset[int]().union(*(classes for row in nfa.edges for classes, _ in row))


def determinise(name: str, nfa: Nfa, classes: Sequence[int], limit: int) -> Lexeme:
    """The terminal over joint symbols; ``classes[a]`` is the class of symbol a in the terminal's alphabet.

    Raises:
        OverBudget: more than ``limit`` states.
    """
    spelled: dict[int, list[int]] = {}
    for symbol, label in enumerate(classes):
        spelled.setdefault(label, []).append(symbol)
    first = frozenset(close(nfa, {nfa.start}))
    number = {first: 0}
    subsets = [first]
    onward: list[dict[int, int]] = []
    for subset in subsets:  # grows while it is read
        targets: dict[int, set[int]] = {}
        for state in subset:
            for labels, to in nfa.edges[state]:
                for label in labels:
                    targets.setdefault(label, set()).add(to)
        row: dict[int, int] = {}
        for label, reached in targets.items():
            after = frozenset(close(nfa, reached))
            if after not in number:
                if len(subsets) >= limit:
                    raise OverBudget
                number[after] = len(subsets)
                subsets.append(after)
            row.update(dict.fromkeys(spelled.get(label, ()), number[after]))
        onward.append(row)
    return _trimmed(name, onward, [nfa.final in subset for subset in subsets])


def _trimmed(name: str, onward: list[dict[int, int]], ends: list[bool]) -> Lexeme:
    """Without the states from which no word can be finished (but for the start)."""
    sources: list[set[int]] = [set() for _ in onward]
    for state, row in enumerate(onward):
        for to in row.values():
            sources[to].add(state)
    live = {state for state, end in enumerate(ends) if end}
    todo = list(live)
    while todo:
        new = sources[todo.pop()] - live
        live |= new
        todo += new
    kept = sorted(live | {0})
    number = {state: i for i, state in enumerate(kept)}
    rows = tuple({a: number[to] for a, to in onward[state].items() if to in live} for state in kept)
    return Lexeme(name, rows, tuple(ends[state] for state in kept))


@dataclass(frozen=True, slots=True)
class Overlap:
    """Of two terminals that the engine looks for at one point: a bit set of ``swallowed`` symbols, with which some word
    of the first goes on as the beginning of a word of the second, and whether they share a word."""

    swallowed: int
    share_word: bool


def overlap(ended: Lexeme, longer: Lexeme, budget: Budget) -> Overlap:
    """What the longest-match rule can take away from ``ended``. Lexemes are never empty. Raises OverBudget."""
    swallowed, share_word = 0, False
    seen: set[tuple[int, int]] = set()
    todo = [(0, 0)]
    while todo:
        p, q = todo.pop()
        rows, others = ended.onward[p], longer.onward[q]
        common = [symbol for symbol in rows if symbol in others]
        for pair in {(rows[symbol], others[symbol]) for symbol in common} - seen:
            budget.spend()
            seen.add(pair)
            todo.append(pair)
    for p, q in seen:
        if ended.ends[p]:
            share_word |= longer.ends[q]
            swallowed |= bits(longer.onward[q])
    return Overlap(swallowed, share_word)


def bits(symbols: Iterable[int]) -> int:
    """A bit set."""
    found = 0
    for symbol in symbols:
        found |= 1 << symbol
    return found
