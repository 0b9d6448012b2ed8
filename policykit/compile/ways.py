"""Ways on in restricted strings, one automaton at a time: short proofs where the product of all of them is too large.

A rule *holds on* to a text where the text cannot end, or where the plan's escape does not free it. At run time only
tokens are examined that lead to where some rule does, if from everywhere else in a string there is a way on. For that
each place of the string's language has a text that ends it, the same for all automata: nothing where the string may
end (no rule holds on), else one of a few short ones. What is asked of each automaton alone is which of them it lets
pass, in all states in which it may stand at that place.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from policykit.automata import FOUND, Automaton, PhraseAutomaton, run
from policykit.automata.alphabet import PHRASE_WORD
from policykit.automata.phrases import ENDS, OPEN
from policykit.compile.escape import frees_phrases
from policykit.compile.strings import (
    PLAIN,
    WRITTEN_OFF,
    Anchored,
    PolicyProduct,
    is_length_only,
    representatives,
)
from policykit.ir.grammar import StringSite
from policykit.ir.regex import MAX_CODE_POINT, Chars, Regex, Repeat

MAX_PLACES = 400
"""Places of a string's language, beyond which it is not looked at."""
MAX_LEAST, MAX_WAYS = 64, 24
ANY_LENGTH = 1 << 40
PER_AUTOMATON, IN_ALL = 20_000, 400_000
"""Transitions tried for one automaton at one site, and for all of them at all sites."""
PREFERRED = ("0z_a", "za0_", "a0z_")
"""Characters that ways are written with where there is a choice: digits are in few phrases, letters in few numbers."""
FILLING = "-_0zZ. /"
"""Characters that may come before a shortest way."""
RUNS, RUN = "z0_-", 40
"""Characters that a way may repeat so often: what an expression bounds at 30 is over then."""


@dataclass(frozen=True, slots=True)
class Places:
    """A string's language as a graph: ``ahead[s]`` are (class, place), ``ways[s]`` texts that end the string there,
    for the places where it may not end at once, and ``leads`` are those from which one of these is reached."""

    start: int
    ahead: dict[int, tuple[tuple[int, int], ...]]
    ways: dict[int, tuple[str, ...]]
    leads: frozenset[int]


