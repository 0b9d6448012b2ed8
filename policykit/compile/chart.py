"""Every pair of grammar item and policy state that some text reaches, tabulated top-down.

Intersecting a context-free grammar with an automaton: Bar-Hillel, Perles and Shamir, "On formal properties of simple
phrase structure grammars", 1961; tabulated from the start as in Earley deduction (Pereira and Warren, "Parsing as
deduction", 1983): a *call* is a nonterminal entered in a policy state, its *results* are the states it is left in.

Policy states that agree on every symbol that may come next (and on the end of the text, if it may) have one future,
so one stands for all: after a literal or a separator hundreds of states become one.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from policykit.compile.indexed import IndexedCfg, Part, members, symbol_sets
from policykit.compile.lexeme import bits
from policykit.compile.symbols import DEAD, Budget, JointSymbols, PolicyStates


@dataclass(eq=False, slots=True)
class Node:
    """State ``at`` of a terminal with a policy state. ``exit`` is the state in which the terminal is left here, if a
    word of it ends here. Edges lead over one symbol (none where a policy finds something), to the nodes ``onward``."""

    lexeme: int
    at: int
    state: int
    exit: int | None
    edges: "dict[int, Node]" = field(default_factory=dict[int, "Node"])
    onward: "tuple[Node, ...] | None" = None


@dataclass(eq=False, slots=True)
class Word:
    """A terminal entered in some policy state."""

    start: Node
    nodes: tuple[Node, ...]
    results: tuple[int, ...]

    def leading_to(self, exits: Collection[int]) -> set[Node]:
        """The nodes from which one of these exits can be reached."""
        sources: dict[Node, list[Node]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for to in node.onward or ():
                sources[to].append(node)
        todo = [node for node in self.nodes if node.exit in exits]
        found = set(todo)
        while todo:
            new = [source for source in sources[todo.pop()] if source not in found]
            found.update(new)
            todo += new
        return found


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


class Futures:
    """Which policy states have the same future where only some symbols can come next."""

    def __init__(self, policies: PolicyStates, n_symbols: int) -> None:
        self._policies = policies
        self._n_symbols = n_symbols
        self._kinds: dict[int, tuple[list[int], bool, dict[tuple[int, ...], int], dict[int, int]]] = {}

    def same(self, ahead: int, state: int) -> int:
        """The state that stands for ``state`` where ``ahead`` is the bit set of what may come next."""
        kind = self._kinds.get(ahead)
        if kind is None:
            symbols = members(ahead & ((1 << self._n_symbols) - 1))
            kind = self._kinds[ahead] = (symbols, bool(ahead >> self._n_symbols), {}, {})
        symbols, may_end, by_future, known = kind
        found = known.get(state)
        if found is None:
            step = self._policies.step
            future = [step(state, symbol) for symbol in symbols]
            if may_end:
                future.append(self._policies.may_end(state))
            found = known[state] = by_future.setdefault(tuple(future), state)
        return found


class Chart:
    """The tabulation, complete once built. Raises OverBudget while it is built."""

    def __init__(self, grammar: IndexedCfg, symbols: JointSymbols, policies: PolicyStates, budget: Budget) -> None:
        self.grammar = grammar
        self.items: list[Item] = []
        self.words: list[Word] = []
        self._policies = policies
        self._budget = budget
        self._sets = symbol_sets(grammar, symbols.n)
        self._futures = Futures(policies, symbols.n)
        self._ahead = [
            [self._sets.ahead(rule.body[dot:], Part(False, rule.head)) for dot in range(len(rule.body) + 1)]
            for rule in grammar.rules
        ]
        self._inside = [
            [self._over(Part(True, i), bits(row), end) for row, end in zip(lexeme.onward, lexeme.ends, strict=True)]
            for i, lexeme in enumerate(grammar.lexemes)
        ]
        nonterminals = [Part(False, x) for x in range(len(grammar.of_head))]
        self._entry = [self._over(x, self._sets.first[x], x in self._sets.nullable) for x in nonterminals]
        self._calls: dict[tuple[int, int], Call] = {}
        self._by_place: dict[tuple[int, int, int, int], Item] = {}
        self._nodes: dict[tuple[int, int, int], Node] = {}
        self._words: dict[Node, Word] = {}
        self._todo: list[Item] = []
        self.start = self._enter(0, policies.start)
        while self._todo:
            self._read(self._todo.pop())

    def _over(self, part: Part, inside: int, may_end: bool) -> int:
        """What may come next inside a part of which ``inside`` may come, and after it where it may end."""
        return inside | self._sets.follow[part] if may_end else inside

    # -- nonterminals ------------------------------------------------------------------------------------------

    def _enter(self, head: int, state: int) -> Call:
        state = self._futures.same(self._entry[head], state)
        call = self._calls.get((head, state))
        if call is None:
            self._budget.spend()
            call = self._calls[head, state] = Call(head)
            for rule in self.grammar.of_head[head]:
                self._item(call, rule, 0, state)
        return call

    def _item(self, call: Call, rule: int, dot: int, state: int) -> Item:
        state = self._futures.same(self._ahead[rule][dot], state)
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
        body = self.grammar.rules[item.rule].body
        if item.dot == len(body):
            self._finish(item)
        elif body[item.dot].is_lexeme:
            item.callee = word = self._word(body[item.dot].index, item.state)
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

    # -- terminals ---------------------------------------------------------------------------------------------

    def _word(self, lexeme: int, state: int) -> Word:
        start = self._node(lexeme, 0, state)
        word = self._words.get(start)
        if word is None:
            nodes = [start]
            seen = {start}
            for node in nodes:  # grows while it is read
                new = [to for to in self._onward(node) if to not in seen]
                seen.update(new)
                nodes += new
            results = dict.fromkeys(node.exit for node in nodes if node.exit is not None)
            word = self._words[start] = Word(start, tuple(nodes), tuple(results))
            self.words.append(word)
        return word

    def _node(self, lexeme: int, at: int, state: int) -> Node:
        state = self._futures.same(self._inside[lexeme][at], state)
        node = self._nodes.get((lexeme, at, state))
        if node is None:
            self._budget.spend()
            ends = self.grammar.lexemes[lexeme].ends[at]
            left = self._futures.same(self._sets.follow[Part(True, lexeme)], state) if ends else None
            node = self._nodes[lexeme, at, state] = Node(lexeme, at, state, left)
        return node

    def _onward(self, node: Node) -> tuple[Node, ...]:
        if node.onward is None:
            for symbol, to in self.grammar.lexemes[node.lexeme].onward[node.at].items():
                state = self._policies.step(node.state, symbol)
                if state != DEAD:
                    node.edges[symbol] = self._node(node.lexeme, to, state)
            node.onward = tuple(dict.fromkeys(node.edges.values()))
        return node.onward
