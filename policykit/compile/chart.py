"""Every pair of grammar item and policy state that some text reaches, tabulated top-down.

Intersecting a context-free grammar with an automaton: Bar-Hillel, Perles and Shamir, "On formal properties of simple
phrase structure grammars", 1961; tabulated from the start as in Earley deduction (Pereira and Warren, "Parsing as
deduction", 1983): a *call* is a nonterminal entered in a policy state, its *results* are the states it is left in.
"""

from dataclasses import dataclass, field

from policykit.compile.symbols import Budget
from policykit.compile.words import Word, Words


@dataclass(eq=False, slots=True)
class Call:
    """A nonterminal entered in some policy state. ``finished[q]`` are its complete items in state q."""

    head: int
    items: list["Item"] = field(default_factory=list["Item"])
    finished: dict[int, list["Item"]] = field(default_factory=dict[int, list["Item"]])
    waiting: list["Item"] = field(default_factory=list["Item"])


@dataclass(eq=False, slots=True)
class Item:
    """A dotted production of a call, with the policy state at the dot.

    ``callee`` is what stands after the dot (None: the item is complete), ``onward[q]`` the item behind a result of it,
    ``sources`` the items before, each with the result that led here.
    """

    call: Call
    rule: int
    dot: int
    state: int
    callee: "Call | Word | None" = None
    onward: dict[int, "Item"] = field(default_factory=dict[int, "Item"])
    sources: list[tuple["Item", int]] = field(default_factory=list[tuple["Item", int]])


class Chart:
    """The tabulation, complete once built. Raises OverBudget while it is built."""

    def __init__(self, words: Words, budget: Budget) -> None:
        self.items: list[Item] = []
        self._words = words
        self._grammar = words.grammar
        self._budget = budget
        self._calls: dict[tuple[int, int], Call] = {}
        self._by_place: dict[tuple[int, int, int, int], Item] = {}
        self._todo: list[Item] = []
        self.start = self._enter(0, words.policies.start)
        while self._todo:
            self._read(self._todo.pop())

    def _enter(self, head: int, state: int) -> Call:
        state = self._words.entering(head, state)
        call = self._calls.get((head, state))
        if call is None:
            self._budget.spend()
            call = self._calls[head, state] = Call(head)
            for rule in self._grammar.of_head[head]:
                self._item(call, rule, 0, state)
        return call

    def _item(self, call: Call, rule: int, dot: int, state: int) -> Item:
        state = self._words.at_dot(rule, dot, state)
        key = id(call), rule, dot, state
        item = self._by_place.get(key)
        if item is None:
            self._budget.spend()
            item = self._by_place[key] = Item(call, rule, dot, state)
            call.items.append(item)
            self.items.append(item)
            self._todo.append(item)
        return item

    def _read(self, item: Item) -> None:
        """Look at what stands after the dot of a new item."""
        body = self._grammar.rules[item.rule].body
        if item.dot == len(body):
            self._finish(item)
        elif body[item.dot].is_lexeme:
            item.callee = word = self._words.word(body[item.dot].index, item.state)
            for result in word.results:
                self._advance(item, result)
        else:
            item.callee = call = self._enter(body[item.dot].index, item.state)
            call.waiting.append(item)
            for result in list(call.finished):
                self._advance(item, result)

    def _finish(self, item: Item) -> None:
        finished = item.call.finished
        if item.state in finished:
            finished[item.state].append(item)
            return
        finished[item.state] = [item]
        for waiting in list(item.call.waiting):
            self._advance(waiting, item.state)

    def _advance(self, item: Item, result: int) -> None:
        if result in item.onward:
            return
        to = item.onward[result] = self._item(item.call, item.rule, item.dot + 1, result)
        to.sources.append((item, result))