class Ways:
    """Whether strings have ways on under some automata. ``escape`` frees each of them from all states, or from those
    that no rule holds on to."""

    def __init__(self, automata: Sequence[Automaton], policy: PolicyProduct, escape: str) -> None:
        self._automata = tuple(automata)
        self._policy = policy
        self._escape = escape
        self._left = IN_ALL
        self._held: dict[tuple[int, int], bool] = {}
        self._freed: dict[tuple[int, int, str], bool] = {}

    def frees_start(self, text: str) -> bool:
        """Whether a string may be just this text."""
        return all(self._frees(i, a.start, text) for i, a in enumerate(self._automata))

    def may_just_begin(self, site: StringSite) -> bool:
        """Whether a site asks for nothing but that its strings are not empty, and they need not be: from there on they
        are like any other string."""
        is_open = site.pattern is not None and is_anything(site.pattern) and site.least <= 1 and site.most is None
        return is_open and self.frees_start(self._escape or "ꙮ")

    def room(self, site: StringSite) -> int:
        """So many characters a string of the site may have, so that there is a way on from everywhere in it but where a
        rule holds on: -1 where there is none, or where it was not found out."""
        if site.pattern is None:
            return -1
        if is_anything(site.pattern):
            return ANY_LENGTH if site.least <= MAX_LEAST and self._can_fill(site.least) else -1
        language = Anchored(site.pattern)
        places = None if language.has_assertions else _places(language, site.least)
        if places is None:
            return -1
        ways = self._led_on(language, places)
        least = {place: min(map(len, texts), default=ANY_LENGTH) for place, texts in places.ways.items()}
        # A text that is no longer than it can be always has room for a shortest way.
        longer = [n for place, texts in ways.items() if (n := min(map(len, texts))) > least[place]]
        if len(ways) < len(places.ways):
            return -1
        return ANY_LENGTH if site.most is None or not longer else max(-1, site.most - max(longer))

    def always(self, site: StringSite) -> bool:
        """Whether every string of the site that the rules let begin can also be closed: True where at each place one
        text ends it and frees every automaton, in whatever state it may stand there.

        The plan's escape, too, has to free all of these states: then no token that begins a string here is a trap to
        the mask, and it closes none, whatever it closes elsewhere, where some states need another text than that.
        False: not so, or not found out.
        """
        if site.regex is None or is_length_only(site.regex):
            return False
        language = Anchored(site.regex)
        ahead = None if language.has_assertions else _graph(language)
        if ahead is None or any(language.step(place, language.symbol(ord(c))) for place in ahead for c in WRITTEN_OFF):
            return False
        spellings = [_shortest(language, ahead, _spelled(language, preferred)) for preferred in PREFERRED]
        if any(len(way) < len(ahead) for way in spellings):
            return False
        ways = {place: _ways_from(language, place, spellings) for place in ahead}
        places = Places(language.start, ahead, ways, frozenset(ahead))
        symbols = self._policy.symbols(language.class_of)
        for i in range(len(self._automata)):
            ways = self._always_frees(i, places, ways, symbols)
            if len(ways) < len(ahead):
                return False
        return True

    def _always_frees(
        self, i: int, places: Places, ways: dict[int, tuple[str, ...]], symbols: Sequence[tuple[int, int]]
    ) -> dict[int, tuple[str, ...]]:
        """The ways that free an automaton from every state in which it may stand at their place."""
        automaton = self._automata[i]
        if isinstance(automaton, PhraseAutomaton):
            states = [
                automaton.intern((_nodes_after(automaton, after_word), after_word)) for after_word in (False, True)
            ]
            if all(self._frees(i, state, self._escape) for state in states):
                texts = {text for some in ways.values() for text in some}
                free = {text for text in texts if all(self._frees(i, state, text) for state in states)}
                kept = {place: tuple(text for text in some if text in free) for place, some in ways.items()}
                if all(kept.values()):
                    return kept
        return self._let_through(i, places, ways, self._policy.of_automaton(i, symbols), proves=True)

    def _can_fill(self, least: int) -> bool:
        """Whether the escape may be written until a string of any characters is long enough."""
        filler = self._escape or "ꙮ"
        if not least:
            return True
        if len(filler) != 1 or not self.frees_start(filler * least):
            return False
        if least == 1:
            return True  # a string that has begun is long enough
        return bool(self._escape) and all(self._lasts(i) for i in range(len(self._automata)))

    def _lasts(self, i: int) -> bool:
        """Whether the escape leads to where no rule holds on from wherever none does, so that it may be repeated."""
        automaton = self._automata[i]
        if isinstance(automaton, PhraseAutomaton):
            return frees_phrases(automaton, self._escape)
        seen, todo = {automaton.start}, [automaton.start]
        while todo:
            state = todo.pop()
            if not self._is_held(i, state) and self._is_held(i, self._run(i, state, self._escape)):
                return False
            self._left -= automaton.n_symbols
            if self._left < 0:
                return False
            for to in {automaton.step(state, symbol) for symbol in range(automaton.n_symbols)} - seen - {FOUND}:
                seen.add(to)
                todo.append(to)
        return True

    def _led_on(self, language: Anchored, places: Places) -> dict[int, tuple[str, ...]]:
        """At every place those of the ways that all automata let through; places that have none are left out."""
        ways = dict(places.ways)
        if places.start in ways:
            ways[places.start] = tuple(filter(self.frees_start, ways[places.start]))
            if not ways[places.start]:
                return {}
        if places.leads <= {places.start} and places.start not in {to for _, to in places.ahead[places.start]}:
            return ways  # a text may end wherever it has begun
        symbols = self._policy.symbols(language.class_of)
        for i, automaton in enumerate(self._automata):
            past: dict[int, tuple[str, ...]] = {}
            if isinstance(automaton, PhraseAutomaton):
                past = {place: self._past_phrases(i, automaton, texts) for place, texts in ways.items()}
            if not all(past.get(place) for place in ways):
                past = self._let_through(i, places, ways, self._policy.of_automaton(i, symbols)) | {
                    place: texts for place, texts in past.items() if texts
                }
            ways = {place: texts for place, texts in past.items() if texts}
            if len(ways) < len(places.ways):
                return {}
        return ways

    def _past_phrases(self, i: int, automaton: PhraseAutomaton, ways: Sequence[str]) -> tuple[str, ...]:
        """The ways that complete no phrase, whatever was begun of it. Its states are sets of which each member reads on
        by itself: one state that has them all stands for all, but those where the text cannot end."""
        begun = frozenset(node for node, final in enumerate(automaton.trie.final) if final == OPEN)
        states = [automaton.intern((begun, after_word)) for after_word in (False, True)]
        return tuple(way for way in ways if all(self._frees(i, state, way) for state in states))

    def _let_through(
        self,
        i: int,
        places: Places,
        ways: Mapping[int, tuple[str, ...]],
        images: Sequence[tuple[int, tuple[int, ...]]],
        *,
        proves: bool = False,
    ) -> dict[int, tuple[str, ...]]:
        """The ways that an automaton lets through, by reading it beside the language as far as places that need a way
        are ahead; none where that takes too long. ``proves``: they are asked for where it holds on to the text,
        too, and no state may withstand the escape."""
        automaton, out, left = self._automata[i], dict(ways), PER_AUTOMATON
        by_class: dict[int, list[tuple[int, ...]]] = {}
        for own, image in images:
            by_class.setdefault(own, []).append(image)
        start = (places.start, automaton.start)
        seen, todo = {start}, deque([start])
        while todo:
            at, state = todo.popleft()
            if proves and not self._frees(i, state, self._escape):
                return {}
            if at in out and (proves or not self._is_held(i, state)):
                out[at] = tuple(way for way in out[at] if self._frees(i, state, way))
                if not out[at]:
                    return {}
            moves = (
                (to, image) for own, to in places.ahead[at] if to in places.leads for image in by_class.get(own, ())
            )
            for to, image in moves:
                left -= 1
                after = run(automaton, state, image)
                if after and (to, after) not in seen:
                    seen.add((to, after))
                    todo.append((to, after))
            if left < 0 or self._left < 0:
                out = {}
                break
        self._left -= PER_AUTOMATON - left
        return out

    def _is_held(self, i: int, state: int) -> bool:
        known = self._held.get((i, state))
        if known is None:
            is_open = not state or self._automata[i].end_found(state)
            known = self._held[i, state] = is_open or not self._frees(i, state, self._escape)
        return known

    def _frees(self, i: int, state: int, text: str) -> bool:
        """Whether an automaton admits the text from a state, and the end after it."""
        known = self._freed.get((i, state, text))
        if known is None:
            after = self._run(i, state, text)
            known = self._freed[i, state, text] = bool(after) and not self._automata[i].end_found(after)
        return known

    def _run(self, i: int, state: int, text: str) -> int:
        alphabet = self._automata[i].alphabet
        return run(self._automata[i], state, alphabet.encode(alphabet.view.apply(text)))


