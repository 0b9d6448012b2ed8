"""What matchers find in the texts of tests, part by part: what two versions of a rule share is looked for once."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeAlias, assert_never

from policykit.analysis.question import anonymous
from policykit.ir.document import AllOf, AnyOf, Chains, Entities, Leaf, Matcher, Not, Phrases, Regexes, Sources, Tally
from policykit.ir.opaque import Classifier, Language, Predicate
from policykit.verify import Searches, compile_check
from policykit.verify.units import Readings

Fired: TypeAlias = bool | None
"""Whether something was found; None where the matcher does not apply to the text."""
_Key: TypeAlias = tuple[object, ...]


class Finds:
    """Remembers what each phrase, expression and entity finds in each text. ``n`` is the text's number."""

    def __init__(self, searches: Searches) -> None:
        self._searches = searches
        self._known: dict[tuple[_Key, int], Fired] = {}

    def fired(self, matcher: Matcher, readings: Readings, n: int) -> Fired:
        """As :func:`policykit.verify.compile_check`: Kleene's strong logic over the leaves."""
        match matcher:
            case Phrases() | Regexes() | Chains() | Entities():
                return _any(self._part(part, key, readings, n) for part, key in parts(matcher))
            case Tally(item):
                key = ("tally", matcher.at_least, matcher.distinct, *(key for _, key in parts(item)))
                return self._part(matcher, key, readings, n)
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

    def _part(self, part: Leaf | Tally, key: _Key, readings: Readings, n: int) -> Fired:
        if (key, n) not in self._known:
            self._known[key, n] = compile_check(part, self._searches, True)(readings).fired
        return self._known[key, n]


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
