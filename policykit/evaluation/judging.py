"""Verdicts counted: for every rule and for the whole plan, with three values, never two.

A check that could not run counts neither for nor against a text: it leaves the rate, and is listed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from policykit.evaluation.statistics import CONFIDENCE, Rate, rate
from policykit.ir.verdict import Decision, Verdict
from policykit.plan import Plan
from policykit.rewards import rule_names

PASSED = (Decision.ALLOW, Decision.TRANSFORM)
MAX_LISTED = 20


class Outcome(StrEnum):
    """How a text stands before a rule, or before a whole plan."""

    SATISFIED = "satisfied"
    VIOLATED = "violated"
    ERRORED = "errored"
    NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict as an evaluation counts it.

    ``whole`` is violated if any enforced rule is, else errored if any check was, else satisfied. ``is_accepted``: the
    text may be released, perhaps transformed, so that rejection sampling would keep it.
    """

    by_rule: Mapping[str, Outcome]
    whole: Outcome
    is_accepted: bool
    cost: float
    errors: tuple[tuple[str, str], ...]

    @property
    def broken(self) -> tuple[str, ...]:
        """The rules that are violated, those in shadow too."""
        return tuple(name for name, outcome in self.by_rule.items() if outcome is Outcome.VIOLATED)


def judged(verdict: Verdict, names: Mapping[str, bool]) -> Judged:
    """``names`` are the plan's rules, and whether they are in shadow (:func:`policykit.rewards.rule_names`).

    An error that is no rule's own (of the text, of the facts) leaves every rule undecided that did not fire.
    """
    errors = tuple((error.rule, error.message) for error in verdict.errors)
    failed = {name for name, _ in errors}
    is_general = bool(failed - set(names))
    fired = {violation.rule for violation in (*verdict.violations, *verdict.shadow)}
    skipped = {one.rule for one in verdict.not_applicable}
    found = dict.fromkeys([*names, *(name for name in fired if name not in names)], Outcome.SATISFIED)
    for name in found:
        if name in fired:
            found[name] = Outcome.VIOLATED
        elif name in failed or is_general:
            found[name] = Outcome.ERRORED
        elif name in skipped:
            found[name] = Outcome.NOT_APPLICABLE
    enforced = {outcome for name, outcome in found.items() if not names.get(name, False)}
    undecided = Outcome.ERRORED in enforced or is_general
    whole = Outcome.ERRORED if undecided else Outcome.SATISFIED
    if verdict.violations or (not errors and verdict.decision not in PASSED):
        whole = Outcome.VIOLATED
    return Judged(found, whole, verdict.decision in PASSED and not undecided, verdict.cost, errors)


@dataclass(frozen=True, slots=True)
class RuleRate:
    """How often a rule was violated, of the texts for which it was decided."""

    rule: str
    is_shadow: bool
    rate: Rate
    n_errored: int
    n_not_applicable: int


@dataclass(frozen=True, slots=True)
class ErrorSeen:
    """A check that could not run, on which example, and why."""

    example: str
    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What one plan says about all texts. ``errors`` lists the first checks that failed; ``n_errors`` counts them."""

    plan_digest: str
    bundle_digest: str
    policies: tuple[str, ...]
    whole: Rate
    n_errored: int
    accepted: Rate
    by_rule: tuple[RuleRate, ...]
    mean_cost: float | None
    n_errors: int
    errors: tuple[ErrorSeen, ...]


def verification(
    plan: Plan, found: Sequence[Judged], examples: Sequence[str], confidence: float = CONFIDENCE
) -> Verification:
    """The rates of ``found``, one per text; ``examples`` names the example of each."""
    names = rule_names(plan)
    extra = [name for one in found for name in one.by_rule if name not in names]
    rules = {**names, **dict.fromkeys(extra, False)}
    errors = [
        ErrorSeen(name, rule, message)
        for name, one in zip(examples, found, strict=True)
        for rule, message in one.errors
    ]
    n_errored = sum(one.whole is Outcome.ERRORED for one in found)
    n_violated = sum(one.whole is Outcome.VIOLATED for one in found)
    costs = [one.cost for one in found if not one.errors]
    return Verification(
        plan.digest,
        plan.bundle_digest,
        policy_names(plan),
        rate(n_violated, len(found) - n_errored, confidence),
        n_errored,
        rate(sum(one.is_accepted for one in found), len(found) - n_errored, confidence),
        tuple(_rule_rate(name, is_shadow, found, confidence) for name, is_shadow in rules.items()),
        sum(costs) / len(costs) if costs else None,
        len(errors),
        tuple(errors[:MAX_LISTED]),
    )


def _rule_rate(name: str, is_shadow: bool, found: Sequence[Judged], confidence: float) -> RuleRate:
    outcomes = [one.by_rule.get(name, Outcome.SATISFIED) for one in found]
    n_errored, n_skipped = outcomes.count(Outcome.ERRORED), outcomes.count(Outcome.NOT_APPLICABLE)
    n_decided = len(outcomes) - n_errored - n_skipped
    return RuleRate(
        name, is_shadow, rate(outcomes.count(Outcome.VIOLATED), n_decided, confidence), n_errored, n_skipped
    )


def policy_names(plan: Plan) -> tuple[str, ...]:
    """The documents that a plan was compiled from, as `name@version`."""
    documents = plan.spec.policies.documents
    return tuple(sorted(f"{document.name}@{document.version}" for document in documents))


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A text that one verifier passes and the other does not."""

    example: str
    first: tuple[str, ...]
    second: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Two verifiers on the same texts: counts of the four cases, and the first texts on which they differ.

    Texts that only the second finds are what a model learns that evades the first. Texts with an error are in
    ``n_left_out``.
    """

    n_both: int
    n_first_only: int
    n_second_only: int
    n_neither: int
    n_left_out: int
    disagreements: tuple[Disagreement, ...]


def agreement(first: Sequence[Judged], second: Sequence[Judged], examples: Sequence[str]) -> Agreement:
    """The cases of two verifiers, one entry a text in each sequence."""
    counts = {(a, b): 0 for a in (True, False) for b in (True, False)}
    differing: list[Disagreement] = []
    n_left_out = 0
    for one, other, name in zip(first, second, examples, strict=True):
        if Outcome.ERRORED in (one.whole, other.whole):
            n_left_out += 1
            continue
        case = one.whole is Outcome.VIOLATED, other.whole is Outcome.VIOLATED
        counts[case] += 1
        if case[0] != case[1] and len(differing) < MAX_LISTED:
            differing.append(Disagreement(name, one.broken, other.broken))
    in_order = (counts[True, True], counts[True, False], counts[False, True], counts[False, False])
    return Agreement(*in_order, n_left_out, tuple(differing))
