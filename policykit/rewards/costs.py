"""What a verdict costs: one number in [0, 1] for every group of rules."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from policykit.diagnostics import Diagnostic, PolicyError, did_you_mean
from policykit.ir.document import Mode, Target
from policykit.ir.verdict import Verdict
from policykit.plan import Plan

GRAMMAR = "grammar"
"""The name of a plan's grammar among the rules of a verdict."""


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that share a cost and a weight λ. ``rules`` are named as verdicts name them."""

    name: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Costs:
    """The costs of one text by group, or the reason why there are none.

    ``by_group`` is empty where ``errors`` is not: a check that could not run has no price, and a text that was judged
    in part has none either. ``fired`` are the rules that fired.
    """

    by_group: Mapping[str, float]
    fired: tuple[str, ...]
    errors: tuple[str, ...]


class CostModel:
    """Prices the verdicts of one plan, by the severity and cost that its rules carry.

    Without ``groups`` every enforced rule on outputs, and the grammar, is a group of its own. Raises PolicyError
    (PK764) unless each of them is in exactly one group.
    """

    def __init__(self, plan: Plan, groups: Iterable[Group] | None = None) -> None:
        names = rule_names(plan)
        self.plan_digest, self.bundle_digest = plan.digest, plan.bundle_digest
        enforced = tuple(name for name, is_shadow in names.items() if not is_shadow)
        self.groups = tuple(Group(name, (name,)) for name in enforced) if groups is None else tuple(groups)
        self._shadow = frozenset(names) - frozenset(enforced)
        _check(self.groups, names)
        self._group_of = {rule: group.name for group in self.groups for rule in group.rules}

    def of(self, verdict: Verdict) -> Costs:
        """v_k = min(1, Σ cost of its violations), for every group.

        An error of a rule in shadow costs nothing, as its violations do. Raises PolicyError (PK762) for a verdict of
        another plan.
        """
        if verdict.digest != self.plan_digest:
            message = f"the verdict is of the plan {verdict.digest}, the costs are of {self.plan_digest}"
            raise PolicyError.of("PK762", message, help="judge with the plan that the costs were made for")
        errors = tuple(f"{e.rule}: {e.message}" for e in verdict.errors if e.rule not in self._shadow)
        unknown = tuple(f"{rule}: in no group" for rule in verdict.rules if rule not in self._group_of)
        if errors or unknown:
            return Costs({}, verdict.rules, errors + unknown)
        sums = dict.fromkeys((group.name for group in self.groups), 0.0)
        for violation in verdict.violations:
            sums[self._group_of[violation.rule]] += violation.cost
        return Costs({name: min(1.0, cost) for name, cost in sums.items()}, verdict.rules, ())


def rule_names(plan: Plan) -> dict[str, bool]:
    """Rules on outputs as verdicts name them (by id where that is unique), and whether they are in shadow."""
    rules = plan.spec.rules
    counts = Counter([rule.rule_id for rule in rules] + [GRAMMAR, "input", "facts"])
    judged = [rule for rule in rules if rule.target in (Target.OUTPUT, Target.JSON)]
    names = {r.rule_id if counts[r.rule_id] == 1 else r.name: r.mode is Mode.SHADOW for r in judged}
    return names | ({GRAMMAR: False} if plan.spec.grammar is not None else {})


def _check(groups: tuple[Group, ...], names: Mapping[str, bool]) -> None:
    wrong: list[Diagnostic] = []
    seen = Counter(rule for group in groups for rule in group.rules)
    for name, count in Counter(group.name for group in groups).items():
        if count > 1:
            wrong.append(Diagnostic("PK764", f"two groups are called `{name}`", None, "give each its own name"))
    for rule, count in seen.items():
        if rule not in names:
            help = did_you_mean(rule, names) or "name rules as the plan's verdicts do"
            wrong.append(Diagnostic("PK764", f"the plan has no rule `{rule}` on outputs", None, help))
        elif names[rule]:
            help = "enforce it, or leave it out: no weight enforces a rule"
            wrong.append(Diagnostic("PK764", f"rule `{rule}` is in shadow and has no cost", None, help))
        elif count > 1:
            wrong.append(Diagnostic("PK764", f"rule `{rule}` is in {count} groups", None, "count it once"))
    for rule, is_shadow in names.items():
        if not is_shadow and rule not in seen:
            help = "put it into a group; a weight of 0 only counts it"
            wrong.append(Diagnostic("PK764", f"rule `{rule}` is in no group", None, help))
    if wrong:
        raise PolicyError(wrong)
