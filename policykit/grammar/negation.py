"""An expression for the texts in which none of some is found, by way of automata (Brzozowski, McCluskey)."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Final

from policykit.automata import parse_regex
from policykit.diagnostics import Place, PolicyError
from policykit.grammar.class_notation import ANYTHING, for_the_analysis
from policykit.grammar.positions import Positions, TooLarge, positions
from policykit.ir.regex import (
    MAX_CODE_POINT,
    Alternation,
    Assertion,
    Chars,
    Concat,
    Empty,
    Look,
    Ranges,
    Regex,
    Repeat,
    ranges_of,
)

MAX_STATES: Final = 64
MAX_CHARACTERS: Final = 4_000
MAX_BRANCHES: Final = 64
_NOWHERE: Final = Place("<pattern>")
_ANYTHING: Final = Repeat(Chars(literal=((0, MAX_CODE_POINT),)), 0, None)
_Dfa = tuple[list[dict[int, list[int]]], list[bool]]
"""For each state the classes of characters by where they lead, and whether a text may end there."""


@lru_cache(maxsize=256)
def not_found(patterns: tuple[str, ...]) -> str | None:
    """A pattern, in the syntax of the masking engine, of the texts in which none of these is found; None where it would
    be large, or where one of them is not understood. What it calls a text is never more than that, and never less."""
    try:
        branches = list(chain.from_iterable(_branches(_read(pattern)) for pattern in patterns))
        if len(branches) > MAX_BRANCHES:
            return None
        automaton = positions(Alternation(tuple(map(_searched, branches))))
        cuts = _cuts(automaton)
        onward, ends = _minimal(*_determinised(automaton, [low for low, _ in cuts]))
        return f"^(?:{_expression(onward, [not end for end in ends], cuts)})$"
    except (PolicyError, TooLarge, _NotPlain):
        return None


class _NotPlain(Exception):
    """An assertion within an expression, or no text at all."""


def _read(pattern: str) -> Regex:
    return parse_regex(for_the_analysis(pattern), _NOWHERE)


def _branches(regex: Regex) -> Iterator[tuple[Regex, ...]]:
    """The alternatives of an expression, as far as these stand at its beginning or at its end."""
    items = list(_flat(regex))
    for at in (0, len(items) - 1):
        if items and isinstance(found := items[at], Alternation) and _has_assertion(found):
            for one in found.items:
                yield from _branches(Concat((*items[:at], one, *items[at + 1 :])))
            return
    yield tuple(items)


def _flat(regex: Regex) -> Iterator[Regex]:
    match regex:
        case Concat(items):
            yield from chain.from_iterable(map(_flat, items))
        case Empty():
            pass
        case _:
            # a start before a start, an end behind an end: once
            yield regex


def _has_assertion(regex: Regex) -> bool:
    match regex:
        case Assertion():
            return True
        case Concat(items) | Alternation(items):
            return any(map(_has_assertion, items))
        case Repeat(item):
            return _has_assertion(item)
        case _:
            return False


def _searched(items: Sequence[Regex]) -> Regex:
    first, last = 0, len(items)
    while first < last and items[first] == Assertion(Look.TEXT_START):
        first += 1
    while last > first and items[last - 1] == Assertion(Look.TEXT_END):
        last -= 1
    inner = items[first:last]
    if any(map(_has_assertion, inner)):
        raise _NotPlain
    return Concat((*(() if first else (_ANYTHING,)), *inner, *(() if last < len(items) else (_ANYTHING,))))


def _cuts(automaton: Positions) -> list[tuple[int, int]]:
    """The coarsest intervals of code points that no position tells apart."""
    edges = sorted({0, *(edge for ranges in automaton.ranges for low, high in ranges for edge in (low, high + 1))})
    inner = [edge for edge in edges if edge <= MAX_CODE_POINT]
    return [(low, high - 1) for low, high in zip(inner, [*inner[1:], MAX_CODE_POINT + 1], strict=True)]


def _determinised(automaton: Positions, symbols: Sequence[int]) -> _Dfa:
    reads = [[any(low <= symbol <= high for low, high in ranges) for symbol in symbols] for ranges in automaton.ranges]
    start: tuple[bool, frozenset[int]] = (automaton.nullable, automaton.first)
    numbers: dict[tuple[bool, frozenset[int]], int] = {start: 0}
    onward: list[dict[int, list[int]]] = []
    ends: list[bool] = []
    for is_end, next_positions in (order := [start]):
        ends.append(is_end)
        leads: dict[int, list[int]] = {}
        for symbol in range(len(symbols)):
            reached = [p for p in next_positions if reads[p][symbol]]
            follow = frozenset[int]().union(*(automaton.follow[p] for p in reached))
            state = (not automaton.last.isdisjoint(reached), follow)
            if state not in numbers:
                if len(order) == 4 * MAX_STATES:
                    raise TooLarge
                numbers[state] = len(order)
                order.append(state)
            leads.setdefault(numbers[state], []).append(symbol)
        onward.append(leads)
    return onward, ends


def _minimal(onward: Sequence[Mapping[int, list[int]]], ends: Sequence[bool]) -> _Dfa:
    """States that no text tells apart are one (Moore); the first one stays the first."""
    block = [int(end) for end in ends]
    while True:
        signs = [
            (block[state], tuple(sorted((s, block[to]) for to, read in leads.items() for s in read)))
            for state, leads in enumerate(onward)
        ]
        names: dict[object, int] = {}
        found = [names.setdefault(sign, len(names)) for sign in signs]
        if len(names) == len(set(block)):
            break
        block = found
    firsts = {number: state for state, number in reversed(list(enumerate(found)))}
    if len(firsts) > MAX_STATES:
        raise TooLarge
    merged: list[dict[int, list[int]]] = []
    for number in range(len(firsts)):
        leads: dict[int, list[int]] = {}
        for to, read in onward[firsts[number]].items():
            leads.setdefault(found[to], []).extend(read)
        merged.append(leads)
    return merged, [ends[firsts[number]] for number in range(len(firsts))]


def _expression(
    onward: Sequence[Mapping[int, list[int]]], ends: Sequence[bool], cuts: Sequence[tuple[int, int]]
) -> str:
    """The texts that lead from the first state to an end, by taking out one state after the other."""
    start, end = len(onward), len(onward) + 1
    edges: dict[tuple[int, int], str] = {(start, 0): ""}
    for state, leads in enumerate(onward):
        for to, read in leads.items():
            edges[state, to] = _class(ranges_of([cuts[symbol] for symbol in read]))
        if ends[state]:
            edges[state, end] = ""
    left = _between(edges, start, end)
    edges = {pair: label for pair, label in edges.items() if set(pair) <= left | {start, end}}
    left -= {start, end}
    while left:
        state = min(left, key=lambda s: (_cost(edges, s), s))
        left.remove(state)
        loop = edges.pop((state, state), None)
        around = "" if loop is None else f"(?:{loop})*"
        entering = [(a, label) for (a, b), label in edges.items() if b == state]
        leaving = [(b, label) for (a, b), label in edges.items() if a == state]
        edges = {pair: label for pair, label in edges.items() if state not in pair}
        for a, before in entering:
            for b, after in leaving:
                way = f"{_grouped(before)}{around}{_grouped(after)}"
                known = edges.get((a, b))
                edges[a, b] = way if known is None else f"{known}|{way}"
        if sum(map(len, edges.values())) > MAX_CHARACTERS:
            raise TooLarge
    if (start, end) not in edges:
        raise _NotPlain
    return edges[start, end]


def _cost(edges: Mapping[tuple[int, int], str], state: int) -> int:
    """How much longer everything becomes where a state is taken out."""
    entering = [len(label) for (a, b), label in edges.items() if b == state != a]
    leaving = [len(label) for (a, b), label in edges.items() if a == state != b]
    loop = len(edges.get((state, state), ""))
    return sum(entering) * len(leaving) + sum(leaving) * len(entering) + loop * len(entering) * len(leaving)


def _between(edges: Mapping[tuple[int, int], str], start: int, end: int) -> set[int]:
    """The states on a way from the start to the end."""

    def reached(first: int, pairs: Sequence[tuple[int, int]]) -> set[int]:
        found, pending = {first}, [first]
        while pending:
            at = pending.pop()
            new = {b for a, b in pairs if a == at} - found
            found |= new
            pending += new
        return found

    return reached(start, list(edges)) & reached(end, [(b, a) for a, b in edges])


def _grouped(label: str) -> str:
    return f"(?:{label})" if "|" in label else label


def _class(ranges: Ranges) -> str:
    if ranges == ((0, MAX_CODE_POINT),):
        return ANYTHING
    parts = (_char(low) if low == high else f"{_char(low)}-{_char(high)}" for low, high in ranges)
    return f"[{''.join(parts)}]"


def _char(code: int) -> str:
    char = chr(code)
    return char if char.isascii() and char.isalnum() else f"\\u{{{code:x}}}"
