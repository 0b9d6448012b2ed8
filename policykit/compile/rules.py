"""Grammars over single code points as plain values: merging, inlining, and their text in llguidance's Lark dialect.

A symbol of an alternative is a nonterminal (>= 0) or a character class (``~i`` is class i). Lexemes of one code point
are prefix-free in UTF-8, so the longest match never takes one for another.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from policykit.ir.regex import Ranges, complement, ranges_of

Alternative = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CharacterRules:
    """``alternatives[x]`` are those of nonterminal x; 0 is the start. ``classes`` are sets of joint symbols."""

    alternatives: tuple[frozenset[Alternative], ...]
    classes: tuple[frozenset[int], ...]


def equal(groups: Sequence[frozenset[Alternative]]) -> list[int]:
    """A block number per nonterminal: those in one block have equal alternatives once blocks are names.

    The coarsest such partition, so recursion does not hinder it; refined by signatures (Moore, "Gedanken-experiments
    on sequential machines", 1956), looking again only at what mentions a nonterminal that has moved.
    """
    users: list[set[int]] = [set() for _ in groups]
    for x, group in enumerate(groups):
        for symbol in {symbol for alternative in group for symbol in alternative if symbol >= 0}:
            users[symbol].add(x)
    block = [0] * len(groups)
    size = [len(groups)]
    signature: list[frozenset[Alternative] | None] = [None]
    dirty = set(range(len(groups)))
    while dirty:
        by_block: dict[int, dict[frozenset[Alternative], list[int]]] = {}
        for x in sorted(dirty):
            by_block.setdefault(block[x], {}).setdefault(_renamed(groups[x], block), []).append(x)
        moved: list[int] = []
        for number, parts in by_block.items():
            everything = size[number] == sum(map(len, parts.values()))
            if everything and signature[number] not in parts:
                signature[number] = max(parts, key=lambda sign: len(parts[sign]))
            for sign, part in parts.items():
                if sign != signature[number]:
                    size[number] -= len(part)
                    size.append(len(part))
                    signature.append(sign)
                    moved += part
                    for x in part:
                        block[x] = len(size) - 1
        dirty = {user for x in moved for user in users[x]}
    return block


def merge_equal(rules: CharacterRules) -> CharacterRules:
    """Equal nonterminals become one; the start stays first."""
    block = equal(rules.alternatives)
    chosen: dict[int, int] = {}
    for x, b in enumerate(block):
        chosen.setdefault(b, x)
    number = {b: i for i, b in enumerate(chosen)}
    name = [number[b] for b in block]
    return CharacterRules(tuple(_renamed(rules.alternatives[x], name) for x in chosen.values()), rules.classes)


def _renamed(alternatives: Iterable[Alternative], name: Sequence[int]) -> frozenset[Alternative]:
    return frozenset(tuple(name[s] if s >= 0 else s for s in alternative) for alternative in alternatives)


def write_out_single(rules: CharacterRules) -> CharacterRules:
    """Nonterminals with one alternative are written out where they are used once, or are at most one symbol long.

    Every nonterminal must derive some text: then those with one alternative do not refer to each other in a circle.
    Nonterminals that are not reachable any more are left out.
    """
    uses = [0] * len(rules.alternatives)
    for symbol in (s for group in rules.alternatives for alternative in group for s in alternative if s >= 0):
        uses[symbol] += 1
    written: dict[int, Alternative] = {}
    for x in _innermost_first(rules):
        (alternative,) = rules.alternatives[x]
        body = _expanded(alternative, written)
        if uses[x] == 1 or len(body) <= 1:
            written[x] = body
    expanded = [frozenset(_expanded(a, written) for a in group) for group in rules.alternatives]
    kept = _reachable(expanded)
    number = {x: i for i, x in enumerate(kept)}
    name = [number.get(x, -1) for x in range(len(expanded))]
    return CharacterRules(tuple(_renamed(expanded[x], name) for x in kept), rules.classes)


def _expanded(alternative: Alternative, written: dict[int, Alternative]) -> Alternative:
    return tuple(symbol for s in alternative for symbol in written.get(s, (s,)))


def _innermost_first(rules: CharacterRules) -> list[int]:
    """The nonterminals with one alternative, but the start, each after those that it mentions."""
    single = {x: next(iter(group)) for x, group in enumerate(rules.alternatives) if x and len(group) == 1}
    order: dict[int, None] = {}
    for root in single:
        path = [root]
        while path:
            inner = [s for s in single[path[-1]] if s in single and s not in order]
            if inner:
                path.append(inner[0])
            else:
                order[path.pop()] = None
    return list(order)


def _reachable(groups: Sequence[frozenset[Alternative]]) -> list[int]:
    found = {0: None}
    todo = [0]
    while todo:
        for alternative in sorted(groups[todo.pop()]):
            for symbol in alternative:
                if symbol >= 0 and symbol not in found:
                    found[symbol] = None
                    todo.append(symbol)
    return list(found)


def lark_text(rules: CharacterRules, ranges: Callable[[frozenset[int]], Ranges]) -> str:
    """The grammar in llguidance's Lark dialect; ``ranges`` gives the code points of a class."""
    used = sorted({~s for group in rules.alternatives for alternative in group for s in alternative if s < 0})
    terminal = {~c: f"C{i}" for i, c in enumerate(used)}

    def rule(x: int) -> str:
        return f"r{x}" if x else "start"

    def written(alternative: Alternative) -> str:
        return " ".join(rule(s) if s >= 0 else terminal[s] for s in alternative) or '""'

    lines = [f"{rule(x)}: {' | '.join(map(written, sorted(group)))}" for x, group in enumerate(rules.alternatives)]
    lines += [f"{terminal[~c]}: /{class_text(ranges(rules.classes[c]))}/" for c in used]
    return "\n".join(lines) + "\n"


_SURROGATES = (0xD800, 0xDFFF)


def class_text(ranges: Ranges) -> str:
    """A character class for exactly these code points, negated where that is shorter. Surrogates do not matter."""
    plain = _class("[", ranges)
    others = complement(ranges_of([*ranges, _SURROGATES]))
    # The engine reads a negated class that excludes both neighbours of the surrogates as if it excluded neither.
    beside = sum(high == _SURROGATES[0] - 1 or low == _SURROGATES[1] + 1 for low, high in others)
    return plain if beside == 2 or not others else min(plain, _class("[^", others), key=len)


def _class(opening: str, ranges: Ranges) -> str:
    spans = (_character(low) if low == high else f"{_character(low)}-{_character(high)}" for low, high in ranges)
    return f"{opening}{''.join(spans)}]"


def _character(point: int) -> str:
    """ASCII letters and digits as they are, all else by number: nothing is left to escape."""
    return chr(point) if point < 0x80 and chr(point).isalnum() else f"\\x{{{point:x}}}"
