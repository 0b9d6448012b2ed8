"""Two sets of rules compared by the texts on which they act: exact, with a shortest text for every difference.

What is compared is what a side *decides* about a text (`block` above `escalate` above `transform`), or, between two
single rules, whether it finds anything. Which spans are found, messages, severities and costs are not compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias, assert_never

from policykit.analysis.difference import first_only
from policykit.analysis.question import Compiled, reads
from policykit.analysis.search import MAX_STATES, Nothing, NotProven, Sample, holds
from policykit.compile.resolve import reads_facts
from policykit.diagnostics import Place
from policykit.ir.document import (
    AllOf,
    AnyOf,
    Block,
    Chains,
    Entities,
    Escalate,
    Hash,
    Mask,
    Matcher,
    Mode,
    Not,
    OnMatch,
    Phrases,
    Regexes,
    Replace,
    Sources,
    Tally,
    Target,
    Within,
)
from policykit.ir.opaque import Classifier, Language, Predicate
from policykit.ir.plan import ResolvedRule
from policykit.ir.verdict import Decision

STRENGTH = (Decision.BLOCK, Decision.ESCALATE, Decision.TRANSFORM)
"""Strongest first."""


@dataclass(frozen=True, slots=True)
class Outside:
    """A rule that the comparison says nothing about."""

    rule: str
    why: str
    place: Place


@dataclass(frozen=True, slots=True)
class Example:
    """A text on which one side acts and the other does not, or more weakly. ``shortest`` has the fewest characters
    of all such texts (not proved where ``is_shortest`` is False); ``readable`` those of all that are ASCII.
    ``by`` and ``against`` are what each side decides about ``shown``, with the rules that find something."""

    shortest: Sample
    readable: Sample | None
    is_shortest: bool
    by: Decision
    by_rules: tuple[str, ...]
    against: Decision
    against_rules: tuple[str, ...]

    @property
    def shown(self) -> Sample:
        """The text that people can read, where there is one."""
        return self.readable or self.shortest


Difference: TypeAlias = Example | Nothing | NotProven


class Relation(StrEnum):
    EQUAL = "equal"
    IMPLIES = "implies"  # wherever the first acts, the second acts at least as strongly
    IMPLIED = "implied"
    NEITHER = "neither"
    NOT_PROVEN = "not proven"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One kind of text (``target`` and which part of it is read) under both sides."""

    target: Target
    within: Within
    first_only: Difference
    second_only: Difference

    @property
    def relation(self) -> Relation:
        if isinstance(self.first_only, NotProven) or isinstance(self.second_only, NotProven):
            return Relation.NOT_PROVEN
        differs = isinstance(self.first_only, Example), isinstance(self.second_only, Example)
        return {
            (False, False): Relation.EQUAL,
            (False, True): Relation.IMPLIES,
            (True, False): Relation.IMPLIED,
            (True, True): Relation.NEITHER,
        }[differs]


@dataclass(frozen=True, slots=True)
class Report:
    """All comparisons, and the rules of each side that they leave out. ``of_rules``: between two single rules, by
    what they find."""

    comparisons: tuple[Comparison, ...]
    outside_first: tuple[Outside, ...]
    outside_second: tuple[Outside, ...]
    of_rules: bool = False

    @property
    def relation(self) -> Relation:
        """Of the two sides as a whole: what holds for every kind of text."""
        found = {comparison.relation for comparison in self.comparisons} - {Relation.EQUAL}
        if Relation.NOT_PROVEN in found:
            return Relation.NOT_PROVEN
        return Relation.EQUAL if not found else found.pop() if len(found) == 1 else Relation.NEITHER


def compare(first: Sequence[ResolvedRule], second: Sequence[ResolvedRule], max_states: int = MAX_STATES) -> Report:
    """What both sets of rules decide about every text."""
    sides = _Side(first), _Side(second)
    _level_tools(*sides)
    one, other = sides
    kinds = dict.fromkeys(kind for side in sides for kind in side.groups)
    compared = (_compared(kind, one.groups.get(kind, []), other.groups.get(kind, []), max_states) for kind in kinds)
    return Report(tuple(compared), tuple(one.outside), tuple(other.outside))


def compare_rules(first: ResolvedRule, second: ResolvedRule, max_states: int = MAX_STATES) -> Report:
    """In which texts two rules find something, whatever their targets, tools, modes and actions are."""
    block = Block(None, None, OnMatch.AVOID)
    plain = [replace(r, target=Target.OUTPUT, tools=(), mode=Mode.ENFORCE, action=block) for r in (first, second)]
    return replace(compare(plain[:1], plain[1:], max_states), of_rules=True)


def on_view(rule: ResolvedRule, name: str) -> ResolvedRule:
    """The rule as if it read one view of the text alone."""
    return rule if rule.matcher is None else replace(rule, matcher=_on_view(rule.matcher, name))


