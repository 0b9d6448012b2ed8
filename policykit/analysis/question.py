"""A matcher as a question about texts: the automata of its leaves, and a formula over what they find.

The text is what a rule reads: a text, or the strings of a JSON text. Which JSON text holds the strings does not
matter, since every string is read as a text of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from policykit.analysis.symbols import Symbols, symbols_of
from policykit.automata import Automaton, compile_automata
from policykit.automata.frames import InStrings
from policykit.compile.program import Every, Formula, Literal, Some, negated
from policykit.compile.resolve import leaves, opaque, sources
from policykit.diagnostics import Place
from policykit.ir.document import (
    AllOf,
    AnyOf,
    Chain,
    Chains,
    Context,
    Entities,
    Join,
    Link,
    Matcher,
    Not,
    Phrase,
    Phrases,
    Regexes,
    Searched,
    Sources,
    Tally,
    Within,
)
from policykit.ir.opaque import Classifier, Language, Predicate
from policykit.text import view

_NOWHERE = Place("")


@dataclass(frozen=True, slots=True)
class Question:
    """``formula`` is in negation normal form over ``automata``, which are framed by string marks if ``in_strings``;
    ``symbols`` tell apart whatever they do."""

    automata: tuple[Automaton, ...]
    formula: Formula
    in_strings: bool
    symbols: Symbols


def reads(matchers: Iterable[Matcher]) -> Within | str:
    """What the matchers read, all of them the same: the text or JSON strings; else why they cannot be compared."""
    matchers = tuple(matchers)
    if any(map(opaque, matchers)):
        return "asks a predicate or a classifier, or for the language"
    if any(map(sources, matchers)):
        return "depends on facts or people"
    found = [leaf for matcher in matchers for leaf in leaves(matcher)]
    if any(isinstance(leaf, Entities) for leaf in found):
        return "validates entities, by more than their form"
    if any(leaf.reading.join is not Join.NONE for leaf in found):
        return "joins the strings of an array"
    if any(leaf.reading.unescape for leaf in found):
        return "decodes escapes"
    parts = {Within.TEXT if leaf.reading.within is Within.AUTO else leaf.reading.within for leaf in found}
    if parts == {Within.TEXT, Within.JSON_STRINGS}:
        return "reads JSON strings and the text around them"
    return parts.pop() if parts else Within.TEXT


def anonymous(matcher: Matcher) -> Matcher:
    """The matcher without places, so that equal matchers are equal values."""
    match matcher:
        case Phrases():
            phrases = tuple(Phrase(phrase.text, _NOWHERE) for phrase in matcher.phrases)
            return replace(
                matcher, phrases=phrases, before=_bare(matcher.before), after=_bare(matcher.after), place=_NOWHERE
            )
        case Regexes():
            regexes = tuple(replace(regex, place=_NOWHERE) for regex in matcher.regexes)
            return replace(
                matcher, regexes=regexes, before=_bare(matcher.before), after=_bare(matcher.after), place=_NOWHERE
            )
        case Chains():
            return replace(matcher, chains=tuple(map(_bare_chain, matcher.chains)), place=_NOWHERE)
        case Entities() | Tally() | Sources() | Predicate() | Classifier() | Language():
            return matcher
        case AnyOf(items):
            return AnyOf(tuple(map(anonymous, items)))
        case AllOf(items):
            return AllOf(tuple(map(anonymous, items)))
        case Not(item):
            return Not(anonymous(item))
        case _:
            assert_never(matcher)


def _bare(context: Context | None) -> Context | None:
    return None if context is None else replace(context, place=_NOWHERE)


def _bare_chain(chain: Chain) -> Chain:
    """The chain without places and name: what it finds is in its parts."""
    parts = (
        Link(
            tuple(Phrase(phrase.text, _NOWHERE) for phrase in part.phrases),
            tuple(replace(regex, place=_NOWHERE) for regex in part.regexes),
            part.exact,
        )
        if isinstance(part, Link)
        else part
        for part in chain.parts
    )
    return Chain("", tuple(parts), _NOWHERE)


class Compiled:
    """The automata of leaves, each made once: what two matchers have in common is run once."""

    def __init__(self) -> None:
        self._automata: dict[tuple[Matcher, str], tuple[Automaton, ...]] = {}
        self._symbols: dict[frozenset[int], Symbols] = {}

    def of(self, leaf: Searched, name: str) -> tuple[Automaton, ...]:
        """The automata of an anonymous leaf on a view."""
        found = self._automata.get((leaf, name))
        if found is None:
            found = compile_automata(leaf, view(name))
            if leaf.reading.within is Within.JSON_STRINGS:
                found = tuple(map(InStrings, found))
            self._automata[leaf, name] = found
        return found

    def symbols(self, automata: Sequence[Automaton]) -> Symbols:
        """The symbols of automata that were made here."""
        key = frozenset(map(id, automata))
        found = self._symbols.get(key)
        if found is None:
            found = self._symbols[key] = symbols_of(automata)
        return found


def ask(matcher: Matcher, compiled: Compiled) -> Question:
    """The question whether a text lets the matcher find something. Its leaves read one kind of text (:func:`reads`)."""
    automata, formula = lower_matcher(matcher, compiled)
    return Question(automata, formula, reads([matcher]) is Within.JSON_STRINGS, compiled.symbols(automata))


def lower_matcher(matcher: Matcher, compiled: Compiled) -> tuple[tuple[Automaton, ...], Formula]:
    """The automata of the leaves, and the formula over them in negation normal form."""
    lowering = _Lowering(compiled)
    formula = lowering.formula(negated(anonymous(matcher)))
    return tuple(lowering.automata), formula


class _Lowering:
    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled
        self._numbers: dict[int, int] = {}
        self.automata: list[Automaton] = []

    def formula(self, matcher: Matcher) -> Formula:
        match matcher:
            case Phrases() | Regexes() | Chains():
                return Literal(self._units(matcher), True)
            case Not(item):
                assert isinstance(item, Phrases | Regexes | Chains), "negation normal form"
                return Literal(self._units(item), False)
            case Entities() | Tally() | Sources() | Predicate() | Classifier() | Language():
                raise AssertionError("what is not regular was to be left out")
            case AllOf(items):
                return Every(tuple(map(self.formula, items)))
            case AnyOf(items):
                return Some(tuple(map(self.formula, items)))
            case _:
                assert_never(matcher)

    def _units(self, leaf: Searched) -> tuple[int, ...]:
        made = [a for piece in _pieces(leaf) for name in leaf.reading.views for a in self._compiled.of(piece, name)]
        return tuple(dict.fromkeys(map(self._number, made)))

    def _number(self, automaton: Automaton) -> int:
        number = self._numbers.get(id(automaton))
        if number is None:
            number = self._numbers[id(automaton)] = len(self.automata)
            self.automata.append(automaton)
        return number


def _pieces(leaf: Searched) -> tuple[Searched, ...]:
    """Expressions one by one, so that two lists share those that they have in common; phrases share a trie."""
    if isinstance(leaf, Phrases):
        return (leaf,)
    if isinstance(leaf, Chains):
        return tuple(replace(leaf, chains=(chain,)) for chain in leaf.chains)
    return tuple(replace(leaf, regexes=(regex,)) for regex in leaf.regexes)
