"""What changing a policy in one place at a time has shown."""

from dataclasses import dataclass
from enum import StrEnum

from policykit.diagnostics import Place


class Fate(StrEnum):
    """What became of a change."""

    KILLED = "killed"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"
    SAME = "same"  # as another change
    REFUSED = "refused"  # no policy


@dataclass(frozen=True, slots=True)
class Survivor:
    """A change that no test noticed. ``diff`` is a unified diff of the policy's file; ``note`` says of a change of what
    is found a text that it decides otherwise, or why none is known."""

    document: str
    rule: str | None
    what: str
    place: Place
    diff: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """A field that was not changed, and why no test could tell."""

    document: str
    rule: str | None
    field: str
    why: str
    place: Place


@dataclass(frozen=True, slots=True)
class MutationReport:
    """``n_equivalent`` changes are proved to make no difference to any text, ``n_same`` give a document that another
    change gave, ``n_refused`` none at all; these are not in the score."""

    n_killed: int
    n_equivalent: int
    survivors: tuple[Survivor, ...]
    left_alone: tuple[LeftAlone, ...] = ()
    n_same: int = 0
    n_refused: int = 0

    @property
    def n_mutants(self) -> int:
        return self.n_killed + len(self.survivors)

    @property
    def score(self) -> float:
        """The share of changes that some test notices, in [0, 1]; 1 where there are none."""
        return self.n_killed / self.n_mutants if self.n_mutants else 1.0