def _on_view(matcher: Matcher, name: str) -> Matcher:
    match matcher:
        case Predicate() | Classifier() | Language() | Sources():
            return matcher
        case Phrases() | Regexes() | Chains() | Entities():
            return replace(matcher, reading=replace(matcher.reading, views=(name,)))
        case Tally(item):
            return replace(matcher, item=replace(item, reading=replace(item.reading, views=(name,))))
        case AnyOf(items):
            return AnyOf(tuple(_on_view(item, name) for item in items))
        case AllOf(items):
            return AllOf(tuple(_on_view(item, name) for item in items))
        case Not(item):
            return Not(_on_view(item, name))
        case _:
            assert_never(matcher)


def decision_of(rule: ResolvedRule) -> Decision | None:
    """What the rule decides where it finds something; None for one that does not act on what it finds."""
    match rule.action:
        case Block():
            return Decision.BLOCK
        case Escalate():
            return Decision.ESCALATE
        case Mask() | Replace() | Hash():
            return Decision.TRANSFORM
        case _:
            return None


def why_outside(rule: ResolvedRule) -> str | None:
    """Why the rule cannot be compared by the texts that it finds; None if it can."""
    if rule.mode is Mode.SHADOW:
        return "is in shadow, so it decides nothing"
    if rule.admits is not None:
        return "stands for `default: block`, which judges texts as a whole"
    if rule.matcher is None or reads_facts(rule):
        return "depends on facts or people"
    if decision_of(rule) is None:
        return "changes the output as a whole"
    kind = reads([rule.matcher])
    return None if isinstance(kind, Within) else kind


_Kind: TypeAlias = tuple[Target, Within]


class _Side:
    """The rules of one side that can be compared, by the kind of text, and those that cannot."""

    def __init__(self, rules: Sequence[ResolvedRule]) -> None:
        self.groups: dict[_Kind, list[ResolvedRule]] = {}
        self.outside: list[Outside] = []
        for rule in rules:
            why = why_outside(rule)
            if why or rule.matcher is None:
                self.outside.append(Outside(rule.name, why or "finds nothing", rule.place))
                continue
            kind = reads([rule.matcher])
            assert isinstance(kind, Within), "a rule that reads one kind of text"
            self.groups.setdefault((rule.target, kind), []).append(rule)


def _level_tools(first: _Side, second: _Side) -> None:
    """Rules about some tools only can be compared where all rules of a kind are about the same tools."""
    for kind in {*first.groups, *second.groups}:
        tools = {rule.tools for side in (first, second) for rule in side.groups.get(kind, [])}
        if len(tools) < 2:
            continue
        for side in (first, second):
            rules = side.groups.pop(kind, [])
            why = "is about some tools, and other rules are about others"
            side.outside += [Outside(rule.name, why, rule.place) for rule in rules if rule.tools]
            if kept := [rule for rule in rules if not rule.tools]:
                side.groups[kind] = kept


def _compared(
    kind: _Kind, first: Sequence[ResolvedRule], second: Sequence[ResolvedRule], max_states: int
) -> Comparison:
    compiled = Compiled()
    return Comparison(
        *kind,
        _difference(first, second, compiled, max_states),
        _difference(second, first, compiled, max_states),
    )


def _difference(
    one: Sequence[ResolvedRule], other: Sequence[ResolvedRule], compiled: Compiled, max_states: int
) -> Difference:
    """A text about which one side decides more strongly: at least as strongly as some decision, the other not."""
    unproven = False
    best: Example | None = None
    for decision in STRENGTH:
        found = _at_least(one, decision)
        if found is None or decision not in map(decision_of, one):
            continue  # without a rule of just this strength there is nothing that a stronger one has not shown
        gap = first_only(found, _at_least(other, decision), compiled, max_states)
        if isinstance(gap, NotProven):
            unproven = True
        elif not isinstance(gap, Nothing) and (best is None or gap.shortest.length < best.shortest.length):
            by, against = (_verdict(rules, gap.readable or gap.shortest, compiled) for rules in (one, other))
            best = Example(gap.shortest, gap.readable, gap.is_shortest, *by, *against)
    if best is None:
        return NotProven(max_states) if unproven else Nothing()
    return replace(best, is_shortest=best.is_shortest and not unproven)


def _at_least(rules: Sequence[ResolvedRule], decision: Decision) -> Matcher | None:
    """What finds the texts about which the rules decide at least so strongly."""
    enough = STRENGTH[: STRENGTH.index(decision) + 1]
    found = tuple(rule.matcher for rule in rules if rule.matcher is not None and decision_of(rule) in enough)
    return AnyOf(found) if found else None


def _verdict(rules: Sequence[ResolvedRule], sample: Sample, compiled: Compiled) -> tuple[Decision, tuple[str, ...]]:
    """What the rules decide about a text, and which of them find something."""
    firing = [rule for rule in rules if rule.matcher is not None and holds(rule.matcher, sample, compiled)]
    decisions = {decision_of(rule) for rule in firing}
    strongest = next((decision for decision in STRENGTH if decision in decisions), Decision.ALLOW)
    return strongest, tuple(rule.name for rule in firing)