def is_anything(regex: Regex) -> bool:
    """Whether a language is that of all texts."""
    everything = ((0, MAX_CODE_POINT),)
    return isinstance(regex, Repeat) and (regex.least, regex.most) == (0, None) and isinstance(regex.item, Chars) and (
        everything in (regex.item.on_view, regex.item.literal)
    )  # fmt: skip


def _places(language: Anchored, least: int) -> Places | None:
    """The graph of a language of texts of at least so many characters; None where it is too large, or where short texts
    would have to be told apart."""
    ahead = _graph(language)
    if ahead is None:
        return None
    spellings = [_spelled(language, preferred) for preferred in PREFERRED]
    shortest = [_shortest(language, ahead, spelled) for spelled in spellings]
    if any(len(way) < len(ahead) for way in shortest):
        return None
    if least == 1 and not shortest[0][language.start]:
        return None  # an empty text would have to be told apart from one that is back where it began
    if least > 1 and len(shortest[0][language.start]) < least:
        return None
    ways: dict[int, tuple[str, ...]] = {}
    for place in (place for place, text in shortest[0].items() if text):
        texts = [way[place] for way in shortest]
        further = [(char, language.step(place, language.symbol(ord(char)))) for char in FILLING]
        texts += [char + way[to] for way in shortest for char, to in further if to]
        ways[place] = tuple(dict.fromkeys(texts))[:MAX_WAYS]
    return Places(language.start, ahead, ways, _before(ahead, frozenset(ways)))


