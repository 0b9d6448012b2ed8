"""The engine's share as it is defined, and nothing clever: every purse is written anew whenever time goes by."""

from collections.abc import Callable, Mapping

from policykit.engines.mask_time import BURST_S, EVERYDAY_S, FREE_S, SHARE


def level(amounts: Mapping[str, float], total: float) -> float:
    """The highest level such that the amounts, each up to it, are no more than ``total``; infinity where they are not
    in any case. Of negative totals 0."""
    left, n = total, len(amounts)
    for amount in sorted(amounts.values()):
        if amount * n > left:
            return max(0.0, left / n)
        left, n = left - amount, n - 1
    return float("inf")


class SimpleShare:
    """What :class:`policykit.engines.mask_time.EngineShare` promises, linear in all that owe."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._at = clock, clock()
        self._owed_s: dict[str, dict[str, float]] = {}

    def take(self, plan: str, seconds: float, payer: str = "") -> None:
        payer = payer or plan
        self._forgive()
        plans = self._owed_s.setdefault(payer, {})
        plans[plan] = plans.get(plan, 0.0) + seconds - EVERYDAY_S
        self._owed_s[payer] = {plan: owed for plan, owed in plans.items() if owed > 0}

    def owed_s(self, plan: str, payer: str = "") -> float:
        self._forgive()
        return self._owed_s.get(payer or plan, {}).get(plan, 0.0)

    def over_by(self, payer: str) -> float:
        """How much more a payer owes than its fair part."""
        self._forgive()
        return self._totals().get(payer, 0.0) - self._part()

    def spent_by(self, plan: str, payer: str = "") -> float:
        """By how much a plan may have no mask; not above zero where it may."""
        payer = payer or plan
        over = self.over_by(payer)
        plans, part = self._owed_s.get(payer, {}), self._part()
        if over <= 0:
            return over
        return min(over, max(plans.get(plan, 0.0) - level(plans, part), sum(plans.values()) - 2 * part))

    def _part(self) -> float:
        return max(FREE_S, level(self._totals(), BURST_S))

    def _totals(self) -> dict[str, float]:
        return {payer: sum(plans.values()) for payer, plans in self._owed_s.items()}

    def _forgive(self) -> None:
        now = self._clock()
        passed, self._at = SHARE * (now - self._at), now
        part = level(self._totals(), passed)
        for payer, plans in self._owed_s.items():
            each = level(plans, part)
            self._owed_s[payer] = {plan: owed - each for plan, owed in plans.items() if owed > each}
