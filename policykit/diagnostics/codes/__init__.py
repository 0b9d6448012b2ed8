"""The catalogue of diagnostic codes. A code never changes its meaning and is never used twice."""

from policykit.diagnostics.codes import (
    analysis,
    approvals,
    audit,
    bundle,
    chains,
    citations,
    conditions,
    document,
    engine,
    evaluation,
    grammar,
    opa,
    opaque,
    plan,
    profiles,
    regex,
    rewards,
    run,
    serving,
    testing,
    training,
    vault,
)
from policykit.diagnostics.codes.entry import CodeEntry

_MODULES = (
    document,
    approvals,
    regex,
    chains,
    citations,
    conditions,
    opa,
    opaque,
    vault,
    grammar,
    plan,
    engine,
    run,
    testing,
    analysis,
    profiles,
    serving,
    audit,
    bundle,
    rewards,
    training,
    evaluation,
)
CATALOGUE: dict[str, CodeEntry] = {
    entry.code: entry for entry in sorted((e for m in _MODULES for e in m.CODES), key=lambda entry: entry.code)
}

__all__ = ["CATALOGUE", "CodeEntry"]
