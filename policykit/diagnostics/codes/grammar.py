"""Codes PK200–PK299: grammars."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = ()
