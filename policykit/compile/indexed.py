"""A context-free grammar with numbers for names, and the sets that every analysis of it starts from.

Sets of symbols are bit sets in an int: bit a is joint symbol a, and the bit after the last symbol is the end of text.
FIRST and FOLLOW as in Aho and Ullman, "The Theory of Parsing, Translation, and Compiling", 1972, section 5.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from policykit.compile.lexeme import Lexeme, bits
from policykit.ir.grammar import Cfg


@dataclass(frozen=True, slots=True)
class Part:
    """A symbol of a production's body: the number of a lexeme or of a nonterminal."""

    is_lexeme: bool
    index: int


@dataclass(frozen=True, slots=True)
class Rule:
    head: int
    body: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Sets:
    """``first`` and ``nullable`` of both kinds of parts, ``follow`` likewise; the key is the part."""

    nullable: frozenset[Part]
    first: dict[Part, int]
    follow: dict[Part, int]

    def ahead(self, rest: Sequence[Part], head: Part) -> int:
        """What may come next where ``rest`` is still to be read of a production of ``head``."""
        found = 0
        for part in rest:
            found |= self.first[part]
            if part not in self.nullable:
                return found
        return found | self.follow[head]


@dataclass(frozen=True, slots=True)
class IndexedCfg:
    """Nonterminal 0 is the start. ``of_head[x]`` are the numbers of x's productions."""

    lexemes: tuple[Lexeme, ...]
    rules: tuple[Rule, ...]
    of_head: tuple[tuple[int, ...], ...]

    @property
    def parts(self) -> list[Part]:
        lexemes = [Part(True, i) for i in range(len(self.lexemes))]
        return lexemes + [Part(False, i) for i in range(len(self.of_head))]


def index(cfg: Cfg, lexemes: Sequence[Lexeme]) -> IndexedCfg:
    """The grammar over lexemes that stand in the order of ``cfg.terminals``. A name without productions has none."""
    terminals = {terminal.name: i for i, terminal in enumerate(cfg.terminals)}
    heads = {cfg.start: 0}
    rules: list[Rule] = []
    for production in cfg.productions:
        head = heads.setdefault(production.head, len(heads))
        body = tuple(
            Part(True, terminals[s.name]) if s.is_terminal else Part(False, heads.setdefault(s.name, len(heads)))
            for s in production.body
        )
        rules.append(Rule(head, body))
    of_head: list[list[int]] = [[] for _ in heads]
    for number, rule in enumerate(rules):
        of_head[rule.head].append(number)
    return IndexedCfg(tuple(lexemes), tuple(rules), tuple(map(tuple, of_head)))


def nullable_parts(grammar: IndexedCfg) -> frozenset[Part]:
    """The parts that derive the empty text."""
    found = {Part(True, i) for i, lexeme in enumerate(grammar.lexemes) if lexeme.nullable}
    size = -1
    while len(found) != size:
        size = len(found)
        found |= {Part(False, rule.head) for rule in grammar.rules if found.issuperset(rule.body)}
    return frozenset(found)


def sets_over(grammar: IndexedCfg, seeds: dict[Part, int], end: int) -> Sets:
    """FIRST and FOLLOW over any bits: ``seeds`` gives FIRST of the lexemes, ``end`` is FOLLOW of the start."""
    nullable = nullable_parts(grammar)
    first = dict.fromkeys(grammar.parts, 0) | seeds
    changed = True
    while changed:
        changed = False
        for rule in grammar.rules:
            head = Part(False, rule.head)
            found = first[head]
            for part in rule.body:
                found |= first[part]
                if part not in nullable:
                    break
            changed |= found != first[head]
            first[head] = found
    follow = dict.fromkeys(grammar.parts, 0) | {Part(False, 0): end}
    changed = True
    while changed:
        changed = False
        for rule in grammar.rules:
            trailer = follow[Part(False, rule.head)]
            for part in reversed(rule.body):
                changed |= trailer | follow[part] != follow[part]
                follow[part] |= trailer
                trailer = trailer | first[part] if part in nullable else first[part]
    return Sets(nullable, first, follow)


def symbol_sets(grammar: IndexedCfg, n_symbols: int) -> Sets:
    """FIRST and FOLLOW over joint symbols and the end of text."""
    seeds = {Part(True, i): bits(lexeme.onward[0]) for i, lexeme in enumerate(grammar.lexemes)}
    return sets_over(grammar, seeds, 1 << n_symbols)


def members(bit_set: int) -> list[int]:
    """The numbers in a bit set, ascending."""
    found: list[int] = []
    while bit_set:
        low = bit_set & -bit_set
        found.append(low.bit_length() - 1)
        bit_set ^= low
    return found
