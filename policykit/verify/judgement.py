"""One pass of every rule over one text: what fired, what wants a transform, what could not be checked."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from policykit.approvals import Approval
from policykit.grammar import GrammarViolation
from policykit.ir.document import (
    Allow,
    Append,
    Block,
    Escalate,
    Hash,
    Mask,
    Mode,
    Prepend,
    Redact,
    Replace,
    Truncate,
    WholeTransform,
)
from policykit.ir.plan import ResolvedRule
from policykit.ir.verdict import CheckError, Escalation, ExceptionApplied, NotApplicable, Violation, Violations
from policykit.verify.decisions import Questions
from policykit.verify.finders import Searches
from policykit.verify.findings import Finding, Separate, separated
from policykit.verify.fired import Fired, Located, in_order
from policykit.verify.gates import Excused, Fires, Gate, Rests, Setting, Undecided, applies, binding_of, is_about
from policykit.verify.matching import Check, Outcome, absence, compile_check, data_of, whole_check
from policykit.verify.subject import Subject
from policykit.verify.transforms import Transforms, Wanted, WantedWhole, wanted_by
from policykit.verify.units import Readings

GRAMMAR = "grammar"
INPUT = "input"
FACTS = "facts"
GRAMMAR_SEVERITY = "high"
GRAMMAR_COST = 1.0

CheckGrammar: TypeAlias = Callable[[str], Sequence[GrammarViolation]]
"""Lists what is wrong with a text, nothing for a text of the grammar."""


@dataclass(frozen=True, slots=True)
class RuleCheck:
    """A rule with its compiled matcher. ``name`` is how verdicts call it; ``order`` is its place in the plan;
    ``admits`` are the allow rules of one that stands for `default: block`."""

    rule: ResolvedRule
    name: str
    order: int
    check: Check
    gate: Gate
    admits: "tuple[RuleCheck, ...] | None" = None
    data: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict[str, tuple[tuple[str, str], ...]])
    """What lists say about the rule's phrases."""

    def violation(self, finding: Finding) -> Violation:
        """What a verdict says about something that the rule found."""
        return self.located(None).violation(finding.start, finding.end, finding.view, finding.matched)

    def located(self, separate: Separate | None) -> Located:
        """What the rule found and where, with all that its violations say."""
        return Located(self.name, self.rule.severity, self.rule.cost, self.data, separate)


@dataclass(slots=True)
class Judgement:
    """What one pass found. ``blockers`` are the enforced blocks that fired; errors of shadow rules do not block.
    ``used`` are approvals that a rule rests on.
    ``whole`` are the changes of the whole output that are wanted, also where it is as they want it by now."""

    violations: tuple[Violation, ...] | Violations = ()
    shadow: tuple[Violation, ...] | Violations = ()
    errors: list[CheckError] = field(default_factory=list[CheckError])
    not_applicable: list[NotApplicable] = field(default_factory=list[NotApplicable])
    wanted: list[Wanted] = field(default_factory=list[Wanted])
    whole: list[WantedWhole] = field(default_factory=list[WantedWhole])
    blockers: list[Block] = field(default_factory=list[Block])
    escalations: list[tuple[Escalation, Escalate]] = field(default_factory=list[tuple[Escalation, Escalate]])
    exceptions: list[ExceptionApplied] = field(default_factory=list[ExceptionApplied])
    used: list[Approval] = field(default_factory=list[Approval])
    fails_closed: bool = False


def compile_rules(
    rules: Sequence[ResolvedRule],
    searches: Searches,
    use_prefilter: bool,
    setting: Setting,
    among: Sequence[ResolvedRule],
) -> tuple[RuleCheck, ...]:
    """All rules, each with the name that verdicts use for it: its id, or `document#id` where another rule ``among``
    those of the plan has it too."""
    counts = Counter([rule.rule_id for rule in among] + [GRAMMAR, INPUT, FACTS])

    def compiled(order: int, rule: ResolvedRule) -> RuleCheck:
        name = rule.rule_id if counts[rule.rule_id] == 1 else rule.name
        make = whole_check if isinstance(rule.action, Allow) else compile_check
        check = make(rule.matcher, searches, use_prefilter)
        admits = None if rule.admits is None else tuple(compiled(order, allow) for allow in rule.admits)
        return RuleCheck(rule, name, order, check, Gate(rule, name, setting), admits, data_of(rule.matcher))

    return tuple(compiled(order, rule) for order, rule in enumerate(rules))


def judge(
    readings: Readings,
    subject: Subject,
    checks: Iterable[RuleCheck],
    grammar: CheckGrammar | None,
    transforms: Transforms,
    setting: Setting,
    questions: Questions,
) -> Judgement:
    """Run the grammar's check and every rule that is about such a subject.

    No exception is swallowed: one that is no exit (`KeyboardInterrupt`) becomes a :class:`CheckError`.
    """
    judgement = Judgement()
    wrong = _judge_grammar(judgement, readings.text, grammar) if grammar else ()
    violations: list[Fired] = []
    shadow: list[Fired] = []
    for check in sorted(checks, key=lambda check: check.order):
        if not is_about(check.rule, subject.target):
            continue
        try:
            found = _judge_rule(judgement, check, readings, subject, transforms, setting, questions)
        except Exception as error:
            _failed(judgement, check, f"{type(error).__name__}: {error}")
            continue
        if found is not None:
            (shadow if is_shadow(check.rule) else violations).append(found)
    judgement.shadow = in_order((), shadow)
    judgement.violations = in_order(wrong, violations)
    return judgement


