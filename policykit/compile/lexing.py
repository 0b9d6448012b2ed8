"""Whether the engine's longest-match lexer reads a grammar as the plain context-free grammar that it is.

The engine looks for several lexemes at a time and goes on while any of them can; `start: A "ab"` with `A: /a+/` never
ends on `aab`. Checked conservatively, for occurrences of terminals that it may be looking for at one point.
"""

from dataclasses import dataclass

from policykit.compile.indexed import IndexedCfg, Part, Rule, members, sets_over
from policykit.compile.lexeme import Lexeme, Overlap, bits, overlap
from policykit.compile.symbols import Budget


@dataclass(frozen=True, slots=True)
class Clash:
    """After a word of ``ended``, a character that should begin the next lexeme can go on with ``longer``."""

    ended: str
    longer: str


@dataclass(frozen=True, slots=True)
class _Occurrences:
    """Places in bodies where a terminal stands: its lexeme, and a bit set of the occurrences that may come next."""

    lexeme: tuple[int, ...]
    follow: tuple[int, ...]
    first: int


def lexing_clash(grammar: IndexedCfg, budget: Budget) -> Clash | None:
    """A reason why the longest match could lose a text of the grammar, or None where it cannot.

    Raises:
        OverBudget: too many pairs.
    """
    occurrences = _occurrences(grammar)
    after = [_first_of(grammar, occurrences, follow) for follow in occurrences.follow]
    overlaps: dict[tuple[int, int], Overlap] = {}
    seen: set[tuple[int, int]] = set()
    done: set[tuple[int, int]] = set()
    todo = [(occurrences.first, occurrences.first)]
    while todo:
        group = todo.pop()
        if group in done:
            continue
        done.add(group)
        others = members(group[1])
        for one in members(group[0]):
            if not after[one]:
                continue  # nothing comes after it, so nothing can be taken for more of another lexeme
            for other in others:
                if (one, other) in seen:
                    continue
                budget.spend()
                seen.add((one, other))
                key = occurrences.lexeme[one], occurrences.lexeme[other]
                if key not in overlaps:
                    overlaps[key] = overlap(grammar.lexemes[key[0]], grammar.lexemes[key[1]], budget)
                if overlaps[key].swallowed & after[one]:
                    return Clash(*(grammar.lexemes[k].name for k in key))
                if overlaps[key].share_word:
                    # One text, two lexemes: the engine takes both, and looks for what may follow either.
                    todo += [(occurrences.follow[a], occurrences.follow[b]) for a, b in ((one, other), (other, one))]
    return None


def _occurrences(grammar: IndexedCfg) -> _Occurrences:
    """The grammar's terminals told apart by where they stand, by FIRST and FOLLOW over occurrences."""
    lexeme: list[int] = []
    rules: list[Rule] = []
    for rule in grammar.rules:
        body: list[Part] = []
        for part in rule.body:
            if part.is_lexeme:
                lexeme.append(part.index)
                part = Part(True, len(lexeme) - 1)
            body.append(part)
        rules.append(Rule(rule.head, tuple(body)))
    lexemes: tuple[Lexeme, ...] = tuple(grammar.lexemes[i] for i in lexeme)
    apart = IndexedCfg(lexemes, tuple(rules), grammar.of_head)
    sets = sets_over(apart, {Part(True, i): 1 << i for i in range(len(lexeme))}, 0)
    follow = tuple(sets.follow[Part(True, i)] for i in range(len(lexeme)))
    return _Occurrences(tuple(lexeme), follow, sets.first[Part(False, 0)])


def _first_of(grammar: IndexedCfg, occurrences: _Occurrences, group: int) -> int:
    """The symbols with which the lexemes of some occurrences begin."""
    found = 0
    for i in {occurrences.lexeme[occurrence] for occurrence in members(group)}:
        found |= bits(grammar.lexemes[i].onward[0])
    return found
