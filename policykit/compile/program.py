"""What the mask has to forbid: the plan's `decode` rules as automata and formulas over them.

A rule that is an alternative of leaves forbids each leaf outright. Anything with `all` or `not` keeps a formula over
"has been found": it closes a token when the formula became true for good, and the end of text while it is true.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias, assert_never

from policykit.automata import (
    Automaton,
    NothingLeft,
    PhraseAutomaton,
    RegexAutomaton,
    TooLarge,
    Unescaped,
    admitting,
    compile_automata,
    patterns_of,
    trie_of,
)
from policykit.automata.frames import InJoinedArrays, InStrings, Trimmed
from policykit.automata.nfa import build
from policykit.automata.phrases import PhraseTrie
from policykit.compile.resolve import leaves
from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.entities import entity_patterns
from policykit.ir.document import (
    AllOf,
    AnyOf,
    Chains,
    Entities,
    Join,
    Leaf,
    Matcher,
    Not,
    Phrase,
    Phrases,
    Regexes,
    Sources,
    Tally,
    Within,
    patterns,
)
from policykit.ir.opaque import Classifier, Language, Predicate
from policykit.ir.plan import ResolvedRule
from policykit.text import View, view


@dataclass(frozen=True, slots=True)
class Literal:
    """One leaf of a formula: found by any of the units, or (not ``positive``) by none."""

    units: tuple[int, ...]
    positive: bool


@dataclass(frozen=True, slots=True)
class Every:
    items: "tuple[Formula, ...]"


@dataclass(frozen=True, slots=True)
class Some:
    items: "tuple[Formula, ...]"


Formula: TypeAlias = Literal | Every | Some


@dataclass(frozen=True, slots=True)
class UnitSpec:
    """An automaton to bind: how to make a fresh one, which text it reads, and whom a find belongs to.

    ``owners[i]`` is the rule of the i-th pattern and ``places[i]`` where that stands. ``forbids`` is False for the
    leaves of formulas. With ``admits`` the automaton forbids what is not the beginning of an admitted text. One that
    decodes the escapes of a kind (``unescape``) reads the raw text, whatever view it puts the decoded one on.
    """

    make: Callable[[], Automaton]
    view: str
    within: Within
    joined: bool
    owners: tuple[str, ...]
    places: tuple[Place, ...]
    forbids: bool
    admits: bool = False
    unescape: str = ""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A rule with a formula: its text is forbidden once ``formula`` can no longer become false."""

    rule: str
    formula: Formula


@dataclass(frozen=True, slots=True)
class Program:
    units: tuple[UnitSpec, ...]
    requirements: tuple[Requirement, ...]


def negated(matcher: Matcher, positive: bool = True) -> Matcher:
    """The matcher in negation normal form: `not` only on leaves (De Morgan)."""
    match matcher:
        case Not(item):
            return negated(item, not positive)
        case AnyOf(items) | AllOf(items):
            both = tuple(negated(item, positive) for item in items)
            return AnyOf(both) if isinstance(matcher, AnyOf) == positive else AllOf(both)
        case Phrases() | Regexes() | Chains() | Entities() | Predicate() | Classifier() | Language():
            return matcher if positive else Not(matcher)
        case Tally() | Sources():
            return matcher if positive else Not(matcher)
        case _:
            assert_never(matcher)


def alternatives(matcher: Matcher) -> tuple[Matcher, ...]:
    """The top-level alternatives of a matcher in negation normal form."""
    if isinstance(matcher, AnyOf):
        return tuple(leaf for item in matcher.items for leaf in alternatives(item))
    return (matcher,)


def framed(automaton: Automaton, within: Within, joined: bool) -> Automaton:
    """The automaton as it reads its part of the text."""
    if not within.is_json:
        return automaton
    return InJoinedArrays(automaton) if joined else InStrings(automaton)


