"""Terminals read together with the policies: the places inside them, and which policy states are told apart where.

Policy states that agree on every symbol that may come next (and on the end of the text, if it may) have one future,
so one stands for all: after a literal or a separator hundreds of states become one.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from policykit.compile.indexed import IndexedCfg, Part, members, symbol_sets
from policykit.compile.lexeme import bits
from policykit.compile.symbols import DEAD, STEPS_PER_STATE, Budget, JointSymbols, PolicyStates


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

    def always_leaves(self, exits: Collection[int]) -> bool:
        """Whether every node behind a character leads to one of these exits.

        The start does not count: who stands there has read another terminal's character, and may have other choices.
        """
        leaving = self.leading_to(exits)
        return len(leaving) == len(self.nodes) or all(to in leaving for node in self.nodes for to in node.onward or ())


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


class Words:
    """The grammar's terminals entered in policy states, made when first asked for. Every method raises OverBudget."""

    def __init__(self, grammar: IndexedCfg, symbols: JointSymbols, policies: PolicyStates, budget: Budget) -> None:
        self.grammar = grammar
        self.policies = policies
        self._budget = budget
        self._visits = Budget(STEPS_PER_STATE * budget.limit)
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
        self._nodes: dict[tuple[int, int, int], Node] = {}
        self._words: dict[Node, Word] = {}

    def _over(self, part: Part, inside: int, may_end: bool) -> int:
        """What may come next inside a part of which ``inside`` may come, and after it where it may end."""
        return inside | self._sets.follow[part] if may_end else inside

    def entering(self, head: int, state: int) -> int:
        """The state that stands for ``state`` where a nonterminal begins."""
        return self._futures.same(self._entry[head], state)

    def at_dot(self, rule: int, dot: int, state: int) -> int:
        """The state that stands for ``state`` where a production has been read up to its dot."""
        return self._futures.same(self._ahead[rule][dot], state)

    def word(self, lexeme: int, state: int) -> Word:
        """The terminal entered in a state."""
        start = self._node(lexeme, 0, state)
        word = self._words.get(start)
        if word is None:
            nodes = [start]
            seen = {start}
            for node in nodes:  # grows while it is read
                self._visits.spend()
                new = [to for to in self._onward(node) if to not in seen]
                seen.update(new)
                nodes += new
            results = dict.fromkeys(node.exit for node in nodes if node.exit is not None)
            word = self._words[start] = Word(start, tuple(nodes), tuple(results))
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
                state = self.policies.step(node.state, symbol)
                if state != DEAD:
                    node.edges[symbol] = self._node(node.lexeme, to, state)
            node.onward = tuple(dict.fromkeys(node.edges.values()))
        return node.onward