def _judge_rule(
    judgement: Judgement,
    check: RuleCheck,
    readings: Readings,
    subject: Subject,
    transforms: Transforms,
    setting: Setting,
    questions: Questions,
) -> Fired | None:
    """One rule: what it finds, and whether anything stands between that and its action."""
    why_not = applies(check.rule, subject)
    if why_not:
        judgement.not_applicable.append(NotApplicable(check.name, why_not))
        return None
    found_by_match = (
        _admitted(check, readings, subject, questions) if check.admits is not None else check.check(readings)
    )
    if found_by_match.fired is None:
        judgement.not_applicable.append(NotApplicable(check.name, found_by_match.why))
        return None
    if not found_by_match.fired:
        return None
    separate = separated(found_by_match.findings)
    passage = check.gate.passage(subject, len(separate), questions)
    match passage:
        case Undecided(why):
            _failed(judgement, check, why)
            return None
        case Rests(used):
            judgement.used += used
            return None
        case Excused(exception):
            if not is_shadow(check.rule):
                judgement.exceptions.append(exception)
            return None
        case Fires():
            pass
        case _:
            assert_never(passage)
    outcome = transforms.unmet(check.rule.action, found_by_match, readings)
    if isinstance(check.rule.action, WholeTransform) and not is_shadow(check.rule):
        judgement.whole.append(WantedWhole(check.rule, check.rule.action, check.name, check.order))
    if outcome.fired is None:
        judgement.not_applicable.append(NotApplicable(check.name, outcome.why))
    if not outcome.fired:
        return None
    if outcome is not found_by_match:
        separate = separated(outcome.findings)
    return _fire(judgement, check, outcome, separate, subject, setting)


def _admitted(check: RuleCheck, readings: Readings, subject: Subject, questions: Questions) -> Outcome:
    """`default: block` fires unless an allow rule admits the subject. One that cannot be decided admits nothing, and
    is an error only where no other admits it."""
    undecided: list[str] = []
    for allow in check.admits or ():
        if applies(allow.rule, subject) or not allow.check(readings).fired:
            continue
        passage = allow.gate.passage(subject, 0, questions)
        if isinstance(passage, Fires):
            return Outcome(False)
        if isinstance(passage, Undecided):
            undecided.append(f"{allow.name}: {passage.why}")
    if undecided:
        raise UndecidedAllow("; ".join(undecided))
    return Outcome(True)


class UndecidedAllow(Exception):
    """No allow rule admits the subject, and one could not be decided."""


def is_shadow(rule: ResolvedRule) -> bool:
    return rule.mode is Mode.SHADOW


def _judge_grammar(judgement: Judgement, text: str, grammar: CheckGrammar) -> tuple[Violation, ...]:
    try:
        wrong = grammar(text)
    except Exception as error:
        judgement.errors.append(CheckError(GRAMMAR, f"{type(error).__name__}: {error}"))
        judgement.fails_closed = True
        return ()
    judgement.fails_closed = bool(wrong)
    return ungrammatical(wrong)


def ungrammatical(wrong: Sequence[GrammarViolation]) -> tuple[Violation, ...]:
    """What a grammar finds wrong, as violations."""
    return tuple(_ungrammatical(violation) for violation in wrong)


def _ungrammatical(violation: GrammarViolation) -> Violation:
    where = f"{violation.pointer}: " if violation.pointer else ""
    matched = f"{where}{violation.keyword}: {violation.message}"
    return Violation(GRAMMAR, None, None, None, matched, GRAMMAR_SEVERITY, GRAMMAR_COST)


def _failed(judgement: Judgement, check: RuleCheck, message: str) -> None:
    judgement.errors.append(CheckError(check.name, message))
    judgement.fails_closed |= not is_shadow(check.rule)


def _fire(
    judgement: Judgement,
    check: RuleCheck,
    outcome: Outcome,
    separate: Separate,
    subject: Subject,
    setting: Setting,
) -> Fired:
    """The violations of a rule that fired; an enforced one is noted as a block, an escalation or wanted transforms."""
    rule = check.rule
    if not is_shadow(rule):
        match rule.action:
            case Block():
                judgement.blockers.append(rule.action)
            case Escalate(queue, _, ttl):
                binding = binding_of(rule, subject, setting)
                judgement.escalations.append((Escalation(check.name, queue, binding, ttl), rule.action))
            case Allow():
                raise AssertionError("an allow rule is part of its document's default")
            case Mask() | Replace() | Hash():
                judgement.wanted += wanted_by(rule, rule.action, check.name, check.order, outcome.findings)
                if not outcome.findings.are_places:
                    _failed(judgement, check, "was found to be so as a whole, which is no place to transform")
                if not outcome.findings:
                    _failed(judgement, check, "fired on an absence, which has no place to transform")
            case Redact() | Append() | Prepend() | Truncate():
                pass  # noted already, since another transform can bring about what it corrects
            case _:
                assert_never(rule.action)
    if len(separate):
        return check.located(separate)
    missing = "no allow rule admits it" if check.admits is not None else absence(rule.matcher)
    return Violation(check.name, None, None, None, missing, rule.severity, rule.cost)
