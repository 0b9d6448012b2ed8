"""Codes PK500–PK599: verifying, testing and the command line."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = ()
