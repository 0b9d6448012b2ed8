"""Debts that are forgiven in equal parts, without touching those that are left."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from math import fsum, inf

_RECKONED = 1_024
"""Changes after which the total is added up anew, or as many as there are debts: rounding does not pile up."""


class Debts:
    """Amounts above zero by name. What each of them has been forgiven is one number, ``level``, and a debt is kept as
    the level at which it will be gone; so forgiving costs only what is gone by it, a logarithm each.

    >>> debts = Debts()
    >>> debts.put("a", 1.0), debts.put("b", 3.0)
    (None, None)
    >>> debts.forgive(3.0)
    ['a']
    >>> debts.owed("b"), debts.total
    (1.0, 1.0)
    """

    __slots__ = ("_gone_at", "_largest", "_n_changes", "_sum", "level")

    def __init__(self) -> None:
        self.level = 0.0
        self._gone_at: dict[str, float] = {}
        self._largest: list[tuple[float, str]] = []  # the levels, negated and sorted: the largest debt comes first
        self._sum, self._n_changes = 0.0, 0

    def __len__(self) -> int:
        return len(self._largest)

    def __contains__(self, name: str) -> bool:
        return name in self._gone_at

    def owed(self, name: str) -> float:
        return max(0.0, self._gone_at.get(name, 0.0) - self.level)

    @property
    def total(self) -> float:
        return max(0.0, self._sum - len(self._largest) * self.level)

    def put(self, name: str, amount: float) -> None:
        """From now on the debt of a name is this; none at zero and below."""
        before = self._gone_at.pop(name, None)
        if before is not None:
            del self._largest[bisect_left(self._largest, (-before, name))]
            self._sum -= before
        if amount > 0:
            self._gone_at[name] = gone_at = self.level + amount
            insort(self._largest, (-gone_at, name))
            self._sum += gone_at
        self._reckon()

    def forgive(self, amount: float) -> list[str]:
        """Take an amount off, equal parts of each until it is gone. The names of those that are."""
        gone: list[str] = []
        while self._largest:
            gone_at, name = -self._largest[-1][0], self._largest[-1][1]
            needed = (gone_at - self.level) * len(self._largest)
            if needed > amount:
                self.level += max(0.0, amount) / len(self._largest)
                break
            amount -= needed
            self.level = gone_at
            self._largest.pop()
            del self._gone_at[name]
            self._sum -= gone_at
            gone.append(name)
        self._reckon()
        return gone

    def part(self, total: float, least: float) -> float:
        """The highest level such that the debts, each up to it, are no more than ``total``, or ``least`` where that is
        more; infinity where they are not in any case. Looks at the ``total / least`` largest."""
        left, above = total - self.total, 0.0
        if left >= 0:
            return inf
        found = 0.0
        for n, amount in enumerate(self._amounts(), 1):
            if found >= amount and n > 1:
                break
            if amount <= least or (n - 1) * least >= total:
                return least
            above += amount
            found = (left + above) / n
        return max(least, found)

    def exceeds(self, name: str, total: float) -> bool:
        """Whether a debt is over its fair part of ``total``: whether the debts, each up to this one, are more. Looks at
        those that are larger, and at ``total / owed`` of them at most."""
        owed, counted = self.owed(name), self.total
        if owed <= 0:
            return False
        for n, amount in enumerate(self._amounts(), 1):
            if amount <= owed or counted <= total:
                break
            if n * owed > total:
                return True
            counted -= amount - owed
        return counted > total

    def _amounts(self) -> Iterator[float]:
        """The largest first."""
        return (-gone_at - self.level for gone_at, _ in self._largest)

    def _reckon(self) -> None:
        if not self._largest:
            self.level = self._sum = 0.0
        self._n_changes += 1
        if self._n_changes > _RECKONED + len(self._largest):
            self._sum, self._n_changes = fsum(self._gone_at.values()), 0
