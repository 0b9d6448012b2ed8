"""Codes PK001–PK099: policy documents."""

from policykit.diagnostics.codes.entry import CodeEntry

CODES: tuple[CodeEntry, ...] = ()
