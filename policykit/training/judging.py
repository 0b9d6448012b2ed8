"""What a plan's verifier says of the completions in a data set."""

import json
from collections.abc import Mapping, Sequence
from math import fsum
from typing import cast

from policykit.compile.resolve import sources
from policykit.diagnostics import Diagnostic, PolicyError
from policykit.plan import Plan
from policykit.rewards import CostModel
from policykit.training.rows import Row


class Judge:
    """Prices texts by a plan: costs by group of rules, and their sum, 0 for a text without a violation."""

    def __init__(self, plan: Plan) -> None:
        plan.check_date()
        self._plan, self._costs = plan, CostModel(plan)
        self._known: dict[tuple[str, str], Mapping[str, float]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The groups of rules: every enforced rule on outputs, and the grammar."""
        return tuple(group.name for group in self._costs.groups)

    def cost(self, text: str, row: Row) -> float:
        """Σ of the costs of all groups. Raises PolicyError as :meth:`costs` does."""
        return fsum(self.costs(text, row).values())

    def costs(self, text: str, row: Row) -> Mapping[str, float]:
        """Of a completion of a row, whose column `facts` is what conditions and citations read.

        Raises PolicyError (PK781) for a text that could not be judged: it has no price, and is not free either.
        """
        facts = facts_of(row.values, self._plan)
        key = text, json.dumps(facts, sort_keys=True)
        if key not in self._known:
            costs = self._costs.of(self._plan.verify(text, facts))
            if costs.errors:
                message = f"the plan could not judge the completion: {costs.errors[0]}"
                help = "give the row the `facts` that its rules read, repair the check, or leave the row out"
                raise PolicyError((Diagnostic("PK781", message, row.place, help),))
            self._known[key] = costs.by_group
        return self._known[key]


def facts_of(columns: Mapping[str, object], plan: Plan) -> Mapping[str, object] | None:
    """The column `facts` of a row. Where it has a column `sources`, that is also what a rule of the plan about
    citations reads, unless the facts say it themselves. None where a row says nothing of both."""
    facts = cast("Mapping[str, object] | None", columns.get("facts"))
    if columns.get("sources") is None:
        return facts
    found: dict[str, object] = dict(facts or {})
    for name in dict.fromkeys(one.fact for rule in plan.spec.rules for one in sources(rule.matcher)):
        found = _filled(found, name.split("."), columns["sources"])
    return found


def _filled(facts: Mapping[str, object], names: Sequence[str], value: object) -> dict[str, object]:
    """The facts with a value where ``names`` lead to, if nothing stands there or on the way."""
    first, *rest = names
    if not rest:
        return {first: value, **facts}
    inner = facts.get(first, {})
    if not isinstance(inner, Mapping):
        return dict(facts)
    return {**facts, first: _filled(cast("Mapping[str, object]", inner), rest, value)}
