"""What the plan says of completions before a model learns to write them.

Rows that break the plan would teach what serving forbids: they are refused, left out, or kept by a file that says so.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal, cast

from policykit.diagnostics import Diagnostic, Place, Severity
from policykit.plan import Plan
from policykit.rewards import CostModel
from policykit.training.judging import facts_of
from policykit.training.rows import Row

How = Literal["refuse", "drop", "keep"]
HOW: tuple[How, ...] = ("refuse", "drop", "keep")
MAX_PLACES = 5
"""Rows that are named by their places; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Screened:
    """The rows of one file: how many are learned from although a rule fires on them, and how many of them could not be
    judged. Both are 0 where such rows were left out."""

    n_breaking: int = 0
    n_unjudged: int = 0


@dataclass
class Screening:
    """Screens the rows of one file, one after the other. ``how`` is the setting `violations`."""

    plan: Plan
    how: How
    _costs: CostModel = field(init=False)
    _n: int = 0
    _rules: Counter[str] = field(default_factory=Counter[str])
    _breaking: list[tuple[Place, str]] = field(default_factory=list[tuple[Place, str]])
    _unjudged: list[tuple[Place, str]] = field(default_factory=list[tuple[Place, str]])

    def __post_init__(self) -> None:
        self.plan.check_date()
        self._costs = CostModel(self.plan)

    def admits(self, row: Row, unlearned: Collection[tuple[int, int]] = ()) -> bool:
        """Whether the row's completion is learned from. What stands in the spans ``unlearned`` is not, whatever the
        plan says of it: the loss makes it less likely."""
        self._n += 1
        text = row.text("completion")
        verdict = self.plan.verify(text, facts_of(row.values, self.plan))
        costs = self._costs.of(verdict)
        if costs.errors:
            self._unjudged.append((row.place, costs.errors[0]))
            return self.how == "keep"
        found = [v for v in verdict.violations if (v.start, v.end) not in unlearned]
        rules = list(dict.fromkeys(v.rule for v in found))
        if not rules:
            return True
        self._rules.update(rules)
        shown = next((text[v.start : v.end] for v in found if v.start is not None), "")
        told = ", ".join(f"`{rule}`" for rule in rules)
        self._breaking.append((row.place, f"{told}: {shown[:40]!r}" if shown else told))
        return self.how == "keep"

    def diagnostics(self, place: Place) -> list[Diagnostic]:
        """What there is to say at ``place``, where the file is named: errors, or warnings where such rows are left out
        or kept. Nothing where the plan admits every row."""
        found: list[Diagnostic] = []
        if self._breaking:
            told = ", ".join(f"{n} by `{rule}`" for rule, n in sorted(self._rules.items()))
            message = f"{len(self._breaking)} of {self._n} completions break the plan: {told}"
            found.append(self._told(message, place, self._breaking, dropped=self.how == "drop"))
        if self._unjudged:
            message = f"{len(self._unjudged)} of {self._n} completions could not be judged by the plan"
            found.append(self._told(message, place, self._unjudged, dropped=False))
        return found

    def _told(self, message: str, place: Place, rows: list[tuple[Place, str]], *, dropped: bool) -> Diagnostic:
        is_kept = self.how == "keep"
        if is_kept:
            help = "they are learned from, as `violations: keep` says; run, pins and model card say how many"
        elif dropped:
            help = "they are not learned from, as `violations: drop` says"
        elif rows is self._unjudged:
            help = "give these rows the `facts` that their rules read, or say `violations: keep`"
        else:
            help = "leave them out (`violations: drop`), or say `violations: keep` to learn from them all the same"
        severity = Severity.WARNING if is_kept or dropped else Severity.ERROR
        return Diagnostic("PK787", message, place, help, severity, tuple(rows[:MAX_PLACES]))

    def screened(self) -> Screened:
        """What has been learned from against the plan."""
        return Screened(len(self._breaking), len(self._unjudged)) if self.how == "keep" else Screened()

    @property
    def n_left_out(self) -> int:
        """Rows that are not learned from because they break the plan."""
        return len(self._breaking) if self.how == "drop" else 0


def how_of(said: str | None) -> How:
    """The setting `violations` of a file that has passed the table; `refuse` where it says nothing."""
    return cast("How", said or "refuse")
