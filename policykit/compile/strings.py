"""Rules on string contents against what a JSON Schema writes: fixed texts that break a rule, and strings that may trap.

A rule that reads each string as a text of its own forgets everything at the closing quote. So a plan never traps if
every fixed text is clean and every string can be closed from wherever the rules let it go: a theorem over the
schema's string sites, one at a time.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policykit.automata import FOUND, Alphabet, Automaton, Pattern, common, run
from policykit.automata.nfa import build, close
from policykit.compile.escape import frees
from policykit.diagnostics import Place
from policykit.ir.grammar import FixedText, JsonSites, StringSite
from policykit.ir.regex import MAX_CODE_POINT, Chars, Regex, Repeat
from policykit.text import view
from policykit.text.json_strings import CONTROLS, ESCAPE, UNFINISHED, completions

MAX_PAIRS = 4_000_000
PLAIN = np.r_[0x20:0x22, 0x23:0x5C, 0x5D:0xD800, 0xE000 : MAX_CODE_POINT + 1]
"""Characters that JSON writes without an escape."""


@dataclass(frozen=True, slots=True)
class Clash:
    """A fixed text of the grammar that a rule forbids."""

    fixed: FixedText
    rule: str
    place: Place


@dataclass(frozen=True, slots=True)
class Forbidden:
    """One automaton of the rules, with the rule of each of its patterns and their places."""

    automaton: Automaton
    owners: tuple[str, ...]
    places: tuple[Place, ...]


def clashes(sites: JsonSites, forbidden: Sequence[Forbidden]) -> list[Clash]:
    """Every enum member, const and key that a rule forbids, with the first rule that does."""
    return [clash for fixed in sites.fixed if (clash := _clash(fixed, forbidden)) is not None]


def _clash(fixed: FixedText, forbidden: Sequence[Forbidden]) -> Clash | None:
    for item in forbidden:
        automaton = item.automaton
        state = automaton.start
        symbols: list[int | None] = [*automaton.alphabet.encode(automaton.alphabet.view.apply(fixed.text)), None]
        for symbol in symbols:
            after = automaton.step(state, symbol) if symbol is not None else int(not automaton.end_found(state))
            if not after:
                culprits = automaton.culprits(state, symbol) or (0,)
                return Clash(fixed, item.owners[culprits[0]], item.places[culprits[0]])
            state = after
    return None


@dataclass(frozen=True, slots=True)
class SiteResult:
    """Whether every string of a site that the rules let begin can also be closed; None: not decided in the budget.
    ``n_tried`` transitions were tried."""

    can_always_close: bool | None
    can_close_at_all: bool
    why: str
    n_tried: int = 0


def check_site(site: StringSite, policy: "PolicyProduct", budget: int, escapes_known: Sequence[str] = ()) -> SiteResult:
    """Explore the product of the site's own language and all automata; co-reachability by a backward pass.

    ``budget`` bounds the transitions that are tried. Where the mask closes what none of some texts frees, whatever the
    site's language still has ahead, ``escapes_known`` are these.
    """
    if site.regex is None or is_length_only(site.regex):
        return SiteResult(None, True, f"`{site.pointer}`: {site.why}")
    language = Anchored(site.regex)
    if language.has_assertions:
        return SiteResult(None, True, f"`{site.pointer}`: its pattern uses assertions")
    if budget <= 0:
        return SiteResult(None, True, f"`{site.pointer}`: too many restricted strings before it")
    symbols, n_tried = policy.symbols(language.class_of), 0
    escapes = Escapes(language, policy)
    start = (language.start, policy.start)
    seen = {start: 0}
    before: list[list[tuple[int, bool]]] = [[]]
    ends: list[int] = []
    is_clash = False
    todo = deque([start])
    while todo:
        at = todo.popleft()
        here = seen[at]
        if language.accepts(at[0]) and policy.may_end(at[1]):
            ends.append(here)
        is_closed = bool(escapes_known) and not policy.is_freed(at[1], escapes_known)
        is_clash = is_clash or is_closed or escapes.clash(*at)
        n_tried += len(symbols)
        if n_tried > budget:
            return SiteResult(None, True, f"`{site.pointer}`: more than {len(seen)} states", n_tried)
        for own, other in symbols:
            to = (language.step(at[0], own), policy.step(at[1], other))
            if not to[0] or not to[1]:
                continue
            if to not in seen:
                seen[to] = len(seen)
                before.append([])
                todo.append(to)
            before[seen[to]].append((here, (own, other) in escapes.only_numbered))
    always = not is_clash and len(_led_to(ends, before, numbered=False)) == len(seen)
    at_all = always or 0 in _led_to(ends, before, numbered=True)
    return SiteResult(always, at_all, f"`{site.pointer}`: {len(seen)} states", n_tried)


def _led_to(ends: Sequence[int], before: Sequence[Sequence[tuple[int, bool]]], *, numbered: bool) -> set[int]:
    """The states from which an end is reached; unless ``numbered``, without characters that need not be written."""
    alive, back = set(ends), list(ends)
    while back:
        for p, is_numbered in before[back.pop()]:
            if p not in alive and (numbered or not is_numbered):
                alive.add(p)
                back.append(p)
    return alive


_SHORT = tuple(content for _, content in completions(ESCAPE))
WRITTEN_OFF = (*_SHORT, *CONTROLS)
"""Characters that JSON writes with an escape."""
_BEGUN = tuple(dict.fromkeys(tuple(content for _, content in completions(mode)) for mode in UNFINISHED[1:]))
"""What can be spelled after each beginning of an escape with a number."""


class Escapes:
    """Where a language and rules each let an escape begin, and no one that both let be finished.

    Rules keep an escape open that one of the short forms can end; a language, whatever it can become. Characters that
    are written by number need not be written: a site of which the proof needs one is not proved.
    """

    def __init__(self, language: "Anchored", policy: "PolicyProduct") -> None:
        self._language, self._policy = language, policy
        pairs = {char: (language.symbol(ord(char)), policy.symbol(ord(char))) for char in WRITTEN_OFF}
        self._short = tuple(dict.fromkeys(pairs[char] for char in _SHORT))
        self._all = tuple(dict.fromkeys(pairs.values()))
        self._begun = [tuple(dict.fromkeys(pairs[char] for char in chars)) for chars in _BEGUN]
        self.only_numbered = policy.only(map(ord, CONTROLS), language.class_of)

    def clash(self, own: int, other: int) -> bool:
        """Whether there is such a beginning in a state of the language and one of the rules."""
        step = self._language.step
        written = {pair for pair in self._all if step(own, pair[0])}
        if not written:
            return False
        admitted = {pair for pair in self._all if self._policy.step(other, pair[1])}
        both = written & admitted
        # Where a language knows only numbers, one that the rules admit is an end, too.
        is_needed = not both or not written.isdisjoint(self._short)
        if is_needed and not admitted.isdisjoint(self._short) and both.isdisjoint(self._short):
            return True
        return any(
            not written.isdisjoint(some) and not admitted.isdisjoint(some) and both.isdisjoint(some)
            for some in self._begun
        )


def is_length_only(regex: Regex) -> bool:
    """A language that limits nothing but the length: it traps where a boundary is open at the last character."""
    everything = ((0, MAX_CODE_POINT),)
    return isinstance(regex, Repeat) and isinstance(regex.item, Chars) and everything in (
        regex.item.on_view, regex.item.literal
    )  # fmt: skip


class PolicyProduct:
    """All forbidding automata side by side over classes of raw characters. State 0: one of them found something."""

    def __init__(self, automata: Sequence[Automaton]) -> None:
        self._automata = tuple(automata)
        self._key = characters_key(self._automata)
        points = representatives(self._key)
        self._images = {int(self._key[p]): [_image(a, p) for a in self._automata] for p in points}
        self._states: list[tuple[int, ...]] = [()]
        self._ids: dict[tuple[int, ...], int] = {(): 0}
        self._memo: dict[tuple[int, int], int] = {}
        self._rows: dict[tuple[int, int], list[int]] = {}
        self.start = self._intern(tuple(a.start for a in self._automata))

    def _intern(self, states: tuple[int, ...]) -> int:
        known = self._ids.get(states)
        if known is None:
            known = self._ids[states] = len(self._states)
            self._states.append(states)
        return known

    def symbols(self, class_of: NDArray[np.int64]) -> list[tuple[int, int]]:
        """Pairs (class of another alphabet, own class) that some character has."""
        points = representatives(_combined(self._key, class_of))
        return [(int(class_of[p]), int(self._key[p])) for p in points]

    def symbol(self, point: int) -> int:
        """The own class of a character."""
        return int(self._key[point])

    @property
    def key(self) -> NDArray[np.int64]:
        """The own class of every code point, ``[0x110000]``."""
        return self._key

    def spelled(self) -> dict[int, str]:
        """A character for every class that some character has, one that JSON writes as it is where there is one."""
        points = representatives(self._key)
        plain, first = np.unique(self._key[PLAIN], return_index=True)
        better = dict(zip(plain.tolist(), PLAIN[first].tolist(), strict=True))
        return {(n := int(self._key[p])): chr(better.get(n, p)) for p in points}

    def only(self, points: Iterable[int], class_of: NDArray[np.int64]) -> frozenset[tuple[int, int]]:
        """Of the pairs of :meth:`symbols` those that no other characters have than these."""
        asked = np.array(list(points))
        joint = _combined(self._key, class_of)
        numbers, first, counts = np.unique(joint[asked], return_index=True, return_counts=True)
        kept = [
            at for n, at, count in zip(numbers, first, counts, strict=True) if np.count_nonzero(joint == n) == count
        ]
        return frozenset((int(class_of[asked[at]]), int(self._key[asked[at]])) for at in kept)

    def of_automaton(self, i: int, symbols: Sequence[tuple[int, int]]) -> list[tuple[int, tuple[int, ...]]]:
        """Of such pairs those that one automaton tells apart: (class of the other alphabet, its own symbols)."""
        return list(dict.fromkeys((own, tuple(self._images[key][i])) for own, key in symbols))

    def step(self, state: int, symbol: int) -> int:
        known = self._memo.get((state, symbol))
        if known is None:
            moved = tuple(
                run(a, s, image)
                for a, s, image in zip(self._automata, self._states[state], self._images[symbol], strict=True)
            )
            known = self._memo[state, symbol] = self._intern(moved) if all(moved) else 0
        return known

    def ahead(self, state: int) -> list[tuple[int, int]]:
        """(Own class, state) of every step that finds nothing. Each automaton is asked once for each of its states."""
        rows = (self._row(i, at) for i, at in enumerate(self._states[state]))
        moves = zip(self._images, zip(*rows, strict=True), strict=True)
        return [(symbol, self._intern(moved)) for symbol, moved in moves if FOUND not in moved]

    def _row(self, i: int, at: int) -> list[int]:
        row = self._rows.get((i, at))
        if row is None:
            known: dict[tuple[int, ...], int] = {}
            row = self._rows[i, at] = []
            for images in self._images.values():
                image = tuple(images[i])
                if image not in known:
                    known[image] = run(self._automata[i], at, image)
                row.append(known[image])
        return row

    def may_end(self, state: int) -> bool:
        return not any(a.end_found(s) for a, s in zip(self._automata, self._states[state], strict=True))

    def is_freed(self, state: int, texts: Iterable[str]) -> bool:
        """Whether after one of the texts a text may end that has come to this state."""
        pairs = list(zip(self._automata, self._states[state], strict=True))
        return any(all(frees(automaton, (at,), text) for automaton, at in pairs) for text in texts)


class Anchored:
    """A whole-string language as a lazily determinised automaton over raw characters. State 0 is dead.

    Assertions are not followed: a language that has them is not decided here.
    """

    def __init__(self, regex: Regex) -> None:
        self._nfa = build(view("raw"), Pattern(regex))
        self.has_assertions = any(self._nfa.gated)
        self._keys: list[frozenset[int]] = [frozenset()]
        self._ids: dict[frozenset[int], int] = {frozenset(): 0}
        self._memo: dict[tuple[int, int], int] = {}
        self._live = self._can_finish()
        self.start = self._intern(close(self._nfa, [self._nfa.start]))

    def _can_finish(self) -> frozenset[int]:
        """NFA states from which the end is reachable: others only blur what is dead."""
        into: dict[int, list[int]] = {}
        for s in range(len(self._nfa.free)):
            for to in (*self._nfa.free[s], *(t for _, t in self._nfa.gated[s]), *(t for _, t in self._nfa.edges[s])):
                into.setdefault(to, []).append(s)
        alive, todo = {self._nfa.final}, [self._nfa.final]
        while todo:
            for s in into.get(todo.pop(), ()):
                if s not in alive:
                    alive.add(s)
                    todo.append(s)
        return frozenset(alive)

    def _intern(self, states: set[int]) -> int:
        key = frozenset(states & self._live)
        known = self._ids.get(key)
        if known is None:
            known = self._ids[key] = len(self._keys)
            self._keys.append(key)
        return known

    @property
    def class_of(self) -> NDArray[np.int64]:
        """Class of every code point, ``[0x110000]``."""
        return self._nfa.alphabet.class_of.astype(np.int64)

    def symbol(self, point: int) -> int:
        return int(self._nfa.alphabet.class_of[point])

    def step(self, state: int, symbol: int) -> int:
        known = self._memo.get((state, symbol))
        if known is None:
            known = self._memo[state, symbol] = self._step(state, symbol)
        return known

    def _step(self, state: int, symbol: int) -> int:
        moved = {to for s in self._keys[state] for classes, to in self._nfa.edges[s] if symbol in classes}
        return self._intern(close(self._nfa, moved)) if moved else 0

    def accepts(self, state: int) -> bool:
        return self._nfa.final in self._keys[state]


def _image(automaton: Automaton, point: int) -> list[int]:
    return automaton.alphabet.encode(automaton.alphabet.view.image(point))


def characters_key(automata: Sequence[Automaton]) -> NDArray[np.int64]:
    """One number per code point, ``[0x110000]``: equal numbers are the same to every automaton on every view."""
    joint = np.zeros(MAX_CODE_POINT + 1, np.int64)
    for name in dict.fromkeys(a.alphabet.view.name for a in automata):
        alphabet, _ = common(view(name), [a.alphabet for a in automata if a.alphabet.view.name == name])
        joint = _combined(joint, _view_key(alphabet))
    return joint


def _view_key(alphabet: Alphabet) -> NDArray[np.int64]:
    key = alphabet.class_of.astype(np.int64)
    strings: dict[tuple[int, ...], int] = {(c,): c for c in range(alphabet.n)}
    of = {c: alphabet.of(c) for c in {c for image in alphabet.view.images.values() for c in image}}
    for point, image in alphabet.view.images.items():
        key[point] = strings.setdefault(tuple(of[c] for c in image), len(strings))
    return key


def _combined(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    pairs = one * (int(other.max()) + 1) + other
    n = int(pairs.max()) + 1
    if n > MAX_PAIRS:
        return np.unique(pairs, return_inverse=True)[1].reshape(-1).astype(np.int64)
    is_there = np.zeros(n, np.bool_)  # the same numbers, without sorting a million
    is_there[pairs] = True
    return (np.cumsum(is_there) - 1)[pairs]


def representatives(key: NDArray[np.int64]) -> list[int]:
    """The first code point of every number, by number; surrogates are no text."""
    points = np.delete(np.arange(len(key)), np.s_[0xD800:0xE000])
    first = np.full(int(key.max()) + 1, -1)
    first[key[points][::-1]] = points[::-1]
    return first[first >= 0].tolist()