class _Lowering:
    def __init__(self) -> None:
        self.phrases: dict[tuple[str, Within, bool, bool, bool, str], list[tuple[Phrase, str]]] = {}
        self.units: list[UnitSpec] = []
        self.requirements: list[Requirement] = []
        self.allowing: list[ResolvedRule] = []

    def rule(self, rule: ResolvedRule) -> None:
        if rule.admits is not None:
            self.allowing.append(rule)
            return
        assert rule.matcher is not None, "what a mask enforces has a matcher"
        for part in alternatives(negated(rule.matcher)):
            if isinstance(part, Phrases | Regexes | Chains | Entities):
                self.forbid(part, rule.name)
            else:
                self.requirements.append(Requirement(rule.name, self.formula(part, rule.name)))

    def forbid(self, leaf: Leaf, owner: str) -> None:
        reading = leaf.reading
        if isinstance(leaf, Phrases) and not leaf.before and not leaf.after:
            for name, kind in product(reading.views, ("", *reading.unescape)):
                key = (name, reading.within, reading.join == Join.ARRAY, leaf.exact, leaf.squeeze, kind)
                self.phrases.setdefault(key, []).extend((p, owner) for p in leaf.phrases)
            return
        self.leaf(leaf, owner, forbids=True)

    def leaf(self, leaf: Leaf, owner: str, *, forbids: bool) -> tuple[int, ...]:
        """Units of a leaf: one per view and automaton. Returns their numbers."""
        reading = leaf.reading
        joined = reading.join == Join.ARRAY
        numbers: list[int] = []
        for name, kind in product(reading.views, ("", *reading.unescape)):
            for made, places in _automata(leaf, view(name)):
                make = _maker(made, kind, reading.within, joined, forbids)
                numbers.append(len(self.units))
                owners, on = (owner,) * len(places), "raw" if kind else name
                self.units.append(UnitSpec(make, on, reading.within, joined, owners, places, forbids, unescape=kind))
        return tuple(numbers)

    def formula(self, matcher: Matcher, owner: str) -> Formula:
        match matcher:
            case Phrases() | Regexes() | Chains() | Entities():
                return Literal(self.leaf(matcher, owner, forbids=False), True)
            case Not(item):
                assert isinstance(item, Phrases | Regexes | Chains | Entities), "negation normal form"
                return Literal(self.leaf(item, owner, forbids=False), False)
            case Tally() | Sources() | Predicate() | Classifier() | Language():
                raise AssertionError("what a mask enforces is made of automata")
            case AllOf(items):
                return Every(tuple(self.formula(item, owner) for item in items))
            case AnyOf(items):
                return Some(tuple(self.formula(item, owner) for item in items))
            case _:
                assert_never(matcher)

    def admit(self, rule: ResolvedRule) -> UnitSpec:
        """What the allow rules of one document leave over, less what the units before it on the same view forbid."""
        found_in = [leaf for allow in rule.admits or () for leaf in leaves(allow.matcher)]
        allowed = [leaf for leaf in found_in if not isinstance(leaf, Entities)]
        assert len(allowed) == len(found_in), "forms alone admit nothing"
        on = view(allowed[0].reading.views[0])
        bodies = [pattern.body for leaf in allowed for pattern in patterns_of(leaf, on)]
        own = [u for u in self.units if u.forbids and not u.unescape]
        beside = [u for u in own if u.view == on.name and u.within == Within.TEXT]
        found = admitting(on, bodies, [unit.make() for unit in beside])
        if isinstance(found, TooLarge):
            text = (
                f"the allow rules of `{rule.document}` need more than {found.limit} states beside the rules that block"
            )
            raise PolicyError.of("PK303", text, rule.place, help="split the document, or shorten bounded repetitions")
        if isinstance(found, NothingLeft):
            blockers = tuple((place, "this one forbids it") for unit in beside for place in unit.places[:1])
            text = f"no text that the allow rules of `{rule.document}` admit can be written"
            raise PolicyError(
                [Diagnostic("PK307", text, rule.place, "change the allow rules or those that block", related=blockers)]
            )
        return UnitSpec(lambda: found, on.name, Within.TEXT, False, (rule.name,), (rule.place,), True, True)

    def finish(self) -> Program:
        for (name, within, joined, exact, squeezed, kind), entries in self.phrases.items():
            trie = trie_of(view(name), [phrase.text for phrase, _ in entries], exact, squeezed)
            make = _phrase_maker(trie, kind, within, joined)
            owners, places = tuple(o for _, o in entries), tuple(p.place for p, _ in entries)
            on = "raw" if kind else name
            self.units.append(UnitSpec(make, on, within, joined, owners, places, True, unescape=kind))
        for rule in self.allowing:
            self.units.append(self.admit(rule))
        return Program(tuple(self.units), tuple(self.requirements))


def _automata(leaf: Leaf, on: View) -> list[tuple[Automaton, tuple[Place, ...]]]:
    """The search automata of a leaf on a view, each with the places of its patterns."""
    if isinstance(leaf, Entities):
        in_json = leaf.reading.within.is_json
        return [
            (RegexAutomaton(build(on, pattern)), (entity.place,))
            for entity in leaf.entities
            for pattern in entity_patterns(entity, in_json=in_json)
        ]
    automata = compile_automata(leaf, on)
    places = tuple(part.place for part in patterns(leaf))
    if len(automata) == 1:
        return [(automata[0], places)]
    return [(made, (place,)) for made, place in zip(automata, places, strict=True)]


def _phrase_maker(trie: PhraseTrie, kind: str, within: Within, joined: bool) -> Callable[[], Automaton]:
    return lambda: framed(_decoding(PhraseAutomaton(trie), kind, True), within, joined)


def _decoding(automaton: Automaton, kind: str, forbids: bool) -> Automaton:
    """The automaton on the text with one kind of escapes decoded. Where nothing may be found it is trimmed: of what
    an escape that was begun can become, everything may be forbidden."""
    if not kind:
        return automaton
    return Trimmed(Unescaped(automaton, kind)) if forbids else Unescaped(automaton, kind)


def _maker(made: Automaton, kind: str, within: Within, joined: bool, forbids: bool) -> Callable[[], Automaton]:
    """A fresh automaton of the same pattern; forbidding ones are trimmed to states that can still end."""

    def make() -> Automaton:
        if isinstance(made, RegexAutomaton):
            fresh = RegexAutomaton(made.nfa)
            trimmed = Trimmed(fresh) if forbids and not kind else fresh
            return framed(_decoding(trimmed, kind, forbids), within, joined)
        assert isinstance(made, PhraseAutomaton), "a leaf is phrases or expressions"
        return framed(_decoding(PhraseAutomaton(made.trie), kind, forbids), within, joined)

    return make


def literals(formula: Formula) -> tuple[Literal, ...]:
    """All leaves of a formula."""
    if isinstance(formula, Literal):
        return (formula,)
    return tuple(literal for item in formula.items for literal in literals(item))


def lower(rules: Sequence[ResolvedRule]) -> Program:
    """The program of the rules that the mask enforces. Their `auto` readings are resolved.

    Raises PolicyError: allow rules that leave nothing (PK307) or are too large (PK303).
    """
    lowering = _Lowering()
    for rule in rules:
        lowering.rule(rule)
    return lowering.finish()
