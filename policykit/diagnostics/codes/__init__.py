"""The catalogue of diagnostic codes. A code never changes its meaning and is never used twice."""

from policykit.diagnostics.codes import document, engine, grammar, plan, regex, run
from policykit.diagnostics.codes.entry import CodeEntry

CATALOGUE: dict[str, CodeEntry] = {
    entry.code: entry for module in (document, regex, grammar, plan, engine, run) for entry in module.CODES
}

__all__ = ["CATALOGUE", "CodeEntry"]