def _graph(language: Anchored) -> dict[int, tuple[tuple[int, int], ...]] | None:
    """Where each place leads: (class, place); None where there are too many places."""
    ahead: dict[int, tuple[tuple[int, int], ...]] = {}
    symbols = list(dict.fromkeys(map(language.symbol, representatives(language.class_of))))
    todo = [language.start]
    while todo:
        at = todo.pop()
        if at in ahead:
            continue
        if len(ahead) == MAX_PLACES:
            return None
        ahead[at] = tuple((symbol, to) for symbol in symbols if (to := language.step(at, symbol)))
        todo += [to for _, to in ahead[at]]
    return ahead


def _ways_from(language: Anchored, place: int, spellings: Sequence[Mapping[int, str]]) -> tuple[str, ...]:
    """Texts that end a string from a place: shortest ones, which may be empty, and some with a character before."""
    further = [(char, language.step(place, language.symbol(ord(char)))) for char in FILLING]
    texts = [way[place] for way in spellings]
    texts += [char + way[to] for way in spellings for char, to in further if to]
    for char in RUNS:
        symbol, to = language.symbol(ord(char)), place
        for _ in range(RUN):
            to = language.step(to, symbol)
        if to:
            texts.append(RUN * char + spellings[0][to])
    return tuple(dict.fromkeys(texts))


def _nodes_after(automaton: PhraseAutomaton, after_word: bool) -> frozenset[int]:
    """The nodes of phrases that may be active behind a word character, or behind another, and complete none yet."""
    trie = automaton.trie
    moves = [(symbol, to) for row in trie.children for symbol, to in row.items()]
    moves += [(symbol, to) for row in trie.also for symbol, targets in row.items() for to in targets]
    moves += [(trie.separator, node) for node in trie.loops]
    flags = automaton.alphabet.flags
    return frozenset(
        to for symbol, to in moves if bool(flags[symbol] & PHRASE_WORD) == after_word and trie.final[to] != ENDS
    )


def _spelled(language: Anchored, preferred: str) -> dict[int, str]:
    """A character for every class that JSON can write without an escape, the preferred ones first."""
    spelled: dict[int, str] = {}
    for char in preferred:
        spelled.setdefault(language.symbol(ord(char)), char)
    classes, first = np.unique(language.class_of[PLAIN], return_index=True)
    for symbol, at in zip(classes.tolist(), first.tolist(), strict=True):
        spelled.setdefault(symbol, chr(int(PLAIN[at])))
    return spelled


def _shortest(
    language: Anchored, ahead: Mapping[int, Sequence[tuple[int, int]]], spelled: Mapping[int, str]
) -> dict[int, str]:
    """For every place a shortest text that leads to an end, spelled with these characters, the first ones if it can."""
    way = {place: "" for place in ahead if language.accepts(place)}
    rank = {symbol: number for number, symbol in enumerate(spelled)}
    while True:
        found: dict[int, str] = {}
        for place in ahead.keys() - way.keys():
            on = [(rank[symbol], symbol, to) for symbol, to in ahead[place] if symbol in rank and to in way]
            if on:
                _, symbol, to = min(on)
                found[place] = spelled[symbol] + way[to]
        if not found:
            return way
        way |= found


def _before(ahead: Mapping[int, Sequence[tuple[int, int]]], needs: frozenset[int]) -> frozenset[int]:
    """The places from which one of ``needs`` is reached, these included."""
    into: dict[int, list[int]] = {}
    for place, moves in ahead.items():
        for _, to in moves:
            into.setdefault(to, []).append(place)
    found, todo = set(needs), list(needs)
    while todo:
        for place in into.get(todo.pop(), ()):
            if place not in found:
                found.add(place)
                todo.append(place)
    return frozenset(found)
