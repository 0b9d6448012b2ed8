"""What matchers find in the texts of tests, part by part: what two versions of a rule share is looked for once."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeAlias, assert_never

from policykit.analysis.question import anonymous
from policykit.ir.document import AllOf, AnyOf, Chains, Entities, Leaf, Matcher, Not, Phrases, Regexes, Sources, Tally
from policykit.ir.opaque import Classifier, Language, Predicate
from policykit.verify import Searches, compile_check
from policykit.verify.matching import Check
from policykit.verify.units import Readings

Fired: TypeAlias = bool | None
"""Whether something was found; None where the matcher does not apply to the text."""
_Key: TypeAlias = tuple[object, ...]
_Numbered: TypeAlias = tuple[tuple[Leaf | Tally, int], ...]
_REMEMBERED = 1024
"""Leaves, by which one they are: those of the policy, and of its latest changes."""


class Finds:
    """Remembers what each phrase, expression and entity finds in each text. ``n`` is the text's number."""

    def __init__(self, searches: Searches) -> None:
        self._searches = searches
        self._known: dict[tuple[int, int], Fired] = {}
        self._numbers: dict[_Key, int] = {}
        self._checks: dict[int, Check] = {}
        self._parts: dict[int, tuple[Leaf | Tally, _Numbered]] = {}

    def fired(self, matcher: Matcher, readings: Readings, n: int) -> Fired:
        """As :func:`policykit.verify.compile_check`: Kleene's strong logic over the leaves."""
        match matcher:
            case Phrases() | Regexes() | Chains() | Entities():
                return _any(self.part(part, key, readings, n) for part, key in self.parts(matcher))
            case Tally():
                ((_, key),) = self.parts(matcher)
                return self.part(matcher, key, readings, n)
            case AnyOf(items):
                return _any(self.fired(item, readings, n) for item in items)
            case AllOf(items):
                return _not(_any(_not(self.fired(item, readings, n)) for item in items))
            case Not(item):
                return _not(self.fired(item, readings, n))
            case Predicate() | Classifier() | Language() | Sources():
                raise AssertionError("what others decide is asked of the whole verifier")
            case _:
                assert_never(matcher)

    def parts(self, leaf: Leaf | Tally) -> _Numbered:
        """What is looked for one by one, each with a number that equal parts share: keys are long to compare."""
        known = self._parts.get(id(leaf))
        if known is None:
            if len(self._parts) >= _REMEMBERED:
                self._parts.clear()
            keyed = _tally(leaf) if isinstance(leaf, Tally) else parts(leaf)
            numbered = tuple((part, self._numbers.setdefault(key, len(self._numbers))) for part, key in keyed)
            known = self._parts[id(leaf)] = (leaf, numbered)  # which keeps the leaf, and with it its id
        return known[1]

    def part(self, part: Leaf | Tally, key: int, readings: Readings, n: int) -> Fired:
        """What one part, with its number, finds."""
        if (key, n) not in self._known:
            check = self._checks.get(key)
            if check is None:
                check = self._checks[key] = compile_check(part, self._searches, True)
            self._known[key, n] = check(readings).fired
        return self._known[key, n]


def _tally(tally: Tally) -> Iterator[tuple[Tally, _Key]]:
    yield tally, ("tally", tally.at_least, tally.distinct, *(key for _, key in parts(tally.item)))


def parts(leaf: Leaf) -> Iterator[tuple[Leaf, _Key]]:
    """The leaf's phrases, expressions or entities, each as a leaf, with what tells it from others."""
    if isinstance(leaf, Entities):
        for entity in leaf.entities:
            pattern = entity.pattern.source if entity.pattern else None
            key = (entity.type, entity.region, pattern, entity.context, leaf.reading)
            yield replace(leaf, entities=(entity,)), key
        return
    if isinstance(leaf, Chains):
        for chain in leaf.chains:
            part = replace(leaf, chains=(chain,))
            yield part, (anonymous(part),)
        return
    beside = tuple((side.source, side.within) if side else None for side in (leaf.before, leaf.after))
    if isinstance(leaf, Phrases):
        for phrase in leaf.phrases:
            key = (phrase.text, leaf.exact, leaf.squeeze, beside, leaf.reading)
            yield replace(leaf, phrases=(phrase,)), key
        return
    for regex in leaf.regexes:
        yield replace(leaf, regexes=(regex,)), (regex.source, beside, leaf.reading)


def _any(outcomes: Iterator[Fired]) -> Fired:
    unknown = False
    for outcome in outcomes:
        if outcome:
            return True
        unknown |= outcome is None
    return None if unknown else False


def _not(outcome: Fired) -> Fired:
    return None if outcome is None else not outcome
