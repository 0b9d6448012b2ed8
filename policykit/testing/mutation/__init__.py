"""Changing a policy in one place at a time, to see whether a test notices."""

from policykit.testing.mutation.run import MutationReport, Survivor, mutate

__all__ = ["MutationReport", "Survivor", "mutate"]
