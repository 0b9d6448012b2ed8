"""Rules and parts of rules that can never matter: what finds nothing, and what finds only where others do as well.

Others are gathered by counterexample: a text that the rule finds and nothing gathered so far does either brings
another one that finds it, or proves that the rule matters. So a rule that several others cover together is seen too,
and a rule that nothing covers costs one text (Clarke et al. 2000, counterexample-guided refinement).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from policykit.analysis.compare import STRENGTH, Outside, decision_of, why_outside
from policykit.analysis.inclusion import Unknown, found_beyond
from policykit.analysis.question import Compiled, reads
from policykit.analysis.search import MAX_STATES, Nothing, holds
from policykit.compile.resolve import leaves
from policykit.diagnostics import Place
from policykit.ir.document import AnyOf, Chains, Entities, Escalate, Leaf, Matcher, Phrases, Within
from policykit.ir.plan import ResolvedRule
from policykit.ir.verdict import Decision

_NOTHING = AnyOf(())


class Why(StrEnum):
    EMPTY = "empty"  # no text is found by it
    SHADOWED = "shadowed"  # other rules decide at least as strongly wherever it finds something
    SUBSUMED = "subsumed"  # other parts of the same matcher find something wherever this part does


@dataclass(frozen=True, slots=True)
class Idle:
    """A rule, or a part of one where ``part`` is not empty, that can never matter. ``by``: what covers it together."""

    why: Why
    rule: str
    part: str
    place: Place
    by: tuple[tuple[str, Place], ...] = ()


@dataclass(frozen=True, slots=True)
class Analysis:
    """``outside``: rules that are not regular or depend on more than the text, and questions over the budget. Of these
    nothing is known."""

    idle: tuple[Idle, ...]
    outside: tuple[Outside, ...]


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    place: Place
    matcher: Matcher


def analyse(
    rules: Sequence[ResolvedRule],
    max_states: int = MAX_STATES,
    progress: Callable[[int], None] = lambda _: None,
) -> Analysis:
    """What of the rules can never matter in their context. ``progress`` is told how many rules are done.

    A rule is shadowed by rules that depend on nothing but the text and decide at least as strongly; by one that
    decides alike only where both block, or both escalate in the same way. Parts of transforms are not compared: which
    spans are found matters there. Everything that is idle can go at once: the last rules are looked at first, and what
    is idle covers nothing any more, so of two rules that say the same the second one is named.
    """
    found: list[list[Idle | Outside]] = []
    compiled = Compiled()
    left = list(rules)
    for rule in reversed(rules):
        others = [other for other in left if other is not rule and _covers(other, rule)]
        found.append(list(_of_rule(rule, others, compiled, max_states)))
        if any(isinstance(item, Idle) and not item.part for item in found[-1]):
            left.remove(rule)
        progress(len(found))
    items = [item for of_rule in reversed(found) for item in of_rule]
    idle = tuple(item for item in items if isinstance(item, Idle))
    return Analysis(idle, tuple(item for item in items if isinstance(item, Outside)))


def _of_rule(
    rule: ResolvedRule, covering: Sequence[ResolvedRule], compiled: Compiled, max_states: int
) -> Iterator[Idle | Outside]:
    if rule.matcher is None or rule.admits is not None:
        yield Outside(rule.name, why_outside(rule) or "reads no text", rule.place)
        return
    kind = reads([rule.matcher])
    if not isinstance(kind, Within):
        yield Outside(rule.name, kind, rule.place)
        return
    others = [_Part(other.name, other.place, other.matcher) for other in covering if other.matcher]
    match _covering(rule.matcher, others, compiled, max_states):
        case Unknown(why):
            yield Outside(rule.name, why, rule.place)
        case []:
            yield Idle(Why.EMPTY, rule.name, "", rule.place)
        case [*by]:
            yield Idle(Why.SHADOWED, rule.name, "", rule.place, tuple((part.name, part.place) for part in by))
        case None:
            yield from _of_parts(rule, compiled, max_states)


def _covers(other: ResolvedRule, rule: ResolvedRule) -> bool:
    """Whether the rule does not matter where the other one finds something."""
    mine, theirs = decision_of(rule), decision_of(other)
    if mine is None or theirs is None or why_outside(other):
        return False
    if other.target is not rule.target or (other.tools and other.tools != rule.tools):
        return False
    if theirs is mine:
        return mine is Decision.BLOCK or (isinstance(rule.action, Escalate) and rule.action == other.action)
    return STRENGTH.index(theirs) < STRENGTH.index(mine)


def _covering(
    found: Matcher, others: Sequence[_Part], compiled: Compiled, max_states: int
) -> list[_Part] | Unknown | None:
    """Those of the others that together find something wherever ``found`` does, none of them in vain where one is
    enough; no others where ``found`` finds nothing at all; None where a text is found by ``found`` alone."""
    kind = reads([found])
    others = [other for other in others if reads([other.matcher]) == kind]
    gathered: list[_Part] = []
    while True:
        matcher = AnyOf(tuple(part.matcher for part in gathered)) if gathered else _NOTHING
        answer = found_beyond(found, matcher, compiled, max_states)
        if isinstance(answer, Unknown):
            return answer
        if isinstance(answer, Nothing):
            fewest = _fewest(found, gathered, compiled, max_states)
            return [part for part in others if part in fewest]
        other = next((part for part in others if holds(part.matcher, answer, compiled)), None)
        if other is None:
            return None
        gathered.append(other)


def _fewest(found: Matcher, gathered: list[_Part], compiled: Compiled, max_states: int) -> list[_Part]:
    """Without those that are not needed, the last found first: the others may do without it."""
    for part in list(gathered):
        rest = [other for other in gathered if other is not part]
        if rest and isinstance(found_beyond(found, _any(rest), compiled, max_states), Nothing):
            gathered = rest
    return gathered


def _any(parts: Sequence[_Part]) -> Matcher:
    return AnyOf(tuple(part.matcher for part in parts))


def _of_parts(rule: ResolvedRule, compiled: Compiled, max_states: int) -> Iterator[Idle | Outside]:
    """Phrases and expressions of one list that other parts of the same list make idle."""
    if decision_of(rule) is Decision.TRANSFORM:
        return
    for leaf in leaves(rule.matcher):
        left = list(_parts(leaf))
        found: list[Idle | Outside] = []
        for part in reversed(left):
            others = [other for other in left if other is not part]
            covered = _covering(part.matcher, others, compiled, max_states)
            if isinstance(covered, Unknown):
                found.append(Outside(f"{rule.name}: {part.name}", covered.why, part.place))
            elif covered is not None:
                left = others
                by = tuple((other.name, other.place) for other in covered)
                found.append(Idle(Why.SUBSUMED if by else Why.EMPTY, rule.name, part.name, part.place, by))
        yield from reversed(found)


def _parts(leaf: Leaf) -> Iterator[_Part]:
    if isinstance(leaf, Phrases):
        for phrase in leaf.phrases:
            yield _Part(phrase.text, phrase.place, replace(leaf, phrases=(phrase,)))
    elif not isinstance(leaf, Chains | Entities):
        for regex in leaf.regexes:
            yield _Part(regex.source, regex.place, replace(leaf, regexes=(regex,)))


__all__ = ["Analysis", "Idle", "Why", "analyse"]
