"""What compiling decides, as a value."""

from dataclasses import dataclass
from datetime import date

from policykit.compile.digest import Digests
from policykit.diagnostics import Diagnostic
from policykit.ir.document import PolicySet
from policykit.ir.grammar import GrammarSpec
from policykit.ir.later import Later
from policykit.ir.plan import CompileContext, Enforcement, Liveness, Residue, ResolvedRule, Rows


@dataclass(frozen=True, eq=False)
class PlanSpec:
    """What was decided. ``grammar`` has forbidden members removed; ``trimmed`` is a Lark grammar without the traps
    of `grammar` and rules together, where one was needed."""

    policies: PolicySet
    grammar: GrammarSpec | None
    trimmed: str | None
    context: CompileContext
    rules: tuple[ResolvedRule, ...]
    rows: Later[Rows]
    liveness: Liveness
    digests: Later[Digests]
    valid_until: date | None
    warnings: tuple[Diagnostic, ...]

    @property
    def enforcements(self) -> tuple[Enforcement, ...]:
        return self.rows().enforcements

    @property
    def residue(self) -> tuple[Residue, ...]:
        return self.rows().residue

    @property
    def digest(self) -> str:
        return self.digests().plan

    @property
    def bundle_digest(self) -> str:
        return self.digests().bundle
