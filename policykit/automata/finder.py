"""Where a matcher's leaf finds something in a text that is already on the view.

The automata decide *whether* there is a match, exactly as the mask does; where it is comes from passes in both
directions, which run only on texts with a hit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from policykit.automata.alphabet import PHRASE_WORD
from policykit.automata.citations import beginning, uncited
from policykit.automata.lazy import MAX_KEPT_STATES, Automaton, RegexAutomaton, run
from policykit.automata.nfa import Chained, Determined, Measured, Pattern, Room, Separated, build
from policykit.automata.phrases import (
    ANYWHERE,
    AT_BOUNDARY,
    ENDS,
    ENDS_AT_BOUNDARY,
    PhraseAutomaton,
    PhraseTrie,
    build_trie,
    separate,
)
from policykit.automata.spans import Spans
from policykit.automata.squeezed import build_squeezed_trie, squeeze
from policykit.ir.document import Chain, Chains, Gap, Link, Measure, Phrases, Searched, Uncited, Unit
from policykit.ir.regex import Regex
from policykit.text import View


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """A match ``[start, end)`` in the view's text; ``index`` is the phrase or expression of the leaf."""

    start: int
    end: int
    index: int


def patterns_of(leaf: Searched, view: View) -> tuple[Pattern, ...]:
    """One pattern per phrase, expression or chain, with the leaf's context around it."""
    if isinstance(leaf, Chains):
        return tuple(Pattern(_chained(chain, view), _begins(chain)) for chain in leaf.chains)
    before = (leaf.before.regex, leaf.before.within) if leaf.before else None
    after = (leaf.after.regex, leaf.after.within) if leaf.after else None
    if isinstance(leaf, Phrases):
        bodies = (squeeze(view, p.text) if leaf.squeeze else separate(view, p.text, leaf.exact) for p in leaf.phrases)
        return tuple(Pattern(body, before, after) for body in bodies)
    return tuple(Pattern(r.regex, before, after) for r in leaf.regexes)


def _chained(chain: Chain, view: View) -> Chained:
    return Chained(tuple(_part(part, view) for part in chain.parts))


def _begins(chain: Chain) -> tuple[Regex, int] | None:
    first = chain.parts[0]
    return (beginning(first.mark.regex, first.per), 0) if isinstance(first, Uncited) else None


def _part(
    part: Link | Gap | Measure | Uncited, view: View
) -> tuple[Regex | Separated, ...] | Room | Measured | Determined:
    match part:
        case Link():
            return _alternatives(part, view)
        case Gap(unit, most):
            return Room(unit is Unit.WORDS, most)
        case Measure(unit, at_least):
            return Measured(unit, at_least)
        case Uncited(mark, per, free):
            return uncited(mark.regex, per, free, view)


def _alternatives(link: Link, view: View) -> tuple[Regex | Separated, ...]:
    phrases = (separate(view, phrase.text, link.exact) for phrase in link.phrases)
    return (*phrases, *(item.regex for item in link.regexes))


def trie_of(view: View, texts: Sequence[str], exact: bool, squeezed: bool) -> PhraseTrie:
    """The trie of phrases as a leaf with these options spells them."""
    if squeezed:
        return build_squeezed_trie(view, [squeeze(view, text) for text in texts])
    return build_trie(view, [separate(view, text, exact) for text in texts])


def compile_automata(leaf: Searched, view: View) -> tuple[Automaton, ...]:
    """The search automata whose union is the leaf on this view."""
    if isinstance(leaf, Phrases) and not leaf.before and not leaf.after:
        return (PhraseAutomaton(trie_of(view, [p.text for p in leaf.phrases], leaf.exact, leaf.squeeze)),)
    return tuple(RegexAutomaton(build(view, pattern)) for pattern in patterns_of(leaf, view))


class Finder:
    """A leaf on one view. Texts are given on the view; offsets are offsets of the view's text."""

    def __init__(self, automata: Sequence[Automaton]) -> None:
        self._automata = tuple(automata)
        self._spans = {i: Spans(a.nfa) for i, a in enumerate(self._automata) if isinstance(a, RegexAutomaton)}

    def search(self, view_text: str) -> bool:
        """Whether there is a match: the same run as the mask's. Linear in the text."""
        return any(_found(automaton, view_text) for automaton in self._automata)

    def findall(self, view_text: str) -> list[Found]:
        """Leftmost-longest matches that do not overlap, in order. Not empty exactly when :meth:`search` is true.

        Of every expression its successive matches are candidates, of phrases all matches.
        """
        candidates: list[Found] = []
        for index, automaton in enumerate(self._automata):
            if not _found(automaton, view_text):
                continue
            if isinstance(automaton, PhraseAutomaton):
                candidates += _phrase_spans(automaton.trie, view_text)
            else:
                candidates += [Found(start, end, index) for start, end in self._spans[index].find(view_text)]
        return leftmost_longest(candidates)


def compile_finder(leaf: Searched, view: View) -> Finder:
    """The finder of a leaf on a view."""
    return Finder(compile_automata(leaf, view))


def leftmost_longest(found: Sequence[Found]) -> list[Found]:
    """The usual selection among overlapping matches: earliest start, then longest, then the first pattern."""
    chosen: list[Found] = []
    end = -1
    for item in sorted(found, key=lambda f: (f.start, -f.end, f.index)):
        if item.start >= end:
            chosen.append(item)
            end = max(item.end, item.start + 1)
    return chosen


def _found(automaton: Automaton, view_text: str) -> bool:
    if automaton.n_states > MAX_KEPT_STATES and isinstance(automaton, RegexAutomaton | PhraseAutomaton):
        automaton.forget()  # a long-lived verifier on hostile texts must not grow without bound
    state = run(automaton, automaton.start, automaton.alphabet.encode(view_text))
    return not state or automaton.end_found(state)


def _phrase_spans(trie: PhraseTrie, view_text: str) -> list[Found]:
    out: list[Found] = []
    active: dict[int, int] = {}
    was_word = False
    for at, symbol in enumerate(trie.alphabet.encode(view_text)):
        word = bool(trie.alphabet.flags[symbol] & PHRASE_WORD)
        if word != was_word:
            out += _ended(trie, active, at, ENDS_AT_BOUNDARY)
        ahead: dict[int, int] = {}
        roots = ((ANYWHERE, at), (AT_BOUNDARY, at)) if word != was_word else ((ANYWHERE, at),)
        for node, start in (*active.items(), *roots):
            for to in trie.moves((node,), symbol):
                ahead[to] = min(ahead.get(to, start), start)
        active, was_word = ahead, word
        out += _ended(trie, active, at + 1, ENDS)
    return out + (_ended(trie, active, len(view_text), ENDS_AT_BOUNDARY) if was_word else [])


def _ended(trie: PhraseTrie, active: dict[int, int], end: int, kind: int) -> list[Found]:
    return [Found(start, end, trie.owners[node][0]) for node, start in active.items() if trie.final[node] == kind]
