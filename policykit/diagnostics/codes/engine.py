"""Codes PK400–PK499: vocabularies, constraints and engines."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = ()
