"""The grammar without the traps: what is left of a chart once only finished, accepted texts are kept.

Rules are left-linear, "how this place is reached": an Earley parser reads them in constant time per character, where
right-linear rules complete one item per character read so far. Every rule is asked for from the accepted ends down,
and was reached when tabulating, so all are reachable and productive.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from policykit.compile.chart import Call, Chart, Item
from policykit.compile.rules import Alternative, CharacterRules, equal, lark_text, merge_equal, write_out_single
from policykit.compile.symbols import JointSymbols
from policykit.compile.words import Word


@dataclass(frozen=True, slots=True)
class _Whole:
    """The start call, left in one of these states."""

    results: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Left:
    """A part, left in one state."""

    part: Call | Word
    result: int


@dataclass(frozen=True, slots=True)
class _Reached:
    """A block of equal places in a terminal, reached from its start."""

    word: Word
    block: int


_Key: TypeAlias = _Whole | _Left | Item | _Reached
"""What a nonterminal derives; for an item, the texts from the beginning of its production to its dot."""


def emit(chart: Chart, ends: Sequence[int], symbols: JointSymbols) -> str:
    """A Lark grammar of exactly the texts of the chart that leave the start in one of ``ends`` (not empty)."""
    rules = _Emission(chart).rules(_Whole(tuple(ends)))
    return lark_text(write_out_single(merge_equal(rules)), symbols.ranges)


@dataclass(frozen=True, slots=True)
class _Automaton:
    """A terminal whose places are merged where their futures are equal. ``sources[b]`` are (block, symbols) pairs."""

    start: int
    exits: dict[int, list[int]]
    sources: list[list[tuple[int, frozenset[int]]]]


class _Emission:
    def __init__(self, chart: Chart) -> None:
        self._chart = chart
        self._numbers: dict[_Key, int] = {}
        self._fresh: list[_Key] = []
        self._classes: dict[frozenset[int], int] = {}
        self._automata: dict[Word, _Automaton] = {}

    def rules(self, whole: _Whole) -> CharacterRules:
        """The grammar of ``whole``, which is nonterminal 0."""
        self._number(whole)
        alternatives: list[list[Alternative]] = []
        words: dict[Word, dict[int, int]] = {}
        for key in self._fresh:  # grows while it is read
            if isinstance(key, _Left) and isinstance(key.part, Word):
                words.setdefault(key.part, {})[key.result] = len(alternatives)
                alternatives.append([])
            else:
                alternatives.append(self._alternatives(key))
        # Which exits of a terminal are asked for is known only now, and fewer exits merge more places.
        for word, asked in words.items():
            automaton = self._automata[word] = _merged(word, asked)
            for result, number in asked.items():
                alternatives[number] = [(self._number(_Reached(word, b)),) for b in automaton.exits[result]]
        while len(alternatives) < len(self._fresh):
            alternatives.append(self._alternatives(self._fresh[len(alternatives)]))
        return CharacterRules(tuple(map(frozenset, alternatives)), tuple(self._classes))

    def _number(self, key: _Key) -> int:
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._numbers)
            self._fresh.append(key)
        return number

    def _alternatives(self, key: _Key) -> list[Alternative]:
        match key:
            case _Whole(results):
                return [(self._number(_Left(self._chart.start, result)),) for result in results]
            case _Left(part, result):
                assert isinstance(part, Call), "terminals wait until all their exits are known"
                return [(self._number(item),) for item in part.finished[result]]
            case Item():
                return self._before(key)
            case _Reached(word, block):
                return self._steps(word, block)
            case _:
                assert_never(key)

    def _before(self, item: Item) -> list[Alternative]:
        if not item.dot:
            return [()]
        found: list[Alternative] = []
        for source, result in item.sources:
            assert source.callee is not None, "a complete item leads nowhere"
            found.append((self._number(source), self._number(_Left(source.callee, result))))
        return found

    def _steps(self, word: Word, block: int) -> list[Alternative]:
        automaton = self._automata[word]
        found: list[Alternative] = [()] if block == automaton.start else []
        for source, symbols in automaton.sources[block]:
            label = ~self._classes.setdefault(symbols, len(self._classes))
            found.append((self._number(_Reached(word, source)), label))
        return found


def _merged(word: Word, asked: Collection[int]) -> _Automaton:
    """The places from which an exit that is asked for can be reached, merged where they agree on what follows."""
    leading = word.leading_to(asked)
    nodes = [node for node in word.nodes if node in leading]  # the start stays first
    number = {node: i for i, node in enumerate(nodes)}
    futures: list[frozenset[Alternative]] = []
    for node in nodes:
        future: set[Alternative] = {(number[to], ~symbol) for symbol, to in node.edges.items() if to in number}
        if node.exit is not None and node.exit in asked:
            future.add((~node.exit,))
        futures.append(frozenset(future))
    block = equal(futures)
    exits: dict[int, dict[int, None]] = {}
    labels: list[dict[int, set[int]]] = [{} for _ in range(max(block) + 1)]
    for node, at in zip(nodes, block, strict=True):
        if node.exit is not None and node.exit in asked:
            exits.setdefault(node.exit, {})[at] = None
        for symbol, to in node.edges.items():
            if to in number:
                labels[block[number[to]]].setdefault(at, set()).add(symbol)
    sources = [[(at, frozenset(symbols)) for at, symbols in row.items()] for row in labels]
    return _Automaton(block[0], {exit: list(blocks) for exit, blocks in exits.items()}, sources)
