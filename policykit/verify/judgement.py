"""One pass of every rule over one text: what fired, what wants a transform, what could not be checked."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from policykit.grammar import GrammarViolation
from policykit.ir.document import Block, Mask, Mode, Replace
from policykit.ir.plan import ResolvedRule
from policykit.ir.verdict import CheckError, NotApplicable, Violation
from policykit.verify.finders import Searches
from policykit.verify.matching import Check, Finding, Outcome, absence, compile_check, separate_findings
from policykit.verify.transforms import Wanted, wanted_by
from policykit.verify.units import Readings

GRAMMAR = "grammar"
INPUT = "input"
GRAMMAR_SEVERITY = "high"
GRAMMAR_COST = 1.0

CheckGrammar: TypeAlias = Callable[[str], Sequence[GrammarViolation]]
"""Lists what is wrong with a text, nothing for a text of the grammar."""


@dataclass(frozen=True, slots=True)
class RuleCheck:
    """A rule with its compiled matcher. ``name`` is how verdicts call it; ``order`` is its place in the plan."""

    rule: ResolvedRule
    name: str
    order: int
    check: Check


@dataclass(slots=True)
class Judgement:
    """What one pass found. ``blockers`` are the enforced blocks that fired; errors of shadow rules do not block."""

    violations: list[Violation] = field(default_factory=list[Violation])
    shadow: list[Violation] = field(default_factory=list[Violation])
    errors: list[CheckError] = field(default_factory=list[CheckError])
    not_applicable: list[NotApplicable] = field(default_factory=list[NotApplicable])
    wanted: list[Wanted] = field(default_factory=list[Wanted])
    blockers: list[Block] = field(default_factory=list[Block])
    fails_closed: bool = False


def compile_rules(rules: Sequence[ResolvedRule], searches: Searches, use_prefilter: bool) -> tuple[RuleCheck, ...]:
    """All rules, each with the name that verdicts use for it: its id, or `document#id` where the id alone is taken."""
    counts = Counter([rule.rule_id for rule in rules] + [GRAMMAR, INPUT])
    return tuple(
        RuleCheck(
            rule,
            rule.rule_id if counts[rule.rule_id] == 1 else rule.name,
            order,
            compile_check(rule.matcher, searches, use_prefilter),
        )
        for order, rule in enumerate(rules)
    )


def judge(readings: Readings, checks: Iterable[RuleCheck], grammar: CheckGrammar | None) -> Judgement:
    """Run the grammar's check and every rule.

    No exception is swallowed: one that is no exit (`KeyboardInterrupt`) becomes a :class:`CheckError`.
    """
    judgement = Judgement()
    if grammar:
        _judge_grammar(judgement, readings.text, grammar)
    found: list[tuple[RuleCheck, Violation]] = []
    for check in checks:
        try:
            outcome = check.check(readings)
        except Exception as error:
            _failed(judgement, check, f"{type(error).__name__}: {error}")
            continue
        if outcome.fired is None:
            judgement.not_applicable.append(NotApplicable(check.name, outcome.why))
        elif outcome.fired:
            found += [(check, violation) for violation in _fire(judgement, check, outcome)]
    for check, violation in sorted(found, key=_appearance):
        (judgement.shadow if is_shadow(check.rule) else judgement.violations).append(violation)
    return judgement


def is_shadow(rule: ResolvedRule) -> bool:
    return rule.mode is Mode.SHADOW


def _judge_grammar(judgement: Judgement, text: str, grammar: CheckGrammar) -> None:
    try:
        wrong = grammar(text)
    except Exception as error:
        judgement.errors.append(CheckError(GRAMMAR, f"{type(error).__name__}: {error}"))
        judgement.fails_closed = True
        return
    judgement.violations += [_ungrammatical(violation) for violation in wrong]
    judgement.fails_closed = bool(wrong)


def _ungrammatical(violation: GrammarViolation) -> Violation:
    where = f"{violation.pointer}: " if violation.pointer else ""
    matched = f"{where}{violation.keyword}: {violation.message}"
    return Violation(GRAMMAR, None, None, None, matched, GRAMMAR_SEVERITY, GRAMMAR_COST)


def _failed(judgement: Judgement, check: RuleCheck, message: str) -> None:
    judgement.errors.append(CheckError(check.name, message))
    judgement.fails_closed |= not is_shadow(check.rule)


def _fire(judgement: Judgement, check: RuleCheck, outcome: Outcome) -> list[Violation]:
    """The violations of a rule that fired; an enforced one is noted as a block or as wanted transforms."""
    rule = check.rule
    if not is_shadow(rule):
        match rule.action:
            case Block():
                judgement.blockers.append(rule.action)
            case Mask() | Replace():
                judgement.wanted += wanted_by(rule, check.name, check.order, outcome.findings)
                if not outcome.findings:
                    _failed(judgement, check, "fired on an absence, which has no place to transform")
            case _:
                assert_never(rule.action)
    located = [_violation(check, finding) for finding in separate_findings(outcome.findings)]
    return located or [Violation(check.name, None, None, None, absence(rule.matcher), rule.severity, rule.cost)]


def _violation(check: RuleCheck, finding: Finding) -> Violation:
    rule = check.rule
    return Violation(check.name, finding.start, finding.end, finding.view, finding.matched, rule.severity, rule.cost)


def _appearance(found: tuple[RuleCheck, Violation]) -> tuple[bool, int, int, int]:
    check, violation = found
    return violation.start is None, violation.start or 0, violation.end or 0, check.order
