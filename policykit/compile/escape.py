"""The proof that free text never traps: a short text that frees every automaton from every state.

If after any text that the rules admit the same continuation is admitted too, and the text may end after it, then
there are no dead ends. Where a few automata need another continuation in some states, those states are known, and
the mask examines the tokens that lead to them. The states of an expression's automaton are enumerated, which also
bounds them: an expression that needs more is refused. A phrase automaton needs no enumeration: a character that no
phrase contains empties it.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from policykit.automata import FOUND, Automaton, PhraseAutomaton, run
from policykit.automata.alphabet import PHRASE_WORD

MAX_STATES = 10_000
FRESH_WORDS = ("ꙮ", "龘", "Ꮿ", "z", "0")
FRESH_OTHERS = (" ", ". ", "☃", "\n")
MAX_EXTENDED, MAX_ADDED = 4, 8
"""Candidates to which something is added where none frees all, and how often."""


@dataclass(frozen=True, slots=True)
class TooManyStates:
    limit: int


def states_of(automaton: Automaton, limit: int = MAX_STATES) -> frozenset[int] | TooManyStates:
    """Every state that some text reaches."""
    seen = {automaton.start}
    todo = deque(seen)
    while todo:
        at = todo.popleft()
        for symbol in range(automaton.n_symbols):
            to = automaton.step(at, symbol)
            if to != FOUND and to not in seen:
                if len(seen) == limit:
                    return TooManyStates(limit)
                seen.add(to)
                todo.append(to)
    return frozenset(seen)


def candidates(witnesses: Sequence[str] = (), marks: Sequence[str] = ()) -> tuple[str, ...]:
    """Texts that free most automata; ``witnesses`` are texts that requirements ask for, which all must contain, and
    ``marks`` the citations that whatever they begin with must hold."""
    if marks:
        cited, lead = "".join(marks), f"ꙮ {' '.join(witnesses)}" if witnesses else ""
        return (lead + cited, *(lead + word + cited for word in FRESH_WORDS), *candidates(witnesses))
    words = [*FRESH_WORDS, *(w + o for w in FRESH_WORDS[:3] for o in FRESH_OTHERS)]
    others = [*FRESH_OTHERS, *(o + w for o in FRESH_OTHERS for w in FRESH_WORDS[:3])]
    plain = ["", *words, *others]
    if not witnesses:
        return tuple(plain)
    middle = " ".join(witnesses)
    return tuple(f"{before}{middle}{after}" for before in (". ", " ", "ꙮ ") for after in ("", ".", " ", " ꙮ"))


ESCAPES = candidates()
"""What is tried in turn where one text does not free all."""


def frees(automaton: Automaton, states: Iterable[int], text: str) -> bool:
    """Whether the text is admitted in every state and may be the end."""
    symbols = automaton.alphabet.encode(automaton.alphabet.view.apply(text))
    for state in states:
        after = run(automaton, state, symbols)
        if not after or automaton.end_found(after):
            return False
    return True


def frees_phrases(automaton: PhraseAutomaton, text: str) -> bool:
    """The same for all states of a phrase automaton, without listing them.

    The first character must be fresh (in no phrase) and a word character, so that open phrases end without a
    boundary; from there on there is one state to follow.
    """
    symbols = automaton.alphabet.encode(automaton.alphabet.view.apply(text))
    if not symbols:
        return False
    first = symbols[0]
    after = run(automaton, automaton.start, symbols)
    is_word = bool(automaton.alphabet.flags[first] & PHRASE_WORD)
    return first not in automaton.trie.symbols and is_word and bool(after) and not automaton.end_found(after)


@dataclass(frozen=True, slots=True)
class Escape:
    """``text`` frees every automaton from every state, but for the ``fragile`` ones (by number), which it frees from
    some: there the mask looks at each token whether this or another text frees all."""

    text: str
    fragile: tuple[int, ...]


def best_escape(
    automata: Sequence[tuple[Automaton, frozenset[int] | None]],
    witnesses: Sequence[str] = (),
    marks: Sequence[str] = (),
) -> Escape:
    """The candidate that leaves the fewest automata fragile. States None: a phrase automaton's."""
    found: list[Escape] = []
    for text in candidates(witnesses, marks):
        found.append(_escape(automata, text))
        if not found[-1].fragile:
            return found[-1]
    found.sort(key=lambda escape: len(escape.fragile))
    for escape in found[:MAX_EXTENDED]:
        found += _extended(automata, escape)
        if not found[-1].fragile:
            return found[-1]
    return min(found, key=lambda escape: len(escape.fragile))


