"""Whether a grammar means the same to the engine, which takes the longest lexeme, as it does as a plain CFG.

`start: A "ab"` with `A: /a+/` is a plain CFG for `aab`; the engine reads `aa` as one `A` and then wants an `a`, for
ever. An analysis over the plain CFG would claim an exit that is not there, so such a grammar is opaque to it. The
engine reads bytes: of `A "à"` with `A: /[a-zé]+/` it takes the first byte of an `à` for that of an `é`, and wants one.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from policykit.grammar.positions import Positions, TooLarge, Work, common_walks, intersect, positions
from policykit.grammar.scalars import is_void
from policykit.ir.grammar import Cfg, Production
from policykit.ir.regex import Ranges, ranges_of

MAX_PAIRS: Final = 30_000
MAX_WORK: Final = 1_000_000
"""Pairs of positions in all: a few seconds."""
Sets = dict[str, frozenset[str]]


def unfinishable(cfg: Cfg) -> tuple[Production, ...]:
    """The productions, reachable from the start, of rules that derive no finite text; a terminal may have none."""
    productive: set[str] = set()
    void = {terminal.name for terminal in cfg.terminals if is_void(terminal.regex)}
    while grown := {p.head for p in cfg.productions if _done(p, productive, void)} - productive:
        productive |= grown
    below: dict[str, set[str]] = {}
    for production in cfg.productions:
        below.setdefault(production.head, set()).update(s.name for s in production.body if not s.is_terminal)
    reached = {cfg.start}
    pending = [cfg.start]
    while pending:
        new = below.get(pending.pop(), set()) - reached
        reached |= new
        pending.extend(new)
    return tuple(p for p in cfg.productions if p.head in reached - productive)


def _done(production: Production, productive: set[str], void: set[str]) -> bool:
    return all(
        symbol.name not in void if symbol.is_terminal else symbol.name in productive for symbol in production.body
    )


def splits_uniquely(cfg: Cfg, greedy: frozenset[str] = frozenset()) -> bool:
    """Whether no lexeme that could end here could also go on with what may follow it (sufficient, not necessary).

    Terminals in ``greedy`` go on by themselves wherever they can, and are meant to.
    """
    work = Work(MAX_WORK)
    try:
        automata = {terminal.name: positions(terminal.regex) for terminal in cfg.terminals}
        follow, contexts = _contexts(cfg, automata, work)
        return all(
            not _swallows(automata[ended], automata[longer], [automata[f] for f in follow[ended]], work)
            for context in contexts
            for ended in context
            for longer in context
            if ended != longer or ended not in greedy
        )
    except TooLarge:
        return False


def reaching(cfg: Cfg, names: frozenset[str]) -> str | None:
    """One of the terminals that may go on with the first character of another one that follows it, if there is one."""
    work = Work(MAX_WORK)
    automata = {terminal.name: positions(terminal.regex) for terminal in cfg.terminals}
    follow, _ = _contexts(cfg, automata, work) if names else ({}, set[frozenset[str]]())
    for name in sorted(names):
        others = [automata[f] for f in follow[name] - {name}]
        if _swallows(automata[name], automata[name], others, work):
            return name
    return None


def _swallows(ended: Positions, longer: Positions, after: list[Positions], work: Work) -> bool:
    """Whether a word of ``ended`` plus the first byte of a follower begins a word of ``longer``."""
    starts: list[Ranges] = list({first_bytes(a.ranges[p]) for a in after for p in a.first})
    if not starts:
        return False
    return any(
        intersect(first_bytes(longer.ranges[onward]), start)
        for p, q in common_walks(ended, longer, MAX_PAIRS, work)
        if p in ended.last
        for onward in longer.follow[q]
        for start in starts
    )


@lru_cache(1 << 14)
def first_bytes(ranges: Ranges) -> Ranges:
    """The first bytes that characters have in UTF-8. Between two bytes of a range lie only bytes that begin none."""
    return ranges_of([(_first_byte(low), _first_byte(high)) for low, high in ranges])


def _first_byte(code: int) -> int:
    if code < 0x80:
        return code
    if code < 0x800:
        return 0xC0 | code >> 6
    return 0xE0 | code >> 12 if code < 0x10000 else 0xF0 | code >> 18


def _contexts(cfg: Cfg, automata: Mapping[str, Positions], work: Work) -> tuple[Sets, set[frozenset[str]]]:
    """What follows each terminal, and the sets of terminals that the engine may be looking for at one time."""
    nullable, first = _first_sets(cfg, automata)
    follow: dict[str, set[str]] = {name: set() for name in automata}
    heads: dict[str, set[str]] = {p.head: set() for p in cfg.productions}
    order = list(cfg.productions)
    changed = True
    while changed:
        changed = False
        order.reverse()  # chains of helpers run one way or the other: two rounds cross them
        for production in order:
            trailer = set(heads[production.head])
            for symbol in reversed(production.body):
                target = follow if symbol.is_terminal else heads
                if not trailer <= target.setdefault(symbol.name, set()):
                    target[symbol.name] |= trailer
                    changed = True
                passes = symbol.name in nullable
                trailer = trailer | first[symbol.name] if passes else set(first[symbol.name])
    contexts = {frozenset(first[cfg.start]), *(frozenset(f) for f in follow.values())}
    # Two lexemes that are the same text are both taken: what follows either may come next.
    names = list(automata)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            if any(a in c and b in c for c in contexts) and _share_a_word(automata[a], automata[b], work):
                follow[a] = follow[b] = follow[a] | follow[b]
    contexts |= {frozenset(f) for f in follow.values()}
    return {name: frozenset(f) for name, f in follow.items()}, contexts


def _share_a_word(a: Positions, b: Positions, work: Work) -> bool:
    return any(p in a.last and q in b.last for p, q in common_walks(a, b, MAX_PAIRS, work))


def _first_sets(cfg: Cfg, automata: Mapping[str, Positions]) -> tuple[set[str], dict[str, set[str]]]:
    nullable = {name for name, automaton in automata.items() if automaton.nullable}
    first: dict[str, set[str]] = {name: {name} for name in automata}
    first |= {p.head: set() for p in cfg.productions}
    order = list(cfg.productions)
    changed = True
    while changed:
        changed = False
        order.reverse()
        for production in order:
            found: set[str] = set()
            for symbol in production.body:
                found |= first.setdefault(symbol.name, set())
                if symbol.name not in nullable:
                    break
            else:
                changed |= production.head not in nullable
                nullable.add(production.head)
            changed |= not found <= first[production.head]
            first[production.head] |= found
    return nullable, first
