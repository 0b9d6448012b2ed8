"""Changing a policy in one place at a time, to see whether a test notices."""

from policykit.testing.mutation.report import LeftAlone, MutationReport, Survivor
from policykit.testing.mutation.run import mutate

__all__ = ["LeftAlone", "MutationReport", "Survivor", "mutate"]
