"""What a plan's verifier says of the completions in a data set."""

from collections.abc import Mapping
from math import fsum

from policykit.diagnostics import Diagnostic, Place, PolicyError
from policykit.plan import Plan
from policykit.rewards import CostModel


class Judge:
    """Prices texts by a plan: costs by group of rules, and their sum, 0 for a text without a violation."""

    def __init__(self, plan: Plan) -> None:
        plan.check_date()
        self._plan, self._costs = plan, CostModel(plan)
        self._known: dict[str, Mapping[str, float]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The groups of rules: every enforced rule on outputs, and the grammar."""
        return tuple(group.name for group in self._costs.groups)

    def cost(self, text: str, place: Place) -> float:
        """Σ of the costs of all groups. Raises PolicyError as :meth:`costs` does."""
        return fsum(self.costs(text, place).values())

    def costs(self, text: str, place: Place) -> Mapping[str, float]:
        """Raises PolicyError (PK781) for a text that could not be judged: it has no price, and is not free either."""
        if text not in self._known:
            costs = self._costs.of(self._plan.verify(text))
            if costs.errors:
                message = f"the plan could not judge the completion: {costs.errors[0]}"
                raise PolicyError((Diagnostic("PK781", message, place, "repair the check, or leave the row out"),))
            self._known[text] = costs.by_group
        return self._known[text]