def _escape(automata: Sequence[tuple[Automaton, frozenset[int] | None]], text: str) -> Escape:
    return Escape(text, tuple(i for i, (a, states) in enumerate(automata) if not _always_frees(a, states, text)))


def _extended(automata: Sequence[tuple[Automaton, frozenset[int] | None]], escape: Escape) -> list[Escape]:
    """An escape with more behind it, by what a state wants that it does not free yet: a bracket under `\\([^)]*$`."""
    found: list[Escape] = []
    while len(found) < MAX_ADDED:
        text = found[-1].text if found else escape.text
        wanted = (w for i in (found[-1] if found else escape).fragile if (w := _wanted(*automata[i], text)))
        added = next(wanted, None)
        if added is None:
            break
        found.append(_escape(automata, text + added))
        if not found[-1].fragile:
            break
    return found


def _wanted(automaton: Automaton, states: frozenset[int] | None, text: str) -> str | None:
    """What ends the text after ``text`` in the first state that it leads to where it cannot end."""
    symbols = automaton.alphabet.encode(automaton.alphabet.view.apply(text))
    after = {run(automaton, state, symbols) for state in states or ()}
    if FOUND in after:
        return None  # nothing behind it mends that
    return next((way for s in sorted(after) if automaton.end_found(s) and (way := _way_to_end(automaton, s))), None)


def _way_to_end(automaton: Automaton, state: int) -> str | None:
    """A shortest text after which the text may end."""
    view, alphabet = automaton.alphabet.view, automaton.alphabet
    chars = [(symbol, chr(point)) for symbol, point in enumerate(alphabet.representatives.tolist())]
    chars = [(symbol, char) for symbol, char in chars if char.isprintable() and view.apply(char) == char]
    way, todo = {state: ""}, deque([state])
    while todo:
        at = todo.popleft()
        for symbol, char in chars:
            to = automaton.step(at, symbol)
            if to == FOUND or to in way:
                continue
            way[to] = way[at] + char
            if not automaton.end_found(to):
                return way[to]
            todo.append(to)
    return None


def _always_frees(automaton: Automaton, states: frozenset[int] | None, text: str) -> bool:
    if states is not None:
        return frees(automaton, states, text)
    return isinstance(automaton, PhraseAutomaton) and frees_phrases(automaton, text)


def shortest_matches(automaton: Automaton, limit: int = MAX_STATES) -> Iterator[str]:
    """Texts that the automaton finds, shortest first, one for every way to complete a match within the limit.

    They are spelled with representatives of the symbol classes.
    """
    chars = [chr(c) for c in automaton.alphabet.representatives.tolist()]
    seen = {automaton.start: ""}
    todo = deque(seen)
    while todo and len(seen) <= limit:
        at = todo.popleft()
        if automaton.end_found(at):
            yield seen[at]
        for symbol, char in enumerate(chars):
            to = automaton.step(at, symbol)
            if to == FOUND:
                yield seen[at] + char
            elif to not in seen:
                seen[to] = seen[at] + char
                todo.append(to)


def always_findable(automaton: Automaton, states: frozenset[int]) -> bool:
    """Whether from every state some text still completes a match: what is missing can always be mended."""
    into: dict[int, list[int]] = {}
    reached: list[int] = []
    for state in states:
        ahead = {automaton.step(state, symbol) for symbol in range(automaton.n_symbols)}
        if FOUND in ahead or automaton.end_found(state):
            reached.append(state)
        for to in ahead:
            into.setdefault(to, []).append(state)
    seen = set(reached)
    while reached:
        for state in into.get(reached.pop(), ()):
            if state not in seen:
                seen.add(state)
                reached.append(state)
    return seen >= states


def finds(automaton: Automaton, states: frozenset[int] | None, text: str) -> bool:
    """Whether the text, written in any state (None: of a phrase automaton, which any boundary frees), is a match."""
    symbols = automaton.alphabet.encode(automaton.alphabet.view.apply(text))
    for state in states if states is not None else (automaton.start,):
        after = run(automaton, state, symbols)
        if after and not automaton.end_found(after):
            return False
    return True
