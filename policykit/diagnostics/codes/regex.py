"""Codes PK100–PK199: regular expressions in rules."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = ()
