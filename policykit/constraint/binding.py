"""The program's automata bound to a vocabulary: which text and view each reads, and what characters are to them."""

from functools import cached_property
from operator import add

import numpy as np
from numpy.typing import NDArray

from policykit.compile import Program
from policykit.compile.program import UnitSpec
from policykit.constraint.group import Group
from policykit.constraint.images import JsonLexer, Lexer, TextLexer
from policykit.constraint.unit import Unit
from policykit.constraint.vocabulary import Vocabulary
from policykit.ir.document import Within
from policykit.text import utf8, view
from policykit.text.json_strings import Mark


class Binding:
    """``forbids`` are the units whose find is forbidden, ``wanted`` the leaves of requirements, whose find is only
    remembered. ``scope_of[i]`` numbers the lexer of unit i, ``place[i]`` its group and its number there."""

    def __init__(self, program: Program, vocabulary: Vocabulary, escape: str) -> None:
        self.program = program
        self.vocabulary = vocabulary
        self.escape = escape
        self.forbids = tuple(i for i, spec in enumerate(program.units) if spec.forbids)
        self.wanted = tuple(i for i, spec in enumerate(program.units) if not spec.forbids)
        scopes = list(dict.fromkeys(_scope(spec) for spec in program.units))
        self.lexers: tuple[Lexer, ...] = tuple(map(_lexer, scopes))
        self.scope_of = [scopes.index(_scope(spec)) for spec in program.units]
        members: dict[tuple[int, str], list[UnitSpec]] = {}
        self.place: list[tuple[int, int]] = []
        for spec, scope in zip(program.units, self.scope_of, strict=True):
            group = members.setdefault((scope, spec.view), [])
            self.place.append((list(members).index((scope, spec.view)), len(group)))
            group.append(spec)
        self.groups = [
            Group(vocabulary, self.lexers[scope], view(name), [spec.make() for spec in specs], escape)
            for (scope, name), specs in members.items()
        ]
        self.scope_of_group = [(g, scope) for g, (scope, _) in zip(self.groups, members, strict=True)]
        self.group_of = [self.groups[g] for g, _ in self.place]
        self.group_of_scope = [self.group_of[self.scope_of.index(s)] for s in range(len(scopes))]
        self._ends: dict[tuple[tuple[str, ...], int], tuple[bytes, tuple[str, ...]]] = {}
        self._tokens: dict[tuple[int, str, int], list[int] | None] = {}
        self._texts: dict[str, list[list[int]]] = {}
        self._completions: dict[bytes, list[tuple[tuple[int, ...], ...]]] = {}

    def ends_of(self, modes: tuple[str, ...], token_id: int) -> tuple[bytes, tuple[str, ...]]:
        """The unfinished character at the end of a token, and the lexers' modes after it."""
        known = self._ends.get((modes, token_id))
        if known is None:
            after = (g.mode_after(m, token_id) for g, m in zip(self.group_of_scope, modes, strict=True))
            known = self._ends[modes, token_id] = (self.vocabulary.tail_of(token_id), tuple(after))
        return known

    def units(self) -> tuple[Unit, ...]:
        """Fresh automata with empty tables."""
        specs = zip(self.program.units, self.place, strict=True)
        return tuple(self.groups[g].unit(i, spec.make()) for spec, (g, i) in specs)

    def mode_of(self, i: int, unit: Unit, modes: tuple[str, ...]) -> str:
        """The lexer mode that the i-th unit reads in, made ready."""
        mode = modes[self.scope_of[i]]
        self.group_of[i].prepare(unit, mode)
        return mode

    def completions_of(self, tail: bytes) -> list[tuple[tuple[int, ...], ...]]:
        """What a tail can become, as class strings per group; the most frequent first."""
        known = self._completions.get(tail)
        if known is None:
            if not self.groups:
                return []
            low, high = utf8.completions(tail)
            count = np.bincount(self.characters[low:high])
            kinds = np.flatnonzero(count)
            frequent_first: list[int] = kinds[np.argsort(-count[kinds], kind="stable")].tolist()
            known = [self.strings[k] for k in frequent_first]
            self._completions[tail] = known
        return known

    def is_unfinished(self, modes: tuple[str, ...]) -> bool:
        """Whether some lexer stands inside a character that is spelled with several."""
        return any(mode in lexer.unfinished for lexer, mode in zip(self.lexers, modes, strict=True))

    def endings_of(self, modes: tuple[str, ...], numbered: bool = False) -> list[tuple[tuple[int, ...], ...]]:
        """How an unfinished character can go on, as class strings per group: decoded, or as it is read."""
        inside = [mode in lexer.unfinished for lexer, mode in zip(self.lexers, modes, strict=True)]
        scope = inside.index(True)
        return [
            tuple(g.strings[int(g.string_ids[content if inside[s] else raw])] for g, s in self.scope_of_group)
            for raw, content in self.lexers[scope].completions(modes[scope], numbered)
        ]

    def closings_of(self, modes: tuple[str, ...]) -> list[tuple[tuple[int, ...], ...]]:
        """The same of all its ways on, each with what may close the string after it: nothing more, and the escape."""
        closing = [
            tuple(
                tuple(c for point in (*map(ord, text), Mark.CLOSE) for c in g.symbols_of(point))
                if isinstance(self.lexers[s], JsonLexer)
                else tuple(c for char in text for c in g.symbols_of(ord(char)))
                for g, s in self.scope_of_group
            )
            for text in ("", self.escape)
        ]
        endings = self.endings_of(modes, numbered=True)
        return [tuple(map(add, ending, close)) for ending in endings for close in closing]

    def unfinished_modes(self) -> list[tuple[str, ...]]:
        """Every combination of modes in which a character that is spelled with several is unfinished: lexers that know
        such a mode are in it together, and the other lexers' modes do not matter to it."""
        known = dict.fromkeys(mode for lexer in self.lexers for mode in lexer.unfinished)
        return [tuple(mode if mode in lexer.unfinished else lexer.start for lexer in self.lexers) for mode in known]

    @cached_property
    def _maps(self) -> list[list[int]]:
        """For every unit, its own symbol of every shared one (-1: erased)."""
        return [self.groups[g].unit_symbols(i).tolist() for g, i in self.place]

    def token_symbols(self, i: int, mode: str, token_id: int) -> list[int] | None:
        """A unit's symbols of a token that ends inside a character, remembered: there are not many of them."""
        key = (i, mode, token_id)
        if key not in self._tokens:
            shared = self.group_of[i].token_symbols(mode, token_id)
            own = self._maps[i]
            self._tokens[key] = None if shared is None else [own[s] for s in shared if own[s] >= 0]
        return self._tokens[key]

    def text_symbols(self, text: str) -> list[list[int]]:
        """For every unit, its own symbols of a text, remembered."""
        known = self._texts.get(text)
        if known is None:
            known = self._texts[text] = self.symbols_of(text)
        return known

    def symbols_of(self, text: str) -> list[list[int]]:
        """The same, not remembered."""
        points = [[c for char in text for c in group.symbols_of(ord(char))] for group in self.group_of]
        return [[own[c] for c in seen if own[c] >= 0] for own, seen in zip(self._maps, points, strict=True)]

    @cached_property
    def characters(self) -> NDArray[np.int32]:
        """A number for every code point, ``[0x110000]``; equal numbers are the same to every automaton."""
        key, n = np.zeros(len(self.groups[0].string_ids), np.int64), 1
        for group in self.groups:
            key, n = _numbered(key * len(group.strings) + group.string_ids, n * len(group.strings))
        return key.astype(np.int32)

    @cached_property
    def strings(self) -> list[tuple[tuple[int, ...], ...]]:
        """For every number of :attr:`characters`, the class strings of the groups."""
        characters = self.characters
        first = np.zeros(int(characters.max()) + 1, np.int64)
        first[characters[::-1]] = np.arange(len(characters) - 1, -1, -1)
        return [tuple(g.strings[int(g.string_ids[p])] for g in self.groups) for p in first.tolist()]


_FEW = 1 << 22


def _numbered(keys: NDArray[np.int64], stop: int) -> tuple[NDArray[np.int64], int]:
    """The keys, all below ``stop``, as numbers without gaps in the same order; and how many there are. Counted where
    that is possible: sorting takes twenty times as long."""
    if stop > _FEW:
        found, numbers = np.unique(keys, return_inverse=True)
        return numbers, len(found)
    is_there = np.zeros(stop, np.bool_)
    is_there[keys] = True
    return (np.cumsum(is_there) - 1)[keys], int(np.count_nonzero(is_there))


def _scope(spec: UnitSpec) -> Within:
    return spec.within if spec.within.is_json else Within.TEXT


def _lexer(scope: Within) -> Lexer:
    match scope:
        case Within.JSON_STRINGS:
            return JsonLexer()
        case Within.JSON_SCALARS:
            return JsonLexer("json.scalars", numbers=True)
        case _:
            return TextLexer()
