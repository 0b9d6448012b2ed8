"""What the catalogue keeps for one diagnostic code."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CodeEntry:
    """A stable code, its title, what it means and why, and the smallest input that shows it.

    ``example`` is shown by ``policykit explain CODE``.
    """

    code: str
    title: str
    explanation: str
    example: str = ""
