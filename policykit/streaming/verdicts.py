"""The verdict on a text that was read piece by piece, as the verifier gives it on the whole text."""

from collections.abc import Iterable
from dataclasses import replace

from policykit.compile.resolve import leaves
from policykit.grammar import EarlyFault, GrammarViolation
from policykit.ir.document import Within
from policykit.ir.verdict import CheckError, Decision, ExceptionApplied, NotApplicable, Verdict, Violation
from policykit.streaming.program import Program, holds
from policykit.streaming.session import Ending, Found, Session
from policykit.verify import Subject, Verifier
from policykit.verify.findings import separate_findings
from policykit.verify.judgement import GRAMMAR, RuleCheck, is_shadow, ungrammatical

_NOT_JSON = "reads JSON strings, and the text is not JSON"


def blocked(digest: str, errors: Iterable[CheckError], violations: Iterable[Violation] = ()) -> Verdict:
    """A verdict that shows nothing."""
    found = tuple(violations)
    cost = sum(violation.cost for violation in found)
    return Verdict(Decision.BLOCK, "", found, (), tuple(errors), (), (), cost, digest)


def broken_off(verifier: Verifier, subject: Subject, fault: EarlyFault) -> Verdict:
    """The verdict on a beginning of which no text of the grammar can come, with what rules find in it. Whatever such a
    text says of itself as a whole (it is cut off, and so no JSON) is not reported."""
    found = verifier.verify(subject)
    wrong = ungrammatical((GrammarViolation(fault.pointer, fault.keyword, fault.message),))
    violations = (*wrong, *(violation for violation in found.violations if violation.rule != GRAMMAR))
    cost = sum(violation.cost for violation in violations)
    text = found.text if found.decision is Decision.BLOCK else ""
    return replace(
        found, decision=Decision.BLOCK, text=text, violations=violations, transforms=(), errors=(), cost=cost
    )


def verdict_of(session: Session, ending: Ending | None, digest: str, is_json: bool) -> Verdict:
    """What the session found, and how it ended; None is an end without a block."""
    program, journal = session.program, session.journal
    violations: list[tuple[RuleCheck, Violation]] = []
    shadow: list[tuple[RuleCheck, Violation]] = []
    errors: list[CheckError] = []
    excused: dict[int, ExceptionApplied] = {}
    for order, found in journal.found.items():
        separate = separate_findings(f for _, f in sorted(found.findings, key=lambda pair: pair[0]))
        if not separate:
            continue
        if order in program.exceptions:
            excused[order] = replace(program.exceptions[order], count=len(separate))
        elif order in program.undecided:
            errors.append(CheckError(found.check.name, program.undecided[order]))
        else:
            to = shadow if is_shadow(found.check.rule) else violations
            to += [(found.check, found.check.violation(finding)) for finding in separate]
    excused |= {order: e for order, e in program.exceptions.items() if _is_always(program, order)}
    all_violations = (*_in_order(violations), *(ending.violations if ending else ()))
    edits = () if ending else tuple(journal.edits)
    return Verdict(
        decision=Decision.BLOCK if ending else Decision.TRANSFORM if edits else Decision.ALLOW,
        text=ending.message if ending else "",
        violations=all_violations,
        transforms=edits,
        errors=(*(ending.errors if ending else ()), *errors),
        shadow=_in_order(shadow),
        not_applicable=_not_applicable(program, journal.found, is_json),
        cost=sum(violation.cost for violation in all_violations),
        digest=digest,
        exceptions=tuple(excused[order] for order in sorted(excused)),
    )


def _is_always(program: Program, order: int) -> bool:
    """Whether an excused rule fires whatever the text is."""
    return all(check.order != order for check in program.taking_part)


def _in_order(found: list[tuple[RuleCheck, Violation]]) -> tuple[Violation, ...]:
    ordered = sorted(found, key=lambda pair: (pair[1].start or 0, pair[1].end or 0, pair[0].order))
    return tuple(violation for _, violation in ordered)


def _not_applicable(program: Program, found: dict[int, Found], is_json: bool) -> tuple[NotApplicable, ...]:
    """The rules that do not apply, in the order of the plan: those on JSON strings among them, of a text that is no
    JSON."""
    named = {entry.rule: entry for entry in program.not_applicable}
    for check in program.taking_part:
        matcher = check.rule.matcher
        if is_json or matcher is None or (check.order in found and found[check.order].findings):
            continue
        read = [None if leaf.reading.within is Within.JSON_STRINGS else False for leaf in leaves(matcher)]
        if holds(matcher, lambda leaf, read=read: read[leaf]) is None:
            named[check.name] = NotApplicable(check.name, _NOT_JSON)
    return tuple(named.values())
