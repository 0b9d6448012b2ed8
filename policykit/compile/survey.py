"""A quick proof that nothing traps, in which a nonterminal does not remember where it was entered.

The exact tabulation keeps, for every state in which a nonterminal is entered, all states in which it is left: after a
free word under a hundred phrases that is a hundred times a hundred. Here every leaving state goes to every place behind
the nonterminal, so there is one *spot* per dotted production and policy state; more is thought reachable than is. A
proof stays a proof: what is asked for is not one way to leave, but one that every place behind can go on from.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from policykit.compile.symbols import Budget
from policykit.compile.words import Word, Words

Ways: TypeAlias = set[tuple[int, int]]
"""Nonterminals, each with a policy state in which it is left."""


@dataclass(eq=False, slots=True)
class Spot:
    """A dotted production in a policy state. ``sources`` are the spots that may go on here without leaving anything:
    over a terminal, or by entering a nonterminal at the beginning of this production."""

    rule: int
    dot: int
    state: int
    word: Word | None = None
    onward: "dict[int, Spot]" = field(default_factory=dict[int, "Spot"])
    sources: "list[Spot]" = field(default_factory=list["Spot"])


class Survey:
    """All spots, complete once built. Raises OverBudget while it is built."""

    def __init__(self, words: Words, budget: Budget) -> None:
        self._words = words
        self._grammar = words.grammar
        self._budget = budget
        n = len(self._grammar.of_head)
        self._behind: list[dict[tuple[int, int], None]] = [{} for _ in range(n)]
        self._left: list[dict[int, list[Spot]]] = [{} for _ in range(n)]
        self._after: dict[tuple[int, int], list[Spot]] = {}
        self._spots: dict[tuple[int, int, int], Spot] = {}
        self._todo: list[Spot] = []
        self._begin = self._enter(0, words.policies.start)
        while self._todo:
            self._read(self._todo.pop())

    def _spot(self, rule: int, dot: int, state: int) -> Spot:
        state = self._words.at_dot(rule, dot, state)
        spot = self._spots.get((rule, dot, state))
        if spot is None:
            self._budget.spend()
            spot = self._spots[rule, dot, state] = Spot(rule, dot, state)
            self._todo.append(spot)
        return spot

    def _enter(self, head: int, state: int) -> list[Spot]:
        state = self._words.entering(head, state)
        return [self._spot(rule, 0, state) for rule in self._grammar.of_head[head]]

    def _read(self, spot: Spot) -> None:
        rule = self._grammar.rules[spot.rule]
        if spot.dot == len(rule.body):
            self._leave(rule.head, spot)
            return
        part = rule.body[spot.dot]
        if part.is_lexeme:
            spot.word = self._words.word(part.index, spot.state)
            for result in spot.word.results:
                spot.onward[result] = to = self._spot(spot.rule, spot.dot + 1, result)
                to.sources.append(spot)
            return
        for begin in self._enter(part.index, spot.state):
            begin.sources.append(spot)
        behind = spot.rule, spot.dot + 1
        if behind not in self._behind[part.index]:
            self._behind[part.index][behind] = None
            for state in list(self._left[part.index]):
                self._pass_on(part.index, state, behind)

    def _leave(self, head: int, spot: Spot) -> None:
        if spot.state in self._left[head]:
            self._left[head][spot.state].append(spot)
            return
        self._left[head][spot.state] = [spot]
        for behind in list(self._behind[head]):
            self._pass_on(head, spot.state, behind)

    def _pass_on(self, head: int, state: int, behind: tuple[int, int]) -> None:
        self._after.setdefault((head, state), []).append(self._spot(*behind, state))

    # -- the proof ---------------------------------------------------------------------------------------------

    def never_traps(self) -> bool:
        """Whether every place behind a character leads to a spot from which the text can be finished.

        Looks for ways to leave nonterminals such that every place behind one can go on to another. The first look
        takes no heed of circles and so keeps all ways that there can be; the second counts steps, and decides.
        """
        may_end = self._words.policies.may_end
        ways = {(head, state) for head, left in enumerate(self._left) for state in left if head or may_end(state)}
        ways, _ = self._stable(ways, self._connected)
        _, finishing = self._stable(ways, self._finishing)
        return not finishing.isdisjoint(self._begin) and all(
            spot.word is None
            or spot.word.always_leaves({result for result, to in spot.onward.items() if to in finishing})
            for spot in self._spots.values()
        )

    def _stable(self, ways: Ways, reach: Callable[[Ways], set[Spot]]) -> tuple[Ways, set[Spot]]:
        """Fewer ways, such that every place behind one is reached."""
        while True:
            reached = reach(ways)
            kept = {way for way in ways if reached.issuperset(self._after.get(way, ()))}
            if kept == ways:
                return ways, reached
            ways = kept

    def _connected(self, ways: Ways) -> set[Spot]:
        """The spots that lead to the end of their production in one of these ways, if it takes for ever."""
        todo = [spot for head, state in ways for spot in self._left[head][state]]
        found = set(todo)
        while todo:
            new = [source for source in todo.pop().sources if source not in found]
            found.update(new)
            todo += new
        return found

    def _finishing(self, ways: Ways) -> set[Spot]:
        """The spots that can reach the end of their production in one of these ways, in finitely many steps.

        A nonterminal is passed once some way through it is known and *all* places that its ways lead to are: which
        way belongs to which entry is what a survey does not keep.
        """
        blocked: dict[tuple[int, int], set[Spot]] = {}
        for way in ways:
            for spot in self._after.get(way, ()):
                blocked.setdefault((spot.rule, spot.dot), set()).add(spot)
        found: set[Spot] = set()
        passable: dict[tuple[int, int], list[Spot]] = {}
        todo = [spot for head, state in ways for spot in self._left[head][state]]
        while todo:
            spot = todo.pop()
            if spot in found:
                continue
            found.add(spot)
            for source in spot.sources:
                behind = source.rule, source.dot + 1
                if source.word is not None or not blocked[behind]:
                    todo.append(source)
                else:
                    passable.setdefault(behind, []).append(source)
            here = blocked.get((spot.rule, spot.dot), set())
            here.discard(spot)
            if not here:
                todo += passable.pop((spot.rule, spot.dot), [])
        return found
